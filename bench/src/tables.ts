/** What `bench rd` found, as the tables of Markdown that docs/results.md, docs/bench.md and README.md show. */
import { type BdEntry, bdRates, type Curve, type Metric, meanCurves } from './curves.js'
import type { RdReport } from './rate-distortion.js'

/** Cells of Markdown, the head first. */
type Rows = readonly (readonly string[])[]

/** How the tables name codecs, which is more than a legend has room for. */
const NAMES: Readonly<Record<string, string>> = {
  cleric: '**CLERIC**, the network alone',
  'cleric-checked': '**CLERIC**, as `compress` stores tiles',
  jpeg: 'JPEG (libjpeg-turbo)',
  mozjpeg: 'mozjpeg',
  jpeg2000: 'JPEG 2000 (OpenJPEG)',
  htj2k: 'HTJ2K (OpenJPH)',
  'jpeg-xl': 'JPEG XL (libjxl)',
  avif: 'AVIF (aom, 10 bit)',
  hevc: 'HEVC intra (x265, 10 bit)',
  vtm: 'VVC intra (VTM, 10 bit)',
  webp: 'WebP (4:2:0)',
}

/** Every table, by the name that its place in the documents has. */
export function rdTables(report: RdReport): ReadonlyMap<string, string> {
  return new Map(
    Object.entries({
      summary: summary(report),
      'bd-rates': bdRateTable(report),
      levels: levelTable(report),
      'by-image-vtm': byImage(report, 'vtm'),
      'by-image-avif': byImage(report, 'avif'),
      'by-quality': byQuality(report),
      'as-stored': asStored(report),
      peers: peers(report),
    }).map(([name, rows]) => [name, markdown(rows)]),
  )
}

/** BD-rate of the mean curves in per cent, by PCHIP; undefined where there is none. */
function rate(report: RdReport, codec: string, anchor: string, metric: Metric, level = 0): BdEntry | undefined {
  return report.bdRates.find(
    (entry) =>
      entry.codec === codec &&
      entry.anchor === anchor &&
      entry.metric === metric &&
      entry.level === level &&
      entry.method === 'pchip',
  )
}

function summary(report: RdReport): Rows {
  const rows = ranked(report).map((codec) => [
    name(codec),
    share(rate(report, codec, 'jpeg', 'psnr')?.percent),
    share(rate(report, codec, 'jpeg', 'msSsim')?.percent),
    share(rate(report, codec, 'vtm', 'psnr')?.imageMean),
  ])
  const images = rate(report, 'jpeg', 'vtm', 'psnr')?.images ?? 0
  return [['', 'against JPEG, PSNR', 'MS-SSIM', `against VTM, PSNR, mean of ${images} images`], ...rows]
}

function bdRateTable(report: RdReport): Rows {
  const rows = ranked(report).map((codec) => [
    name(codec),
    ...['jpeg', 'avif', 'vtm'].flatMap((anchor) => {
      const byPsnr = rate(report, codec, anchor, 'psnr')
      return [
        figure(byPsnr?.percent),
        figure(byPsnr?.imageMean),
        figure(rate(report, codec, anchor, 'msSsim')?.percent),
      ]
    }),
  ])
  const head = ['JPEG', 'AVIF', 'VTM'].flatMap((anchor) => [`against ${anchor}: PSNR`, 'images', 'MS-SSIM'])
  return [['', ...head], ...rows]
}

/** By PSNR, against JPEG and AVIF, on each level. */
function levelTable(report: RdReport): Rows {
  const columns = ['jpeg', 'avif'].flatMap((anchor) => report.levels.map((level) => ({ anchor, level })))
  const rows = ranked(report).map((codec) => [
    name(codec),
    ...columns.map(({ anchor, level }) => figure(rate(report, codec, anchor, 'psnr', level)?.percent)),
  ])
  const names: Readonly<Record<string, string>> = { jpeg: 'JPEG', avif: 'AVIF' }
  const head = columns.map(({ anchor, level }, i) =>
    i % report.levels.length === 0 ? `against ${names[anchor]}: level ${level}` : `level ${level}`,
  )
  return [['', ...head], ...rows]
}

/** Every codec's BD-rate by PSNR against one of them, of each image of the finest level. */
function byImage(report: RdReport, anchor: string): Rows {
  const codecs = ranked(report).filter((codec) => codec !== anchor)
  const images = [...new Set(report.images.map((image) => image.name))]
  const rows = images.map((image) => {
    const points = report.points.filter((point) => point.image === image && point.level === 0)
    const bdRatesOfImage = bdRates(meanCurves(points, report.codecs, [0]), points, [anchor])
    const single = { ...report, bdRates: bdRatesOfImage }
    // This takes all of the image's points, where the mean curves have only the settings that every image has.
    return [image, ...codecs.map((codec) => figure(rate(single, codec, anchor, 'psnr')?.imageMean))]
  })
  const means = codecs.map((codec) => rate(report, codec, anchor, 'psnr'))
  return [
    ['', ...codecs.map(name)],
    ...rows,
    ['mean of the images', ...means.map((entry) => figure(entry?.imageMean))],
    ['of the mean curves', ...means.map((entry) => figure(entry?.percent))],
  ]
}

function byQuality(report: RdReport): Rows {
  const curves = report.curves.filter(({ codec }) => codec === 'cleric')
  const rows = (curves[0]?.points ?? []).map(({ setting }, i) => [
    String(setting),
    ...curves.flatMap(({ points, level }) => {
      const { bpp, psnr, msSsim } = points[i] as Curve['points'][number]
      return [bpp.toFixed(3), psnr.toFixed(2), ...(level === 0 ? [msSsim?.toFixed(4) ?? ''] : [])]
    }),
  ])
  const head = curves.flatMap(({ level }) =>
    level === 0 ? ['bits a pixel', 'PSNR, dB', 'MS-SSIM'] : [`level ${level}: bpp`, 'PSNR'],
  )
  return [['quality', ...head], ...rows]
}

function asStored(report: RdReport): Rows {
  const [alone, stored] = [curve(report, 'cleric', 0), curve(report, 'cleric-checked', 0)]
  const rows = alone.points.map((point, i) => [
    String(point.setting),
    ...[point, stored.points[i]].flatMap((curve) => [curve?.bpp.toFixed(3) ?? '', curve?.psnr.toFixed(2) ?? '']),
  ])
  const head = ['the network alone: bits a pixel', 'PSNR, dB', 'as stored: bits a pixel', 'PSNR, dB']
  return [['quality', ...head], ...rows]
}

/** The other codecs alone, which no new model changes. */
function peers(report: RdReport): Rows {
  const codecs = report.codecs.map(({ id }) => id).filter((id) => !id.startsWith('cleric'))
  const rows = codecs.map((codec) => {
    const { points } = curve(report, codec, 0)
    const psnrs = points.map(({ psnr }) => psnr)
    const jpeg = rate(report, codec, 'jpeg', 'psnr')
    return [
      name(codec),
      psnrs.length === 0 ? '' : `${Math.min(...psnrs).toFixed(1)} to ${Math.max(...psnrs).toFixed(1)}`,
      ...[jpeg?.percent, jpeg?.imageMean, rate(report, codec, 'jpeg', 'msSsim')?.percent].map(figure),
      ...(['psnr', 'msSsim'] as const).map((metric) => figure(rate(report, codec, 'avif', metric)?.percent)),
      ...report.levels.slice(1).map((level) => figure(rate(report, codec, 'jpeg', 'psnr', level)?.percent)),
    ]
  })
  const head = ['mean PSNR, dB', 'PSNR, against JPEG', 'the same, mean of images', 'MS-SSIM, against JPEG']
  const lower = report.levels
    .slice(1)
    .map((level, i) => (i === 0 ? `PSNR, against JPEG: level ${level}` : `level ${level}`))
  return [['', ...head, 'PSNR, against AVIF', 'MS-SSIM, against AVIF', ...lower], ...rows]
}

/** From the fewest bits to the most, by PSNR against JPEG, which itself comes last. */
function ranked(report: RdReport): string[] {
  const place = (codec: string) => {
    const byPsnr = rate(report, codec, 'jpeg', 'psnr')
    return byPsnr?.percent ?? byPsnr?.imageMean ?? 0
  }
  return report.codecs.map(({ id }) => id).sort((a, b) => place(a) - place(b))
}

function curve(report: RdReport, codec: string, level: number): Curve {
  return report.curves.find((curve) => curve.codec === codec && curve.level === level) ?? { codec, level, points: [] }
}

function name(codec: string): string {
  return NAMES[codec] ?? codec
}

/** Per cent; empty where there is none, as of an anchor against itself. */
function figure(percent: number | null | undefined): string {
  if (percent == null) return ''
  // Not "-0.0".
  const rounded = (Math.round(10 * percent) / 10 || 0).toFixed(1)
  return Number(rounded) > 0 ? `+${rounded}` : rounded
}

function share(percent: number | null | undefined): string {
  return percent == null ? '' : `${figure(percent)} %`
}

function markdown([head = [], ...rows]: Rows): string {
  const line = (cells: readonly string[]) => `|${cells.map((cell) => (cell === '' ? ' ' : ` ${cell} `)).join('|')}|`
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)].join('\n')
}

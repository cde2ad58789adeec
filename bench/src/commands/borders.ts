/** `cleric bench borders`. */
import { stat } from 'node:fs/promises'
import { type Image, openSlide, SlideError, type SlideSource } from 'cleric'
import {
  type Cli,
  type CodecChoice,
  codecOptions,
  integerFrom,
  type Loan,
  lend,
  table,
  tileSide,
} from 'cleric/internal'
import { type BordersReport, benchBorders, type Comparison } from '../borders.js'
import { type BenchCodec, isMissing } from '../codec.js'
import { openImageSet } from '../image-set.js'
import { openBenchCodecs } from '../open-codecs.js'
import { CODEC_IDS, codecList } from './codec-list.js'
import { sharedData } from './shared-data.js'

interface Options extends CodecChoice {
  readonly data?: string
  readonly codecs: readonly string[]
  readonly side: number
  readonly tiles: number
}

/** Qualities that CLERIC is tried at; other codecs are tried at the second and the fourth setting of their sweep. */
const QUALITIES = [20, 60]
/** So many of the largest tiles a side have as many pixels as a region may. */
const MOST_TILES = 16

export function addBordersBench(cli: Cli): void {
  cli.add<Options>(
    'bench borders',
    'How much worse tiles are at their borders than inside',
    (command) =>
      codecOptions(command)
        .option(
          '--data <path>',
          'a slide, or a folder of images (default: ../shared/data/slides/CMU-1-Small-Region.svs)',
        )
        .option('--codecs <list>', `some of ${CODEC_IDS.join(',')}`, codecList, ['cleric'])
        .option('--side <pixels>', 'side of the tiles, at least 64 and a multiple of 16', tileSide, 256)
        .option('--tiles <count>', "tiles a side of the square from a slide's middle", integerFrom(2, MOST_TILES), 6),
    async (session, { data = sharedData('slides/CMU-1-Small-Region.svs'), codecs: ids, side, tiles, ...choice }) => {
      const images = await imagesOf(data, side, tiles, session.signal)
      let loan: Loan | undefined
      const progress = session.progress('bench borders')
      try {
        const cleric = async () => {
          loan = await lend({ ...session.codec(choice), signal: session.signal })
          return loan.codec
        }
        const opened = await openBenchCodecs(ids, cleric, session.signal)
        for (const codec of opened) if (isMissing(codec)) session.warn(`${codec.label} is missing: ${codec.reason}`)
        const report = await benchBorders({
          ...{ images, side, settingsOf, signal: session.signal },
          codecs: opened.filter((codec): codec is BenchCodec => !isMissing(codec)),
          onProgress: (done, total) => progress.update(done, total, `${done} of ${total}`),
        })
        return { json: report, text: text(report) }
      } finally {
        progress.end()
        loan?.[Symbol.dispose]()
      }
    },
    'cleric bench borders --codecs cleric,avif,jpeg',
  )
}

function settingsOf({ id, settings }: BenchCodec): number[] {
  return id.startsWith('cleric') ? QUALITIES : [settings[1] as number, settings[3] as number]
}

async function imagesOf(path: string, side: number, tiles: number, signal: AbortSignal): Promise<Image[]> {
  if ((await stat(path).catch(() => null))?.isDirectory()) {
    using set = await openImageSet(path, 0)
    const images: Image[] = []
    for (let i = 0; i < set.names.length; i++) {
      const [read] = await set.read(i, [0], signal)
      if (read && Math.min(read.image.width, read.image.height) >= side) images.push(read.image)
    }
    if (images.length > 0) return images
    throw new SlideError('ERR_UNSUPPORTED_SLIDE', `No image of ${path} has ${side} x ${side} pixels`)
  }
  using slide = await openSlide(path)
  const { width, height } = slide.levels[0] as SlideSource['levels'][0]
  // Tiles begin at the slide's corner, as those of an archive do: so they lie to the JPEGs of the scanner as those do.
  const [columns, rows] = [Math.floor(width / side), Math.floor(height / side)]
  const [across, down] = [Math.min(tiles, columns), Math.min(tiles, rows)]
  if (across === 0 || down === 0) {
    throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} has no ${side} x ${side} pixels`)
  }
  const [x, y] = [((columns - across) >> 1) * side, ((rows - down) >> 1) * side]
  return [await slide.readRegion({ x, y, level: 0, width: across * side, height: down * side }, signal)]
}

function text({ side, tiles, rows }: BordersReport): string {
  const shown = (value: number) => (Number.isFinite(value) ? value.toFixed(2) : '-')
  const both = ({ all, alike }: Comparison) => [all, alike].map(shown)
  const lines = rows.map(({ codec, setting, bpp, psnr, ring, first, last, step }) => [
    ...[codec, String(setting), bpp.toFixed(3), shown(psnr)],
    ...[ring, first, last, step].flatMap(both),
  ])
  const head = ['codec', 'setting', 'bpp', 'PSNR', 'ring', 'alike', 'first', 'alike', 'last', 'alike', 'step', 'alike']
  return [
    `${tiles} tiles of ${side} x ${side}: dB by which the outermost ring of pixels is worse than those inside (its first rows and columns, its last ones),`,
    'and how many times as much the error changes across a border; "alike": than what lies inside at the same place of a grid of 16 x 16',
    table([head, ...lines]),
  ].join('\n')
}

/** The tables of the documents, from reports in which every codec needs a known share of JPEG's bits. */
import test from 'ava'
import { bdRates, meanCurves } from '../src/curves.js'
import { joinReports } from '../src/join-reports.js'
import type { Quality } from '../src/quality.js'
import type { RdReport } from '../src/rate-distortion.js'
import type { Point } from '../src/sweep.js'
import { rdTables } from '../src/tables.js'

/** Bits over those of JPEG, on the two images. */
const SHARES: Readonly<Record<string, readonly [number, number]>> = {
  cleric: [0.6, 0.6],
  'cleric-checked': [0.5, 0.7],
  jpeg: [1, 1],
  avif: [0.75, 0.75],
  vtm: [0.5, 0.5],
}
const QUALITIES: readonly Quality[] = [30, 34, 38].map((psnr) => ({ psnr, msSsim: 1 - 10 ** (-psnr / 20) }))
const images = ['a.png', 'b.png']

function report(ids: readonly string[], levels: readonly number[], scale = 1): RdReport {
  const codecs = ids.map((id) => ({
    ...{ id, label: id, chroma: '4:4:4' as const, setting: 'quality', settings: [0, 50, 100], step: 1 },
    ...{ version: '1', commands: [] },
  }))
  const points: Point<Quality>[] = levels.flatMap((level) =>
    images.flatMap((image, i) =>
      codecs.flatMap(({ id, settings }) =>
        settings.map((setting, k) => {
          const bpp = scale * (SHARES[id]?.[i] as number) * 2 ** k * (1 + level)
          return { codec: id, image, level, setting, bpp, bytes: 100 * bpp, ...(QUALITIES[k] as Quality) }
        }),
      ),
    ),
  )
  const curves = meanCurves(points, codecs, levels)
  return {
    ...{ format: 'cleric-bench-rd/1', machine: { processor: '', platform: '', node: '' }, data: 'images', levels },
    images: images.map((name) => ({ name, level: 0, width: 10, height: 10, digest: '' })),
    ...{ codecs, missing: [], curves, points, bdRates: bdRates(curves, points, ['jpeg', 'avif', 'vtm']) },
  }
}

const ids = Object.keys(SHARES)
const tables = rdTables(report(ids, [0, 1]))
const rows = (table: string) =>
  (tables.get(table) as string).split('\n').map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  )

test('every row of a table has as many cells as its head', (t) => {
  for (const name of tables.keys()) {
    const [head = [], rule, ...rest] = rows(name)
    t.true(rest.length > 0, name)
    t.true(rule?.every((cell) => cell === '---'))
    for (const row of rest) t.is(row.length, head.length, `${name}: ${row}`)
  }
})

test('codecs stand from the fewest bits to the most, with none against itself', (t) => {
  const [, , ...summary] = rows('summary')
  t.deepEqual(summary, [
    ['VVC intra (VTM, 10 bit)', '-50.0 %', '-50.0 %', ''],
    ['**CLERIC**, the network alone', '-40.0 %', '-40.0 %', '+20.0 %'],
    ['**CLERIC**, as `compress` stores tiles', '-40.0 %', '-40.0 %', '+20.0 %'],
    ['AVIF (aom, 10 bit)', '-25.0 %', '-25.0 %', '+50.0 %'],
    ['JPEG (libjpeg-turbo)', '', '', '+100.0 %'],
  ])
})

test('images have their own BD-rates beside the means', (t) => {
  const [head, , first, second, mean, curves] = rows('by-image-vtm')
  const column = head?.indexOf('**CLERIC**, as `compress` stores tiles') as number
  t.false(head?.includes('VVC intra (VTM, 10 bit)'))
  t.deepEqual(
    [first, second, mean, curves].map((row) => [row?.[0], row?.[column]]),
    [
      ['a.png', '0.0'],
      ['b.png', '+40.0'],
      ['mean of the images', '+20.0'],
      ['of the mean curves', '+20.0'],
    ],
  )
})

test('points stand by quality, those of the levels side by side', (t) => {
  t.deepEqual(rows('by-quality')[0], ['quality', 'bits a pixel', 'PSNR, dB', 'MS-SSIM', 'level 1: bpp', 'PSNR'])
  t.deepEqual(rows('by-quality')[3], ['50', '1.200', '34.00', '0.9800', '2.400', '34.00'])
  t.deepEqual(rows('as-stored')[3], ['50', '1.200', '34.00', '1.200', '34.00'])
  t.false(tables.get('peers')?.includes('CLERIC'))
})

test('runs are taken together, the first first', (t) => {
  const peers = ids.filter((id) => id !== 'cleric' && id !== 'vtm')
  const slow = report(['vtm', 'cleric'], [0], 7)
  const joined = joinReports([report(['cleric'], [0, 1]), report(peers, [0, 1]), slow], ids)
  t.deepEqual(joined.levels, [0, 1])
  t.deepEqual(
    joined.codecs.map(({ id }) => id),
    ids,
  )
  const rate = (codec: string, anchor: string, level: number) =>
    joined.bdRates.find((e) => e.codec === codec && e.anchor === anchor && e.level === level)?.percent
  // CLERIC's points are those of the first run, and not the ones seven times as large.
  t.is(Math.round(rate('cleric', 'jpeg', 0) as number), -40)
  t.is(Math.round(rate('vtm', 'jpeg', 0) as number), 250)
  t.is(rate('vtm', 'jpeg', 1), undefined)
  t.is(Math.round(rate('cleric', 'jpeg', 1) as number), -40)
})

test("runs of other images aren't taken together", (t) => {
  const other = report(ids, [0])
  const images = other.images.map((image) => ({ ...image, digest: 'other' }))
  t.throws(() => joinReports([report(ids, [0]), { ...other, images }], ids), {
    message: /a\.png on level 0 isn't the same/,
  })
})

/** Archives of a wanted number of bits a pixel, with the real codec and a small untrained model, on the processor. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { openArchive } from '../../src/archive/archive.js'
import { openCodec } from '../../src/codec/codec.js'
import { type CompressOptions, compressSlide } from '../../src/compress/compress.js'
import { findQuality, type SearchProgress } from '../../src/compress/target-bpp.js'
import { fill } from '../../src/image/draw.js'
import { losslessCodec } from '../payload-codec.js'
import { DrawnSlide, memorySlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-target-'))
test.after.always(() => rmSync(folder, { recursive: true }))
let files = 0
const fresh = () => join(folder, `${files++}.cleric.tif`)

const model = fileURLToPath(new URL('../fixtures/nano.safetensors', import.meta.url))
const opening = openCodec({ model, device: 'cpu' })
test.after.always(async () => (await opening).close())
const options = async (more: CompressOptions = {}): Promise<CompressOptions> => ({
  codec: await opening,
  tile: 64,
  ...more,
})

const near = (bpp: number, target: number, tolerance: number) => Math.abs(bpp / target - 1) <= tolerance
/** 6 tiles, checked as they are by default. */
const small = new DrawnSlide('synthetic:192x128:4')
/** 94 tiles, of which a sample is taken. The tests with it are about the search, which doesn't know of checks. */
const large = new DrawnSlide('synthetic:700x500:3')
const unchecked = { check: 'none' } as const

/**
 * The bits a pixel that lie at shares, 0 to 1, of the way from quality 0 to 100: what a target can be depends on the
 * fixture's weights.
 */
async function between(slide: DrawnSlide, shares: readonly number[], more: CompressOptions): Promise<number[]> {
  const at = async (quality: number) => (await compressSlide(slide, fresh(), await options({ ...more, quality }))).bpp
  const [least, most] = [await at(0), await at(100)]
  return shares.map((share) => least * (most / least) ** share)
}

test('a slide all of whose tiles are tried is within 1 % of the target, in both layouts', async (t) => {
  for (const layout of ['compat', 'strict'] as const) {
    const path = fresh()
    const searches: SearchProgress[] = []
    const onSearch = (progress: SearchProgress) => searches.push(progress)
    const [targetBpp = 0] = await between(small, [0.4], { layout })
    const result = await compressSlide(small, path, await options({ layout, targetBpp, onSearch }))
    t.true(near(result.bpp, targetBpp, 0.01), `${layout}: ${result.bpp} instead of ${targetBpp}`)
    using archive = await openArchive(path)
    t.is(archive.bpp, result.bpp)
    t.is(archive.quality, result.quality)
    t.is(result.tiles, 6)
    t.like(searches[0], { done: 0, tried: null })
    t.true(searches.every(({ done, total }, i) => done === i && done <= total))
    t.truthy(searches.at(-1)?.tried)
  }
})

test('a slide of which a sample is tried is within 5 %', async (t) => {
  for (const targetBpp of await between(large, [0.2, 0.5, 0.8], unchecked)) {
    const { bpp } = await compressSlide(large, fresh(), await options({ ...unchecked, targetBpp }))
    t.true(near(bpp, targetBpp, 0.05), `${bpp} instead of ${targetBpp}`)
  }
})

test('only the tiles of the sample are encoded in the search, however many there are', async (t) => {
  const codec = losslessCodec()
  // Every tile differs, so none is blank: 50 x 40 of them.
  const image = fill(800, 640, { red: 120, green: 80, blue: 130 })
  for (let i = 0; i < image.data.length; i++) image.data[i] = (i * 7919 + (i >> 9) * 104729) & 255
  const run = compressSlide(memorySlide([image]), fresh(), { codec, tile: 16, targetBpp: 1, layout: 'strict' })
  await t.throwsAsync(run, { code: 'ERR_TARGET_UNREACHABLE' })
  t.is(codec.encoded, 2 * 24)
})

test('the same call gives the same bytes, as does the quality that was found, and a run that goes on', async (t) => {
  const paths = [fresh(), fresh(), fresh()] as const
  const { quality } = await compressSlide(large, paths[0], await options({ ...unchecked, targetBpp: 1.2 }))
  const expected = readFileSync(paths[0])
  await compressSlide(large, paths[1], await options({ ...unchecked, quality }))
  t.true(readFileSync(paths[1]).equals(expected))

  const stop = new AbortController()
  const stopping = await options({
    ...unchecked,
    targetBpp: 1.2,
    signal: stop.signal,
    onProgress: ({ tiles }) => tiles === 40 && stop.abort(),
  })
  await t.throwsAsync(compressSlide(large, paths[2], stopping), { code: 'ERR_ABORTED' })
  const resumed = await compressSlide(large, paths[2], await options({ ...unchecked, targetBpp: 1.2, resume: true }))
  t.is(resumed.resumedTiles, 40)
  t.is(resumed.quality, quality)
  t.true(readFileSync(paths[2]).equals(expected))
})

test('a search that is aborted leaves nothing', async (t) => {
  const path = fresh()
  const stop = new AbortController()
  const onSearch = ({ tried }: SearchProgress) => tried && stop.abort()
  const stopping = await options({ ...unchecked, targetBpp: 1.2, signal: stop.signal, onSearch })
  await t.throwsAsync(compressSlide(large, path, stopping), { code: 'ERR_ABORTED' })
  for (const name of [path, `${path}.partial`, `${path}.journal`]) t.false(existsSync(name))
})

test('a target out of reach is refused with the range, whose ends can be reached', async (t) => {
  const path = fresh()
  let range: number[] = []
  for (const targetBpp of [1e-6, 0.01, 24]) {
    const error = await t.throwsAsync(compressSlide(small, path, await options({ targetBpp })), {
      code: 'ERR_TARGET_UNREACHABLE',
    })
    const [, from, to, received] =
      /^Expected a target between ([\d.]+) and ([\d.]+) bits a pixel for this slide but received ([\d.]+)$/
        .exec(error.message)
        ?.map(Number) ?? []
    t.is(received, targetBpp)
    range = [from as number, to as number]
    t.false(existsSync(path))
  }
  for (const targetBpp of range) {
    const { bpp } = await compressSlide(small, fresh(), await options({ targetBpp }))
    t.true(near(bpp, targetBpp, 0.01))
  }
})

test('an empty slide has one rate only', async (t) => {
  const glass = memorySlide([fill(300, 200, { red: 240, green: 240, blue: 240 })])
  await t.throwsAsync(compressSlide(glass, fresh(), { codec: losslessCodec(), targetBpp: 12 }), {
    code: 'ERR_TARGET_UNREACHABLE',
    message: /^Expected a target of about [\d.]+ bits a pixel for this slide but received 12$/,
  })
})

test('a target that is no number of bits, or comes with a quality, is refused', async (t) => {
  const refused = async (more: object, instanceOf: ErrorConstructor, message: string) =>
    t.throwsAsync(compressSlide(small, fresh(), await options(more)), { instanceOf, message })
  const what = 'Expected a number above 0, up to 24 for targetBpp but received'
  await refused({ targetBpp: 0 }, RangeError, `${what} 0 of type number`)
  await refused({ targetBpp: -1 }, RangeError, `${what} -1 of type number`)
  await refused({ targetBpp: 25 }, RangeError, `${what} 25 of type number`)
  await refused({ targetBpp: '1' }, TypeError, `${what} "1" of type string`)
  const both = 'Expected no quality with a targetBpp for quality but received 60 of type number'
  await refused({ targetBpp: 1, quality: 60 }, RangeError, both)
  await refused({ onSearch: 1 }, TypeError, 'Expected a function for onSearch but received 1 of type number')
})

test('few tries find the quality on curves of any shape that rises', async (t) => {
  const curves: [title: string, bpp: (quality: number) => number][] = [
    ['straight', (quality) => 0.1 + quality / 25],
    ['exponential', (quality) => 0.1 * 40 ** (quality / 100)],
    ['late', (quality) => 0.2 + 3 * (quality / 100) ** 4],
    ['early', (quality) => 0.2 + 3 * (quality / 100) ** 0.7],
    ['logistic', (quality) => 0.2 + 3 / (1 + Math.exp((50 - quality) / 6))],
  ]
  for (const [title, bpp] of curves) {
    for (const share of [0, 0.03, 0.3, 0.6, 0.97, 1]) {
      const target = bpp(0) + share * (bpp(100) - bpp(0))
      let tries = 0
      const quality = await findQuality(target, async (quality) => {
        tries++
        return bpp(quality)
      })
      t.true(near(bpp(quality), target, 0.005), `${title}, ${share}: ${bpp(quality)} instead of ${target}`)
      t.true(tries <= 10)
      t.is(quality, Math.round(100 * quality) / 100)
    }
  }
})

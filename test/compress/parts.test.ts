/** A slide that is encoded in parts, for a last run to put together: always to the bytes of one run. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { verdictOf } from '../../src/codec/seen-tiles.js'
import { type CompressOptions, compressPart, compressTo, countTiles } from '../../src/compress/compress.js'
import { openPart, type Part, type Share } from '../../src/compress/part.js'
import { SEGMENT_TILES } from '../../src/compress/plan.js'
import type { CompressProgress } from '../../src/compress/progress.js'
import { losslessCodec } from '../payload-codec.js'
import { DrawnSlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-parts-'))
test.after.always(() => rmSync(folder, { recursive: true }))
let files = 0
const fresh = () => join(folder, `${files++}.cleric.tif`)
const slide = new DrawnSlide('synthetic:350x250:3')
const [TILES, SEGMENT] = [88, 16]
const division = { segmentTiles: SEGMENT }
const SHARES = [
  { first: 0, count: 32 },
  { first: 32, count: 16 },
  { first: 48, count: 40 },
] as const satisfies readonly Share[]

/** A codec that learns something of every tile, and whose bytes tell what it knew of others. */
function learningCodec() {
  const plain = losslessCodec()
  const knew: number[] = []
  const codec = {
    ...plain,
    knew,
    async encodeCheckedPayload(...[image, quality, check]: Parameters<typeof plain.encodeCheckedPayload>) {
      const seen = check?.seen ?? []
      knew.push(seen.length)
      const payload = await plain.encodePayload(image, quality, check?.signal)
      const known = Buffer.from([seen.length, seen.reduce((sum, { jpeg }) => (sum + jpeg) % 251, 0)])
      const looks = { jpeg: 1 + (payload.length % 97), bits: 3, avif: 5, network: 7, gain: 9 }
      return { payload: Buffer.concat([payload, known]), psnr: 40, codec: 'cleric' as const, seen: looks }
    },
  }
  return codec
}

const options = (more: CompressOptions = {}): CompressOptions => ({ codec: learningCodec(), tile: 32, ...more })

/** The file that one run makes. */
const whole = (async () => {
  const path = fresh()
  await compressTo(slide, path, options(), division)
  return readFileSync(path)
})()

async function partsOf(shares: readonly Share[], more: CompressOptions = {}): Promise<string[]> {
  const names: string[] = []
  for (const share of shares) {
    const name = fresh()
    await compressPart(slide, name, share, options(more), division)
    names.push(name)
  }
  return names
}

/** What is put together of these files, and how many tiles were encoded for it. */
async function joined(names: readonly string[]): Promise<{ bytes: Buffer; encoded: number }> {
  const parts = (await Promise.all(names.map((name) => openPart(name)))).filter((part): part is Part => part !== null)
  const path = fresh()
  const codec = learningCodec()
  const result = await compressTo(slide, path, options({ codec }), { ...division, parts })
  for (const part of parts) part.close()
  if (result.tiles !== TILES) throw new Error(`${result.tiles} tiles`)
  return { bytes: readFileSync(path), encoded: codec.knew.length }
}

test('parts give the file of one run, and no tile is encoded twice', async (t) => {
  t.is(countTiles(slide, options()), TILES)
  const { bytes, encoded } = await joined(await partsOf(SHARES))
  t.true(bytes.equals(await whole))
  t.is(encoded, 0)
})

test('segments are as long where nothing is said of them', async (t) => {
  const large = new DrawnSlide('synthetic:700x500:3')
  const of = (codec = learningCodec()) => ({ codec, tile: 16 })
  const [one, together] = [fresh(), fresh()]
  const { tiles } = await compressTo(large, one, of())
  t.true(tiles > SEGMENT_TILES)
  const parts: Part[] = []
  for (const [first, count] of [
    [0, SEGMENT_TILES],
    [SEGMENT_TILES, tiles - SEGMENT_TILES],
  ] as const) {
    const name = fresh()
    await compressPart(large, name, { first, count }, of())
    parts.push((await openPart(name)) as Part)
  }
  const codec = learningCodec()
  await compressTo(large, together, of(codec), { parts })
  for (const part of parts) part.close()
  t.is(codec.knew.length, 0)
  t.deepEqual(readFileSync(together), readFileSync(one))
})

test('what is learnt of a tile serves in its segment only', async (t) => {
  const codec = learningCodec()
  await compressTo(slide, fresh(), options({ codec }), division)
  t.true(Math.max(...codec.knew) > 0, 'something is learnt')
  t.true(Math.max(...codec.knew) < SEGMENT)
  const learns = learningCodec()
  await compressTo(slide, fresh(), options({ codec: learns }), {})
  t.true(Math.max(...learns.knew) > SEGMENT, 'a segment is longer otherwise')
})

test('where tiles look alike, few are tried both ways, however long the slide is', async (t) => {
  const plain = losslessCodec()
  const looks = { jpeg: 30, bits: 32, avif: -60, network: -60, gain: -12 }
  const tried: number[] = []
  let tiles = 0
  const codec = {
    ...plain,
    async encodeCheckedPayload(...[image, quality, check]: Parameters<typeof plain.encodeCheckedPayload>) {
      const number = tiles++
      const isSettled = verdictOf(looks, check?.seen ?? []) === 'network'
      if (!isSettled) tried.push(number)
      const payload = await plain.encodePayload(image, quality, check?.signal)
      return { payload, psnr: 40, codec: 'cleric' as const, seen: isSettled ? null : looks }
    },
  }
  await compressTo(new DrawnSlide('synthetic:500x500:3'), fresh(), { codec, tile: 16, background: 'keep' }, {})
  const later = tried.filter((number) => number >= 64)
  t.true(tiles > 1000)
  t.true(later.length < (tiles - 64) / 25, `${later.length} of ${tiles - 64}`)
})

test('a part that is cut short, damaged, or of other options is left aside where it is wrong', async (t) => {
  const [first, second, third] = (await partsOf(SHARES)) as [string, string, string]
  const good = readFileSync(second)
  const [otherQuality] = (await partsOf([SHARES[1]], { quality: 20 })) as [string]
  const [otherSegments] = [fresh()]
  await compressPart(slide, otherSegments, SHARES[1], options(), { segmentTiles: 8 })
  const changed = (at: number) => {
    const name = fresh()
    writeFileSync(name, good.with(at, (good[at] as number) ^ 1))
    return name
  }
  const cut = fresh()
  writeFileSync(cut, good.subarray(0, good.length - 1))
  const empty = fresh()
  writeFileSync(empty, '')
  const all = (await joined([first, third])).encoded
  t.true(all > 1, 'the tiles of a part that is missing are encoded')
  const cases: Readonly<Record<string, readonly [name: string, encoded: number]>> = {
    empty: [empty, all],
    'cut short': [cut, all],
    'a bit of its head': [changed(12), all],
    'a bit of its records': [changed(good.length - 20), all],
    'a bit of a tile': [changed(70), 1],
    'another quality': [otherQuality, all],
    'other segments': [otherSegments, all],
  }
  for (const [what, [name, expected]] of Object.entries(cases)) {
    const { bytes, encoded } = await joined([first, name, third])
    t.true(bytes.equals(await whole), what)
    t.is(encoded, expected, what)
  }
})

test('a part that was interrupted is gone on with, and one that is there is not encoded again', async (t) => {
  const [share] = SHARES
  const name = fresh()
  const stop = new AbortController()
  const onProgress = ({ tiles }: CompressProgress) => {
    if (tiles === 20) stop.abort()
  }
  const interrupted = options({ onProgress, signal: stop.signal })
  await t.throwsAsync(compressPart(slide, name, share, interrupted, division), { code: 'ERR_ABORTED' })
  t.false(existsSync(name))
  const codec = learningCodec()
  await compressPart(slide, name, share, options({ codec, resume: true }), division)
  t.is(codec.knew.length, share.count - 20)
  t.deepEqual(readFileSync(name), readFileSync((await partsOf([share]))[0] as string))
  await compressPart(slide, name, share, options({ codec, resume: true }), division)
  t.is(codec.knew.length, share.count - 20)
  t.false(existsSync(`${name}.journal`) || existsSync(`${name}.partial`))
  await compressPart(slide, name, share, options({ codec, quality: 10 }), division)
  t.true(codec.knew.length > share.count, 'another quality is another part')
  const beyond = { first: 64, count: 48 }
  await t.throwsAsync(compressPart(slide, fresh(), beyond, options(), division), { code: 'ERR_FILE_CHANGED' })
})

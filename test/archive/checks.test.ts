/** Archives whose tiles are stored in several ways: with a real codec, from the slide to every reader. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import * as geotiff from 'geotiff'
import { type Archive, openArchive } from '../../src/archive/archive.js'
import { registerWithGeotiff } from '../../src/archive/geotiff.js'
import { type CheckSummary, decodeCheck, encodeCheck, summarise } from '../../src/archive/tile-checks.js'
import { validateArchive } from '../../src/archive/validate.js'
import { PAYLOAD_KINDS } from '../../src/codec/bitstream.js'
import { type Codec, openCodec } from '../../src/codec/codec.js'
import { type CompressOptions, compressSlide } from '../../src/compress/compress.js'
import { exportSlide } from '../../src/export/export.js'
import type { Image } from '../../src/image/image.js'
import { random } from '../../src/image/noise.js'
import { psnr } from '../../src/metrics/psnr.js'
import { emptyIndex } from '../../src/tiff/tile-index.js'
import { nanoModelFile } from '../network/golden.js'
import { crop, memorySlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-checks-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

/** 4 x 2 tiles of 64, the last column and row of them in part: text, shades, noise, and tiles of one colour. */
const picture: Image = (() => {
  const [width, height] = [200, 100]
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < data.length; i += 3) {
    const [x, y] = [(i / 3) % width, Math.floor(i / 3 / width)]
    const text = random(x >> 1, y >> 1, 1) < 0.3 ? 0 : 255
    const shade = 90 + 60 * Math.sin(x / 9) + 40 * Math.cos(y / 7)
    const value = x < 64 ? text : x < 128 ? shade + 8 * random(x, y, 2) : x < 192 ? 255 * random(x, y, 3) : 77
    data.set([value, 0.8 * value + 20, 0.5 * value + 60], i)
  }
  return { data, width, height, channels: 3 }
})()
const slide = memorySlide([picture])

let codec: Codec
test.before(async () => {
  codec = await openCodec({ model: fileURLToPath(nanoModelFile), device: 'cpu' })
})
test.after.always(() => codec?.close())

async function compressed(name: string, options: CompressOptions = {}) {
  const result = await compressSlide(slide, at(name), { codec, tile: 64, layout: 'strict', ...options })
  return { result, archive: await openArchive(at(name), { codec }) }
}

/** Each tile that is stored, as the slide and the archive have it. */
async function* tilesOf(archive: Archive) {
  for (let row = 0; row < 2; row++) {
    for (let column = 0; column < 4; column++) {
      const decoded = await archive.readTile(0, column, row)
      const original = crop(picture, 64 * column, 64 * row, 64, 64)
      yield { column, row, decoded, original, check: archive.tileCheck(0, column, row) }
    }
  }
}

test('tiles are stored in several ways, and come as near as the archive says', async (t) => {
  const { result, archive } = await compressed('mixed.cleric.tif', { check: 'full' })
  const kinds = new Set<string | undefined>()
  for await (const { column, decoded, original, check } of tilesOf(archive)) {
    kinds.add(check?.codec ?? undefined)
    if (column === 3) t.is(check, null)
    if (!check) continue
    const found = psnr(original, decoded)
    t.is(check.psnr, found === Number.POSITIVE_INFINITY ? found : Math.min(63.5, Math.floor(4 * found) / 4))
  }
  t.true(kinds.size >= 3, [...kinds].join())
  const checks = archive.checks as CheckSummary
  t.deepEqual(result.checks, checks)
  t.is(archive.checks, checks, 'is made once')
  t.is(checks.tiles, 6)
  t.is(checks.psnr.least, checks.worst[0]?.psnr as number)
  t.like(await validateArchive(archive), { ok: true, tiles: 8, bad: [] })
  archive.close()
})

test('geotiff.js and an export have the same pixels', async (t) => {
  const { archive } = await compressed('readers.cleric.tif')
  const whole = await archive.readRegion({ x: 0, y: 0, level: 0, width: 192, height: 100 })
  registerWithGeotiff(geotiff, { codec })
  const image = await (await geotiff.fromFile(at('readers.cleric.tif'))).getImage(0)
  const read = (await image.readRasters({ window: [0, 0, 192, 100], interleave: true })) as Uint8Array
  t.is(Buffer.compare(new Uint8Array(read), whole.data), 0)
  const { tiles } = await exportSlide(archive, at('export.tif'), { compression: 'deflate' })
  t.true(tiles > 0)
  archive.close()
})

test('the same slide gives the same bytes; an unchecked one has no table, and tiles of the network alone', async (t) => {
  const read = async (name: string, options: CompressOptions = {}) => {
    const { result, archive } = await compressed(name, options)
    archive.close()
    return { result, bytes: readFileSync(at(name)) }
  }
  const first = await read('a.cleric.tif')
  t.deepEqual((await read('b.cleric.tif', { check: 'full' })).bytes, first.bytes)
  const { result } = await read('c.cleric.tif', { check: 'none' })
  t.is(result.checks, null)
  using archive = await openArchive(at('c.cleric.tif'), { codec })
  t.is(archive.checks, null)
  t.is(archive.tileCheck(0, 0, 0), null)
  t.true((await validateArchive(archive)).ok)
})

test('with a floor every tile has it; without loss every pixel comes back', async (t) => {
  for (const options of [{ minPsnr: 38, quality: 10 }, { lossless: true }]) {
    const { archive, result } = await compressed('floor.cleric.tif', { ...options, overwrite: true })
    for await (const { decoded, original } of tilesOf(archive)) {
      t.true(psnr(original, decoded) >= (options.minPsnr ?? Number.POSITIVE_INFINITY))
    }
    t.true((result.checks as CheckSummary).psnr.least >= (options.minPsnr ?? Number.POSITIVE_INFINITY))
    archive.close()
  }
})

test('a check that there is not, or that contradicts another option, is refused before anything is opened', async (t) => {
  for (const [options, name] of [
    [{ check: 'half' }, 'check'],
    [{ check: true }, 'check'],
    [{ check: 'none', minPsnr: 30 }, 'minPsnr'],
    [{ check: 'none', lossless: true }, 'lossless'],
    [{ lossless: true, targetBpp: 1 }, 'lossless'],
    [{ lossless: true, minPsnr: 30 }, 'minPsnr'],
    [{ minPsnr: '30' }, 'minPsnr'],
  ] as const) {
    const refused = compressSlide('no such slide', at('refused.cleric.tif'), options as never)
    await t.throwsAsync(refused, { code: 'ERR_INVALID_ARGUMENT', message: new RegExp(`for ${name} `) })
  }
})

test('a damaged tile of a classic codec fails alone, by name', async (t) => {
  const { archive } = await compressed('sound.cleric.tif')
  archive.close()
  const bytes = readFileSync(at('sound.cleric.tif'))
  // The first tile is text, which is few colours, and begins where the head ends.
  const start = bytes.indexOf(Buffer.of(5, 250))
  bytes[start + 30] = (bytes[start + 30] as number) ^ 4
  writeFileSync(at('damaged.cleric.tif'), bytes)
  using damaged = await openArchive(at('damaged.cleric.tif'), { codec })
  const { ok, bad } = await validateArchive(damaged)
  t.false(ok)
  t.deepEqual(
    bad.map(({ column, row }) => [column, row]),
    [[0, 0]],
  )
})

test('a check is two bytes: quarters of a decibel, rounded down, and what stores the tile', (t) => {
  const number = PAYLOAD_KINDS.jpeg
  for (const [psnr, byte, read] of [
    [0, 1, 0.25],
    [0.25, 1, 0.25],
    [30.3, 121, 30.25],
    [63.5, 254, 63.5],
    [99, 254, 63.5],
    [Number.POSITIVE_INFINITY, 255, Number.POSITIVE_INFINITY],
  ] as const) {
    t.deepEqual(encodeCheck({ psnr, codec: 'jpeg' }), Uint8Array.of(byte, number))
    t.deepEqual(decodeCheck(Uint8Array.of(7, 7, byte, number), 1), { psnr: read, codec: 'jpeg' })
  }
  t.is(decodeCheck(Uint8Array.of(0, number), 0), null)
  t.deepEqual(decodeCheck(Uint8Array.of(4, 200), 0), { psnr: 1, codec: null })
})

test('a summary has the least, percentiles, the worst places and the codecs, over all levels', (t) => {
  const indexes = [emptyIndex({ width: 1600, height: 1600 }, 16), emptyIndex({ width: 32, height: 16 }, 16)]
  t.is(summarise(indexes), null)
  const [large, small] = indexes as [(typeof indexes)[0], (typeof indexes)[0]]
  for (let tile = 0; tile < 10_000; tile++) {
    large.length[tile] = 5
    large.checks.set(encodeCheck({ psnr: 20 + (tile % 100) / 4, codec: tile % 10 === 0 ? 'avif' : 'cleric' }), 2 * tile)
  }
  small.length[1] = 5
  small.checks.set(encodeCheck({ psnr: 9.9, codec: 'webp' }), 2)
  // This one isn't stored.
  small.checks.set(encodeCheck({ psnr: 1, codec: 'webp' }), 0)
  const { tiles, psnr: levels, worst, codecs } = summarise(indexes) as CheckSummary
  t.is(tiles, 10_001)
  t.deepEqual(levels, { least: 9.75, p1: 20, p10: 22.25, p50: 32.25 })
  t.deepEqual(codecs, { avif: 1000, cleric: 9000, webp: 1 })
  t.deepEqual(worst.slice(0, 2), [
    { level: 1, column: 1, row: 0, psnr: 9.75, codec: 'webp' },
    { level: 0, column: 0, row: 0, psnr: 20, codec: 'avif' },
  ])
  t.is(worst.length, 5)
  // A codec that is later than this program.
  small.checks.set([100, 9], 2)
  t.is(summarise(indexes)?.codecs.unknown, 1)
})

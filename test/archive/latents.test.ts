/** The latents of regions of archives: what tiles have, put together; with the smallest model on the processor. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { type Archive, openArchive } from '../../src/archive/archive.js'
import type { RegionLatents } from '../../src/archive/latents.js'
import { createCli } from '../../src/cli/commands.js'
import { type Codec, openCodec } from '../../src/codec/codec.js'
import type { Latents } from '../../src/codec/latents.js'
import { compressSlide } from '../../src/compress/compress.js'
import { fill, paste, WHITE } from '../../src/image/draw.js'
import { cropImage, type Image } from '../../src/image/image.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { nanoModelFile } from '../network/golden.js'
import { losslessCodec } from '../payload-codec.js'
import { crop, memorySlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-latents-'))
const path = join(folder, 'slide.cleric.tif')
const [width, height, tile, quality] = [150, 110, 64, 70]
let codec: Codec
let archive: Archive
/** Tissue in the first column of tiles, else glass. */
let image: Image

test.before(async () => {
  codec = await openCodec({ model: fileURLToPath(nanoModelFile), device: 'cpu' })
  image = fill(width, height, WHITE)
  paste(
    await new SyntheticSlide('synthetic:700x500:3').readRegion({ x: 200, y: 200, level: 0, width: 64, height }),
    image,
    0,
    0,
  )
  await compressSlide(memorySlide([image]), path, { codec, tile, quality, check: 'none' })
  archive = await openArchive(path, { codec })
})
test.after.always(() => {
  archive?.close()
  codec?.close()
  rmSync(folder, { recursive: true })
})

/** The vector of a position. */
function at({ data, channels, width, height }: Latents, column: number, row: number): number[] {
  return Array.from({ length: channels }, (_, c) => data[(c * height + row) * width + column] as number)
}

/** Every place of `part` is that of `whole`. */
function isPartOf(t: ExecutionContext, part: RegionLatents, whole: RegionLatents): void {
  const [x, y] = [(part.left - whole.left) / 16, (part.top - whole.top) / 16]
  for (let row = 0; row < part.height; row++) {
    for (let column = 0; column < part.width; column++) {
      t.deepEqual(at(part, column, row), at(whole, x + column, y + row), `column ${column}, row ${row}`)
      t.is(part.stored[row * part.width + column], whole.stored[(y + row) * whole.width + x + column])
    }
  }
}

test('all of a level: tiles as they are stored, glass as it would be', async (t) => {
  const all = await archive.readLatents({ x: 0, y: 0, level: 0, width, height })
  t.like(all, { left: 0, top: 0, width: 10, height: 7, channels: codec.latentChannels })
  t.is(all.data.length, 10 * 7 * codec.latentChannels)
  const [index] = archive.indexes
  const [offset, length] = [index?.offset[0] as number, index?.length[0] as number]
  const payload = await archive.readBytes(offset, length)
  const first = await codec.decodePayloadLatents(payload, { width: tile, height: tile, quality })
  const glass = await codec.encodeLatents(fill(tile, tile, WHITE), { quality })
  for (let row = 0; row < 4; row++) {
    for (let column = 0; column < 4; column++) {
      t.deepEqual(at(all, column, row), at(first, column, row))
      t.deepEqual(at(all, 4 + column, row), at(glass, column, row))
    }
  }
  t.deepEqual(
    Array.from(all.stored),
    Array.from({ length: 70 }, (_, i) => (i % 10 < 4 ? 1 : 0)),
  )
  t.false(all.data.some(Number.isNaN))
})

test('a region is grown to whole places, and may begin anywhere', async (t) => {
  const all = await archive.readLatents({ x: 0, y: 0, level: 0, width, height })
  const part = await archive.readLatents({ x: 37, y: 15, level: 0, width: 60, height: 50 })
  t.like(part, { left: 32, top: 0, width: 5, height: 5 })
  isPartOf(t, part, all)
  const one = await archive.readLatents({ x: 31, y: 31, level: 0, width: 1, height: 1 })
  t.like(one, { left: 16, top: 16, width: 1, height: 1 })
  isPartOf(t, one, all)
})

test('outside the slide there is glass', async (t) => {
  const all = await archive.readLatents({ x: 0, y: 0, level: 0, width, height })
  const around = await archive.readLatents({ x: -20, y: -70, level: 0, width: width + 70, height: height + 100 })
  t.like(around, { left: -32, top: -80, width: 15, height: 14 })
  isPartOf(t, all, around)
  const glass = await codec.encodeLatents(fill(tile, tile, archive.background), { quality })
  // Places -2, -1 and 10 of the grid, whose tiles have four.
  for (const [column, row] of [
    [0, 0],
    [1, 13],
    [12, 6],
    [14, 5],
  ] as const) {
    t.deepEqual(at(around, column, row), at(glass, (column + 2) % 4, (row + 3) % 4), `${column}, ${row}`)
    t.is(around.stored[row * 15 + column], 0)
  }
})

test('"nan" computes nothing for what the file has not', async (t) => {
  const region = { x: -20, y: 0, level: 0, width: 100, height: 20 }
  const { data, width: columns, stored } = await archive.readLatents(region, { missing: 'nan' })
  t.is(columns, 7)
  for (const [i, value] of data.entries()) t.is(Number.isNaN(value), stored[i % stored.length] === 0)
  t.deepEqual(Array.from(stored), [0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 0])
  const glass = await archive.readLatents({ x: 64, y: 0, level: 0, width: 64, height: 64 }, { missing: 'nan' })
  t.true(glass.data.every(Number.isNaN) && glass.data.length === 16 * codec.latentChannels)
})

test('a tile of a classic codec has the latents of its pixels', async (t) => {
  const file = join(folder, 'lossless.cleric.tif')
  await compressSlide(memorySlide([image]), file, { codec, tile, quality, lossless: true })
  using lossless = await openArchive(file, { codec })
  const region = { x: 0, y: 0, level: 0, width: tile, height }
  const latents = await lossless.readLatents(region)
  t.true(latents.stored.every((each) => each === 0))
  const below = crop(image, 0, tile, tile, height - tile)
  const expected = await codec.encodeLatents(below, { quality })
  for (let row = 0; row < expected.height; row++) t.deepEqual(at(latents, 1, 4 + row), at(expected, 1, row))
  const none = await lossless.readLatents(region, { missing: 'nan' })
  t.true(none.data.every(Number.isNaN))
  // What is known of it for one is nothing for the other.
  t.deepEqual(await lossless.readLatents(region), latents)
})

test('tiles are decoded once, as far as the cache goes', async (t) => {
  let decoded = 0
  const counting: Codec = Object.create(codec, {
    tilesInFlight: { value: 2 },
    latentChannels: { value: codec.latentChannels },
    model: { value: codec.model },
    decodePayloadLatents: {
      value: (...args: Parameters<Codec['decodePayloadLatents']>) => {
        decoded++
        return codec.decodePayloadLatents(...args)
      },
    },
    encodeLatents: { value: (...args: Parameters<Codec['encodeLatents']>) => codec.encodeLatents(...args) },
  })
  const region = { x: 0, y: 0, level: 0, width, height }
  for (const [cacheBytes, calls] of [
    [2 ** 24, 2],
    [0, 4],
  ] as const) {
    decoded = 0
    using cached = await openArchive(path, { codec: counting, cacheBytes })
    const [first, second] = [await cached.readLatents(region), await cached.readLatents(region)]
    t.deepEqual(second, first)
    t.is(decoded, calls)
  }
})

test('damage is told by its place, and other tiles are read', async (t) => {
  const [index] = archive.indexes
  const bytes = readFileSync(path)
  const byte = (index?.offset[0] as number) + 30
  bytes[byte] = (bytes[byte] as number) ^ 1
  const file = join(folder, 'damaged.cleric.tif')
  writeFileSync(file, bytes)
  using damaged = await openArchive(file, { codec })
  await t.throwsAsync(damaged.readLatents({ x: 0, y: 0, level: 0, width: 9, height: 9 }), {
    code: 'ERR_CORRUPT_TILE',
    message: /damaged.cleric.tif: tile at level 0, column 0, row 0/,
  })
  await t.notThrowsAsync(damaged.readLatents({ x: 0, y: 64, level: 0, width: 9, height: 9 }))
})

test('arguments are checked, signals heard, and a closed archive reads nothing', async (t) => {
  const region = { x: 0, y: 0, level: 0, width: 16, height: 16 }
  const bad: readonly [unknown, unknown, RegExp][] = [
    [{ ...region, level: 1 }, {}, /for level/],
    [{ ...region, width: 0 }, {}, /for width/],
    [{ ...region, width: 1, height: 2 ** 27 }, {}, /at most 524288 places of 16 x 16 pixels for region/],
    [region, { missing: 'zero' }, /for missing/],
    [region, { mising: 'nan' }, /did you mean "missing"/],
    [region, new AbortController().signal, /for options/],
  ]
  for (const [where, options, message] of bad) {
    await t.throwsAsync(archive.readLatents(where as typeof region, options as object), {
      message,
      code: 'ERR_INVALID_ARGUMENT',
    })
  }
  await t.throwsAsync(archive.readLatents(region, { signal: AbortSignal.abort() }), { code: 'ERR_ABORTED' })
  using other = await openArchive(path, { codec, cacheBytes: 0 })
  const stop = new AbortController()
  const reading = other.readLatents(region, { signal: stop.signal })
  stop.abort()
  await t.throwsAsync(reading, { code: 'ERR_ABORTED' })
  other.close()
  await t.throwsAsync(other.readLatents(region), { code: 'ERR_CLOSED' })
})

test('the command writes them as NumPy reads them', async (t) => {
  const output = join(folder, 'region.npy')
  let stdout = ''
  const io = { stdout: { write: (text: string) => (stdout += text) }, stderr: { write: () => {} }, codec }
  const at = ['--x', '20', '--y', '-5', '--width', '60', '--height', '40']
  t.is(await createCli(io).run(['latents', path, '-o', output, ...at, '--missing', 'nan', '--json']), 0)
  const region = { x: 20, y: -5, level: 0, width: 60, height: 40 }
  const expected = await archive.readLatents(region, { missing: 'nan' })
  const shape = [expected.channels, expected.height, expected.width]
  t.like(JSON.parse(stdout), { output, shape, left: 16, top: -16, level: 0, stored: 9 / 16 })
  const bytes = readFileSync(output)
  t.is(bytes.toString('latin1', 0, 8), '\x93NUMPY\x01\x00')
  const end = 10 + bytes.readUInt16LE(8)
  t.is(end % 64, 0)
  t.regex(
    bytes.toString('latin1', 10, end),
    /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(32, 4, 4\), \} *\n$/,
  )
  t.deepEqual(new Float32Array(new Uint8Array(bytes.subarray(end)).buffer), expected.data)
  t.is(await createCli(io).run(['latents', path, '-o', 'x.png', ...at]), 2)
})

test('a codec without latents is refused by name', async (t) => {
  const file = join(folder, 'plain.cleric.tif')
  const plain = losslessCodec()
  await compressSlide(memorySlide([cropImage(image, 64, 64)]), file, { codec: plain, tile })
  using opened = await openArchive(file, { codec: plain })
  await t.throwsAsync(opened.readLatents({ x: 0, y: 0, level: 0, width: 16, height: 16 }), {
    instanceOf: TypeError,
    message: /^Expected an open codec that gives latents for codec/,
  })
})

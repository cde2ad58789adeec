/** The pyramid that viewers see: what it is made of, and what becomes of places that can't be had. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { HoledImage, NothingButHoles } from '../../src/archive/holes.js'
import { maxLevel, Pyramid } from '../../src/archive/pyramid.js'
import { compressSlide } from '../../src/compress/compress.js'
import { hatch } from '../../src/image/hatch.js'
import type { Image } from '../../src/image/image.js'
import { halve, shrink } from '../../src/image/shrink.js'
import { TileCache } from '../../src/image/tile-cache.js'
import { CorruptDataError, openArchive, SlideError } from '../../src/index.js'
import type { Region } from '../../src/slide/source.js'
import { losslessCodec } from '../payload-codec.js'
import { crop, DrawnSlide, memorySlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-pyramid-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

const WIDTH = 4200
const HEIGHT = 1100
let whole: Image
/** Has level 0 alone, and an overview. */
const flat = join(folder, 'flat.cleric.tif')

test.before(async () => {
  using drawn = new DrawnSlide(`synthetic:${WIDTH}x${HEIGHT}:7`)
  whole = await drawn.readRegion({ x: 0, y: 0, level: 0, width: WIDTH, height: HEIGHT })
  await compressSlide(memorySlide([whole]), flat, { codec: losslessCodec(), levels: [0], background: 'keep' })
})

/** A copy of an archive in which a byte of each part that `isHit` takes is another. */
async function damage(path: string, isHit: (name: string) => boolean): Promise<string> {
  const bytes = readFileSync(path)
  using archive = await openArchive(path, { codec: losslessCodec() })
  for (const { parts } of archive.batches(1)) {
    for (const { name, offset, length } of parts) {
      if (length > 0 && isHit(name)) bytes[offset + length - 1] = (bytes[offset + length - 1] as number) ^ 1
    }
  }
  const copy = join(mkdtempSync(join(folder, 'damaged-')), 'a.cleric.tif')
  writeFileSync(copy, bytes)
  return copy
}

async function open(t: ExecutionContext, path: string, codec = losslessCodec()) {
  const archive = await openArchive(path, { codec, cacheBytes: 0 })
  t.teardown(() => archive.close())
  return new Pyramid(archive, new TileCache(2 ** 26))
}

function meanError(a: Image, b: Image): number {
  return a.data.reduce((sum, value, i) => sum + Math.abs(value - (b.data[i] as number)), 0) / a.data.length
}

test('no tile takes more than 16 stored ones, and coarse ones none', async (t) => {
  const full = maxLevel(whole)
  for (const [downsample, most] of [
    [1, 1],
    [2, 4],
    [4, 4 * 3],
    [8, 0],
    [16, 0],
    [64, 0],
  ] as const) {
    const codec = losslessCodec()
    const pyramid = await open(t, flat, codec)
    const level = full - Math.log2(downsample)
    const { image, holes } = (await pyramid.tile(level, 0, 0)) as HoledImage
    t.deepEqual(holes, [])
    t.is(codec.decoded, most, `downsample ${downsample}`)
    const shrunk = shrink(whole, downsample)
    const expected = crop(shrunk, 0, 0, 512, 512)
    t.deepEqual([image.width, image.height], [expected.width, expected.height])
    // Means of means are rounded twice; the overview is JPEG, and enlarged for a downsample of 8.
    const tolerance = { 1: 0, 2: 0.01, 4: 0.5, 8: 12 }[downsample as number] ?? 6
    t.true(meanError(image, expected) <= tolerance, `downsample ${downsample}: ${meanError(image, expected)}`)
  }
})

test('which levels the overview gives is known beforehand', async (t) => {
  t.is((await open(t, flat)).overviewLevel, maxLevel(whole) - 3)
  const strict = join(folder, 'strict.cleric.tif')
  await compressSlide(memorySlide([whole]), strict, { codec: losslessCodec(), layout: 'strict' })
  t.is((await open(t, strict)).overviewLevel, null)
})

test('tiles that are enlarged continue each other, and there are none beyond the slide', async (t) => {
  const pyramid = await open(t, flat)
  const level = maxLevel(whole) - 3
  const right = (await pyramid.tile(level, 1, 0)) as HoledImage
  t.deepEqual([right.image.width, right.image.height], [Math.ceil(WIDTH / 8) - 512, Math.ceil(HEIGHT / 8)])
  t.true(meanError(right.image, crop(shrink(whole, 8), 512, 0, 512, 512)) < 12)
  t.is(await pyramid.tile(level, 2, 0), null)
  t.is(await pyramid.tile(level, 0, 1), null)
  t.is(await pyramid.tile(maxLevel(whole) + 1, 0, 0), null)
})

test('levels whose sizes the scanner rounded are those of the pyramid', async (t) => {
  // 4200 / 1049 is 4.004.
  const other = crop(shrink(whole, 4), 0, 0, 1049, 275)
  const path = join(folder, 'rounded.cleric.tif')
  await compressSlide(memorySlide([whole, other]), path, { codec: losslessCodec(), background: 'keep' })
  const codec = losslessCodec()
  const pyramid = await open(t, path, codec)
  const { image } = (await pyramid.tile(maxLevel(whole) - 2, 2, 0)) as HoledImage
  t.true(codec.decoded <= 4)
  t.deepEqual([image.width, image.height], [1050 - 1024, 275])
})

test('a tile that is damaged fails by itself, and is hatched where it is part of another', async (t) => {
  const path = await damage(flat, (name) => name === 'tile at level 0, column 1, row 0')
  const pyramid = await open(t, path)
  const full = maxLevel(whole)
  const place = { level: 0, column: 1, row: 0, code: 'ERR_CORRUPT_TILE' }
  const error = await t.throwsAsync(pyramid.tile(full, 1, 0), {
    instanceOf: CorruptDataError,
    code: 'ERR_CORRUPT_TILE',
  })
  t.is(error?.name, 'CorruptDataError')
  t.regex(String(error?.message), /level 0, column 1, row 0/)
  t.deepEqual((await pyramid.tile(full, 0, 0))?.image.data, crop(whole, 0, 0, 512, 512).data)
  const { image, holes } = (await pyramid.tile(full - 1, 0, 0)) as HoledImage
  t.like(holes, [place])
  t.is(holes.length, 1)
  t.deepEqual(crop(image, 256, 0, 256, 256).data, halve(hatch(512, 512)).data)
  t.deepEqual(crop(image, 0, 0, 256, 512).data, crop(halve(whole), 0, 0, 256, 512).data)
  // It is told each time, though it is made once.
  t.like((await pyramid.tile(full - 2, 0, 0))?.holes, [place])
  t.deepEqual((await pyramid.tile(full - 2, 1, 0))?.holes, [])
  t.deepEqual((await pyramid.tile(full - 4, 0, 0))?.holes, [])
})

test('with nothing but damage there is no picture', async (t) => {
  const path = await damage(flat, (name) => /^tile at level 0, column [01], row [01]$/.test(name))
  const pyramid = await open(t, path)
  const full = maxLevel(whole)
  const error = await t.throwsAsync(pyramid.tile(full - 1, 0, 0), { code: 'ERR_CORRUPT_TILE' })
  t.is((error as NothingButHoles).holes.length, 4)
  const { image, holes } = (await pyramid.tile(full - 2, 0, 0)) as HoledImage
  t.is(holes.length, 4)
  t.deepEqual(crop(image, 0, 0, 256, 256).data, halve(hatch(512, 512)).data)
})

test('a damaged overview hides no level that is stored', async (t) => {
  const path = join(folder, 'levels.cleric.tif')
  const levels = [whole, shrink(whole, 4)]
  await compressSlide(memorySlide(levels), path, { codec: losslessCodec(), background: 'keep' })
  const sound = await open(t, path)
  const pyramid = await open(t, await damage(path, (name) => name.startsWith('overview')))
  const level = maxLevel(whole) - 4
  const [{ image }, { image: expected }] = (await Promise.all(
    [pyramid, sound].map((each) => each.tile(level, 0, 0)),
  )) as [HoledImage, HoledImage]
  const error = meanError(image, expected)
  t.true(error < 6, `${error}`)
  // Where there is none either, it is said, and nothing is shown.
  const alone = await open(t, await damage(flat, (name) => name.startsWith('overview')))
  await t.throwsAsync(alone.tile(level, 0, 0), { code: 'ERR_ARCHIVE_CORRUPT' })
})

test('a place that the slide could not be read at does not look like glass', async (t) => {
  const path = join(folder, 'unreadable.cleric.tif')
  const slide = memorySlide([whole])
  const failing = {
    ...slide,
    readRegion: (region: Region) => {
      const isBad = region.x < 1024 && region.x + region.width > 512 && region.y < 512
      return isBad ? Promise.reject(new SlideError('ERR_OPENSLIDE_READ', 'bad')) : slide.readRegion(region)
    },
  }
  const options = { codec: losslessCodec(), background: 'keep', onBadTile: 'background' } as const
  await compressSlide(failing, path, options)
  const pyramid = await open(t, path)
  const { image, holes } = (await pyramid.tile(maxLevel(whole), 1, 0)) as HoledImage
  t.like(holes, [{ level: 0, column: 1, row: 0, code: null }])
  t.deepEqual(image.data, hatch(512, 512).data)
})

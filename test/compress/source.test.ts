/** What slides do to a compression: places that can't be read, pyramids of many levels, and real files. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { type Archive, openArchive } from '../../src/archive/archive.js'
import { validateArchive } from '../../src/archive/validate.js'
import { compressSlide } from '../../src/compress/compress.js'
import type { UnreadableTile } from '../../src/compress/progress.js'
import { SlideError } from '../../src/errors.js'
import { START_BYTES } from '../../src/files/byte-source.js'
import { fill, paste, WHITE } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { openSlide } from '../../src/slide/open.js'
import type { Level, Region, SlideSource } from '../../src/slide/source.js'
import { isBigTiff, TiffHead } from '../../src/tiff/reader.js'
import { dataPath, testWithData } from '../data.js'
import { losslessCodec } from '../payload-codec.js'
import { crop, DrawnSlide, memorySlide } from '../slides.js'

const execute = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'cleric-source-'))
test.after.always(() => rmSync(folder, { recursive: true }))
let files = 0
const fresh = () => join(folder, `${files++}.cleric.tif`)
const codec = losslessCodec()

const drawn = new DrawnSlide('synthetic:700x500:3')

/** A drawn slide that can't be read at level 0 in a square of 10 pixels. */
function damagedSlide(): SlideSource {
  const slide = drawn
  const hits = ({ x, y, level, width, height }: Region) =>
    level === 0 && x < 310 && x + width > 300 && y < 210 && y + height > 200
  return {
    format: slide.format,
    path: slide.path,
    bytes: 0,
    levels: slide.levels,
    mpp: slide.mpp,
    objectivePower: slide.objectivePower,
    background: slide.background,
    properties: slide.properties,
    associatedImages: [],
    readRegion: async (region, signal) => {
      if (hits(region)) throw new SlideError('ERR_OPENSLIDE_READ', 'JPEG datastream contains no image')
      return slide.readRegion(region, signal)
    },
    readAssociatedImage: (name) => slide.readAssociatedImage(name),
    close() {},
  }
}

test('a place of the slide that can not be read fails the run, and is named', async (t) => {
  const error = await t.throwsAsync(compressSlide(damagedSlide(), fresh(), { codec, tile: 128 }), {
    message:
      /synthetic:700x500:3: level 0, 128 x 128 pixels from 256, 128 .*can't be read: JPEG.*--on-bad-tile background/,
  })
  t.like(error, { code: 'ERR_OPENSLIDE_READ' })
})

test('with onBadTile "background" a bad place is background and no more, reported and marked', async (t) => {
  const path = fresh()
  const heard: UnreadableTile[] = []
  const options = { codec, tile: 128, background: 'keep', onBadTile: 'background' } as const
  const { unreadableTiles } = await compressSlide(damagedSlide(), path, {
    ...options,
    onUnreadable: (tile) => heard.push(tile),
  })
  t.deepEqual(unreadableTiles, heard)
  t.like(unreadableTiles, { length: 1, 0: { level: 0, column: 2, row: 1, isPartial: true } })
  t.regex(unreadableTiles[0]?.reason ?? '', /no image/)
  using archive = await openArchive(path, { codec })
  t.deepEqual(
    archive.levels.map((level) => level.unreadableTiles),
    [1, 0],
  )
  const slide = damagedSlide()
  const tile = await archive.readRegion({ x: 256, y: 128, level: 0, width: 128, height: 128 })
  // The place is in the piece of 64 from 256, 192 on.
  const region = { x: 256, y: 128, level: 0, width: 128, height: 128 }
  const expected = await drawn.readRegion(region)
  paste(fill(64, 64, slide.background), expected, 0, 64)
  t.deepEqual(Buffer.from(tile.data), Buffer.from(expected.data))
  const beside = { x: 384, y: 128, level: 0, width: 128, height: 128 }
  t.deepEqual(Buffer.from((await archive.readRegion(beside)).data), Buffer.from((await slide.readRegion(beside)).data))
  const validation = await validateArchive(archive)
  t.true(validation.ok)
  t.deepEqual(validation.unreadable, [{ level: 0, column: 2, row: 1 }])
})

test('of tiles that can not be read the first thousand are listed, and all are counted', async (t) => {
  // 33 x 32 tiles, of which the last column is left.
  const slide = memorySlide([fill(528, 512, WHITE)], {
    readRegion: ({ x, width, height }) =>
      x + width < 528
        ? Promise.reject(new SlideError('ERR_OPENSLIDE_READ', 'gone'))
        : Promise.resolve(fill(width, height, WHITE)),
  })
  let heard = 0
  const result = await compressSlide(slide, fresh(), {
    codec,
    tile: 16,
    onBadTile: 'background',
    onUnreadable: () => heard++,
  })
  t.deepEqual([result.unreadableTiles.length, result.unreadableCount, heard], [1000, 1024, 1024])
})

test('a run that failed at a bad tile can be resumed with onBadTile "background"', async (t) => {
  const [path, other] = [fresh(), fresh()]
  await t.throwsAsync(compressSlide(damagedSlide(), path, { codec, tile: 128 }))
  const options = { codec, tile: 128, onBadTile: 'background' } as const
  const { resumedTiles } = await compressSlide(damagedSlide(), path, { ...options, resume: true })
  t.true(resumedTiles > 0)
  await compressSlide(damagedSlide(), other, options)
  t.true(readFileSync(path).equals(readFileSync(other)))
})

test('a slide of which nothing can be read is no archive of background', async (t) => {
  const slide = memorySlide([fill(300, 200, WHITE)], {
    readRegion: () => Promise.reject(new SlideError('ERR_OPENSLIDE_READ', 'gone')),
  })
  const run = compressSlide(slide, fresh(), { codec, tile: 128, onBadTile: 'background' })
  const error = await t.throwsAsync(run, { message: /no tile can be read; the first: level 0.* can't be read: gone/ })
  t.like(error, { code: 'ERR_OPENSLIDE_READ' })
})

test('nonsense that a slide states is refused before anything is written, or left out', async (t) => {
  const image = fill(64, 64, WHITE)
  const slide = (facts: Partial<SlideSource>) => compressSlide(memorySlide([image], facts), fresh(), { codec })
  const refused = { code: 'ERR_UNSUPPORTED_SLIDE' }
  t.like(await t.throwsAsync(slide({ objectivePower: 1e9 }), { message: /objectivePower/ }), refused)
  const levels = Array.from({ length: 65 }, () => ({ width: 64, height: 64, downsample: 1 }))
  t.like(await t.throwsAsync(slide({ levels }), { message: /downsamples/ }), refused)
  const { output } = await slide({ mpp: { x: 1e-8, y: 0.5 } })
  using archive = await openArchive(output, { codec })
  t.deepEqual(archive.mpp, { x: 1e-8, y: 0.5 })
  const { stdout } = await execute('tiffdump', [output])
  t.false(stdout.includes('XResolution'))
})

test('the directories of ten levels, and what is short, are in the first 64 KiB', async (t) => {
  const images = Array.from({ length: 10 }, (_, i) => {
    const image = fill(Math.ceil(1500 / 2 ** i), Math.ceil(1000 / 2 ** i), { red: 200, green: 180, blue: 190 })
    image.data[0] = 7
    return image
  })
  const properties = Object.fromEntries(Array.from({ length: 400 }, (_, i) => [`vendor.key${i}`, 'x'.repeat(100)]))
  for (const layout of ['compat', 'strict'] as const) {
    const path = fresh()
    await compressSlide(memorySlide(images, { properties, mpp: { x: 0.25, y: 0.25 } }), path, {
      codec,
      layout,
      tile: 16,
    })
    const start = new Uint8Array(readFileSync(path).subarray(0, START_BYTES))
    t.true(isBigTiff(start))
    const head = new TiffHead(start, 'the first 64 KiB')
    const chain = head.chain()
    const levels = layout === 'compat' ? [...(chain[0] as (typeof chain)[number]).integers(330)] : chain
    t.is(levels.length, 10)
    if (layout === 'compat') for (const offset of levels as number[]) t.true(head.directory(offset).directory.has(324))
    const furthest = layout === 'compat' ? Math.max(...(levels as number[])) : 16
    t.true(furthest < 16384, `${furthest}`)
    using archive = await openArchive(path, { codec })
    t.is(archive.levels.length, 10)
    t.is(Object.keys(archive.properties).length, 400)
  }
})

/** All of a level. */
async function whole(archive: Archive, level: number): Promise<Image> {
  const { width, height } = archive.levels[level] as Level
  return archive.readRegion({ x: 0, y: 0, level, width, height })
}

/**
 * Reads random regions at every level, over borders of tiles and of the slide; each must be what the whole level has
 * there.
 */
async function checkRegions(t: ExecutionContext, archive: Archive, background = archive.background): Promise<void> {
  for (const [level, { width, height, downsample }] of archive.levels.entries()) {
    const image = await whole(archive, level)
    for (let i = 0; i < 12; i++) {
      const [w, h] = [1 + ((i * 97) % Math.min(700, width + 50)), 1 + ((i * 61) % Math.min(600, height + 50))]
      const [left, top] = [((i * 331) % (width + 100)) - 50, ((i * 199) % (height + 100)) - 50]
      const region = { x: Math.round(left * downsample), y: Math.round(top * downsample), level, width: w, height: h }
      const expected = fill(w, h, background)
      paste(image, expected, -left, -top)
      const got = await archive.readRegion(region)
      t.true(Buffer.from(got.data).equals(Buffer.from(expected.data)), JSON.stringify(region))
    }
  }
}

test('any region, over borders and outside, is what the whole level has there', async (t) => {
  const path = fresh()
  await compressSlide('synthetic:1100x900:5', path, { codec, tile: 112 })
  using archive = await openArchive(path, { codec })
  await checkRegions(t, archive)
})

test('edge tiles are padded with what nobody sees', async (t) => {
  const image = await new DrawnSlide('synthetic:300x220:9').readRegion({
    x: 0,
    y: 0,
    level: 0,
    width: 300,
    height: 220,
  })
  const seen: Image[] = []
  const spy = losslessCodec()
  const { encodePayload } = spy
  spy.encodePayload = (given, ...rest) => {
    seen.push(given as Image)
    return encodePayload(given, ...rest)
  }
  const path = fresh()
  await compressSlide(memorySlide([image]), path, { codec: spy, tile: 128, background: 'keep' })
  t.deepEqual(
    seen.map(({ width, height }) => [width, height]),
    Array(6).fill([128, 128]),
  )
  const last = seen.at(-1) as Image
  t.deepEqual(Buffer.from(crop(last, 0, 0, 44, 92).data), Buffer.from(crop(image, 256, 128, 44, 92).data))
  // 64 pixels from the edge on there is one colour.
  const corner = last.data.slice((100 * 128 + 127) * 3, (100 * 128 + 128) * 3)
  t.deepEqual(corner, last.data.slice((127 * 128 + 127) * 3, (127 * 128 + 128) * 3))
  using archive = await openArchive(path, { codec: spy })
  t.true(Buffer.from((await whole(archive, 0)).data).equals(Buffer.from(image.data)))
})

testWithData(
  ['slides/TCGA-CR-7395-01A-01-TS1.svs'],
  'an Aperio slide of two levels: each comes back to the bit, and any region of each',
  async (t) => {
    t.timeout(280_000)
    const path = fresh()
    const name = dataPath('slides/TCGA-CR-7395-01A-01-TS1.svs')
    const { tiles } = await compressSlide(name, path, { codec, background: 'keep' })
    using slide = await openSlide(name)
    using archive = await openArchive(path, { codec })
    t.deepEqual(
      archive.levels.map(({ width, height, downsample }) => ({ width, height, downsample })),
      slide.levels.map(({ width, height, downsample }) => ({ width, height, downsample })),
    )
    t.is(
      tiles,
      slide.levels.reduce((sum, { width, height }) => sum + Math.ceil(width / 512) * Math.ceil(height / 512), 0),
    )
    for (const [level, { width, height }] of slide.levels.entries()) {
      const region = { x: 0, y: 0, level, width, height }
      const [expected, got] = [await slide.readRegion(region), await archive.readRegion(region)]
      t.true(Buffer.from(got.data).equals(Buffer.from(expected.data)), `level ${level}`)
    }
    await checkRegions(t, archive)
    t.deepEqual({ ...archive.properties }, { ...slide.properties })
    t.is(archive.iccProfile()?.length, 3144)
    t.deepEqual(archive.iccProfile(), slide.iccProfile?.() ?? null)
    const one = fresh()
    await compressSlide(name, one, { codec, levels: [0] })
    using first = await openArchive(one, { codec })
    t.is(first.levels.length, 1)
  },
)

testWithData(
  ['slides/CMU-1-Small-Region.svs'],
  'an Aperio slide with a damaged tile: the place is named, and the rest is there with onBadTile "background"',
  async (t) => {
    const bytes = readFileSync(dataPath('slides/CMU-1-Small-Region.svs'))
    // In the middle of the data of the slide's JPEG tiles: end-of-image markers, so that a tile has too few scans.
    for (let at = 900_000; at < 904_000; at += 2) bytes.writeUInt16BE(0xffd9, at)
    const damaged = join(folder, 'damaged.svs')
    writeFileSync(damaged, bytes)
    const run = compressSlide(damaged, fresh(), { codec })
    const error = await t.throwsAsync(run, { message: /damaged\.svs: level 0, 512 x 512 pixels from \d+, \d+/ })
    t.like(error, { code: 'ERR_OPENSLIDE_READ' })
    const path = fresh()
    const { unreadableTiles, tiles } = await compressSlide(damaged, path, { codec, onBadTile: 'background' })
    t.true(unreadableTiles.length >= 1 && unreadableTiles.length <= 6, `${unreadableTiles.length}`)
    using archive = await openArchive(path, { codec })
    const validation = await validateArchive(archive)
    t.true(validation.ok)
    t.is(validation.tiles, tiles)
    t.is(validation.unreadable.length, unreadableTiles.length)
  },
)

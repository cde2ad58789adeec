/** What an export is held to before it has its name: which of its tiles are read back, and what may be found. */
import test from 'ava'
import { ClericError, SlideError } from '../../src/errors.js'
import type { ExportLevel } from '../../src/export/pyramid.js'
import { type OpenBack, ReadBack } from '../../src/export/read-back.js'
import { tileCodec } from '../../src/export/tile-codec.js'
import { fill } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import type { Level, Region, SlideSource } from '../../src/slide/source.js'
import { indexOf } from '../../src/tiff/tile-index.js'

const TOLERANCE = 4
/** A payload is the value of all its pixels, so that what a tile is decoded to is told from what it was made of. */
const codec = {
  ...tileCodec('none', 100),
  tolerance: TOLERANCE,
  decode: async ([value = 0]: Uint8Array, { width, height }: Image) => grey(width, height, value),
}
const { signal } = new AbortController()

function grey(width: number, height: number, value: number): Image {
  return fill(width, height, { red: value, green: value, blue: value })
}

function level(width: number, height: number, downsample: number, isStrips = false): ExportLevel {
  const sides = isStrips ? ([width, 16] as const) : ([32, 16] as const)
  return { level: { width, height, downsample }, index: indexOf({ width, height }, ...sides), isStrips, number: 0 }
}

/** A slide that shows `shown` everywhere, but for value `at` of each region, which is `odd`; and what is asked of it. */
function shows(levels: readonly Level[], shown: number, odd = shown, at = 0) {
  const regions: Region[] = []
  const slide = {
    levels,
    closed: 0,
    readRegion: async (region: Region) => {
      regions.push(region)
      const image = grey(region.width, region.height, shown)
      image.data.fill(odd, at, at === -1 ? undefined : at + 1)
      return image
    },
    close() {
      this.closed++
    },
  }
  const open: OpenBack = async () => ({ slide: slide as unknown as SlideSource, reader: 'OpenSlide' })
  return { slide, regions, open }
}

/** Notes every tile of all levels, each of which holds 100. */
function noted(levels: readonly ExportLevel[], open: OpenBack): ReadBack {
  const readBack = new ReadBack(levels, codec, open)
  for (const [number, { level: all, index }] of levels.entries()) {
    for (let at = 0; at < index.length.length; at++) {
      const [column, row] = [at % index.columns, Math.floor(at / index.columns)]
      const width = Math.min(index.tileWidth, all.width - column * index.tileWidth)
      const height = Math.min(index.tileHeight, all.height - row * index.tileHeight)
      readBack.note({ level: number, column, row, image: grey(width, height, 0), bytes: Uint8Array.of(100) })
    }
  }
  return readBack
}

const check = (levels: readonly ExportLevel[], open: OpenBack) =>
  noted(levels, open).check('/tmp/x.partial', 'x', signal)

/** 4 x 3 tiles, and a level of one. */
const PYRAMID = [level(100, 40, 1), level(25, 10, 4)]
const sizes = (levels: readonly ExportLevel[]) => levels.map((each) => each.level)

test('the first tile of each level, the middle one and the last are read where they are', async (t) => {
  const { slide, regions, open } = shows(sizes(PYRAMID), 100)
  t.deepEqual(await check(PYRAMID, open), [])
  t.deepEqual(regions, [
    { x: 0, y: 0, level: 0, width: 32, height: 16 },
    { x: 32, y: 16, level: 0, width: 32, height: 16 },
    { x: 96, y: 32, level: 0, width: 4, height: 8 },
    { x: 0, y: 0, level: 1, width: 25, height: 10 },
  ])
  t.is(slide.closed, 1)
})

test('values may differ by what decoders differ by, and by no more', async (t) => {
  for (const off of [-TOLERANCE, TOLERANCE]) {
    t.deepEqual(await check(PYRAMID, shows(sizes(PYRAMID), 100, 100 + off).open), [])
  }
  for (const off of [-TOLERANCE - 1, TOLERANCE + 1]) {
    for (const at of [0, -1]) {
      const { slide, open } = shows(sizes(PYRAMID), 100, 100 + off, at)
      const error = await t.throwsAsync(check(PYRAMID, open), { instanceOf: ClericError, code: 'ERR_EXPORT_FAILED' })
      t.regex(error?.message ?? '', /^x: OpenSlide shows something else .* level 0, tile 0, 0;/)
      t.is(slide.closed, 1)
    }
  }
})

test('where a level is no whole number of times smaller, only its first tile is held to that, and others to a mean', async (t) => {
  const levels = [level(100, 40, 1), level(70, 40, 1.43)]
  const coarse = { width: 70, height: 40, downsample: 1.43 }
  /** What level 1 shows in its first tile, and in the others. */
  const open = (first: number, others: number): OpenBack => {
    const { slide } = shows(sizes(levels), 100)
    slide.readRegion = async ({ x, y, level: number, width, height }) => {
      const isFirst = x === 0 && y === 0
      return grey(width, height, number === 0 ? 100 : isFirst ? first : others)
    }
    return async () => ({ slide: slide as unknown as SlideSource, reader: 'OpenSlide' })
  }
  t.is(levels[1]?.level.downsample, coarse.downsample)
  t.deepEqual(await check(levels, open(100, 124)), [])
  t.deepEqual(await check(levels, open(104, 76)), [])
  await t.throwsAsync(check(levels, open(100, 125)), { message: /level 1, tile 1, 1/ })
  await t.throwsAsync(check(levels, open(105, 100)), { message: /level 1, tile 0, 0/ })
})

test('a tile in the first column, or row, alone is not at the beginning', async (t) => {
  // One column of three rows, and one row of three columns.
  for (const [width, height] of [
    [20, 40],
    [90, 10],
  ] as const) {
    const levels = [level(width, height, 1.5)]
    const { slide } = shows(sizes(levels), 100)
    slide.readRegion = async ({ x, y, width: w, height: h }) => grey(w, h, x === 0 && y === 0 ? 100 : 110)
    const open: OpenBack = async () => ({ slide: slide as unknown as SlideSource, reader: 'OpenSlide' })
    t.deepEqual(await check(levels, open), [])
  }
})

test('a level that is not shown is an error, also if another has one of its sides', async (t) => {
  for (const { width, height } of [
    { width: 25, height: 11 },
    { width: 26, height: 10 },
  ]) {
    const { open } = shows([sizes(PYRAMID)[0] as Level, { width, height, downsample: 4 }], 100)
    const error = await t.throwsAsync(check(PYRAMID, open), { code: 'ERR_EXPORT_FAILED' })
    t.regex(error?.message ?? '', /does not show level 1, tile 0, 0/)
  }
})

test('strips are not looked for, and a file that begins with them is not opened', async (t) => {
  const { open, regions } = shows([sizes(PYRAMID)[0] as Level], 100)
  t.deepEqual(await check([PYRAMID[0] as ExportLevel, level(12, 5, 8, true)], open), [])
  t.is(regions.length, 3)
  const never: OpenBack = async () => t.fail() as never
  t.deepEqual(await check([level(12, 5, 1, true)], never), [])
  t.deepEqual(await check([level(12, 5, 1, true), PYRAMID[0] as ExportLevel], never), [])
  t.deepEqual(await check([], never), [])
})

test('what keeps it from being read back is told, unless nothing is there to read it', async (t) => {
  const failing =
    (error: Error): OpenBack =>
    async () => {
      throw error
    }
  t.deepEqual(await check(PYRAMID, failing(new SlideError('ERR_OPENSLIDE_MISSING', 'none'))), [])
  t.deepEqual(await check(PYRAMID, failing(new ClericError('ERR_ADDON_MISSING', 'none'))), [])
  const told = failing(new SlideError('ERR_OPENSLIDE_READ', 'no /tmp/x.partial in /tmp/x.partial'))
  t.deepEqual(await check(PYRAMID, told), ['it could not be read back on this machine: no x in x'])
  for (const error of [new ClericError('ERR_DISK_FULL', 'full'), new Error('a fault of ours')]) {
    t.is(await t.throwsAsync(check(PYRAMID, failing(error))), error)
  }
})

/** Pixels of a level whose downsample isn't integral are the same whichever region shows them. */
import test from 'ava'
import { fill, paste } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { LevelGrid } from '../../src/slide/level-grid.js'
import type { Region, SlideSource } from '../../src/slide/source.js'
import { memorySlide } from '../slides.js'

const BACKGROUND = { red: 1, green: 2, blue: 3 }
const DOWNSAMPLE = 2.0005
const [WIDTH, HEIGHT] = [1100, 600]

/** A slide whose pixels tell where the region that read them began, and where they are in it. */
function telltale(downsample: number) {
  const reads: Region[] = []
  const signals: (AbortSignal | undefined)[] = []
  let isClosed = false
  const slide: SlideSource = {
    ...memorySlide([fill(1, 1, BACKGROUND)]),
    levels: [
      { width: Math.round(WIDTH * downsample), height: Math.round(HEIGHT * downsample), downsample: 1 },
      { width: WIDTH, height: HEIGHT, downsample },
    ],
    background: BACKGROUND,
    mpp: { x: 0.25, y: 0.5 },
    objectivePower: 40,
    properties: { some: 'thing' },
    associatedImages: ['label'],
    bytes: 77,
    readRegion: async (region, signal) => {
      reads.push(region)
      signals.push(signal)
      const image = fill(region.width, region.height, BACKGROUND)
      for (let y = 0; y < region.height; y++) {
        for (let x = 0; x < region.width; x++) {
          image.data.set([region.x % 251, (region.y + y) % 241, x % 239], (y * region.width + x) * 3)
        }
      }
      return image
    },
    readAssociatedImage: async () => fill(3, 2, BACKGROUND),
    iccProfile: () => Uint8Array.from([5]),
    close: () => {
      isClosed = true
    },
  }
  return { slide, reads, signals, isClosed: () => isClosed }
}

/** The part of an image that begins at (x, y). */
function part(image: Image, x: number, y: number, width: number, height: number): Image {
  const out = fill(width, height, BACKGROUND)
  paste(image, out, -x, -y)
  return out
}

test('a region is the same part of the level wherever it begins, and is read from corners of cells of 512', async (t) => {
  const { slide, reads } = telltale(DOWNSAMPLE)
  const grid = new LevelGrid(slide)
  const whole = await grid.readRegion({ x: 0, y: 0, level: 1, width: WIDTH, height: HEIGHT })
  t.deepEqual(
    reads.map(({ x, y, width, height }) => [x, y, width, height]),
    [
      [0, 0, 512, 512],
      [1024, 0, 512, 512],
      [2049, 0, 76, 512],
      [0, 1024, 512, 88],
      [1024, 1024, 512, 88],
      [2049, 1024, 76, 88],
    ],
  )
  for (const [column, row, width, height] of [
    [0, 0, 512, 512],
    [3, 5, 100, 50],
    [500, 500, 30, 40],
    [511, 511, 2, 2],
    [512, 512, 1, 1],
    [700, 100, 400, 480],
  ] as const) {
    const [x, y] = [Math.round(column * DOWNSAMPLE), Math.round(row * DOWNSAMPLE)]
    const got = await grid.readRegion({ x, y, level: 1, width, height })
    t.true(Buffer.from(got.data).equals(part(whole, column, row, width, height).data), `${column}, ${row}`)
  }
  // A cell that is asked for is one read.
  reads.length = 0
  await grid.readRegion({ x: 1024, y: 0, level: 1, width: 512, height: 512 })
  t.is(reads.length, 1)
})

test('a level of an integral downsample is read as it is asked for', async (t) => {
  const { slide, reads, signals } = telltale(2)
  const { signal } = new AbortController()
  const region = { x: 7, y: 9, level: 1, width: 600, height: 5 }
  await new LevelGrid(slide).readRegion(region, signal)
  t.deepEqual(reads, [region])
  t.is(signals[0], signal)
})

test('a wrong region is refused before anything is read, and an abort reaches the slide', async (t) => {
  const { slide, reads, signals } = telltale(DOWNSAMPLE)
  const grid = new LevelGrid(slide)
  await t.throwsAsync(grid.readRegion({ x: 0, y: 0, level: 2, width: 1, height: 1 }), { message: /for level/ })
  t.is(reads.length, 0)
  const { signal } = new AbortController()
  await grid.readRegion({ x: 0, y: 0, level: 1, width: 1, height: 1 }, signal)
  t.is(signals[0], signal)
})

test('all else is what the slide says', async (t) => {
  const { slide, isClosed } = telltale(DOWNSAMPLE)
  const { levels, mpp, objectivePower, background, properties, associatedImages, bytes, format, path } = slide
  {
    using grid = new LevelGrid(slide)
    t.like(grid, { levels, mpp, objectivePower, background, properties, associatedImages, bytes, format, path })
    t.is((await grid.readAssociatedImage('label')).width, 3)
    t.deepEqual(grid.iccProfile(), Uint8Array.from([5]))
    t.false(isClosed())
  }
  t.true(isClosed())
  t.is(new LevelGrid(memorySlide([fill(1, 1, BACKGROUND)])).iccProfile(), null)
})

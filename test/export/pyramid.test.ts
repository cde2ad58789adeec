/** Which levels an export has, and how large their tiles are. */
import test from 'ava'
import { UnsupportedError } from '../../src/errors.js'
import { exportLevels, type TileFit } from '../../src/export/pyramid.js'
import type { Level } from '../../src/slide/source.js'

const level = (width: number, height: number, downsample = 1): Level => ({ width, height, downsample })

/** Each level as WIDTHxHEIGHT/DOWNSAMPLE and the slide's number of it, if it is the slide's. */
function plan(levels: readonly Level[], tile = 512, fit: TileFit = 'whole'): string[] {
  return exportLevels(levels, tile, fit).map(({ level: { width, height, downsample }, number }) => {
    return `${width}x${height}/${downsample}${number === null ? '' : ` ${number}`}`
  })
}

test('levels are made until one fits on a screen', (t) => {
  t.deepEqual(plan([level(5000, 3001)]), ['5000x3001/1 0', '1250x751/4', '313x188/16'])
  t.deepEqual(plan([level(3001, 5000)]), ['3001x5000/1 0', '751x1250/4', '188x313/16'])
  t.deepEqual(plan([level(2000, 900), level(1024, 461, 2)]), ['2000x900/1 0', '1024x461/2 1'])
  t.deepEqual(plan([level(2000, 900), level(1025, 461, 2)]), ['2000x900/1 0', '1025x461/2 1', '257x116/8'])
  t.deepEqual(plan([level(2000, 900), level(461, 1025, 2)]), ['2000x900/1 0', '461x1025/2 1', '116x257/8'])
})

test('there are two levels, if there is more than a pixel', (t) => {
  t.deepEqual(plan([level(100, 60)]), ['100x60/1 0', '25x15/4'])
  t.deepEqual(plan([level(2, 1)]), ['2x1/1 0', '1x1/4'])
  t.deepEqual(plan([level(1, 1)]), ['1x1/1 0'])
})

test('a gap of 8 times or more is filled', (t) => {
  t.deepEqual(plan([level(800, 800), level(100, 100, 8)]), ['800x800/1 0', '200x200/4', '100x100/8 1'])
  t.deepEqual(plan([level(800, 800), level(101, 101, 7.9)]), ['800x800/1 0', '101x101/7.9 1'])
  t.deepEqual(plan([level(800, 800, 2), level(100, 100, 16)]), ['800x800/2 0', '200x200/8', '100x100/16 1'])
  t.deepEqual(plan([level(6400, 6400), level(100, 100, 64)]), [
    '6400x6400/1 0',
    '1600x1600/4',
    '400x400/16',
    '100x100/64 1',
  ])
})

test('no level is made of rows that are too much to hold', (t) => {
  // A row of tiles of 512 is 512 x 3 bytes a column, of which 2^29 are 349525.3.
  t.deepEqual(plan([level(4 * 349_525, 1)]).slice(0, 2), ['1398100x1/1 0', '349525x1/4'])
  t.deepEqual(plan([level(4 * 349_525 + 1, 1)]), ['1398101x1/1 0'])
})

test('more tiles than can be listed are refused before memory is taken for them', (t) => {
  const expected = {
    instanceOf: UnsupportedError,
    code: 'ERR_IMAGE_UNSUPPORTED',
    message: /67117056 tiles of 16 pixels/,
  }
  t.throws(() => plan([level(16 * 8193, 16 * 8192)], 16), expected)
  const half = [level(16 * 8193, 16 * 4096), level(16 * 8193, 16 * 4096, 1.5)]
  t.throws(() => plan(half, 16), expected)
})

test('tiles of a level that is smaller than one', (t) => {
  const tiles = (fit: TileFit, width: number, height: number) => {
    const [{ index, isStrips } = t.fail() as never] = exportLevels([level(width, height)], 512, fit)
    return [index.tileWidth, index.tileHeight, isStrips]
  }
  t.deepEqual(tiles('whole', 100, 60), [512, 512, false])
  t.deepEqual(tiles('rounded', 100, 60), [112, 64, false])
  t.deepEqual(tiles('rounded', 100, 600), [112, 512, false])
  t.deepEqual(tiles('within', 100, 60), [96, 48, false])
  t.deepEqual(tiles('within', 600, 16), [512, 16, false])
  t.deepEqual(tiles('within', 15, 60), [15, 60, true])
  t.deepEqual(tiles('within', 60, 15), [60, 15, true])
  t.deepEqual(tiles('within', 15, 600), [15, 512, true])
})

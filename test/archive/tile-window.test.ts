/** What the index of a level tells without a tile being read: what a window holds, and what a level does. */
import test from 'ava'
import { archiveLevel } from '../../src/archive/archive-level.js'
import { bytesOf, type LevelWindow, onlyColour, tilesWithin, unreadableWithin } from '../../src/archive/tile-window.js'
import { indexOf, setColour, TILE } from '../../src/tiff/tile-index.js'

const GREY = { red: 9, green: 8, blue: 7 }
const LEVEL = { width: 150, height: 90 }
/** 5 x 3 tiles of 32 x 32, all left out for being grey. */
function blank() {
  const index = indexOf(LEVEL, 32, 32)
  for (let at = 0; at < 15; at++) setColour(index, at, GREY, TILE.blank)
  return index
}
const window = (left: number, top: number, width: number, height: number): LevelWindow => ({ left, top, width, height })

test('tiles that have pixels in a window, row by row, wherever it reaches', (t) => {
  for (const [asked, expected] of [
    [window(0, 0, 32, 32), [0]],
    [window(0, 0, 33, 32), [0, 1]],
    [window(0, 0, 32, 33), [0, 5]],
    [window(31, 31, 2, 2), [0, 1, 5, 6]],
    [window(32, 64, 1, 1), [11]],
    [window(100, 40, 20, 20), [8]],
    [window(-50, -50, 51, 51), [0]],
    [window(-50, -50, 50, 51), []],
    [window(-50, -50, 51, 50), []],
    [window(140, 80, 900, 900), [14]],
    [window(160, 0, 10, 10), []],
    [window(0, 96, 10, 10), []],
    [window(-1e6, -1e6, 2e6, 2e6), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]],
  ] as const) {
    t.deepEqual([...tilesWithin(blank(), asked)], [...expected], JSON.stringify(asked))
  }
})

test('tiles may be higher than they are wide', (t) => {
  const index = indexOf(LEVEL, 16, 64)
  t.deepEqual([...tilesWithin(index, window(16, 60, 17, 5))], [1, 2, 11, 12])
})

test('a window has one colour if all of its tiles are left out for that one', (t) => {
  const all = window(0, 0, 150, 90)
  t.deepEqual(onlyColour(blank(), all), GREY)
  t.is(onlyColour(blank(), window(200, 0, 10, 10)), null)
  for (const other of [
    { ...GREY, red: 1 },
    { ...GREY, green: 1 },
    { ...GREY, blue: 1 },
  ]) {
    const index = blank()
    setColour(index, 7, other, TILE.blank)
    t.is(onlyColour(index, all), null)
    t.deepEqual(onlyColour(index, window(64, 32, 32, 32)), other)
    t.deepEqual(onlyColour(index, window(0, 0, 64, 90)), GREY)
    const first = blank()
    setColour(first, 0, other, TILE.blank)
    t.is(onlyColour(first, all), null)
  }
  for (const kind of [TILE.stored, TILE.unreadable, TILE.partlyUnreadable]) {
    const index = blank()
    setColour(index, 14, GREY, kind)
    t.is(onlyColour(index, all), null)
  }
})

test('tiles where the slide could not be read, all or in places', (t) => {
  const index = blank()
  setColour(index, 2, GREY, TILE.unreadable)
  setColour(index, 3, GREY, TILE.stored)
  setColour(index, 6, GREY, TILE.partlyUnreadable)
  t.deepEqual(unreadableWithin(index, window(0, 0, 150, 90)), [2, 6])
  t.deepEqual(unreadableWithin(index, window(0, 32, 150, 20)), [6])
  t.deepEqual(unreadableWithin(index, window(0, 64, 150, 20)), [])
})

test('indexes take 22 bytes a tile, as they lie in memory', (t) => {
  const index = blank()
  const { offset, length, checksum, colours, checks } = index
  const arrays = [offset, length, checksum, colours, checks]
  const taken = arrays.reduce((sum, array) => sum + array.byteLength, 0)
  t.is(bytesOf([index, index]), 2 * taken)
  t.is(bytesOf([]), 0)
})

test('a level tells how many of its tiles are left out, and how many bytes the others are', (t) => {
  const index = blank()
  setColour(index, 0, GREY, TILE.stored)
  setColour(index, 1, GREY, TILE.partlyUnreadable)
  setColour(index, 2, GREY, TILE.unreadable)
  setColour(index, 3, GREY, TILE.unreadable)
  index.length.set([100, 23])
  t.deepEqual(archiveLevel({ ...LEVEL, downsample: 2 }, index), {
    ...{ width: 150, height: 90, downsample: 2, columns: 5, rows: 3, tileWidth: 32, tileHeight: 32 },
    ...{ tiles: 15, blankTiles: 11, unreadableTiles: 3, bytes: 123 },
  })
})

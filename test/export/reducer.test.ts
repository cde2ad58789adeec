/** The coarser levels of an export: whatever the sides of the tiles, they are the means of the finer ones. */
import test from 'ava'
import type { ExportLevel } from '../../src/export/pyramid.js'
import { Reducer } from '../../src/export/reducer.js'
import type { Image, Size } from '../../src/image/image.js'
import { shrink } from '../../src/image/shrink.js'
import { indexOf } from '../../src/tiff/tile-index.js'
import { seededRandom } from '../seeded-random.js'
import { crop } from '../slides.js'

const size = (width: number, height: number): Size => ({ width, height })

function exportLevel(level: Size, tile: Size): ExportLevel {
  const index = indexOf(level, tile.width, tile.height)
  return { level: { ...level, downsample: 1 }, index, isStrips: false, number: 0 }
}

/** The tiles of an image, row by row, cut to it. */
function* tilesOf({ columns, rows, tileWidth, tileHeight }: ExportLevel['index'], image: Image) {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const [x, y] = [column * tileWidth, row * tileHeight]
      const [width, height] = [Math.min(tileWidth, image.width - x), Math.min(tileHeight, image.height - y)]
      yield { column, row, tile: crop(image, x, y, width, height) }
    }
  }
}

for (const [title, full, tile, coarserTile] of [
  ['tiles of one size', size(150, 131), size(32, 32), size(32, 32)],
  ['a level that is whole tiles', size(256, 256), size(32, 32), size(32, 32)],
  ['several rows of one row', size(70, 200), size(32, 128), size(16, 16)],
  ['one row of several rows, which reach over its end', size(90, 333), size(48, 32), size(16, 48)],
  ['one tile', size(13, 9), size(16, 16), size(16, 16)],
] as const) {
  test(`${title}: each row comes as soon as it is whole, with the pixels of the shrunk image`, async (t) => {
    const random = seededRandom(7)
    const data = Uint8Array.from({ length: 3 * full.width * full.height }, () => 256 * random())
    const image: Image = { data, ...full, channels: 3 }
    const whole = shrink(image, 4)
    const [finer, coarser] = [exportLevel(full, tile), exportLevel(size(whole.width, whole.height), coarserTile)]
    const expected = [...tilesOf(coarser.index, whole)].map((place) => place.tile)
    let taken = 0
    const reducer = new Reducer(finer, coarser, async (row, tiles) => {
      t.is(taken, row * coarser.index.columns)
      t.is(tiles.length, coarser.index.columns)
      for (const made of tiles) t.deepEqual(made, expected[taken++])
    })
    for (const { column, row, tile: next } of tilesOf(finer.index, image)) {
      await reducer.add(column, row, next)
      // Rows of the finer level are whole when their last tile has come.
      const seen = Math.min(full.height, (row + (column === finer.index.columns - 1 ? 1 : 0)) * tile.height)
      const rows = seen === full.height ? coarser.index.rows : Math.floor(seen / 4 / coarserTile.height)
      t.is(taken, rows * coarser.index.columns, `after ${column}, ${row}`)
    }
    t.is(taken, expected.length)
  })
}

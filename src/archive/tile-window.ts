/** What the index of a level tells of a part of it, without a tile being read. */
import type { Colour } from '../image/draw.js'
import type { Size } from '../image/image.js'
import { colourOf, kindOf, TILE, type TileIndex } from '../tiff/tile-index.js'

/** A rectangle of a level, in its pixels; it may reach outside. */
export interface LevelWindow extends Size {
  readonly left: number
  readonly top: number
}

/** Numbers of the tiles that have pixels in a window, row by row. */
export function* tilesWithin(index: TileIndex, { left, top, width, height }: LevelWindow): Generator<number> {
  const { columns, rows, tileWidth, tileHeight } = index
  const end = (stop: number, tile: number, tiles: number) => Math.min(tiles, Math.ceil(stop / tile))
  const [endColumn, endRow] = [end(left + width, tileWidth, columns), end(top + height, tileHeight, rows)]
  for (let row = Math.max(0, Math.floor(top / tileHeight)); row < endRow; row++) {
    for (let column = Math.max(0, Math.floor(left / tileWidth)); column < endColumn; column++) {
      yield row * columns + column
    }
  }
}

/** The colour that all of a window has as none of its tiles is stored; null if one is, or they differ. */
export function onlyColour(index: TileIndex, window: LevelWindow): Colour | null {
  let first = -1
  for (const at of tilesWithin(index, window)) {
    if (kindOf(index, at) !== TILE.blank) return null
    if (first < 0) first = at
    for (let i = 0; i < 3; i++) if (index.colours[4 * at + i] !== index.colours[4 * first + i]) return null
  }
  return first < 0 ? null : colourOf(index, first)
}

/** Numbers of the tiles in a window where the slide could not be read, all or in places. */
export function unreadableWithin(index: TileIndex, window: LevelWindow): number[] {
  return [...tilesWithin(index, window)].filter((at) => {
    const kind = kindOf(index, at)
    return kind === TILE.unreadable || kind === TILE.partlyUnreadable
  })
}

/** Bytes of memory that a tile takes in an index. */
const TILE_BYTES = 22

/** Bytes of memory that indexes take. */
export function bytesOf(indexes: readonly TileIndex[]): number {
  return indexes.reduce((sum, { length }) => sum + TILE_BYTES * length.length, 0)
}

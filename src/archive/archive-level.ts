import type { Level } from '../slide/source.js'
import { kindOf, TILE, type TileIndex } from '../tiff/tile-index.js'

/** A level of an archive, and how it is stored. */
export interface ArchiveLevel extends Level {
  readonly columns: number
  readonly rows: number
  /** Size of a tile; those of the last column and row reach beyond the level. */
  readonly tileWidth: number
  readonly tileHeight: number
  readonly tiles: number
  /** Tiles that are left out, being of one colour or nothing but glass. */
  readonly blankTiles: number
  /** Tiles that could not be read from the slide, and have the background colour, all or in places. */
  readonly unreadableTiles: number
  /** Bytes of its tiles. */
  readonly bytes: number
}

export function archiveLevel(level: Level, index: TileIndex): ArchiveLevel {
  const { columns, rows, tileWidth, tileHeight, length } = index
  const count = (kind: number) => length.reduce((sum, _, at) => sum + (kindOf(index, at) === kind ? 1 : 0), 0)
  return {
    ...level,
    columns,
    rows,
    tileWidth,
    tileHeight,
    tiles: length.length,
    blankTiles: count(TILE.blank),
    unreadableTiles: count(TILE.unreadable) + count(TILE.partlyUnreadable),
    bytes: length.reduce((sum, bytes) => sum + bytes, 0),
  }
}

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
  const counts = [0, 0, 0, 0]
  let bytes = 0
  // One loop, as there may be millions.
  for (let at = 0; at < length.length; at++) {
    const kind = kindOf(index, at)
    counts[kind] = (counts[kind] ?? 0) + 1
    bytes += length[at] as number
  }
  const count = (kind: number) => counts[kind] ?? 0
  return {
    ...level,
    columns,
    rows,
    tileWidth,
    tileHeight,
    tiles: length.length,
    blankTiles: count(TILE.blank),
    unreadableTiles: count(TILE.unreadable) + count(TILE.partlyUnreadable),
    bytes,
  }
}

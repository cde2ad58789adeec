/** Where the tiles of one level are, row by row, and what stands for those that aren't there. */
import type { Colour } from '../image/draw.js'
import type { Size } from '../image/image.js'

/**
 * A tile: stored; left out for being of one colour; left out as the slide could not be read there; or stored though the
 * slide could not be read in places, which are background.
 */
export const TILE = { stored: 0, blank: 1, unreadable: 2, partlyUnreadable: 3 } as const

/** Kinds of tiles whose pixels are in the file. */
export const isStoredKind = (kind: number) => kind === TILE.stored || kind === TILE.partlyUnreadable

/** Where a tile is; `level` counts those of the file. */
export interface TilePlace {
  readonly level: number
  readonly column: number
  readonly row: number
}

export interface TileIndex {
  readonly columns: number
  readonly rows: number
  readonly tileWidth: number
  readonly tileHeight: number
  /** In the file; 0 for a tile of length 0. */
  readonly offset: Float64Array
  /** In bytes; 0 for a tile that is not stored. */
  readonly length: Uint32Array
  /** CRC-32C of its bytes; 0, which is that of no bytes, for a tile that is not stored. */
  readonly checksum: Uint32Array
  /** Four bytes a tile: red, green, blue and one of {@link TILE}; zeros for a stored tile. */
  readonly colours: Uint8Array
  /** Two bytes a tile: its PSNR and what stores it (`archive/tile-checks.ts`); zeros where that isn't known. */
  readonly checks: Uint8Array
}

/** TIFF has tiles of a multiple of 16 only. */
export const TILE_MULTIPLE = 16

/**
 * The tiles of a level: of `side`, but no larger than a level that fits into one needs.
 *
 * @param multiple what the sides of such smaller ones are multiples of
 */
export function emptyIndex(
  level: Size,
  side: number,
  multiple: Size = { width: TILE_MULTIPLE, height: TILE_MULTIPLE },
): TileIndex {
  const within = (length: number, unit: number) => Math.min(side, Math.ceil(length / unit) * unit)
  return indexOf(level, within(level.width, multiple.width), within(level.height, multiple.height))
}

export function indexOf(level: Size, tileWidth: number, tileHeight: number): TileIndex {
  const columns = Math.ceil(level.width / tileWidth)
  const rows = Math.ceil(level.height / tileHeight)
  const count = columns * rows
  return {
    columns,
    rows,
    tileWidth,
    tileHeight,
    offset: new Float64Array(count),
    length: new Uint32Array(count),
    checksum: new Uint32Array(count),
    colours: new Uint8Array(4 * count),
    checks: new Uint8Array(2 * count),
  }
}

export function setColour(index: TileIndex, at: number, { red, green, blue }: Colour, kind: number): void {
  index.colours.set([red, green, blue, kind], 4 * at)
}

export function colourOf({ colours }: TileIndex, at: number): Colour {
  const [red, green, blue] = colours.subarray(4 * at, 4 * at + 3) as unknown as [number, number, number]
  return { red, green, blue }
}

export function kindOf({ colours }: TileIndex, at: number): number {
  return colours[4 * at + 3] as number
}

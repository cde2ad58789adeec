/** Progress reports of a compression. */

/** A tile of the slide that could not be read and has the background colour instead, all of it or in places. */
export interface UnreadableTile {
  /** The slide's number of the level. */
  readonly level: number
  readonly column: number
  readonly row: number
  /** Whether the rest of the tile is as the slide has it. */
  readonly isPartial: boolean
  /** Null for a tile that an interrupted run met. */
  readonly reason: string | null
}

/** How far a compression is; the first report comes before the first tile. */
export interface CompressProgress {
  readonly tiles: number
  readonly totalTiles: number
  readonly blankTiles: number
  readonly pixels: number
  readonly totalPixels: number
  /** Written so far. */
  readonly bytes: number
}

/** Progress reports of an export. */

/** How far an export is. Counts the tiles of all levels. */
export interface ExportProgress {
  readonly tiles: number
  readonly totalTiles: number
  readonly pixels: number
  readonly totalPixels: number
  /** Written so far. */
  readonly bytes: number
}

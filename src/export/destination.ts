/** What a format of exports makes of tiles: the files that they go to. */
import type { Size } from '../image/image.js'

/** An associated image as a JPEG. */
export interface Picture extends Size {
  readonly name: string
  readonly bytes: Uint8Array
}

export interface Destination {
  /** Written so far. */
  readonly bytes: number
  /**
   * Takes the next tile of a level; they come row by row, those of several levels in turns. The same array again is a
   * tile like one that was there before.
   */
  store(level: number, column: number, row: number, tile: Uint8Array): Promise<void>
  /**
   * Completes what was written and gives it its name.
   *
   * @param check called with a path to open it by when it is whole and hasn't its name yet; if it throws it won't have it
   */
  publish(check: (path: string) => Promise<void>): Promise<void>
  /** Removes what was written. Harmless after {@link publish}. */
  discard(): Promise<void>
}

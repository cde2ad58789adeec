/** What becomes of a tile before it is written: stored, omitted, or taken over from a part. */
import { encodeSeen, type SeenTile } from '../codec/seen-tiles.js'
import type { SlideError } from '../errors.js'
import type { Colour } from '../image/draw.js'
import { TILE } from '../tiff/tile-index.js'
import type { PartTile } from './part.js'

/** A tile that isn't stored: its colour, and the error if it could not be read. */
export interface OmittedTile {
  readonly colour: Colour
  readonly error: SlideError | null
}

export interface EncodedPayload {
  readonly payload: Uint8Array
  /** As in the archive's index. */
  readonly check: Uint8Array
  /** What was learnt of it; null if nothing. */
  readonly seen: SeenTile | null
}

/** A tile that is stored; the error if the slide could not be read in places, which are background. */
interface StoredTile extends EncodedPayload {
  readonly error: SlideError | null
}

/** A tile that was encoded apart. */
interface CopiedTile extends PartTile {
  readonly error: null
}

export type EncodedTile = StoredTile | OmittedTile | CopiedTile

export function bytesIn(tile: EncodedTile): Uint8Array {
  if ('payload' in tile) return tile.payload
  return 'bytes' in tile ? tile.bytes : new Uint8Array(0)
}

/** What the archive's index and the journal have of a tile. */
export function factsIn(tile: EncodedTile): PartTile['facts'] {
  if ('facts' in tile) return tile.facts
  if ('payload' in tile) {
    const colour = Uint8Array.of(0, 0, 0, tile.error ? TILE.partlyUnreadable : TILE.stored)
    return { colour, check: tile.check, seen: encodeSeen(tile.seen) }
  }
  const { red, green, blue } = tile.colour
  const colour = Uint8Array.of(red, green, blue, tile.error ? TILE.unreadable : TILE.blank)
  return { colour, check: new Uint8Array(2), seen: encodeSeen(null) }
}

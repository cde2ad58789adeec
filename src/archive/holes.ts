/** Places of a slide whose pixels can't be had, so that views can show the rest and say what is missing. */
import { CorruptDataError, type ErrorCode } from '../errors.js'
import type { Image } from '../image/image.js'

/** A tile of a stored level that isn't there. */
export interface Hole {
  readonly level: number
  readonly column: number
  readonly row: number
  /** null: the archive is sound, but the slide could not be read there when it was compressed. */
  readonly code: ErrorCode | null
  readonly reason: string
}

/** An image in which what can't be had is hatched. */
export interface HoledImage {
  readonly image: Image
  readonly holes: readonly Hole[]
}

/** Reasons in one message: a region may have a million tiles. */
const MOST_TOLD = 10

/** There is nothing to be seen in a region but holes. */
export class NothingButHoles extends CorruptDataError {
  readonly holes: readonly Hole[]

  /** @param holes at least one */
  constructor(holes: readonly Hole[]) {
    const told = holes.slice(0, MOST_TOLD).map(({ reason }) => reason)
    if (holes.length > MOST_TOLD) told.push(`and ${holes.length - MOST_TOLD} more tiles`)
    super('ERR_CORRUPT_TILE', told.join('; '))
    this.holes = holes
  }

  /** Callers know the class that is public. */
  override get name(): string {
    return 'CorruptDataError'
  }
}

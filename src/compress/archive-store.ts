/** Where an archive is written to: what keeps its bytes, and what a run that is interrupted needs to go on. */
import { ClericError } from '../errors.js'
import type { TileRecord } from './journal.js'

export interface StoreOptions {
  readonly overwrite: boolean
  /** Go on from an interrupted run, if there is one. */
  readonly resume: boolean
  /** Digest of all that the bytes of the archive depend on. */
  readonly fingerprint: Uint8Array
  /** Room for the head. */
  readonly headLength: number
  /** In all. */
  readonly tiles: number
}

/** An archive on its way: nothing has its name before {@link publish}. Calls don't overlap. */
export interface ArchiveStore {
  /** Tiles that an interrupted run has written, from the first on. */
  readonly resumed: readonly TileRecord[]
  /** Bytes of tiles and images, each from where the last ended; the first from the end of the head's room on. */
  write(bytes: Uint8Array, position: number): Promise<void>
  /** Bytes of the journal (`journal.ts`), likewise. */
  record(bytes: Uint8Array, position: number): Promise<void>
  /**
   * Writes the head, makes the archive `length` bytes long and gives it its name; the journal goes.
   *
   * @throws ClericError ERR_FILE_EXISTS
   */
  publish(head: Uint8Array, length: number): Promise<void>
  /** Gives up; what is worth keeping stays, for a run that goes on. Harmless after {@link publish}. */
  leave(isWorthKeeping: boolean): Promise<void>
}

/** A place for an archive that is no path, such as an object of a store. */
export interface ArchiveTarget {
  /** For messages. */
  readonly name: string
  /** @throws ClericError ERR_FILE_EXISTS; ERR_RESUME_MISMATCH if what was interrupted was another run */
  open(options: StoreOptions): Promise<ArchiveStore>
}

/** @param name of what the other run left */
export function otherRun(name: string): ClericError {
  const what = 'was begun with another slide, model, device, version of cleric or other options'
  return new ClericError('ERR_RESUME_MISMATCH', `${name} ${what}; give the same, or start over without --resume`)
}

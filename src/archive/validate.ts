import { checkCallback, checkFlag, checkOptions, checkSignal, type OptionChecks, wrongType } from '../arguments.js'
import { inOrder } from '../concurrency/in-order.js'
import { ClericError, type ErrorCode } from '../errors.js'
import type { TilePlace } from '../tiff/tile-index.js'
import { Archive } from './archive.js'
import { Listed } from './listed.js'
import { type BadBytes, CHANGED_BYTES, isIntact, overviewName, type Part } from './parts.js'

export interface BadTile extends TilePlace {
  readonly code: ErrorCode
  readonly reason: string
}

export interface BadImage {
  readonly name: string
  readonly code: ErrorCode
  readonly reason: string
}

export interface Validation {
  readonly ok: boolean
  /** Tiles checked, blank ones included. */
  readonly tiles: number
  /** The first 1000, as of each list below; {@link counts} has how many there are. */
  readonly bad: BadTile[]
  /** Tiles that are as they were written, but could not be read from the slide then: background. */
  readonly unreadable: TilePlace[]
  readonly badImages: BadImage[]
  /** Bytes that belong to no tile or image. */
  readonly badBytes: BadBytes[]
  /** Lengths of the four lists, if they weren't cut. */
  readonly counts: { readonly [list in 'bad' | 'unreadable' | 'badImages' | 'badBytes']: number }
  /**
   * Whether the archive has checksums of all that it holds. An old one has none: damage to its overview and associated
   * images may go unnoticed, and with `quick` its tiles aren't checked.
   */
  readonly checksums: boolean
}

export interface ValidateOptions {
  /**
   * Checks the checksums of everything, but decodes nothing: at the speed at which the file is read, and without model
   * and device.
   */
  readonly quick?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

const VALIDATE_CHECKS: OptionChecks<ValidateOptions> = {
  quick: checkFlag,
  signal: checkSignal,
  onProgress: checkCallback,
}
/** Least bytes to read at once for checksums. */
const BATCH_BYTES = 2 ** 20
/** While one batch is checked another one is read. */
const BATCHES = 2

/** Codes of faults in the data at one place, as opposed to faults of the model, the device, or the caller. */
const BAD: readonly ErrorCode[] = ['ERR_CORRUPT_TILE', 'ERR_ARCHIVE_CORRUPT', 'ERR_ARCHIVE_UNSUPPORTED']

/**
 * Checks everything in an archive, and lists what is damaged: the checksum of every tile and image, that each is where
 * it should be, and, unless `quick`, that each can be decoded. Opening the archive has already checked the head, with
 * all of its tags. No bit of the file can change without being noticed, if the archive has {@link
 * Validation.checksums}.
 *
 * @throws UnsupportedError ERR_MODEL_MISMATCH, DeviceError, AbortedError: then nothing is known about the tiles
 * @example
 * const { ok, bad } = await validateArchive(archive, { quick: true })
 */
export async function validateArchive(archive: Archive, options: ValidateOptions = {}): Promise<Validation> {
  if (!(archive instanceof Archive)) throw wrongType('an archive that is open', 'archive', archive)
  const { quick = false, signal, onProgress } = checkOptions(options, VALIDATE_CHECKS)
  const run = new ValidationRun(archive, signal ?? new AbortController().signal, onProgress)
  if (!quick) await run.decodeTiles()
  else if (archive.hasChecksums) await run.checkParts()
  if (!quick || !archive.hasChecksums) await run.decodeImages()
  return run.result()
}

class ValidationRun {
  readonly #archive: Archive
  readonly #signal: AbortSignal
  readonly #onProgress: ValidateOptions['onProgress']
  readonly #total: number
  readonly #bad = new Listed<BadTile>()
  readonly #unreadable = new Listed<TilePlace>()
  readonly #badImages = new Listed<BadImage>()
  #tiles = 0

  constructor(archive: Archive, signal: AbortSignal, onProgress: ValidateOptions['onProgress']) {
    this.#archive = archive
    this.#signal = signal
    this.#onProgress = onProgress
    this.#total = archive.levels.reduce((sum, level) => sum + level.tiles, 0)
  }

  /** Decodes every tile of the slide. */
  async decodeTiles(): Promise<void> {
    const archive = this.#archive
    using loan = await archive.lend(this.#signal)
    await inOrder(
      placesOf(archive),
      loan?.tilesInFlight ?? 1,
      ({ level, column, row }, either) => faultOf(() => archive.readTile(level, column, row, either)),
      async (place, fault) => this.#note(place, fault),
      this.#signal,
    )
  }

  /** Decodes the overview and the associated images. */
  async decodeImages(): Promise<void> {
    const archive = this.#archive
    for (const [level, { length }] of archive.overview.entries()) {
      for (const at of length.keys()) {
        const fault = await faultOf(() => archive.readOverviewTile(level, at, this.#signal))
        if (fault) this.#badImages.add({ name: overviewName(level, at), ...fault })
      }
    }
    for (const name of archive.associatedImages) {
      const fault = await faultOf(() => archive.readAssociatedImage(name, this.#signal))
      if (fault) this.#badImages.add({ name, ...fault })
    }
  }

  /** Compares every tile and image with its checksum. */
  async checkParts(): Promise<void> {
    const archive = this.#archive
    await inOrder(
      archive.batches(BATCH_BYTES),
      BATCHES,
      ({ offset, length }, either) => archive.readBytes(offset, length, either),
      async ({ offset, parts }, bytes) => {
        for (const part of parts) {
          const start = part.length === 0 ? 0 : part.offset - offset
          const fault = this.#faultOf(part, bytes.subarray(start, start + part.length))
          if (part.place) this.#note(part.place, fault)
          else if (fault) this.#badImages.add({ name: part.name, ...fault })
        }
      },
      this.#signal,
    )
  }

  async result(): Promise<Validation> {
    const [bad, unreadable, badImages] = [this.#bad, this.#unreadable, this.#badImages]
    const badBytes = await this.#archive.badBytes(this.#signal)
    return {
      ok: bad.count + badImages.count + badBytes.count === 0,
      tiles: this.#tiles,
      bad: bad.first,
      unreadable: unreadable.first,
      badImages: badImages.first,
      badBytes: badBytes.first,
      counts: {
        bad: bad.count,
        unreadable: unreadable.count,
        badImages: badImages.count,
        badBytes: badBytes.count,
      },
      checksums: this.#archive.hasChecksums,
    }
  }

  #faultOf({ place, name, checksum }: Part, bytes: Uint8Array): Fault | null {
    if (isIntact(bytes, checksum)) return null
    const code = place ? 'ERR_CORRUPT_TILE' : 'ERR_ARCHIVE_CORRUPT'
    return { code, reason: `${this.#archive.path}: ${name}: ${CHANGED_BYTES}` }
  }

  #note(place: TilePlace, fault: Fault | null): void {
    const { level, column, row } = place
    if (fault) this.#bad.add({ level, column, row, ...fault })
    if (this.#archive.isUnreadable(level, column, row)) this.#unreadable.add({ level, column, row })
    this.#tiles++
    this.#onProgress?.(this.#tiles, this.#total)
  }
}

function* placesOf({ levels }: Archive): Generator<TilePlace> {
  for (const [level, { columns, rows }] of levels.entries()) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) yield { level, column, row }
    }
  }
}

interface Fault {
  readonly code: ErrorCode
  readonly reason: string
}

async function faultOf(read: () => Promise<unknown>): Promise<Fault | null> {
  try {
    await read()
    return null
  } catch (error) {
    if (error instanceof ClericError && BAD.includes(error.code)) return { code: error.code, reason: error.message }
    throw error
  }
}

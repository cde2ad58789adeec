import { checkCallback, checkOptions, checkSignal, type OptionChecks, wrongType } from '../arguments.js'
import { inOrder } from '../concurrency/in-order.js'
import { ClericError, type ErrorCode } from '../errors.js'
import type { TilePlace } from '../tiff/tile-index.js'
import { Archive } from './archive.js'

export interface BadTile extends TilePlace {
  readonly code: ErrorCode
  readonly reason: string
}

export interface Validation {
  readonly ok: boolean
  /** Tiles checked, blank ones included. */
  readonly tiles: number
  readonly bad: BadTile[]
  /** Tiles that are as they were written, but could not be read from the slide then: background. */
  readonly unreadable: TilePlace[]
  readonly badImages: { readonly name: string; readonly code: ErrorCode; readonly reason: string }[]
}

export interface ValidateOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number, total: number) => void) | undefined
}

const VALIDATE_CHECKS: OptionChecks<ValidateOptions> = { signal: checkSignal, onProgress: checkCallback }

/** Codes of faults in the data at one place, as opposed to faults of the model, the device, or the caller. */
const BAD: readonly ErrorCode[] = ['ERR_CORRUPT_TILE', 'ERR_ARCHIVE_CORRUPT', 'ERR_ARCHIVE_UNSUPPORTED']

/**
 * Decodes every tile, the overview and the associated images of an archive and lists what is damaged. Opening it has
 * already checked the head.
 *
 * @throws UnsupportedError ERR_MODEL_MISMATCH, DeviceError, AbortedError: then nothing is known about the tiles
 */
export async function validateArchive(archive: Archive, options: ValidateOptions = {}): Promise<Validation> {
  if (!(archive instanceof Archive)) throw wrongType('an archive that is open', 'archive', archive)
  const { signal = new AbortController().signal, onProgress } = checkOptions(options, VALIDATE_CHECKS)
  const total = archive.levels.reduce((sum, level) => sum + level.tiles, 0)
  const bad: BadTile[] = []
  const unreadable: TilePlace[] = []
  const badImages: Validation['badImages'] = []
  let tiles = 0
  using loan = await archive.lend(options.signal)
  await inOrder(
    placesOf(archive),
    loan?.tilesInFlight ?? 1,
    ({ level, column, row }, either) => faultOf(() => archive.readTile(level, column, row, either)),
    async (place, fault) => {
      if (fault) bad.push({ ...place, ...fault })
      if (archive.isUnreadable(place.level, place.column, place.row)) unreadable.push(place)
      tiles++
      onProgress?.(tiles, total)
    },
    signal,
  )
  for (const [level, { length }] of archive.overview.entries()) {
    for (const at of length.keys()) {
      const fault = await faultOf(() => archive.readOverviewTile(level, at, signal))
      if (fault) badImages.push({ name: `overview ${level}, tile ${at}`, ...fault })
    }
  }
  for (const name of archive.associatedImages) {
    const fault = await faultOf(() => archive.readAssociatedImage(name, signal))
    if (fault) badImages.push({ name, ...fault })
  }
  return { ok: bad.length + badImages.length === 0, tiles, bad, unreadable, badImages }
}

function* placesOf({ levels }: Archive): Generator<TilePlace> {
  for (const [level, { columns, rows }] of levels.entries()) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) yield { level, column, row }
    }
  }
}

async function faultOf(read: () => Promise<unknown>): Promise<{ code: ErrorCode; reason: string } | null> {
  try {
    await read()
    return null
  } catch (error) {
    if (error instanceof ClericError && BAD.includes(error.code)) return { code: error.code, reason: error.message }
    throw error
  }
}

/**
 * Every failure that a caller can meet, as a class with a stable `code`.
 *
 * Codes never change meaning; messages may be reworded. A wrong argument is a
 * {@link TypeError} or {@link RangeError} from `arguments.ts` instead.
 */
export type ErrorCode =
  | 'ERR_ABORTED'
  | 'ERR_ARCHIVE_CORRUPT'
  | 'ERR_ARCHIVE_UNSUPPORTED'
  | 'ERR_ADDON_MISMATCH'
  | 'ERR_ADDON_MISSING'
  | 'ERR_CLOSED'
  | 'ERR_CORRUPT_TILE'
  | 'ERR_DEVICE_FAILED'
  | 'ERR_DEVICE_INEXACT'
  | 'ERR_DEVICE_LIMIT'
  | 'ERR_DISK_FULL'
  | 'ERR_EXPORT_FAILED'
  | 'ERR_FILE_EXISTS'
  | 'ERR_IMAGE_UNSUPPORTED'
  | 'ERR_MODEL_CORRUPT'
  | 'ERR_MODEL_MISMATCH'
  | 'ERR_MODEL_UNSUPPORTED'
  | 'ERR_NETWORK'
  | 'ERR_NO_DEVICE'
  | 'ERR_OPENSLIDE_MISSING'
  | 'ERR_OPENSLIDE_READ'
  | 'ERR_PYTHON_MISSING'
  | 'ERR_RESUME_MISMATCH'
  | 'ERR_SHADER'
  | 'ERR_TARGET_UNREACHABLE'
  | 'ERR_TOOL_FAILED'
  | 'ERR_UNSUPPORTED_SLIDE'

/**
 * Base class of all errors that cleric raises on purpose.
 *
 * @example
 * try { await decodeTile(bytes) } catch (error) {
 *   if (error instanceof ClericError && error.code === 'ERR_CORRUPT_TILE') markBad()
 * }
 */
export class ClericError extends Error {
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  override get name(): string {
    return this.constructor.name
  }
}

/** A tile, archive or model file whose bytes are not what they claim to be. */
export class CorruptDataError extends ClericError {}

/** A file that is sound but that this version, model or build can't take. */
export class UnsupportedError extends ClericError {}

/** No adapter, a lost device, a refused shader, too small limits, or wrong integers. */
export class DeviceError extends ClericError {}

/** A slide that can't be opened or read. */
export class SlideError extends ClericError {}

/** The caller's AbortSignal fired. */
export class AbortedError extends ClericError {
  constructor(reason: unknown) {
    super('ERR_ABORTED', 'The operation was aborted', { cause: reason })
  }
}

/** Throws {@link AbortedError} if `signal` has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortedError(signal.reason)
}

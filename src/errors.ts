/**
 * Every failure that a caller can meet, as a class with a stable `code`.
 *
 * Codes never change meaning; messages may be reworded. A wrong argument is a
 * {@link TypeError} or {@link RangeError} from `arguments.ts` instead.
 */

/** Which class each code belongs to: exactly one, which the constructors hold their callers to. */
export const CODES = {
  CorruptDataError: ['ERR_ARCHIVE_CORRUPT', 'ERR_CORRUPT_TILE', 'ERR_MODEL_CORRUPT'],
  UnsupportedError: ['ERR_ARCHIVE_UNSUPPORTED', 'ERR_IMAGE_UNSUPPORTED', 'ERR_MODEL_MISMATCH', 'ERR_MODEL_UNSUPPORTED'],
  DeviceError: [
    'ERR_DEVICE_FAILED',
    'ERR_DEVICE_INEXACT',
    'ERR_DEVICE_LIMIT',
    'ERR_NO_DEVICE',
    'ERR_SHADER',
    'ERR_WEBGPU_MISSING',
  ],
  SlideError: ['ERR_OPENSLIDE_MISSING', 'ERR_OPENSLIDE_READ', 'ERR_SLIDE_CHANGED', 'ERR_UNSUPPORTED_SLIDE'],
  AbortedError: ['ERR_ABORTED'],
  /** Codes that have no class of their own. */
  ClericError: [
    'ERR_ADDON_MISMATCH',
    'ERR_ADDON_MISSING',
    'ERR_CLOSED',
    'ERR_DISK_FULL',
    'ERR_EXPORT_FAILED',
    'ERR_FILE_CHANGED',
    'ERR_FILE_EXISTS',
    'ERR_MODEL_MISSING',
    'ERR_NETWORK',
    'ERR_NOT_WRITABLE',
    'ERR_PIPE_PROTOCOL',
    'ERR_PYTHON_MISSING',
    'ERR_RESUME_MISMATCH',
    'ERR_TARGET_UNREACHABLE',
    'ERR_TOOL_FAILED',
  ],
} as const

/** The codes of a class. */
type CodeOf<Name extends keyof typeof CODES> = (typeof CODES)[Name][number]

export type ErrorCode = CodeOf<keyof typeof CODES>

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

  constructor(code: CodeOf<'ClericError'>, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }

  override get name(): string {
    return this.constructor.name
  }
}

/** A tile, archive or model file whose bytes are not what they claim to be. */
export class CorruptDataError extends ClericError {
  declare readonly code: CodeOf<'CorruptDataError'>

  constructor(code: CodeOf<'CorruptDataError'>, message: string, options?: ErrorOptions) {
    super(code as never, message, options)
  }
}

/** A file that is sound but that this version, model or build can't take. */
export class UnsupportedError extends ClericError {
  declare readonly code: CodeOf<'UnsupportedError'>

  constructor(code: CodeOf<'UnsupportedError'>, message: string, options?: ErrorOptions) {
    super(code as never, message, options)
  }
}

/** No adapter, a lost device, a refused shader, too small limits, or wrong integers. */
export class DeviceError extends ClericError {
  declare readonly code: CodeOf<'DeviceError'>

  constructor(code: CodeOf<'DeviceError'>, message: string, options?: ErrorOptions) {
    super(code as never, message, options)
  }
}

/** A slide that can't be opened or read. */
export class SlideError extends ClericError {
  declare readonly code: CodeOf<'SlideError'>

  constructor(code: CodeOf<'SlideError'>, message: string, options?: ErrorOptions) {
    super(code as never, message, options)
  }
}

/**
 * The caller's AbortSignal fired. Its `name` is "AbortError", as that of `fetch` and of Node.js is; `cause` is the
 * signal's reason.
 */
export class AbortedError extends ClericError {
  declare readonly code: CodeOf<'AbortedError'>

  constructor(reason: unknown) {
    super('ERR_ABORTED' as never, 'The operation was aborted', { cause: reason })
  }

  override get name(): string {
    return 'AbortError'
  }
}

/**
 * What a message says of a file, without the name in front, as another message names it already: of "NAME: why", "NAME
 * can't be decoded" or "Can't read slide NAME: why".
 */
export function withoutName(message: string, name: string): string {
  const at = message.indexOf(name)
  const isInFront = /^(Can't (open|read) slide )?$/.test(message.slice(0, Math.max(0, at)))
  return at >= 0 && isInFront ? message.slice(at + name.length).replace(/^:? /, '') : message
}

/** The error of a code that came from elsewhere, such as a worker, of the class that the code belongs to. */
export function errorOfCode(code: ErrorCode, message: string, options?: ErrorOptions): ClericError {
  const has = (codes: readonly string[]) => codes.includes(code)
  if (code === 'ERR_ABORTED') return new AbortedError(options?.cause ?? message)
  if (has(CODES.CorruptDataError)) return new CorruptDataError(code as never, message, options)
  if (has(CODES.UnsupportedError)) return new UnsupportedError(code as never, message, options)
  if (has(CODES.DeviceError)) return new DeviceError(code as never, message, options)
  if (has(CODES.SlideError)) return new SlideError(code as never, message, options)
  return new ClericError(code as never, message, options)
}

/** Throws {@link AbortedError} if `signal` has fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortedError(signal.reason)
}

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

/**
 * `work`, or an {@link AbortedError} as soon as the signal fires: then `cancel` is called, and how the work itself
 * ends no longer matters.
 */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined, cancel = () => {}): Promise<T> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const forget = whenAborted(signal, () => {
      cancel()
      reject(new AbortedError(signal.reason))
    })
    // At once: an abort must not cancel what the caller is about to get.
    const settle = <V>(how: (outcome: V) => void) => {
      return (outcome: V) => {
        forget()
        how(outcome)
      }
    }
    work.then(settle(resolve), settle(reject))
  })
}

/**
 * An AbortController that fires when `signal` does too, until it is disposed of. What `AbortSignal.any` makes can't be: it
 * would leave something at the signal, which may live as long as the program.
 *
 * @example
 * using stop = new LinkedAbort(signal)
 * await work(stop.signal)
 */
export class LinkedAbort extends AbortController implements Disposable {
  readonly #unlink: () => void

  constructor(signal: AbortSignal) {
    super()
    if (signal.aborted) this.abort(signal.reason)
    this.#unlink = whenAborted(signal, () => this.abort(signal.reason))
  }

  [Symbol.dispose](): void {
    this.#unlink()
  }
}

/** What waits for each signal. One listener a signal: hundreds of reads may share it, and Node warns of the eleventh. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>()

function whenAborted(signal: AbortSignal, callback: () => void): () => void {
  let callbacks = waiting.get(signal)
  if (callbacks === undefined) {
    const all = new Set<() => void>()
    callbacks = all
    waiting.set(signal, all)
    signal.addEventListener(
      'abort',
      () => {
        for (const each of all) each()
      },
      { once: true },
    )
  }
  const all = callbacks
  all.add(callback)
  return () => all.delete(callback)
}

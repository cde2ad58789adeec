/**
 * Lends codecs: the one that the caller has open, or else one that all of the program shares. The shared one is opened
 * at the first use, and closed when it hasn't been used for a while or the program has nothing else to do, so that a
 * script ends by itself.
 */
import { untilAborted } from '../concurrency/abort.js'
import { beforeExit } from '../concurrency/before-exit.js'
import { throwIfAborted } from '../errors.js'
import { modelPath } from '../model/model-bytes.js'
import type { CodecChoice, CodecOptions } from './arguments.js'
import type { Codec, PayloadCodec } from './codec.js'

/**
 * Which codec to use: an open one, or else the shared one of a model and device. The values are checked already
 * (`codec/arguments.ts`).
 */
export interface CodecUse<C extends PayloadCodec = PayloadCodec> extends CodecChoice {
  /** An open codec; it isn't closed. Default: the codec that all of the program shares for the model and device. */
  readonly codec?: C | undefined
  /** Ends the wait for a codec that is being opened. */
  readonly signal?: AbortSignal | undefined
}

/** A codec to use until this is disposed of. */
export interface Loan<C extends PayloadCodec = PayloadCodec> extends Disposable {
  readonly codec: C
  /**
   * Tiles to keep under way, from their bytes being read to their being written: those that the codec works on, and as
   * many again, so that it never waits for the others' input and output. More would only take memory.
   */
  readonly tilesInFlight: number
}

interface Entry {
  readonly opening: Promise<Codec>
  /** Stops the opening. */
  readonly stop: AbortController
  /** Null until it is open. */
  codec: Codec | null
  users: number
  idle: ReturnType<typeof setTimeout> | undefined
}

/** Idle time after which a codec is closed, and its device's memory freed. */
const IDLE_MS = 30_000

/** One codec a model and device, shared by all callers. */
export class SharedCodecs {
  readonly #open: (options: CodecOptions) => Promise<Codec>
  readonly #idleMs: number
  readonly #entries = new Map<string, Entry>()

  constructor(open: (options: CodecOptions) => Promise<Codec>, idleMs = IDLE_MS) {
    this.#open = open
    this.#idleMs = idleMs
  }

  /**
   * Lends the given codec, else the shared one, which is opened first if it isn't open or its device was lost.
   *
   * @throws ERR_ABORTED at once when the signal fires; what opening a codec throws. A failure isn't kept: the next call tries again
   * @example
   * using loan = await lend({ device: 'cpu', signal })
   * const payload = await loan.codec.encodePayload(image, 60, signal)
   */
  async lend<C extends PayloadCodec>({ codec, signal, ...choice }: CodecUse<C>): Promise<Loan<C | Codec>> {
    throwIfAborted(signal)
    if (codec) return loanOf(codec, () => {})
    const { model, device = 'auto', adapter } = choice
    const key = JSON.stringify([model === undefined ? null : modelPath(model), device, adapter ?? null])
    const entry = this.#usable(key) ?? this.#enter(key, { model, device, adapter })
    entry.users++
    clearTimeout(entry.idle)
    const release = () => this.#release(key, entry)
    try {
      return loanOf(await untilAborted(entry.opening, signal), release)
    } catch (error) {
      release()
      throw error
    }
  }

  /** Closes the codecs that nobody uses now. */
  closeIdle(): void {
    for (const [key, entry] of this.#entries) if (entry.users === 0) this.#close(key, entry)
  }

  #usable(key: string): Entry | undefined {
    const entry = this.#entries.get(key)
    if (!entry?.codec?.isLost) return entry
    // Calls that still use it fail by themselves, and the last of them closes it.
    if (entry.users === 0) this.#close(key, entry)
    else this.#entries.delete(key)
    return undefined
  }

  #enter(key: string, choice: CodecChoice): Entry {
    const stop = new AbortController()
    const opening = this.#open({ ...choice, signal: stop.signal })
    const entry: Entry = { opening, stop, codec: null, users: 0, idle: undefined }
    this.#entries.set(key, entry)
    opening.then(
      (codec) => {
        entry.codec = codec
      },
      () => this.#forget(key, entry),
    )
    return entry
  }

  #release(key: string, entry: Entry): void {
    entry.users--
    if (entry.users > 0) return
    const isShared = this.#entries.get(key) === entry
    if (isShared && entry.codec?.isLost === false) {
      entry.idle = setTimeout(() => this.#close(key, entry), this.#idleMs)
      // A browser's timer is a number, and keeps nothing open.
      entry.idle.unref?.()
    } else this.#close(key, entry)
  }

  /** Closes it, or stops its opening. */
  #close(key: string, entry: Entry): void {
    this.#forget(key, entry)
    clearTimeout(entry.idle)
    entry.stop.abort()
    entry.opening.then((codec) => codec.close()).catch(() => {})
  }

  #forget(key: string, entry: Entry): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key)
  }
}

function loanOf<C extends PayloadCodec>(codec: C, release: () => void): Loan<C> {
  let isOver = false
  return {
    codec,
    tilesInFlight: 2 * codec.tilesInFlight,
    [Symbol.dispose]() {
      if (!isOver) release()
      isOver = true
    },
  }
}

// Loaded when first needed: a program that only reads the facts in an archive shouldn't wait for a WebGPU
// implementation.
const shared = new SharedCodecs(async (options) => (await import('./codec.js')).openCodec(options))

/** See {@link SharedCodecs.lend}. */
export function lend<C extends PayloadCodec>(use: CodecUse<C>): Promise<Loan<C | Codec>> {
  return shared.lend(use)
}

/** Closes the shared codecs that nobody uses now. */
export function closeIdleCodecs(): void {
  shared.closeIdle()
}

beforeExit(closeIdleCodecs)

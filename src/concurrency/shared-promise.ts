/** A value that is made when it is first asked for, once for all who ask. */
import { untilAborted } from './abort.js'

interface Making<T> {
  readonly value: Promise<T>
  readonly stop: AbortController
  isDone: boolean
  /** Callers that haven't given up. */
  waiting: number
}

/**
 * The making stops when all who asked have given up, and the next who asks begins it again. So does the next after a
 * failure, unless the failure would only be repeated.
 *
 * @example
 * const pixels = new SharedPromise((stop) => decode(path, stop))
 * await pixels.get(signal)
 */
export class SharedPromise<T> {
  readonly #make: (stop: AbortSignal) => Promise<T>
  readonly #isLasting: (error: unknown) => boolean
  #making: Making<T> | null = null

  /** @param isLasting whether a failure is kept for those who ask later */
  constructor(make: (stop: AbortSignal) => Promise<T>, isLasting: (error: unknown) => boolean = () => false) {
    this.#make = make
    this.#isLasting = isLasting
  }

  /** @throws what the making throws; AbortedError */
  get(signal: AbortSignal | undefined): Promise<T> {
    const making = this.#making ?? this.#start()
    making.waiting++
    return untilAborted(making.value, signal, () => {
      making.waiting--
      if (making.waiting === 0 && !making.isDone) this.#forget(making)
    })
  }

  /** Stops the making, or calls `dispose` with what was made. */
  clear(dispose: (value: T) => void = () => {}): void {
    const making = this.#making
    if (!making) return
    this.#forget(making)
    making.value.then(dispose, () => {})
  }

  #start(): Making<T> {
    const stop = new AbortController()
    const making: Making<T> = { value: this.#make(stop.signal), stop, isDone: false, waiting: 0 }
    this.#making = making
    making.value.then(
      () => {
        making.isDone = true
      },
      (error: unknown) => {
        making.isDone = true
        if (!this.#isLasting(error)) this.#forget(making)
      },
    )
    return making
  }

  #forget(making: Making<T>): void {
    if (this.#making === making) this.#making = null
    making.stop.abort()
  }
}

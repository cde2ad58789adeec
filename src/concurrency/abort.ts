/** Waiting for work until a signal fires, and controllers that follow a signal. */
import { AbortedError } from '../errors.js'

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
    // The callback goes at once: an abort must not cancel a result that the caller is about to get.
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
 * An AbortController that also fires when `signal` does, until it is disposed of. `AbortSignal.any` can't be disposed
 * of: it would leave a listener at the signal, which may live as long as the program.
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

/**
 * The callbacks of each signal. It has one listener for all of them: hundreds of reads may share a signal, and Node
 * warns at the eleventh listener.
 */
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

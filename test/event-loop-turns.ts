/** Whether the event loop turns while something is done, so that signals and other requests are heard. */
import type { ExecutionContext } from 'ava'

/** Shorter work says nothing. */
const LEAST_MS = 150
/** Well below the second within which a signal must be heard, and above what a busy machine makes of a slice. */
const MOST_MS = 300

/**
 * Counts turns from now on. The mean time between them is looked at, not the longest: another process may take the
 * processor for a while.
 *
 * @example
 * const turns = countTurns()
 * await work()
 * turns.mustBeOften(t)
 */
export function countTurns() {
  const started = performance.now()
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  return {
    mustBeOften(t: ExecutionContext): void {
      clearInterval(timer)
      const took = performance.now() - started
      t.log(`${Math.round(took)} ms, ${turns} turns`)
      t.true(took < LEAST_MS || took / (turns + 1) < MOST_MS, `${turns} turns in ${took} ms`)
    },
  }
}

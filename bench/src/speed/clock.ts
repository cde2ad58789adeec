/** Times calls: alone, or several by turns so that what else the machine does hits all of them alike. */
import { setTimeout as pause } from 'node:timers/promises'
import { throwIfAborted } from 'cleric/internal'

/** Seconds a call took. */
export interface Timing {
  readonly best: number
  readonly median: number
  readonly runs: number
}

/** Between the turns of different programs: their threads spin for a while when they are done. */
const SETTLE_MS = 20
const MAX_RUNS = 10_000

export function timing(seconds: readonly number[]): Timing {
  const ascending = [...seconds].sort((a, b) => a - b)
  const middle = ascending.length >> 1
  const upper = ascending[middle] ?? Number.NaN
  const median = ascending.length % 2 === 1 ? upper : ((ascending[middle - 1] ?? Number.NaN) + upper) / 2
  return { best: ascending[0] ?? Number.NaN, median, runs: ascending.length }
}

/** Calls once to warm up unless that is done, then for `seconds`, at least once. */
export async function measure(
  call: () => Promise<unknown>,
  seconds: number,
  signal?: AbortSignal,
  isWarm = false,
): Promise<Timing> {
  if (!isWarm) await call()
  const [only] = await measureByTurns([call], seconds, signal)
  return only as Timing
}

/**
 * Calls that are warm, all by turns, for `seconds` each on average, at least once. A call may say itself how many
 * seconds it took, where another process did the work.
 */
export async function measureByTurns(
  calls: readonly (() => Promise<unknown>)[],
  seconds: number,
  signal?: AbortSignal,
): Promise<Timing[]> {
  const times = calls.map(() => [] as number[])
  let spent = 0
  for (let run = 0; run < MAX_RUNS && (run === 0 || spent < seconds * calls.length); run++) {
    for (const [i, call] of calls.entries()) {
      throwIfAborted(signal)
      if (calls.length > 1) await pause(SETTLE_MS)
      const began = performance.now()
      const told = await call()
      const elapsed = typeof told === 'number' ? told : (performance.now() - began) / 1000
      times[i]?.push(elapsed)
      spent += elapsed
    }
  }
  return times.map(timing)
}

/** Keeps `inFlight` calls under way for `seconds`; gives how many were done a second. */
export async function throughput(
  call: () => Promise<unknown>,
  inFlight: number,
  seconds: number,
  signal?: AbortSignal,
): Promise<number> {
  const began = performance.now()
  let done = 0
  const keep = async () => {
    do {
      throwIfAborted(signal)
      await call()
      done++
    } while (performance.now() - began < seconds * 1000)
  }
  const settled = await Promise.allSettled(Array.from({ length: inFlight }, keep))
  for (const result of settled) if (result.status === 'rejected') throw result.reason
  return done / ((performance.now() - began) / 1000)
}

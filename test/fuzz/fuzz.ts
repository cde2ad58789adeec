/** Gives a parser changed inputs, and holds it to errors with a code, within bounds of time and memory. */
import { ClericError } from '../../src/errors.js'
import { drawer, mutated } from './mutate.js'

/** A parser of bytes that anyone may have written. */
export interface Target {
  /** Sound inputs and strange ones, made by code. */
  seeds(): Promise<readonly Uint8Array[]>
  /** Parses; an error with one of the codes is a right answer. */
  parse(bytes: Uint8Array<ArrayBuffer>): Promise<unknown> | unknown
  readonly codes: RegExp
  /** Whether an error without a code is a right answer. */
  readonly isRefusal?: (error: unknown) => boolean
  /** Longest input in bytes; default 16 KiB. */
  readonly most?: number
  /** Sources whose lines the target is to reach. */
  readonly covers: readonly string[]
}

export interface Findings {
  readonly executions: number
  /** Inputs that were taken for sound. */
  readonly sound: number
  readonly seconds: number
  readonly slowestMs: number
}

/** What ends a run: the input that did it, in base64, and why. */
export class Finding extends Error {
  constructor(why: string, bytes: Uint8Array, cause?: unknown) {
    const shown = Buffer.from(bytes).toString('base64')
    super(`${why}\ninput, ${bytes.length} bytes in base64: ${shown}`, { cause })
  }
}

/** Processor time of one input; wall time says little where other programs run. */
const MOST_MS = 1000
/** Memory that may stay or grow while many inputs are parsed: what one of them takes and more would show. */
const MOST_BYTES = 2 ** 29
const LOOK = 1024
/** Inputs that were taken are changed further, so that what follows the first checks is reached. */
const MOST_KEPT = 256

/** Runs until `isDone`, which gets the number of executions. @throws Finding */
export async function fuzz(target: Target, seed: number, isDone: (executions: number) => boolean): Promise<Findings> {
  const draw = drawer(seed)
  const seeds = await target.seeds()
  const inputs = [...seeds]
  const started = performance.now()
  const rss = process.memoryUsage.rss()
  let [executions, sound, slowestMs] = [0, 0, 0]
  while (!isDone(executions)) {
    const isSeed = executions < seeds.length
    const bytes = isSeed
      ? Uint8Array.from(seeds[executions] as Uint8Array)
      : mutated(inputs, draw, target.most ?? 16384)
    const before = process.cpuUsage()
    try {
      await target.parse(bytes)
      sound++
      if (!isSeed && inputs.length < MOST_KEPT && draw(16) === 0) inputs.push(bytes)
    } catch (error) {
      const code = error instanceof ClericError ? error.code : ''
      if (!target.codes.test(code) && !target.isRefusal?.(error))
        throw new Finding(`It fails with ${error}`, bytes, error)
    }
    const { user, system } = process.cpuUsage(before)
    slowestMs = Math.max(slowestMs, (user + system) / 1000)
    // The first ones compile what runs.
    if (slowestMs > MOST_MS && executions > seeds.length) throw new Finding(`It takes ${slowestMs} ms`, bytes)
    executions++
    if (executions % LOOK === 0 && process.memoryUsage.rss() - rss > MOST_BYTES) {
      throw new Finding(`It takes ${process.memoryUsage.rss() - rss} bytes`, bytes)
    }
  }
  return { executions, sound, seconds: (performance.now() - started) / 1000, slowestMs }
}

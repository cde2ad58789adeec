/**
 * Results kept on disk from run to run, so that a new model doesn't mean running every other codec again.
 * One line of JSON a result, appended: a run that was stopped loses at most its last line.
 */
import { createHash } from 'node:crypto'
import { appendFileSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { makeFolder } from 'cleric/internal'
import type { BenchCodec } from './codec.js'
import type { Measure } from './measure.js'

/** What one encoding came to: the bytes of its bitstream, and what a measure says of the image. */
export type Result<T> = T & { readonly bytes: number }

/** Changes when results of before would no longer be the same. */
const FORMAT = 1

/** Where results are kept, if nobody says. */
export function defaultCachePath(bench: string): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'cleric', `bench-${bench}.jsonl`)
}

export class ResultCache<T extends object> {
  readonly #path: string
  readonly #results = new Map<string, Result<T>>()

  private constructor(path: string) {
    this.#path = path
  }

  /** Reads what is there. Lines that make no sense, such as a half-written last one, are passed over. */
  static async open<T extends object>(path: string, measure: Measure<T>): Promise<ResultCache<T>> {
    await makeFolder(dirname(path))
    const cache = new ResultCache<T>(path)
    for (const line of readIfThere(path).split('\n')) {
      const entry = parseLine(line, measure)
      if (entry) cache.#results.set(...entry)
    }
    // A line that was cut off must not swallow the next one.
    appendFileSync(path, readIfThere(path).endsWith('\n') || cache.#results.size === 0 ? '' : '\n')
    return cache
  }

  get(key: string): Result<T> | undefined {
    return this.#results.get(key)
  }

  set(key: string, result: Result<T>): void {
    this.#results.set(key, result)
    appendFileSync(this.#path, `${JSON.stringify({ key, ...result })}\n`)
  }
}

/** What a result depends on: every word of the command, the versions, the setting, every pixel. */
export function cacheKey(codec: BenchCodec, setting: number, digest: string): string {
  const facts = [FORMAT, codec.id, codec.version, codec.commands, setting, digest]
  return createHash('sha256').update(JSON.stringify(facts)).digest('hex').slice(0, 32)
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}

function parseLine<T extends object>(line: string, measure: Measure<T>): [string, Result<T>] | null {
  try {
    const { key, bytes, ...rest } = JSON.parse(line)
    const result = measure.parse(rest)
    return typeof key === 'string' && typeof bytes === 'number' && result ? [key, { bytes, ...result }] : null
  } catch {
    return null
  }
}

/**
 * Results kept on disk from run to run, so that a new model doesn't mean running every other codec again.
 * One line of JSON a result, appended: a run that was stopped loses at most its last line.
 */
import { createHash } from 'node:crypto'
import { appendFileSync, mkdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { BenchCodec } from './codec.js'

/** What one encoding came to. */
export interface Result {
  readonly bytes: number
  /** dB; Infinity if the image came back unchanged. */
  readonly psnr: number
  /** 0 to 1; null if a side is shorter than 176 pixels. */
  readonly msSsim: number | null
}

/** Changes when results of before would no longer be the same. */
const FORMAT = 1

/** Where results are kept, if nobody says. */
export function defaultCachePath(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'cleric', 'bench-rd.jsonl')
}

export class ResultCache {
  readonly #path: string
  readonly #results = new Map<string, Result>()

  /** Reads what is there. Lines that make no sense, such as a half-written last one, are passed over. */
  constructor(path: string) {
    this.#path = path
    mkdirSync(dirname(path), { recursive: true })
    for (const line of readIfThere(path).split('\n')) {
      const entry = parse(line)
      if (entry) this.#results.set(...entry)
    }
    // A line that was cut off must not swallow the next one.
    appendFileSync(path, readIfThere(path).endsWith('\n') || this.#results.size === 0 ? '' : '\n')
  }

  get(key: string): Result | undefined {
    return this.#results.get(key)
  }

  set(key: string, result: Result): void {
    this.#results.set(key, result)
    const psnr = Number.isFinite(result.psnr) ? result.psnr : null
    appendFileSync(this.#path, `${JSON.stringify({ key, ...result, psnr })}\n`)
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

function parse(line: string): [string, Result] | null {
  try {
    const { key, bytes, psnr, msSsim } = JSON.parse(line)
    const isNumber = (value: unknown) => value === null || typeof value === 'number'
    if (typeof key !== 'string' || typeof bytes !== 'number' || !isNumber(psnr) || !isNumber(msSsim)) return null
    return [key, { bytes, psnr: psnr ?? Number.POSITIVE_INFINITY, msSsim }]
  } catch {
    return null
  }
}

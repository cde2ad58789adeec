/** Draws TIFFs, has them read by cleric and by another reader, and gathers what comes of it. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { TYPESCRIPT } from '../../typescript.js'
import { type DrawnTiff, drawTiff } from './draw.js'
import type { Oracle, Outcome } from './outcome.js'

export interface Result {
  readonly drawn: Omit<DrawnTiff, 'bytes' | 'sound'>
  readonly oracle: Oracle
  /** `crashed`: it ended the process. */
  readonly outcome: Outcome | { readonly kind: 'crashed'; readonly detail: string }
}

/** A process that answers a line with a line. It is started when it is first asked, and again if it has ended. */
class LineProcess {
  readonly #command: readonly [string, ...string[]]
  #child: ChildProcessByStdio<Writable, Readable, Readable> | null = null
  #lines: AsyncIterator<string> | null = null
  #complaints = ''

  constructor(command: readonly [string, ...string[]]) {
    this.#command = command
  }

  /** The answer; null if the process ended instead. */
  async ask(line: string): Promise<string | null> {
    if (!this.#child) {
      const [file, ...argv] = this.#command
      const child = spawn(file, argv, { stdio: ['pipe', 'pipe', 'pipe'] })
      // Writing to a process that has ended fails; that it has ended is told by its output.
      child.stdin.on('error', () => {})
      child.stderr.on('data', (chunk: Buffer) => {
        this.#complaints = `${this.#complaints}${chunk}`.slice(-2000)
      })
      this.#child = child
      this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    }
    this.#child.stdin.write(`${line}\n`)
    const answer = await this.#lines?.next()
    if (!answer?.done) return answer?.value ?? null
    this.#child = null
    return null
  }

  /** The end of what it has said on stderr. */
  get complaints(): string {
    return this.#complaints
  }

  async end(): Promise<void> {
    const child = this.#child
    if (!child) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.stdin.end()
    await ended
  }
}

/** @param folder for the files; each is removed when it has been read */
export async function* compareDrawn(seeds: Iterable<number>, folder: string, python: string): AsyncGenerator<Result> {
  const local = (name: string) => fileURLToPath(new URL(name, import.meta.url))
  const oracles = new LineProcess([python, local('oracle.py')])
  const readers = new LineProcess([process.execPath, TYPESCRIPT, local('compare-process.ts')])
  try {
    for (const seed of seeds) {
      const { bytes, sound, ...drawn } = await drawTiff(seed)
      const [path, soundPath] = [join(folder, `${seed}.tif`), join(folder, `${seed}-sound.tif`)]
      writeFileSync(path, bytes)
      writeFileSync(soundPath, sound)
      const answer = await oracles.ask(soundPath)
      if (answer === null) throw new Error(`${python} can't read TIFFs: ${oracles.complaints}`)
      const oracle = JSON.parse(answer) as Oracle
      const outcome = await readers.ask(JSON.stringify({ path, drawn, oracle }))
      yield {
        drawn,
        oracle,
        outcome: outcome === null ? { kind: 'crashed', detail: readers.complaints } : JSON.parse(outcome),
      }
      const images = 'images' in oracle ? oracle.images : []
      for (const file of [path, soundPath, ...images.map((image) => image.file)]) rmSync(file, { force: true })
    }
  } finally {
    await Promise.all([oracles.end(), readers.end()])
  }
}

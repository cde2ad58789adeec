/** PyTorch as a peer: `cleric_training.latency` in a process of its own, which runs when it is told to. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { ClericError } from 'cleric'
import type { Direction } from './tiles.js'

const TRAINING = fileURLToPath(new URL('../../../training', import.meta.url))
const PACKAGES = 'apt-get install python3-torch python3-torchvision python3-numpy'
/** For one line: a tile on a slow machine. */
const LIMIT_MS = 300_000
const KEPT_ERROR = 2000

type Child = ChildProcessByStdio<Writable, Readable, Readable>

export interface TorchOptions {
  readonly model: string
  readonly tile: number
  readonly threads: number
  readonly signal?: AbortSignal | undefined
}

/** Turns of one process; {@link close} ends it. */
export class Torch {
  /** With its version. */
  readonly name: string
  readonly #child: Child
  readonly #lines: AsyncIterator<string>

  private constructor(child: Child, lines: AsyncIterator<string>, name: string) {
    this.#child = child
    this.#lines = lines
    this.name = name
  }

  /** @throws ClericError ERR_PYTHON_MISSING with what to install; ERR_TOOL_FAILED */
  static async open({ model, tile, threads, signal }: TorchOptions): Promise<Torch> {
    if (!existsSync(join(TRAINING, 'cleric_training', 'latency.py'))) {
      throw new ClericError('ERR_PYTHON_MISSING', `${TRAINING} is not there: run this in a clone of cleric`)
    }
    const python = process.env.PYTHON ?? (existsSync('/usr/bin/python3') ? '/usr/bin/python3' : 'python3')
    const settings = ['--model', model, '--tile', String(tile), '--threads', String(threads)]
    const child = spawn(python, ['-m', 'cleric_training.latency', ...settings], {
      cwd: TRAINING,
      stdio: ['pipe', 'pipe', 'pipe'],
      signal,
    })
    let error = ''
    child.stderr.on('data', (text) => {
      error = `${error}${text}`.slice(-KEPT_ERROR)
    })
    child.on('error', ({ message }) => {
      error = message
    })
    // What is written to a process that has ended is noticed by the answer that doesn't come.
    child.stdin.on('error', () => {})
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    try {
      const { name } = await answer(lines)
      return new Torch(child, lines, String(name))
    } catch {
      child.kill()
      const last = error.trim().split('\n').at(-1) || 'it ended without a word'
      if (/No module named|ENOENT/.test(last)) {
        throw new ClericError(
          'ERR_PYTHON_MISSING',
          `${python}: ${last}; ${PACKAGES}, or set PYTHON to one that has them`,
        )
      }
      throw new ClericError('ERR_TOOL_FAILED', `${python} -m cleric_training.latency failed: ${last}`)
    }
  }

  /** Runs a tile; gives the seconds that PyTorch took. */
  async run(direction: Direction): Promise<number> {
    this.#child.stdin.write(`${direction}\n`)
    const { seconds } = await answer(this.#lines)
    if (typeof seconds !== 'number') throw new ClericError('ERR_TOOL_FAILED', 'PyTorch gave no time')
    return seconds
  }

  close(): void {
    this.#child.kill()
  }
}

async function answer(lines: AsyncIterator<string>): Promise<Readonly<Record<string, unknown>>> {
  let limit: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    limit = setTimeout(() => reject(new ClericError('ERR_TOOL_FAILED', 'PyTorch did not answer in time')), LIMIT_MS)
  })
  try {
    const { value, done } = await Promise.race([lines.next(), late])
    if (done) throw new ClericError('ERR_TOOL_FAILED', 'PyTorch ended')
    return JSON.parse(value) as Record<string, unknown>
  } finally {
    clearTimeout(limit)
  }
}

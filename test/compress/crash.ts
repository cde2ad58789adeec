/**
 * Kills a compression with SIGKILL at a random moment, resumes it, perhaps kills it again, and so on until the archive
 * is there; then compares it with that of a run that nothing disturbed.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { TYPESCRIPT } from '../typescript.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface CrashTest {
  readonly slide: string
  readonly output: string
  /** Options of `cleric compress`, the model among them. */
  readonly options: readonly string[]
  /** Whether it is the program as it is built, which starts in half the time. */
  readonly isBuilt?: boolean
  /** Rounds go on until so many runs were killed. */
  readonly kills: number
  /** 0 up to, not including, 1. */
  readonly random: () => number
  readonly onRound?: (round: Round) => void
}

export interface Round {
  readonly number: number
  /** When the runs of this round were killed, in milliseconds after their start. */
  readonly killedAfter: readonly number[]
  /** Tiles that the last run took over. */
  readonly resumedTiles: number
  readonly isEqual: boolean
}

/** Runs rounds; the first run of all, undisturbed, tells how long they take and what must come out. */
export async function crashTest(crash: CrashTest): Promise<Round[]> {
  const { slide, output, options, isBuilt = false, kills, random, onRound } = crash
  const program = isBuilt ? ['dist/cli/main.js'] : [TYPESCRIPT, 'src/cli/main.ts']
  const argv = [...program, 'compress', slide, '-o', output, '--json', '--quiet', ...options]
  await remove(output)
  const started = performance.now()
  await run(argv)
  const duration = performance.now() - started
  const expected = readFileSync(output)
  const results: Round[] = []
  for (let left = kills; left > 0; ) {
    const number = results.length + 1
    await remove(output)
    const killedAfter: number[] = []
    let resumedTiles = 0
    for (let isDone = false; !isDone; ) {
      const isFirst = killedAfter.length === 0
      // The first run of a round is killed, if it is not done before; then most of the others. Little happens in the
      // first fifth: Node.js starts.
      const deadline = isFirst || random() < 0.75 ? (0.2 + 0.85 * random()) * duration : null
      const result = await run(isFirst ? argv : [...argv, '--resume'], deadline)
      if (result) resumedTiles = result.resumedTiles
      else killedAfter.push(deadline as number)
      // Killed between the rename and its own end, a run has done its work.
      isDone = existsSync(output)
    }
    const round = { number, killedAfter, resumedTiles, isEqual: readFileSync(output).equals(expected) }
    results.push(round)
    onRound?.(round)
    left -= killedAfter.length
  }
  return results
}

async function remove(output: string): Promise<void> {
  for (const suffix of ['', '.partial', '.journal']) await rm(output + suffix, { force: true })
}

/** Runs Node.js; null if it was killed after `deadline` milliseconds. */
function run(argv: readonly string[], deadline: number | null = null): Promise<{ resumedTiles: number } | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, argv, {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const timer = deadline === null ? undefined : setTimeout(() => child.kill('SIGKILL'), deadline)
    let stdout = ''
    child.stdout.on('data', (text) => {
      stdout += text
    })
    child.on('error', reject)
    child.on('close', (status, signal) => {
      clearTimeout(timer)
      if (signal === 'SIGKILL') resolve(null)
      else if (status === 0) resolve(JSON.parse(stdout))
      else reject(new Error(`${argv.join(' ')} ended with status ${status}`))
    })
  })
}

/** Mulberry32: the same numbers from the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

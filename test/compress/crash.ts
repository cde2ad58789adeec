/**
 * Kills a compression with SIGKILL at a random moment, resumes it, perhaps kills it again, and so on until the archive
 * is there; then compares it with that of a run that nothing disturbed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { recordPosition } from '../../src/compress/journal.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface CrashTest {
  readonly slide: string
  readonly output: string
  /** Options of `cleric compress`, the model among them. */
  readonly options: readonly string[]
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

/** Runs rounds of the program as it is built; the first run of all, undisturbed, tells how long they take and what must come out. */
export async function crashTest(crash: CrashTest): Promise<Round[]> {
  const { slide, output, options, kills, random, onRound } = crash
  const argv = ['dist/cli/main.js', 'compress', slide, '-o', output, '--json', '--quiet', ...options]
  await remove(output)
  const started = performance.now()
  const { tiles } = (await run(argv)) as Ended
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
      // The first run of a round is killed, if it is not done before; then most of the others: half of them at any time,
      // where little happens in the first fifth, as Node.js starts; half when so much is done, as on a busy machine time
      // says little of that.
      const journal = `${output}.journal`
      const moments: readonly Moment[] = [
        { after: (0.2 + 0.85 * random()) * duration, journal, records: 0 },
        { after: (random() * duration) / tiles, journal, records: Math.floor(random() * (tiles + 1)) },
      ]
      const moment = moments[random() < 0.5 ? 0 : 1] as Moment
      const began = performance.now()
      const result = await run(isFirst ? argv : [...argv, '--resume'], isFirst || random() < 0.75 ? moment : null)
      if (result) resumedTiles = result.resumedTiles
      else killedAfter.push(performance.now() - began)
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

interface Ended {
  readonly tiles: number
  readonly resumedTiles: number
}

/** When a run is killed: so many milliseconds after its journal has so many records, or after its start. */
interface Moment {
  readonly after: number
  readonly journal: string
  readonly records: number
}

/** Runs Node.js; null if it was killed. */
async function run(argv: readonly string[], moment: Moment | null = null): Promise<Ended | null> {
  const child = spawn(process.execPath, argv, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
  let stdout = ''
  child.stdout.on('data', (text) => {
    stdout += text
  })
  const ended = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>
  if (moment) await killAt(child, moment)
  const [status, signal] = await ended
  if (signal === 'SIGKILL') return null
  if (status === 0) return JSON.parse(stdout)
  throw new Error(`${argv.join(' ')} ended with status ${status}`)
}

async function killAt(child: ChildProcess, { after, journal, records }: Moment): Promise<void> {
  const size = recordPosition(records)
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null
  while (records > 0 && !hasEnded() && (statSync(journal, { throwIfNoEntry: false })?.size ?? 0) < size) await sleep(2)
  const timer = setTimeout(() => child.kill('SIGKILL'), after)
  child.once('exit', () => clearTimeout(timer))
}

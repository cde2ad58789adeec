/** The command line in a process of its own, under limits that a shell can set. */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface Ended {
  /** Exit status; null if a signal ended it. */
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Surroundings {
  /** What the shell does first, e.g. "ulimit -v 2000000". */
  readonly limit?: string
  readonly env?: Readonly<Record<string, string>>
  /** Called with the process once it runs. */
  readonly onStart?: (child: ChildProcess) => void
}

/** The model of the tests, on the processor. */
export const MODEL = ['--model', 'test/fixtures/nano.safetensors', '--device', 'cpu'] as const

/**
 * Runs `cleric ARGV`: the program as it is built, as the loader of TypeScript takes half a second to start and fails without
 * a word where memory is short.
 */
export function cleric(argv: readonly string[], { limit = ':', env = {}, onStart }: Surroundings = {}): Promise<Ended> {
  const command = [process.execPath, 'dist/cli/main.js', ...argv]
  const child = spawn('bash', ['-c', `${limit} && exec "$@"`, 'bash', ...command], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (text) => {
    stdout += text
  })
  child.stderr.on('data', (text) => {
    stderr += text
  })
  onStart?.(child)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => resolve({ status, signal, stdout, stderr }))
  })
}

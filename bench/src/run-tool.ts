/** Runs command-line codecs: no shell, files in a folder of the run's own, a limit on time. */
import { spawn } from 'node:child_process'
import { ClericError } from 'cleric'
import { throwIfAborted } from 'cleric/internal'

const LIMIT_MS = 300_000
const KEEP_OUTPUT = 16_384

export interface ToolResult {
  readonly status: number | null
  /** What it printed on both streams; the first 16 KB. */
  readonly output: string
}

/**
 * Runs a program; null if there is none of that name on the PATH. One that fails is a result, not an error.
 *
 * @throws AbortedError
 */
export async function tryTool(
  argv: readonly string[],
  signal?: AbortSignal,
  limitMs = LIMIT_MS,
): Promise<ToolResult | null> {
  throwIfAborted(signal)
  const [program, ...rest] = argv as [string, ...string[]]
  const result = await new Promise<ToolResult | null>((resolve, reject) => {
    const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] })
    const stop = () => child.kill('SIGKILL')
    signal?.addEventListener('abort', stop)
    // Not spawn's own timeout: that one goes on, and keeps the process, if the program isn't there.
    const limit = setTimeout(stop, limitMs)
    const done = () => {
      signal?.removeEventListener('abort', stop)
      clearTimeout(limit)
    }
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        if (output.length < KEEP_OUTPUT) output += chunk.toString('latin1')
      })
    }
    child.on('error', (error: NodeJS.ErrnoException) => {
      done()
      if (error.code === 'ENOENT') resolve(null)
      else reject(error)
    })
    child.on('close', (status) => {
      done()
      resolve({ status, output: output.slice(0, KEEP_OUTPUT) })
    })
  })
  throwIfAborted(signal)
  return result
}

/**
 * Runs a program that has to succeed.
 *
 * @throws ClericError ERR_TOOL_FAILED; AbortedError
 */
export async function runTool(argv: readonly string[], signal?: AbortSignal, limitMs?: number): Promise<void> {
  const result = await tryTool(argv, signal, limitMs)
  if (result?.status === 0) return
  const lines = result?.output.trim().split('\n').slice(-3).join(' / ')
  throw toolFailed(argv, result === null ? 'it is not there' : `exit status ${result.status}: ${lines}`)
}

export function toolFailed(argv: readonly string[], why: string): ClericError {
  return new ClericError('ERR_TOOL_FAILED', `${argv.join(' ')} failed: ${why}`)
}

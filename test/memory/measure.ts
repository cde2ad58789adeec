/** How much memory a command takes, in a process of its own. */
import { execFile, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { CodecChoice } from '../../src/codec/arguments.js'
import { TYPESCRIPT } from '../typescript.js'

export const COMMANDS = ['compress', 'validate', 'export'] as const
export type Command = (typeof COMMANDS)[number]

export interface Run {
  readonly command: Command
  /** Pixels of the slide. */
  readonly width: number
  readonly height: number
  /** Written by `compress`, read by the others. */
  readonly archive: string
  /** Written by `export`. */
  readonly output: string
  /** The real codec that is to be held open, if any. */
  readonly codec: Pick<CodecChoice, 'model' | 'device'> | null
  /** Keeps every tile, to see whether that is noticed. */
  readonly leak: boolean
}

export interface Measurement {
  readonly seconds: number
  /** Resident when the work begins: Node.js, the program, and the codec if there is one. */
  readonly startBytes: number
  /** The most that was ever resident. */
  readonly peakBytes: number
  /** Name of the device that the real codec was open on. */
  readonly device: string | null
}

/** @throws if the command fails */
export async function measure(run: Run): Promise<Measurement> {
  const script = fileURLToPath(new URL('process.ts', import.meta.url))
  const argv = [TYPESCRIPT, script, JSON.stringify(run)]
  const { stdout } = await promisify(execFile)(process.execPath, argv)
  return JSON.parse(stdout)
}

/** Tiles that a real codec encodes and decodes. */
export interface Cycles extends CodecChoice {
  readonly cycles: number
  /** Bytes that are kept of each, to see whether that is noticed. */
  readonly leakBytes: number
}

/** Memory after so many cycles, when the garbage is collected. */
export interface CycleMemory {
  readonly cycles: number
  readonly rssBytes: number
  /** Bytes of JavaScript's heap. */
  readonly heapBytes: number
  /** Buffers, textures and query sets that were made on the GPU so far, and those that aren't destroyed. */
  readonly gpuMade: number
  readonly gpuAlive: number
}

export interface CycleMeasurement {
  readonly seconds: number
  /** Name of the device. */
  readonly device: string
  /** When the codec is closed: what was made on the GPU in all, and what of it isn't destroyed. */
  readonly gpuMade: number
  readonly gpuAlive: number
  /** After equal numbers of cycles each. */
  readonly looks: readonly CycleMemory[]
}

/**
 * V8 doubles the room for new objects, up to 16 MiB three times, whenever enough of them have lived through its
 * collections since, and halves it when little is allocated: both depend on how busy the machine is, and each is a step
 * of several megabytes that nothing is kept in. With one size what the process grows by is what it keeps.
 */
const ONE_SIZE = ['--min-semi-space-size=1', '--max-semi-space-size=1']

/**
 * @param onLook is told each look when it is taken, so that a run that is stopped has told something
 * @throws if the codec does
 */
export async function measureCycles(run: Cycles, onLook?: (look: CycleMemory) => void): Promise<CycleMeasurement> {
  const script = fileURLToPath(new URL('cycles.ts', import.meta.url))
  const argv = [...ONE_SIZE, TYPESCRIPT, script, JSON.stringify(run)]
  // glibc gives threads that meet heaps of their own; how many meet depends on what else the machine does, and each is a
  // step of some megabytes.
  const env = { ...process.env, MALLOC_ARENA_MAX: '1' }
  const child = spawn(process.execPath, argv, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<number | NodeJS.Signals | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status, signal) => resolve(signal ?? status))
  })
  const looks: CycleMemory[] = []
  let end: Omit<CycleMeasurement, 'looks'> | null = null
  for await (const line of createInterface({ input: child.stdout })) {
    const value = JSON.parse(line)
    if ('seconds' in value) end = value
    else {
      looks.push(value)
      onLook?.(value)
    }
  }
  const status = await ended
  if (status !== 0 || end === null) throw new Error(`${argv.join(' ')} ended with ${status}`)
  return { ...end, looks }
}

/**
 * By what share the memory has grown from the second quarter of the looks, when all is warm, to the last. Of each the
 * least counts: what is in use for a moment only is no leak.
 */
export function growth(looks: readonly CycleMemory[], of: 'rssBytes' | 'heapBytes'): number {
  const quarter = looks.length / 4
  const least = (from: number) => Math.min(...looks.slice(from, from + quarter).map((look) => look[of]))
  return least(3 * quarter) / least(quarter) - 1
}

/** A compression that is given too little memory, at any point: it fails and leaves nothing wrong, or it does its work. */
import { existsSync, readFileSync, rmSync } from 'node:fs'
import { cleric, type Ended, MODEL } from './cleric-process.js'

export interface MemoryFault {
  readonly kilobytes: number
  readonly ended: Ended
  /** What is wrong with what it left; null if nothing is. */
  readonly fault: string | null
}

const compress = (output: string) => [
  'compress',
  'synthetic:260x200:2',
  '-o',
  output,
  '--quiet',
  '--tile',
  '128',
  ...MODEL,
]

/** Compresses without a limit; returns the archive's bytes. */
export async function undisturbed(output: string): Promise<Buffer> {
  const { status, stderr } = await cleric(compress(output))
  if (status !== 0) throw new Error(stderr)
  return readFileSync(output)
}

/** Compresses with so much address space, then goes on without a limit if that failed. */
export async function withMemory(output: string, kilobytes: number, expected: Buffer): Promise<MemoryFault> {
  for (const name of [output, `${output}.partial`, `${output}.journal`]) rmSync(name, { force: true })
  // No core of each: those that V8 ends for want of memory are no news.
  const ended = await cleric(compress(output), { limit: `ulimit -c 0 -v ${kilobytes}` })
  const isThere = existsSync(output)
  const fault = async (): Promise<string | null> => {
    if (isThere !== (ended.status === 0))
      return `status ${ended.status}, but the archive is ${isThere ? '' : 'not '}there`
    if (ended.status === 1 && !/^cleric( compress)?: .|out of memory/im.test(ended.stderr)) {
      return `it says nothing of why it failed: ${ended.stderr}`
    }
    if (!isThere) {
      const { status, stderr } = await cleric([...compress(output), '--resume'])
      if (status !== 0) return `it can't be resumed: ${stderr}`
    }
    return readFileSync(output).equals(expected) ? null : 'another archive'
  }
  return { kilobytes, ended, fault: await fault() }
}

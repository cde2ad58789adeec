/** The inputs of a command line as paths of files: patterns, and "-" for what stdin gives. */
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { InvalidArgumentError } from 'commander'
import { isAddress } from '../files/byte-source.js'
import type { Session } from './cli.js'

/** What stands for stdin and stdout. */
export const DASH = '-'

/** An output of a command that writes none to stdout. */
export function filePath(text: string): string {
  if (text !== DASH) return text
  throw new InvalidArgumentError('Expected a file or folder: this command writes none to stdout.')
}

/** Calls `use` with a folder that is gone afterwards. */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'cleric-'))
  try {
    return await use(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * Calls `use` with the path of an input. What stdin gives is put into a file first, as slides are read from all over: no
 * more of it is in memory than a piece.
 */
export async function withInput<T>(session: Session, input: string, use: (path: string) => Promise<T>): Promise<T> {
  if (input !== DASH) return use(input)
  return withFolder(async (folder) => {
    const path = join(folder, 'stdin')
    await pipeline(session.stdin, createWriteStream(path), { signal: session.signal })
    if ((await stat(path)).size === 0) throw new InvalidArgumentError('Expected a file on stdin but received nothing.')
    return use(path)
  })
}

/**
 * Inputs with the files that patterns among them match in their places, sorted. What is there by that very name is no
 * pattern; what a pattern matches isn't repeated. Shells do the same, unless the pattern is quoted, or matches more than
 * a command line holds.
 *
 * @throws InvalidArgumentError for a pattern that no file matches
 * @example
 * await expandPatterns(['scans/*.svs', 'x.png']) // ['scans/a.svs', 'scans/b.svs', 'x.png']
 */
export async function expandPatterns(inputs: readonly string[]): Promise<string[]> {
  const { glob, isDynamicPattern } = await import('tinyglobby')
  const paths: string[] = []
  for (const input of inputs) {
    const isName = input === DASH || input.startsWith('synthetic:') || isAddress(input)
    if (isName || !isDynamicPattern(input) || (await exists(input))) paths.push(input)
    else {
      const found = await glob(input, { expandDirectories: false })
      if (found.length === 0) throw new InvalidArgumentError(`No file matches ${input}.`)
      const known = new Set(paths)
      paths.push(...found.sort().filter((path) => !known.has(path)))
    }
  }
  return paths
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

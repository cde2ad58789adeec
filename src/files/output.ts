/**
 * Whether a file may be written at a path, found out before any work is done for it. None of the names that are written
 * on the way may lead, links included, to a file that is read for it.
 */
import { accessSync, type BigIntStats, constants, lstatSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { ClericError } from '../errors.js'
import { pathOf } from './local-file.js'

export interface Output {
  /** Every name that is written, that of the output first. */
  readonly names: readonly [output: string, ...beside: string[]]
  /** Paths, or URLs of files, that are read for it. One that names no file, such as the description of a drawn slide, matches nothing. */
  readonly reads: readonly (string | undefined)[]
  readonly overwrite: boolean
}

/**
 * @throws ClericError ERR_FILE_EXISTS if the output is there already, or one of the names leads to a file that is read;
 * ERR_NOT_WRITABLE for a folder, a device and the like, or where no file can be made
 */
export function checkOutput({ names, reads, overwrite }: Output): void {
  const [output] = names
  refuseReading({ names, reads })
  for (const name of names) refuseIrregular(name, output)
  refuseExisting(output, overwrite)
  mustBeWritable(output)
}

/** @throws ClericError ERR_NOT_WRITABLE where nothing of that name can be made */
export function mustBeWritable(output: string): void {
  const folder = dirname(output)
  try {
    if (!statSync(folder).isDirectory()) throw new Error(`${folder} is no folder`)
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw notWritable(output, (cause as Error).message, cause)
  }
}

/**
 * The part of {@link checkOutput} that holds for files too that are added to, or may be made in a folder that isn't
 * there yet.
 *
 * @throws ClericError ERR_FILE_EXISTS if one of the names leads to a file that is read
 */
export function refuseReading({ names, reads }: Pick<Output, 'names' | 'reads'>): void {
  const [output] = names
  for (const name of names) {
    const there = statOf(name, output)
    for (const read of reads) {
      if (there && read !== undefined && isSame(there, read)) throw isRead(name, output, read)
    }
  }
}

/**
 * Only a file may be replaced: a device, pipe or socket would be gone, and of a link that leads nowhere nobody knows where
 * it was to lead.
 *
 * @throws ClericError ERR_NOT_WRITABLE
 */
export function refuseIrregular(name: string, output: string): void {
  const there = statOf(name, output)
  if (there && !there.isFile()) {
    throw notWritable(output, `${name} is ${there.isDirectory() ? 'a folder' : 'no file'}`)
  }
  if (!there && isEntry(name)) throw notWritable(output, `${name} is a link that leads nowhere`)
}

/** Whether a folder has an entry of that name, wherever it may lead. */
function isEntry(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined
}

/** @throws ClericError ERR_FILE_EXISTS */
export function refuseExisting(path: string, overwrite: boolean): void {
  if (!overwrite && isEntry(path)) {
    throw new ClericError(
      'ERR_FILE_EXISTS',
      `${path} exists already; choose another name, or overwrite it (--overwrite)`,
    )
  }
}

/** The file that a name leads to, through links; null if nothing is there. */
function statOf(name: string, output: string): BigIntStats | null {
  try {
    return statSync(name, { bigint: true, throwIfNoEntry: false }) ?? null
  } catch (cause) {
    throw notWritable(output, (cause as Error).message, cause)
  }
}

function isSame(there: BigIntStats, read: string): boolean {
  try {
    const other = statSync(pathOf(read), { bigint: true, throwIfNoEntry: false })
    return other?.dev === there.dev && other.ino === there.ino
  } catch {
    // Opening it will say why it can't be read.
    return false
  }
}

function isRead(name: string, output: string, read: string): ClericError {
  const what = name === output ? name : `${name}, which is written on the way to ${output},`
  const which = name === read ? 'is the file to read' : `is ${read}, the file to read`
  return new ClericError('ERR_FILE_EXISTS', `${what} ${which}; choose another name`)
}

/** An error for what can't be written, and why. */
export function notWritable(output: string, why: string, cause?: unknown): ClericError {
  return new ClericError('ERR_NOT_WRITABLE', `${output} can't be written: ${why}`, { cause })
}

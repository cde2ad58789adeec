/** Telling one state of a file from another: what was read of one doesn't belong together with what is read of the other. */
import type { BigIntStats } from 'node:fs'
import { ClericError } from '../errors.js'

/** Changes when a file does, or another takes its name: size, time of change, inode. */
export function versionOf({ size, mtimeNs, ino }: BigIntStats): string {
  return [size, mtimeNs, ino].map((number) => number.toString(36)).join('-')
}

/** What a reader says that finds another state than when it was opened. */
export function changed(name: string, cause?: unknown): ClericError {
  return new ClericError('ERR_FILE_CHANGED', `${name} has changed since it was opened; open it anew`, { cause })
}

/** Versions of a file: bytes that were read of one version don't belong together with those of another. */
import type { BigIntStats } from 'node:fs'
import { ClericError } from '../errors.js'

/** Changes when a file does, or another takes its name: size, time of change, inode. */
export function versionOf({ size, mtimeNs, ino }: BigIntStats): string {
  return [size, mtimeNs, ino].map((number) => number.toString(36)).join('-')
}

/** The error of a reader whose file has changed since it was opened. */
export function changed(name: string, cause?: unknown): ClericError {
  return new ClericError('ERR_FILE_CHANGED', `${name} has changed since it was opened; open it anew`, { cause })
}

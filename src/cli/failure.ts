/** How a command that failed says so: one line on stderr, an object on stdout with --json, and the exit status. */
import { CommanderError } from 'commander'
import { isArgumentError } from '../arguments.js'
import { ClericError } from '../errors.js'

/** An error with a hint that only the command can give. */
export class WithHint extends Error {
  readonly hint: string

  constructor(cause: unknown, hint: string) {
    super(hint, { cause })
    this.hint = hint
  }
}

export interface Failure {
  /** 1: the command failed. 2: it was used wrongly. */
  readonly status: 1 | 2
  /** As cleric's errors have it, or the operating system's: ENOENT and the like. */
  readonly code: string
  /** What, where, and what to do. */
  readonly message: string
  /** The stack of an error that isn't cleric's own: a bug, about which it says more than a line does. */
  readonly stack?: string | undefined
}

/** What the user can do about an error, by its code. */
const HINTS: Partial<Record<string, string>> = {
  ERR_MODEL_MISMATCH: '; give it with --model FILE',
  ERR_NOT_WRITABLE: '; choose another place',
  EACCES: '; check who may read and write there',
  ERR_DISK_FULL: '; make room on that disk',
  ENOSPC: '; make room on that disk',
}

export function failureOf(error: unknown): Failure {
  if (error instanceof WithHint) {
    const failure = failureOf(error.cause)
    return { ...failure, message: `${failure.message}${error.hint}` }
  }
  if (error instanceof CommanderError) {
    return { status: 2, code: 'ERR_INVALID_ARGUMENT', message: error.message.replace(/^error: /, '') }
  }
  if (isArgumentError(error)) return { status: 2, code: 'ERR_INVALID_ARGUMENT', message: error.message }
  const code = (error as { code?: unknown } | null)?.code
  if (!(error instanceof Error) || !(error instanceof ClericError || typeof code === 'string')) {
    const { message = String(error), stack } = error instanceof Error ? error : {}
    return { status: 1, code: 'ERR_INTERNAL', message, stack }
  }
  const message = code === 'ERR_ABORTED' ? 'Stopped. No half-written file has the name of the output' : error.message
  return { status: 1, code: String(code), message: `${message}${HINTS[String(code)] ?? ''}` }
}

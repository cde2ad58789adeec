/**
 * Checks of arguments at the public edge, and the one sentence they fail with:
 * "Expected WHAT for NAME but received VALUE of type T".
 *
 * A value of the wrong type throws a TypeError, one of the right type outside
 * its range a RangeError, both with the code ERR_INVALID_ARGUMENT, which tells them
 * from those of the language. Nothing behind the public edge checks again.
 */
import { nearest } from './nearest-name.js'

const CODE = 'ERR_INVALID_ARGUMENT'

class ArgumentTypeError extends TypeError {
  readonly code = CODE
}

class ArgumentRangeError extends RangeError {
  readonly code = CODE
}

/** Whether an error says that an argument was wrong, as opposed to that something failed later. */
export function isArgumentError(error: unknown): error is TypeError | RangeError {
  return error instanceof ArgumentTypeError || error instanceof ArgumentRangeError
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)
  if (value === null || value === undefined) return String(value)
  if (ArrayBuffer.isView(value) || Array.isArray(value)) return `length ${(value as { length?: number }).length ?? 0}`
  if (typeof value === 'object') return Object.prototype.toString.call(value)
  // A function's text may have many lines.
  return String(value).replace(/\s+/g, ' ').slice(0, 60)
}

function typeName(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'object') return value.constructor?.name ?? 'object'
  return typeof value
}

/** The sentence about a bad argument. Code behind the public edge throws it as a plain TypeError or RangeError. */
export function sentence(what: string, name: string, value: unknown): string {
  return `Expected ${what} for ${name} but received ${show(value)} of type ${typeName(value)}`
}

/** A TypeError with that sentence. */
export function wrongType(what: string, name: string, value: unknown): TypeError {
  return new ArgumentTypeError(sentence(what, name, value))
}

/** A RangeError with that sentence. */
export function outOfRange(what: string, name: string, value: unknown): RangeError {
  return new ArgumentRangeError(sentence(what, name, value))
}

/** A finite number in [min, max]. */
export function checkNumber(value: unknown, name: string, min: number, max: number): number {
  const what = `a number from ${min} to ${max}`
  if (typeof value !== 'number' || Number.isNaN(value)) throw wrongType(what, name, value)
  if (value < min || value > max) throw outOfRange(what, name, value)
  return value
}

/** A number above 0, up to `max`. */
export function checkPositive(value: unknown, name: string, max: number): number {
  const what = `a number above 0, up to ${max}`
  if (typeof value !== 'number' || Number.isNaN(value)) throw wrongType(what, name, value)
  if (value <= 0 || value > max) throw outOfRange(what, name, value)
  return value
}

/** An integer in [min, max]. */
export function checkInteger(value: unknown, name: string, min: number, max: number): number {
  const what = `an integer from ${min} to ${max}`
  if (typeof value !== 'number' || Number.isNaN(value)) throw wrongType(what, name, value)
  if (!Number.isInteger(value) || value < min || value > max) throw outOfRange(what, name, value)
  return value
}

/** A non-empty string. */
export function checkString(value: unknown, name: string): string {
  if (typeof value !== 'string') throw wrongType('a non-empty string', name, value)
  if (value.length === 0) throw outOfRange('a non-empty string', name, value)
  return value
}

/** One of a fixed set of strings. */
export function checkOneOf<T extends string>(value: unknown, name: string, choices: readonly T[]): T {
  const what = `one of ${choices.join(', ')}`
  if (typeof value !== 'string') throw wrongType(what, name, value)
  if (!(choices as readonly string[]).includes(value)) throw outOfRange(what, name, value)
  return value as T
}

/** undefined, or a boolean. A "no" that counts as true would keep what was to be left out. */
export function checkFlag(value: unknown, name: string): boolean | undefined {
  if (value !== undefined && typeof value !== 'boolean') throw wrongType('true or false', name, value)
  return value
}

/** undefined, or a function. */
export function checkCallback(value: unknown, name: string): void {
  if (value !== undefined && typeof value !== 'function') throw wrongType('a function', name, value)
}

/** Refuses a value of an option by throwing; it is never given undefined, which counts as absent. */
export type Check = (value: unknown, name: string, options: Readonly<Record<string, unknown>>) => unknown

/** How each option of T is checked; the compiler sees to it that none is left out. */
export type OptionChecks<T> = { readonly [Name in keyof Required<T>]: Check }

/**
 * Checks options: a plain object that has only known options, each of them valid. A misspelt one must not count as
 * absent, or a caller who asks for no label would get one.
 *
 * @example
 * const OPTIONS: OptionChecks<ValidateOptions> = { signal: checkSignal, onProgress: checkCallback }
 * checkOptions(options, OPTIONS)
 */
export function checkOptions<T extends object>(options: T, checks: OptionChecks<NoInfer<T>>): T {
  if (!isPlainObject(options)) throw wrongType('an object', 'options', options)
  const known = Object.keys(checks)
  for (const key of Object.keys(options)) {
    if (Object.hasOwn(checks, key)) continue
    const meant = nearest(key, known)
    const hint = meant === null ? '' : `; did you mean ${JSON.stringify(meant)}?`
    throw new ArgumentTypeError(`Expected one of the options ${known.join(', ')} but received ${show(key)}${hint}`)
  }
  for (const key of known as (keyof T & string)[]) {
    if (options[key] !== undefined) checks[key](options[key], key, options as Record<string, unknown>)
  }
  return options
}

/**
 * Whether it is made by `{}` or without a prototype, in whatever realm; not a list, nor an AbortSignal in place of
 * options.
 */
function isPlainObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** Bytes: a Uint8Array (Buffer included). */
export function checkBytes(value: unknown, name: string): Uint8Array {
  if (!(value instanceof Uint8Array)) throw wrongType('a Uint8Array', name, value)
  return value
}

/** undefined, or an AbortSignal. */
export function checkSignal(value: unknown, name = 'signal'): AbortSignal | undefined {
  if (value === undefined) return undefined
  if (!(value instanceof AbortSignal)) throw wrongType('an AbortSignal', name, value)
  return value
}

/** Formats numbers for people, and parses those of a command line. */
import { InvalidArgumentError } from 'commander'
import { oneLine } from './printable.js'

/** 1536 -> "1.5 KB". Powers of 1000, as disks and file managers count. */
export function byteSize(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let unit = 0
  let value = bytes
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`
}

/** (1, "tile") -> "1 tile", (12, "tile") -> "12 tiles". */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${count} ${count === 1 ? one : several}`
}

/** 75 -> "1 min 15 s". */
export function duration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 59.5) return `${Math.round(seconds)} s`
  const minutes = Math.floor(Math.round(seconds) / 60)
  if (minutes < 60) return `${minutes} min ${Math.round(seconds) % 60} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** How the size of one thing relates to another's: (4, "the source") -> "4.00 times smaller than the source". */
export function timesSmaller(ratio: number, than: string): string {
  return ratio >= 1
    ? `${ratio.toFixed(2)} times smaller than ${than}`
    : `${(1 / ratio).toFixed(2)} times larger than ${than}`
}

/**
 * The text after a size: bits a pixel, and how much smaller it is than raw pixels and than the source (null if
 * unknown).
 */
export function rateText(bpp: number, ratioToSource: number | null): string {
  const parts = [`${bpp.toFixed(3)} bpp`, timesSmaller(24 / bpp, '24-bit RGB')]
  if (ratioToSource !== null) parts.push(timesSmaller(ratioToSource, 'the source file'))
  return parts.join(', ')
}

export function decibels(value: number): string {
  return Number.isFinite(value) ? `${value.toFixed(2)} dB` : 'equal'
}

/** Rows of cells as aligned columns, numbers to the right. Cells may be texts from files: each stays in its line. */
export function table(cells: readonly (readonly string[])[]): string {
  const rows = cells.map((row) => row.map(oneLine))
  const widths: number[] = []
  for (const row of rows) {
    for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length)
  }
  const pad = (cell: string, i: number) =>
    /^[\d.-]/.test(cell) ? cell.padStart(widths[i] as number) : cell.padEnd(widths[i] as number)
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n')
}

/** Parses an option's value as a number in a range. */
export function numberFrom(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !(value >= min && value <= max)) {
      throw new InvalidArgumentError(`Expected a number from ${min} to ${max}.`)
    }
    return value
  }
}

/** Parses an option's value as a number above 0, up to `max`. */
export function positiveNumber(max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !(value > 0 && value <= max)) {
      throw new InvalidArgumentError(`Expected a number above 0, up to ${max}.`)
    }
    return value
  }
}

const UNITS: Record<string, number> = { b: 1, kb: 1e3, mb: 1e6, gb: 1e9, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30 }

/** Parses an option's value as a number of bytes: "0", "512MiB", "1.5 GB". */
export function byteCount(text: string): number {
  const [, number, unit = 'b'] = /^(\d{1,15}(?:\.\d{1,9})?)\s*([kmg]?i?b)?$/i.exec(text.trim()) ?? []
  const bytes = Math.round(Number(number) * (UNITS[unit.toLowerCase()] ?? Number.NaN))
  if (!Number.isSafeInteger(bytes)) throw new InvalidArgumentError('Expected a size such as 512MiB, 2GB or 0.')
  return bytes
}

/** Parses an option's value as an integer in a range. */
export function integerFrom(min: number, max: number): (text: string) => number {
  return (text) => {
    if (!/^-?\d+$/.test(text) || Number(text) < min || Number(text) > max) {
      throw new InvalidArgumentError(`Expected an integer from ${min} to ${max}.`)
    }
    return Number(text)
  }
}

/** Parses an option's value as one of some words, which it has as `choices`, for the help of shells. */
export function oneOf<T extends string>(
  choices: readonly T[],
): ((text: string) => T) & { readonly choices: readonly T[] } {
  const parse = (text: string) => {
    const choice = choices.find((candidate) => candidate === text)
    if (choice === undefined) throw new InvalidArgumentError(`Expected one of ${choices.join(', ')}.`)
    return choice
  }
  return Object.assign(parse, { choices })
}

/** "all", or level numbers separated by commas. */
export function levelList(text: string): 'all' | number[] {
  if (text === 'all') return 'all'
  if (!/^\d+(,\d+)*$/.test(text)) throw new InvalidArgumentError('Expected "all" or level numbers such as 0,2.')
  return text.split(',').map(Number)
}

/** Ranges that bring values of more than 8 bits, signed ones and floating-point ones into 8 bits. */
import { outOfRange, wrongType } from '../arguments.js'

/** `min` becomes 0 and `max` 255. */
export interface Range {
  readonly min: number
  readonly max: number
}

/** `auto`: from the values of the finest level that 0.1 % are below to the one that 0.1 % are above. */
export type RangeChoice = readonly [min: number, max: number] | 'auto'

export const WHAT_RANGES_ARE = '"auto" or two numbers, [min, max], the first the lesser,'

export function checkRange(value: unknown, name: string): void {
  if (value === 'auto') return
  if (!Array.isArray(value)) throw wrongType(WHAT_RANGES_ARE, name, value)
  const [min, max] = value
  const isRange = value.length === 2 && Number.isFinite(min) && Number.isFinite(max) && min < max
  if (!isRange) throw outOfRange(WHAT_RANGES_ARE, name, JSON.stringify(value))
}

/** Samples that are looked at for `auto`. */
export const MOST_LOOKED_AT = 2 ** 20
const SHARE = 0.001

/** The range of `auto` for a sample of the values. Values that aren't finite don't count. */
export function rangeOf(values: readonly ArrayLike<number>[]): Range {
  const all = Float64Array.from(values.flatMap((each) => Array.from(each).filter(Number.isFinite))).sort()
  if (all.length === 0) return { min: 0, max: 1 }
  const at = Math.floor(SHARE * (all.length - 1))
  const [min, max] = [all[at] as number, all[all.length - 1 - at] as number]
  return { min, max: max > min ? max : min + 1 }
}

/**
 * How far towards zero an encoder rounds the latent, from the tables that code it.
 *
 * A symbol should be coded only if it is worth its bits, as RDOQ has it in HEVC. Let v = y - mean. The symbol 1 instead
 * of 0 takes g = log2(f(0) / f(1)) bits more, f being the frequencies of the table, and lowers the squared error by
 * v^2 - (1 - v)^2 = 2 v - 1. With a unit of squared error worth K bits, 1 is the better one from v = 1/2 + g / (2 K)
 * on.
 *
 * K: a fine quantiser of step s has the error D = s^2 / 12 and the rate const - log2 s; where it minimises rate +
 * lambda D, lambda = -dR/dD = 6 / (s^2 ln 2), which is 6 / ln 2 = 8.7 bits for a unit of D counted in steps. Symbols
 * are also what others are predicted from, so that errors cost more: 14 was the best over all rates, measured on
 * held-out crops, where the dead zone saves 6 % at the lowest quality and 1 % at the highest: of the bits, in rate +
 * lambda D.
 */
import type { CdfTables } from '../entropy/rans.js'

/** Bits that a unit of squared error is worth, in steps of the latent. */
const BITS_PER_ERROR = 14
/** Range of a dead zone's half-width; the lower end is plain rounding. */
const [LEAST, MOST] = [0.5, 1.25]

/**
 * For each table the |y - mean| from which on a symbol is 1, or n + 1 as soon as |y - mean| - n reaches it: 0.5 to
 * 1.25. Tables that are not sound, which the coder refuses, give any such numbers.
 *
 * @example
 * deadZones(model.yTables)[0] // 1.07: of the least scale, under which 1 costs 16 bits more than 0
 */
export function deadZones(tables: CdfTables): Float32Array {
  return Float32Array.from(tables.offset, (_, table) => {
    const one = (frequency(tables, table, 1) + frequency(tables, table, -1)) / 2
    const zone = 0.5 + Math.log2(frequency(tables, table, 0) / one) / (2 * BITS_PER_ERROR)
    return Number.isNaN(zone) ? LEAST : Math.min(MOST, Math.max(LEAST, zone))
  })
}

/**
 * 2^(16 - bits) of a value: the frequency of its symbol, or of the escape, less the bits that follow on it
 * (`native/entropy/rans.h`).
 */
function frequency({ values, offset, size, min }: CdfTables, table: number, value: number): number {
  const [first, start, last] = [offset[table] as number, min[table] as number, (size[table] as number) - 1]
  const of = (symbol: number) => (values[first + symbol + 1] as number) - (values[first + symbol] as number)
  if (value >= start && value < start + last) return of(value - start)
  const beyond = value < start ? start - 1 - value : value - (start + last)
  return of(last) / 2 ** (2 + 2 * Math.floor(Math.log2(beyond + 1)))
}

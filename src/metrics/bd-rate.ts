/**
 * Bjontegaard delta rate: how many percent more (or, negative, fewer) bits a codec needs than an anchor for the same
 * quality, averaged over the qualities that both reach. G. Bjontegaard, "Calculation of average PSNR differences
 * between RD-curves", VCEG-M33 (2001).
 *
 * The logarithm of the rate is interpolated over quality by a piecewise cubic: PCHIP, as JCT-VC's and JVET's common
 * test conditions do, or Akima's, which Herglotz et al., "Beyond Bjontegaard" (2022), found to be closest to curves
 * measured densely. The single cubic of VCEG-M33 itself is not offered: between sparse points it may leave the curve.
 */
import { checkOneOf, outOfRange, wrongType } from '../arguments.js'

export interface RatePoint {
  /** Bits per pixel, bytes, kbit/s ...: any unit, above 0. */
  readonly rate: number
  /** PSNR in dB, or another measure that grows with quality. */
  readonly quality: number
}

export const INTERPOLATIONS = ['pchip', 'akima'] as const
export type Interpolation = (typeof INTERPOLATIONS)[number]

export interface BdRate {
  /** Percent; negative: fewer bits than the anchor. */
  readonly percent: number
  /** Range of quality that both curves cover, over which the average is taken. */
  readonly low: number
  readonly high: number
}

/**
 * @param anchor at least two points, in any order, of rising rate and strictly rising quality (see {@link efficient})
 * @param test as `anchor`; the number of points may differ
 * @returns null if the curves have no range of quality in common
 * @throws TypeError, RangeError
 * @example
 * bdRate(jpeg, cleric, 'pchip')?.percent // -50: half of JPEG's bits
 */
export function bdRate(
  anchor: readonly RatePoint[],
  test: readonly RatePoint[],
  method: Interpolation = 'pchip',
): BdRate | null {
  checkOneOf(method, 'method', INTERPOLATIONS)
  const [a, b] = [curve(anchor, 'the anchor', method), curve(test, 'the test', method)]
  const low = Math.max(a.x[0] as number, b.x[0] as number)
  const high = Math.min(a.x.at(-1) as number, b.x.at(-1) as number)
  if (!(low < high)) return null
  const difference = (integral(b, low, high) - integral(a, low, high)) / (high - low)
  return { percent: 100 * Math.expm1(difference), low, high }
}

/**
 * The points of a measured curve that {@link bdRate} can take: those of finite quality that are better than all cheaper
 * ones. A codec that pays more for less at some setting would not be run at it.
 *
 * @returns in order of rate
 */
export function efficient(points: readonly RatePoint[]): RatePoint[] {
  const kept: RatePoint[] = []
  for (const point of [...points].sort((p, q) => p.rate - q.rate || q.quality - p.quality)) {
    const best = kept.at(-1)
    if (Number.isFinite(point.quality) && (best === undefined || point.quality > best.quality)) kept.push(point)
  }
  return kept
}

/** A piecewise cubic: values and slopes at knots. */
interface Hermite {
  readonly x: readonly number[]
  readonly y: readonly number[]
  readonly slopes: readonly number[]
}

function curve(points: readonly RatePoint[], name: string, method: Interpolation): Hermite {
  if (!Array.isArray(points)) throw wrongType('an array of { rate, quality }', name, points)
  if (points.length < 2) throw outOfRange('at least two points', name, points)
  for (const { rate, quality } of points) {
    if (!(rate > 0 && Number.isFinite(rate))) throw outOfRange('rates above 0', name, rate)
    if (!Number.isFinite(quality)) throw outOfRange('finite qualities', name, quality)
  }
  const sorted = [...points].sort((p, q) => p.rate - q.rate)
  const x = sorted.map(({ quality }) => quality)
  const bad = x.find((quality, i) => i > 0 && quality <= (x[i - 1] as number))
  if (bad !== undefined) throw outOfRange('qualities that rise with the rate', name, bad)
  const y = sorted.map(({ rate }) => Math.log(rate))
  return { x, y, slopes: method === 'pchip' ? pchipSlopes(x, y) : akimaSlopes(x, y) }
}

function secants(x: readonly number[], y: readonly number[]): number[] {
  return x.slice(1).map((_, i) => ((y[i + 1] as number) - (y[i] as number)) / ((x[i + 1] as number) - (x[i] as number)))
}

/** Fritsch and Butland, "A method for constructing local monotone piecewise cubic interpolants" (1984). */
function pchipSlopes(x: readonly number[], y: readonly number[]): number[] {
  const m = secants(x, y)
  if (m.length === 1) return [m[0] as number, m[0] as number]
  const h = x.slice(1).map((value, i) => value - (x[i] as number))
  const last = m.length - 1
  return x.map((_, i) => {
    if (i === 0) return endSlope(h[0] as number, h[1] as number, m[0] as number, m[1] as number)
    if (i > last) return endSlope(h[last] as number, h[last - 1] as number, m[last] as number, m[last - 1] as number)
    const [before, after] = [m[i - 1] as number, m[i] as number]
    if (before * after <= 0) return 0
    const [left, right] = [h[i - 1] as number, h[i] as number]
    const [w1, w2] = [2 * right + left, right + 2 * left]
    return (w1 + w2) / (w1 / before + w2 / after)
  })
}

/**
 * Three-point difference at an end, kept from changing sign or overshooting (Moler, "Numerical Computing with MATLAB").
 */
function endSlope(h0: number, h1: number, m0: number, m1: number): number {
  const slope = ((2 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
  if (Math.sign(slope) !== Math.sign(m0)) return 0
  if (Math.sign(m0) !== Math.sign(m1) && Math.abs(slope) > 3 * Math.abs(m0)) return 3 * m0
  return slope
}

/** Akima, "A new method of interpolation and smooth curve fitting based on local procedures" (1970). */
function akimaSlopes(x: readonly number[], y: readonly number[]): number[] {
  const inner = secants(x, y)
  if (inner.length === 1) return [inner[0] as number, inner[0] as number]
  const [first, second] = inner as [number, number]
  const [beforeLast, last] = inner.slice(-2) as [number, number]
  const m = [3 * first - 2 * second, 2 * first - second, ...inner, 2 * last - beforeLast, 3 * last - 2 * beforeLast]
  const turns = m.slice(1).map((value, i) => Math.abs(value - (m[i] as number)))
  const negligible = 1e-9 * Math.max(...turns)
  return x.map((_, i) => {
    const [left, right] = [turns[i] as number, turns[i + 2] as number]
    const [before, after] = [m[i + 1] as number, m[i + 2] as number]
    return left + right > negligible ? (right * before + left * after) / (left + right) : (before + after) / 2
  })
}

/** Exact: Simpson's rule is, for cubics. */
function integral(f: Hermite, low: number, high: number): number {
  let sum = 0
  for (let i = 0; i + 1 < f.x.length; i++) {
    const from = Math.max(low, f.x[i] as number)
    const to = Math.min(high, f.x[i + 1] as number)
    if (from >= to) continue
    sum += ((to - from) / 6) * (at(f, i, from) + 4 * at(f, i, (from + to) / 2) + at(f, i, to))
  }
  return sum
}

function at({ x, y, slopes }: Hermite, i: number, position: number): number {
  const h = (x[i + 1] as number) - (x[i] as number)
  const t = (position - (x[i] as number)) / h
  const s = 1 - t
  return (
    s * s * (1 + 2 * t) * (y[i] as number) +
    t * t * (1 + 2 * s) * (y[i + 1] as number) +
    h * s * t * (s * (slopes[i] as number) - t * (slopes[i + 1] as number))
  )
}

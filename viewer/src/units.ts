/** Lengths and areas on a slide, in micrometres where its resolution is known, else in pixels of level 0. */
import type { Resolution } from './slide.js'

/** A point, or a step, in pixels of level 0. */
export interface Point {
  readonly x: number
  readonly y: number
}

/** One pixel of level 0 is the unit of a slide whose resolution nobody knows. */
const PIXELS: Resolution = { x: 1, y: 1 }

/** Length of a line through points, in micrometres (pixels without mpp). Pixels needn't be square. */
export function lengthOf(points: readonly Point[], mpp: Resolution | null): number {
  const { x, y } = mpp ?? PIXELS
  let length = 0
  for (let i = 1; i < points.length; i++) {
    const [from, to] = [points[i - 1] as Point, points[i] as Point]
    length += Math.hypot((to.x - from.x) * x, (to.y - from.y) * y)
  }
  return length
}

/** Area inside a closed line, in square micrometres (pixels without mpp), by the shoelace formula. */
export function areaOf(points: readonly Point[], mpp: Resolution | null): number {
  const { x, y } = mpp ?? PIXELS
  // From the first point on, as coordinates of 100,000 squared leave few digits for the differences.
  const [origin] = points
  if (!origin) return 0
  let twice = 0
  points.forEach((from, i) => {
    const to = points[(i + 1) % points.length] as Point
    twice += (from.x - origin.x) * (to.y - origin.y) - (to.x - origin.x) * (from.y - origin.y)
  })
  return (Math.abs(twice) / 2) * x * y
}

/**
 * Micrometres (pixels without mpp) that a step of one pixel of level 0 covers along the screen's horizontal, when the
 * slide is rotated clockwise by `rotation` degrees.
 */
export function unitAlongScreen(mpp: Resolution | null, rotation: number): number {
  const { x, y } = mpp ?? PIXELS
  const angle = (rotation * Math.PI) / 180
  return Math.hypot(Math.cos(angle) * x, Math.sin(angle) * y)
}

/** @example formatLength(1234, true) // '1.23 mm' */
export function formatLength(length: number, isMetric: boolean): string {
  if (!isMetric) return `${digits(length)} px`
  return length >= 1000 ? `${digits(length / 1000)} mm` : `${digits(length)} µm`
}

/** @example formatArea(2_500_000, true) // '2.5 mm²' */
export function formatArea(area: number, isMetric: boolean): string {
  if (!isMetric) return `${digits(area)} px²`
  // Below a hundredth of a square millimetre people count square micrometres.
  return area >= 10_000 ? `${digits(area / 1e6)} mm²` : `${digits(area)} µm²`
}

/** Three significant digits, or all before the point. */
function digits(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en')
  return String(Number(value.toPrecision(3)))
}

/** 1, 2 or 5 times a power of ten, the largest not above `value`. */
export function roundNumber(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  const step = [5, 2, 1].find((candidate) => candidate * power <= value) ?? 1
  return step * power
}

/** "40x", or what comes near to it by the resolution: 0.25 µm are 40x, as in QuPath. Null where nothing tells. */
export function powerOf(objectivePower: number | null, mpp: Resolution | null): number | null {
  return objectivePower ?? (mpp ? 10 / Math.sqrt(mpp.x * mpp.y) : null)
}

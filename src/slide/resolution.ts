/** Micrometres a pixel, from the tags of resolution that images have. */
import type { Resolution } from './source.js'

/** Micrometres in a ResolutionUnit of TIFF and Exif: inch, centimetre. */
const UNITS: Readonly<Record<number, number>> = { 2: 25_400, 3: 10_000 }
/**
 * Coarser pixels, of 635 a inch and fewer, are those of a screen or printer: 72, 96 or 300 dots an inch are written where
 * nobody knows, and by that a cell would be as large as a coin.
 */
const COARSEST = 40

/**
 * @param unit of the resolution: 2 inch, 3 centimetre, else not said
 * @returns null where the numbers are none of a slide
 */
export function resolutionOf(x: number | undefined, y: number | undefined, unit: number): Resolution | null {
  const length = UNITS[unit]
  if (length === undefined) return null
  return sensible({ x: length / (x ?? Number.NaN), y: length / (y ?? Number.NaN) })
}

/** Null for what no slide has. */
export function sensible({ x, y }: Resolution): Resolution | null {
  return x > 0 && y > 0 && x <= COARSEST && y <= COARSEST ? { x, y } : null
}

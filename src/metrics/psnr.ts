/** Peak signal-to-noise ratio and largest error, summed piece by piece so that a slide of any size can be compared. */
import type { Image, Size } from '../image/image.js'
import { checkSameSize } from './size.js'

/**
 * Squared errors over all pixels and the three colour channels of 8-bit images.
 * Exact: the sum of a 100,000 x 100,000 slide stays below 2^53.
 *
 * @example
 * const total = new ErrorTotals()
 * for (const [a, b] of tilePairs) total.add(a, b)
 * console.log(total.psnr, total.maxError)
 */
export class ErrorTotals {
  squared = 0
  samples = 0
  /** Largest difference of a channel value, 0 to 255. */
  maxError = 0

  /** Adds the top left `width` x `height` pixels of two images of one size (default: all). */
  add(a: Image, b: Image, width: number = a.width, height: number = a.height): void {
    checkSameSize(a, b)
    let sum = 0
    let most = this.maxError
    for (let row = 0; row < height; row++) {
      const start = row * a.width * 3
      for (let i = start; i < start + width * 3; i++) {
        const error = Math.abs((a.data[i] as number) - (b.data[i] as number))
        sum += error * error
        if (error > most) most = error
      }
    }
    this.squared += sum
    this.samples += width * height * 3
    this.maxError = most
  }

  /** Mean squared error of a sample. */
  get mse(): number {
    return this.squared / this.samples
  }

  /** dB; Infinity for equal images. */
  get psnr(): number {
    return 10 * Math.log10((255 * 255 * this.samples) / this.squared)
  }
}

/** Mean squared error of the top left `size` of two images of one size, of 8-bit values. */
export function meanSquaredError(a: Image, b: Image, { width, height }: Size): number {
  checkSameSize(a, b)
  const row = 3 * a.width
  const used = 3 * width
  let sum = 0
  // Whole rows follow each other.
  if (used === row) sum = squaredErrors(a.data, b.data, 0, row * height)
  else for (let y = 0; y < height; y++) sum += squaredErrors(a.data, b.data, y * row, y * row + used)
  return sum / (used * height)
}

/** Words whose sum fits 31 bits: 4 x 255^2 each. */
const PIECE = 4096

/**
 * The sum of squared differences of the bytes from `from` up to `to`. Four at a time where they lie as words do, which
 * takes a third of the time: each tile that is checked while it is written comes by here a few times.
 */
function squaredErrors(a: Uint8Array, b: Uint8Array, from: number, to: number): number {
  let sum = 0
  let i = from
  if ((a.byteOffset + from) % 4 === 0 && (b.byteOffset + from) % 4 === 0) {
    const words = (to - from) >> 2
    const x = new Int32Array(a.buffer, a.byteOffset + from, words)
    const y = new Int32Array(b.buffer, b.byteOffset + from, words)
    for (let first = 0; first < words; first += PIECE) {
      const end = Math.min(words, first + PIECE)
      let part = 0
      for (let w = first; w < end; w++) {
        const u = x[w] as number
        const v = y[w] as number
        const d0 = (u & 255) - (v & 255)
        const d1 = ((u >> 8) & 255) - ((v >> 8) & 255)
        const d2 = ((u >> 16) & 255) - ((v >> 16) & 255)
        const d3 = (u >>> 24) - (v >>> 24)
        part = (part + d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3) | 0
      }
      sum += part
    }
    i += 4 * words
  }
  for (; i < to; i++) {
    const difference = (a[i] as number) - (b[i] as number)
    sum += difference * difference
  }
  return sum
}

/** PSNR in dB at a mean squared error of 8-bit values; Infinity at 0. */
export function psnrAt(mse: number): number {
  return 10 * Math.log10(255 ** 2 / mse)
}

/** Mean squared error of 8-bit values at a PSNR in dB: the inverse of {@link psnrAt}. */
export function mseAt(psnr: number): number {
  return 255 ** 2 / 10 ** (psnr / 10)
}

/** PSNR in dB of two images of one size, over all three channels, for a peak of 255; Infinity if they are equal. */
export function psnr(a: Image, b: Image): number {
  checkSameSize(a, b)
  const totals = new ErrorTotals()
  totals.add(a, b)
  return totals.psnr
}

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
  const totals = new ErrorTotals()
  totals.add(a, b, width, height)
  return totals.mse
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
  const totals = new ErrorTotals()
  totals.add(a, b)
  return totals.psnr
}

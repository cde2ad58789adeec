/**
 * What a tile costs: its bits and its error on one scale, so that different ways to store it can be compared.
 */
import type { Size } from '../image/image.js'

/** Bits that a unit of squared error is worth at quality 0, and how many times more at 100. */
const [LEAST, RANGE] = [0.004, 100]

/**
 * lambda of a quality: what a unit of mean squared error (of 8-bit values) is worth, in bits a pixel. It is the lambda
 * of training (docs/network.md, "Any rate from one model"), where the model's rates minimise bits + lambda * error: so a
 * quality means the same for every way of storing a tile.
 *
 * @param quality 0 to 100
 * @example
 * lambdaAt(50) // 0.04
 */
export function lambdaAt(quality: number): number {
  return LEAST * RANGE ** (quality / 100)
}

/**
 * Bits + lambda * error of a tile: the less, the better.
 *
 * @param mse mean squared error of what is shown of the tile, of 8-bit values
 * @param shown its size
 */
export function costOf(bytes: number, mse: number, { width, height }: Size, quality: number): number {
  return 8 * bytes + lambdaAt(quality) * mse * width * height
}

/** The latents of a tile: y_hat as the synthesis gets it, a vector for every 16 x 16 pixels. */
import type { Size } from '../image/image.js'

/** Side in pixels of what one position of the latents stands for. */
export const LATENT_SIDE = 16

/** Latents y_hat, the values that g_s makes pixels of. */
export interface Latents {
  /**
   * channels x height x width, row-major: symbol + mean, an integer multiple of 1/64, times the inverse gain of the
   * quality (docs/latents.md), so that tiles of all qualities have one scale. Typically -30..30.
   */
  readonly data: Float32Array
  /** M of the model: 256 in preset "s". */
  readonly channels: number
  /** In positions of 16 x 16 pixels. */
  readonly width: number
  readonly height: number
  /**
   * height x width: 1 where the file has the latents, which are then the same to the bit on every device; 0 where they
   * had to be made from pixels, or are NaN.
   */
  readonly stored: Uint8Array
}

/** Positions that cover an image's side. */
export function latentSide(pixels: number): number {
  return Math.ceil(pixels / LATENT_SIDE)
}

/**
 * The latents of an image, of those of the padded one that a device gave.
 *
 * @param yHat before the gain, channels x paddedSize / 16
 * @param inverse gain of each channel; null for a model of one rate
 */
export function latentsOf(
  yHat: Float32Array,
  padded: Size,
  size: Size,
  inverse: Float32Array | null,
  isStored: boolean,
): Latents {
  const from = { width: latentSide(padded.width), height: latentSide(padded.height) }
  const [width, height] = [latentSide(size.width), latentSide(size.height)]
  const channels = yHat.length / (from.width * from.height)
  const data = new Float32Array(channels * height * width)
  let to = 0
  for (let channel = 0; channel < channels; channel++) {
    // A product of two float32 is exact in float64: it is rounded once, by the assignment, the same everywhere.
    const gain = inverse ? (inverse[channel] as number) : 1
    for (let row = 0; row < height; row++) {
      const at = (channel * from.height + row) * from.width
      for (let column = 0; column < width; column++) data[to++] = (yHat[at + column] as number) * gain
    }
  }
  return { data, channels, width, height, stored: new Uint8Array(height * width).fill(isStored ? 1 : 0) }
}

/** Latents that aren't there: NaN. */
export function noLatents(channels: number, size: Size): Latents {
  const [width, height] = [latentSide(size.width), latentSide(size.height)]
  const data = new Float32Array(channels * height * width).fill(Number.NaN)
  return { data, channels, width, height, stored: new Uint8Array(height * width) }
}

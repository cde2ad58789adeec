/** Pictures whose every pixel tells where it belongs, as the samples that a TIFF stores. */
import type { Chance } from './random.js'

/** Samples of an image, interleaved: integers from 0 to 2^bits - 1, or numbers from 0 to 1 if they are floats. */
export interface Samples {
  readonly width: number
  readonly height: number
  readonly channels: number
  readonly values: Float64Array
}

/**
 * Slopes and waves with a grain, different in each channel. A tile that is turned, shifted or scrambled, and channels
 * that are exchanged, give another picture.
 *
 * @param scale the largest value; the values are integers unless it is 1
 */
export function drawSamples(chance: Chance, width: number, height: number, channels: number, scale: number): Samples {
  const waves = Array.from({ length: channels }, () => ({
    x: (chance.next() - 0.5) / 20,
    y: (chance.next() - 0.5) / 20,
    phase: chance.next() * 6,
    slope: chance.next(),
  }))
  const grain = chance.pick([0, 0.02, 0.2])
  const values = new Float64Array(width * height * channels)
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (const wave of waves) {
        const smooth = 0.5 + 0.35 * Math.sin(6.28 * (wave.x * x + wave.y * y) + wave.phase)
        const slope = 0.3 * wave.slope * (x / width - y / height)
        const value = Math.min(1, Math.max(0, smooth + slope + grain * (chance.next() - 0.5)))
        values[i++] = scale === 1 ? value : Math.round(value * scale)
      }
    }
  }
  return { width, height, channels, values }
}

/** A rectangle of the samples; what lies beyond them repeats their last column and row. */
export function cut(from: Samples, left: number, top: number, width: number, height: number): Samples {
  const { channels } = from
  const values = new Float64Array(width * height * channels)
  for (let y = 0, i = 0; y < height; y++) {
    const row = Math.min(from.height - 1, top + y) * from.width
    for (let x = 0; x < width; x++) {
      const at = (row + Math.min(from.width - 1, left + x)) * channels
      for (let c = 0; c < channels; c++) values[i++] = from.values[at + c] as number
    }
  }
  return { width, height, channels, values }
}

/** One channel of the samples. */
export function plane(from: Samples, channel: number): Samples {
  const { width, height, channels } = from
  const values = Float64Array.from({ length: width * height }, (_, i) => from.values[i * channels + channel] as number)
  return { width, height, channels: 1, values }
}

/** Every second pixel of every second row: a level of a pyramid. */
export function half(from: Samples): Samples {
  const { channels } = from
  const [width, height] = [Math.ceil(from.width / 2), Math.ceil(from.height / 2)]
  const values = new Float64Array(width * height * channels)
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++)
        values[i++] = from.values[(2 * y * from.width + 2 * x) * channels + c] as number
    }
  }
  return { width, height, channels, values }
}

/**
 * YCbCr samples as TIFF stores those whose chroma is subsampled: units of `across` x `down` luma samples, each followed
 * by its Cb and Cr (TIFF 6, section 21). Sides are multiples of the subsampling.
 */
export function subsampled({ width, height, values }: Samples, across: number, down: number): Samples {
  const out: number[] = []
  for (let top = 0; top < height; top += down) {
    for (let left = 0; left < width; left += across) {
      for (let y = 0; y < down; y++) {
        for (let x = 0; x < across; x++) out.push(values[((top + y) * width + left + x) * 3] as number)
      }
      out.push(values[(top * width + left) * 3 + 1] as number, values[(top * width + left) * 3 + 2] as number)
    }
  }
  const rowSamples = (width / across) * (across * down + 2)
  return { width: rowSamples, height: height / down, channels: 1, values: Float64Array.from(out) }
}

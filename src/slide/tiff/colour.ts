/** Samples of a TIFF to 8-bit RGB, by what its tags say that they mean. Transparency is shown on white. */
import type { Image } from '../../image/image.js'
import type { StoredTiffImage } from '../../tiff/stored-image.js'
import { TAGS } from '../../tiff/tags.js'
import type { Range } from '../range.js'
import type { SegmentShape } from './decompress.js'
import { CMYK, colourSamples, PALETTE, WHITE_IS_ZERO } from './readable.js'
import type { Samples } from './samples.js'

const PREMULTIPLIED = 1
const ALPHA = 2

/** Brings numbers of any kind into 8 bits: `min` becomes 0, `max` 255; what isn't a number becomes 0. */
export function inRange(samples: Samples, { min, max }: Range): Uint8Array {
  const scale = 255 / (max - min)
  const out = new Uint8ClampedArray(samples.length)
  // Clamps, rounds, and makes zero of NaN.
  for (let i = 0; i < samples.length; i++) out[i] = ((samples[i] as number) - min) * scale
  return new Uint8Array(out.buffer)
}

/**
 * @param samples interleaved; unsigned, of `bits` bits each
 * @param channels samples a pixel
 */
export function toRgb(
  samples: ArrayLike<number>,
  channels: number,
  bits: number,
  image: StoredTiffImage,
  { width, rows }: Pick<SegmentShape, 'width' | 'rows'>,
): Image {
  const pixels = width * rows
  if (samples instanceof Uint8Array && bits === 8 && channels === 3 && colourSamples(image) === 3) {
    // RGB as it is, which most slides are, those of JPEGs by now: to go through the pixels would take longer than to
    // decode them.
    const data = samples.length === 3 * pixels ? samples : samples.slice(0, 3 * pixels)
    return { data, width, height: rows, channels: 3 }
  }
  const data = new Uint8Array(pixels * 3)
  const colour = colourOf(samples, bits, image)
  const alpha = channels > colourSamples(image) ? (image.extraSamples[0] ?? 0) : 0
  const full = 2 ** bits - 1
  for (let i = 0; i < pixels; i++) {
    colour(i * channels, data, i * 3)
    if (alpha !== PREMULTIPLIED && alpha !== ALPHA) continue
    const opacity = ((samples[i * channels + channels - 1] as number) * 255) / full
    for (let c = i * 3; c < i * 3 + 3; c++) {
      const value = data[c] as number
      data[c] = Math.min(255, Math.round((alpha === ALPHA ? (value * opacity) / 255 : value) + 255 - opacity))
    }
  }
  return { data, width, height: rows, channels: 3 }
}

/** Writes the colour of the pixel whose samples begin at `from`. */
type PutColour = (from: number, out: Uint8Array, at: number) => void

function colourOf(samples: ArrayLike<number>, bits: number, image: StoredTiffImage): PutColour {
  const full = 2 ** bits - 1
  const toByte = Uint8Array.from({ length: full + 1 }, (_, value) => Math.round((value * 255) / full))
  if (image.photometric === PALETTE) {
    const map = paletteOf(image, full + 1)
    return (from, out, at) => {
      const index = samples[from] as number
      for (let c = 0; c < 3; c++) out[at + c] = map[c * (full + 1) + index] ?? 0
    }
  }
  if (image.photometric === CMYK) {
    return (from, out, at) => {
      const light = 255 - (samples[from + 3] as number)
      for (let c = 0; c < 3; c++) out[at + c] = Math.round((light * (255 - (samples[from + c] as number))) / 255)
    }
  }
  if (colourSamples(image) === 1) {
    if (image.photometric === WHITE_IS_ZERO) toByte.reverse()
    return (from, out, at) => {
      const value = toByte[samples[from] as number] as number
      out[at] = value
      out[at + 1] = value
      out[at + 2] = value
    }
  }
  return (from, out, at) => {
    for (let c = 0; c < 3; c++) out[at + c] = toByte[samples[from + c] as number] as number
  }
}

/** The colours of a palette, 8 bits each: all reds, all greens, all blues. */
function paletteOf({ directory }: StoredTiffImage, size: number): Uint8Array {
  const map = directory.numbers(TAGS.ColorMap).slice(0, 3 * size)
  // Its numbers have 16 bits; programs that fill in 8 are known, and libtiff, too, takes them as meant.
  const isShort = map.every((value) => value < 256)
  return Uint8Array.from(map, (value) => (isShort ? value : value >> 8))
}

/**
 * YCbCr that isn't in a JPEG: blocks of one or more Y and one Cb and Cr, which count for all pixels of the block.
 * Source: TIFF 6.0, section 21.
 */
export function ycbcrToRgb(packed: Uint8Array, image: StoredTiffImage, { width, rows }: SegmentShape): Image {
  const [across, down] = image.subsampling
  const [red = 0.299, green = 0.587, blue = 0.114] = image.directory.numbers(TAGS.YCbCrCoefficients)
  const reference = image.directory.numbers(TAGS.ReferenceBlackWhite)
  const [black, white, cbZero, cbMost, crZero, crMost] =
    reference.length === 6
      ? (reference as [number, number, number, number, number, number])
      : [0, 255, 128, 255, 128, 255]
  const luma = table((code) => ((code - black) * 255) / (white - black))
  const cb = table((code) => ((code - cbZero) * 127) / (cbMost - cbZero))
  const cr = table((code) => ((code - crZero) * 127) / (crMost - crZero))
  const out = new Uint8ClampedArray(width * rows * 3)
  const block = across * down + 2
  const blocksAcross = Math.ceil(width / across)
  for (let y = 0, i = 0; y < rows; y++) {
    for (let x = 0; x < width; x++, i += 3) {
      const at = (Math.floor(y / down) * blocksAcross + Math.floor(x / across)) * block
      const light = luma[packed[at + (y % down) * across + (x % across)] as number] as number
      const b = (2 - 2 * blue) * (cb[packed[at + block - 2] as number] as number)
      const r = (2 - 2 * red) * (cr[packed[at + block - 1] as number] as number)
      out[i] = light + r
      out[i + 1] = light - (red * r + blue * b) / green
      out[i + 2] = light + b
    }
  }
  return { data: new Uint8Array(out.buffer), width, height: rows, channels: 3 }
}

function table(value: (code: number) => number): Float64Array {
  return Float64Array.from({ length: 256 }, (_, code) => value(code))
}

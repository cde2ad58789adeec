/** Which tiles hold nothing but glass. */
import type { Colour } from '../image/draw.js'
import type { Image } from '../image/image.js'

/**
 * `keep`: only tiles whose pixels are all of one colour are left out, so nothing changes.
 * `auto`: also tiles of noise around a light, nearly grey colour; they come back in that colour.
 * `white`: the same tiles come back white.
 * A tile of one colour that isn't glass, such as black padding, is left out in every mode and comes back exactly.
 *
 * Noise is what no channel of any pixel is further than 32 from the mean, nor the mean of any block of
 * 4 x 4 further than 8: grain of a scanner or of JPEG passes, a speck or a pale shred of tissue doesn't.
 */
export type BackgroundMode = 'keep' | 'white' | 'auto'

export const BACKGROUND_MODES = ['keep', 'white', 'auto'] as const

const PIXEL_TOLERANCE = 32
const BLOCK = 4
const BLOCK_TOLERANCE = 8
const LIGHT = 200
const GREY = 20

/** The colour to show instead of the tile, or null if it must be stored. */
export function blankColour(image: Image, mode: BackgroundMode): Colour | null {
  const mean = meanWithin(image, mode === 'keep' ? 0 : PIXEL_TOLERANCE)
  if (!mean) return null
  const [red, green, blue] = mean.map(Math.round) as [number, number, number]
  if (mode === 'keep') return { red, green, blue }
  if (Math.min(...mean) < LIGHT || Math.max(...mean) - Math.min(...mean) > GREY) {
    return meanWithin(image, 0) && { red, green, blue }
  }
  if (hasStructure(image, mean)) return null
  return mode === 'white' ? { red: 255, green: 255, blue: 255 } : { red, green, blue }
}

/** The mean colour, if no pixel is further from it than the tolerance. */
function meanWithin({ data }: Image, tolerance: number): number[] | null {
  const mean: number[] = []
  for (let channel = 0; channel < 3; channel++) {
    const centre = channelMeanWithin(data, channel, tolerance)
    if (centre === null) return null
    mean.push(centre)
  }
  return mean
}

function channelMeanWithin(data: Uint8Array, channel: number, tolerance: number): number | null {
  let sum = 0
  let least = 255
  let most = 0
  for (let i = channel; i < data.length; i += 3) {
    const value = data[i] as number
    sum += value
    if (value < least) least = value
    if (value > most) most = value
    // Tissue shows soon, and then the rest need not be looked at.
    if (most - least > 2 * tolerance) return null
  }
  const mean = (sum * 3) / data.length
  return most - mean <= tolerance && mean - least <= tolerance ? mean : null
}

function hasStructure({ data, width, height }: Image, mean: readonly number[]): boolean {
  for (let top = 0; top < height; top += BLOCK) {
    for (let left = 0; left < width; left += BLOCK) {
      const [bottom, right] = [Math.min(height, top + BLOCK), Math.min(width, left + BLOCK)]
      const pixels = (bottom - top) * (right - left)
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0
        for (let y = top; y < bottom; y++) {
          for (let x = left; x < right; x++) sum += data[(y * width + x) * 3 + channel] as number
        }
        if (Math.abs(sum / pixels - (mean[channel] as number)) > BLOCK_TOLERANCE) return true
      }
    }
  }
  return false
}

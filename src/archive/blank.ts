/** Which tiles hold nothing but glass. */
import type { Image } from '../codec/image.js'
import type { Colour } from '../slide/source.js'

/**
 * `keep`: only tiles whose pixels are all of one colour are left out, so nothing changes.
 * `auto`: also tiles in which no channel of any pixel is further than 10 from their mean colour, if that is light and
 * nearly grey; they come back in their mean colour. `white`: the same tiles come back white.
 */
export type BackgroundMode = 'keep' | 'white' | 'auto'

export const BACKGROUND_MODES = ['keep', 'white', 'auto'] as const

/** Above the noise of a scanner and of JPEG on glass, below the faintest nucleus. */
const TOLERANCE = 10
const LIGHT = 200
const GREY = 20

/** The colour to show instead of the tile, or null if it must be stored. */
export function blankColour(image: Image, mode: BackgroundMode): Colour | null {
  const { data } = image
  const sum = [0, 0, 0]
  const least = [255, 255, 255]
  const most = [0, 0, 0]
  const spread = mode === 'keep' ? 0 : 2 * TOLERANCE
  for (let i = 0; i < data.length; i += 3) {
    for (let channel = 0; channel < 3; channel++) {
      const value = data[i + channel] as number
      sum[channel] = (sum[channel] as number) + value
      if (value < (least[channel] as number)) least[channel] = value
      if (value > (most[channel] as number)) most[channel] = value
      if ((most[channel] as number) - (least[channel] as number) > spread) return null
    }
  }
  const mean = sum.map((total) => Math.round((total * 3) / data.length)) as [number, number, number]
  const [red, green, blue] = mean
  if (mode === 'keep') return { red, green, blue }
  if (Math.min(...mean) < LIGHT || Math.max(...mean) - Math.min(...mean) > GREY) return null
  for (let channel = 0; channel < 3; channel++) {
    const centre = mean[channel] as number
    if ((most[channel] as number) - centre > TOLERANCE || centre - (least[channel] as number) > TOLERANCE) return null
  }
  return mode === 'white' ? { red: 255, green: 255, blue: 255 } : { red, green, blue }
}

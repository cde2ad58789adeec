/** Images of more than 8 bits that sharp reads, brought into 8 by a range. */
import type { Sharp } from 'sharp'
import type { Image } from '../image/image.js'
import { MOST_LOOKED_AT, type Range, type RangeChoice, rangeOf } from './range.js'

/** Pixels of a sharp pipeline as 8-bit RGB: `min` becomes 0, `max` 255; transparency on white. */
export async function deepImage(pipeline: Sharp, { min, max }: Range): Promise<Image> {
  const { values, channels, width, height } = await deepValues(pipeline)
  const data = new Uint8ClampedArray(width * height * 3)
  const scale = 255 / (max - min)
  const hasAlpha = channels === 2 || channels === 4
  for (let i = 0, from = 0; i < data.length; i += 3, from += channels) {
    const opacity = hasAlpha ? (values[from + channels - 1] as number) / 65535 : 1
    for (let c = 0; c < 3; c++) {
      const value = Math.min(255, Math.max(0, ((values[from + (channels < 3 ? 0 : c)] as number) - min) * scale))
      data[i + c] = value * opacity + 255 * (1 - opacity)
    }
  }
  return { data: new Uint8Array(data.buffer), width, height, channels: 3 }
}

/** The range that a choice means for an image; for `auto`, a grid of its pixels is looked at. */
export async function deepRange(pipeline: () => Sharp, choice: RangeChoice): Promise<Range> {
  if (choice !== 'auto') return { min: choice[0], max: choice[1] }
  const { width, height } = await pipeline().metadata()
  const scale = Math.min(1, Math.sqrt(MOST_LOOKED_AT / 4 / (width * height)))
  const side = (length: number) => Math.max(1, Math.round(length * scale))
  const small = pipeline().resize({ width: side(width), height: side(height), fit: 'fill', kernel: 'nearest' })
  const { values, channels } = await deepValues(small)
  const colours = channels === 2 || channels === 4 ? channels - 1 : channels
  return rangeOf([values.filter((_, i) => i % channels < colours)])
}

async function deepValues(pipeline: Sharp) {
  const { data, info } = await pipeline
    .toColourspace('rgb16')
    .raw({ depth: 'ushort' })
    .toBuffer({ resolveWithObject: true })
  const { buffer } = Uint8Array.from(data)
  const { width, height, channels } = info
  return { values: new Uint16Array(buffer), channels, width, height }
}

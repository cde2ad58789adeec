/** Drawing: fills images with one colour, and pastes one image into another. */
import type { Image } from './image.js'

/** A colour, 8 bits a channel. */
export interface Colour {
  readonly red: number
  readonly green: number
  readonly blue: number
}

export const WHITE: Colour = { red: 255, green: 255, blue: 255 }

/** An image of one colour. */
export function fill(width: number, height: number, colour: Colour): Image {
  const data = new Uint8Array(width * height * 3)
  if (colour.red === colour.green && colour.red === colour.blue) data.fill(colour.red)
  else {
    for (let i = 0; i < data.length; i += 3) {
      data[i] = colour.red
      data[i + 1] = colour.green
      data[i + 2] = colour.blue
    }
  }
  return { data, width, height, channels: 3 }
}

/** Copies the part of `from` that falls into `to`, with from's top left corner at (x, y) of `to`. */
export function paste(from: Image, to: Image, x: number, y: number): void {
  const left = Math.max(0, -x)
  const right = Math.min(from.width, to.width - x)
  if (right <= left) return
  const top = Math.max(0, -y)
  const bottom = Math.min(from.height, to.height - y)
  for (let row = top; row < bottom; row++) {
    const start = (row * from.width + left) * 3
    to.data.set(from.data.subarray(start, start + (right - left) * 3), ((row + y) * to.width + x + left) * 3)
  }
}

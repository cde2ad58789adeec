/** What stands in the place of pixels that can't be shown: it must look like nothing that slides have, glass least of all. */
import { type Colour, WHITE } from './draw.js'
import type { Image } from './image.js'

const STRIPE: Colour = { red: 214, green: 0, blue: 147 }
/** Pixels; wide enough to be seen when a view is made smaller by 4. */
const STRIPE_WIDTH = 32

/** An image of diagonal stripes, magenta and white, which continue from one image to the next. */
export function hatch(width: number, height: number): Image {
  const data = new Uint8Array(width * height * 3)
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const { red, green, blue } = Math.floor((x + y) / STRIPE_WIDTH) % 2 === 0 ? STRIPE : WHITE
      data[at++] = red
      data[at++] = green
      data[at++] = blue
    }
  }
  return { data, width, height, channels: 3 }
}

/** The image that devices are tried with. */
import type { Image } from '../image/image.js'
import { hash } from '../image/noise.js'

/** Side of the image: it has 8 x 8 latents of every channel. */
export const PROBE_SIDE = 128
export const PROBE_QUALITY = 50

/** Flat, striped, shaded and noisy quarters: symbols and scales of all sizes. */
export function probe(): Image {
  const data = new Uint8Array(3 * PROBE_SIDE * PROBE_SIDE)
  for (let y = 0; y < PROBE_SIDE; y++) {
    for (let x = 0; x < PROBE_SIDE; x++) {
      const noise = hash(x, y, 1) >>> 24
      const quarter = 2 * Number(y >= PROBE_SIDE / 2) + Number(x >= PROBE_SIDE / 2)
      const value = [230, (x >> 2) & 1 ? 60 : 200, x + y, noise][quarter] as number
      data.set([value, value >> 1, 255 - (value >> 2)], 3 * (y * PROBE_SIDE + x))
    }
  }
  return { data, width: PROBE_SIDE, height: PROBE_SIDE, channels: 3 }
}

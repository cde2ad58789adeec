/**
 * Padding of the tiles at the edge of a level. It is never shown, so it should cost few bits and not disturb the pixels
 * beside it.
 */
import { growImage, type Image } from '../image/image.js'

/** Pixels over which the last column and row fade. A power of 2. */
const FADE = 64

/**
 * The image grown to the right and down to `width` x `height`: its last column and row go on, and fade to its mean
 * colour. Where tissue is cut, going on for ever would cost several bits a pixel; a sudden change would cost them at
 * the edge.
 */
export function padTile(image: Image, width: number, height: number): Image {
  if (image.width === width && image.height === height) return image
  const mean = meanColour(image)
  const grown = growImage(image, width, height)
  const { data } = grown
  for (let y = 0; y < height; y++) {
    const below = y - image.height + 1
    for (let x = below > 0 ? 0 : image.width; x < width; x++) {
      const share = Math.min(FADE, Math.max(below, x - image.width + 1))
      const at = (y * width + x) * 3
      for (let channel = 0; channel < 3; channel++) {
        const edge = data[at + channel] as number
        data[at + channel] = (edge * (FADE - share) + (mean[channel] as number) * share + FADE / 2) / FADE
      }
    }
  }
  return grown
}

function meanColour({ data }: Image): number[] {
  const sum = [0, 0, 0]
  for (let i = 0; i < data.length; i++) sum[i % 3] = (sum[i % 3] as number) + (data[i] as number)
  return sum.map((total) => Math.round((3 * total) / data.length))
}

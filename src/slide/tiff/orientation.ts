/** Orientations of TIFF and Exif: where in the stored image a place of the shown one is. */
import type { Image } from '../../image/image.js'

/** What becomes of a shown place (x, y): swapped to (y, x), then counted from the right, or from below. */
interface Turn {
  readonly isSwapped: boolean
  readonly fromRight: boolean
  readonly fromBelow: boolean
}

const turn = (isSwapped: boolean, fromRight: boolean, fromBelow: boolean): Turn => ({ isSwapped, fromRight, fromBelow })

/** By number, from 1: the first row is the top, top, bottom, bottom, left, right, right, left side of the picture. */
const TURNS: readonly Turn[] = [
  ...[turn(false, false, false), turn(false, true, false), turn(false, true, true), turn(false, false, true)],
  ...[turn(true, false, false), turn(true, false, true), turn(true, true, true), turn(true, true, false)],
]

interface Rectangle {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

/** The rectangle of the stored image, of the given size, that a rectangle of the shown one lies in. */
export function storedRectangle(
  orientation: number,
  { left, top, width, height }: Rectangle,
  stored: { readonly width: number; readonly height: number },
): Rectangle {
  const { isSwapped, fromRight, fromBelow } = TURNS[orientation - 1] as Turn
  const [x, y, w, h] = isSwapped ? [top, left, height, width] : [left, top, width, height]
  return {
    left: fromRight ? stored.width - x - w : x,
    top: fromBelow ? stored.height - y - h : y,
    width: w,
    height: h,
  }
}

/** Turns pixels of such a rectangle the way they are to be shown. */
export function turned(orientation: number, image: Image): Image {
  if (orientation === 1) return image
  const { isSwapped, fromRight, fromBelow } = TURNS[orientation - 1] as Turn
  const [width, height] = isSwapped ? [image.height, image.width] : [image.width, image.height]
  const data = new Uint8Array(image.data.length)
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 3) {
      const [u, v] = isSwapped ? [y, x] : [x, y]
      const from = ((fromBelow ? image.height - 1 - v : v) * image.width + (fromRight ? image.width - 1 - u : u)) * 3
      data[i] = image.data[from] as number
      data[i + 1] = image.data[from + 1] as number
      data[i + 2] = image.data[from + 2] as number
    }
  }
  return { data, width, height, channels: 3 }
}

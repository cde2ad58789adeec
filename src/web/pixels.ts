/** Pixels to and from what browsers draw. */
import type { Image } from '../image/image.js'

/** The pixels of what the browser has decoded, in sRGB unless it was told to leave colours alone. */
export function pixelsOf(bitmap: ImageBitmap): Image {
  const { width, height } = bitmap
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
  if (!context) throw new Error("can't be drawn: the browser gives no canvas")
  context.drawImage(bitmap, 0, 0)
  const rgba = context.getImageData(0, 0, width, height).data
  const data = new Uint8Array(width * height * 3)
  for (let from = 0, to = 0; to < data.length; from += 4, to += 3) {
    data[to] = rgba[from] as number
    data[to + 1] = rgba[from + 1] as number
    data[to + 2] = rgba[from + 2] as number
  }
  return { data, width, height, channels: 3 }
}

/** The image as pages draw it. */
export function toBitmap(image: Image): Promise<ImageBitmap> {
  return createImageBitmap(drawable(image))
}

export function toPng(image: Image): Promise<Blob> {
  const canvas = new OffscreenCanvas(image.width, image.height)
  const context = canvas.getContext('2d')
  if (!context) throw new Error("can't be drawn: the browser gives no canvas")
  context.putImageData(drawable(image), 0, 0)
  return canvas.convertToBlob({ type: 'image/png' })
}

function drawable({ data, width, height }: Image): ImageData {
  const rgba = new Uint8ClampedArray(width * height * 4)
  for (let from = 0, to = 0; to < rgba.length; from += 3, to += 4) {
    rgba[to] = data[from] as number
    rgba[to + 1] = data[from + 1] as number
    rgba[to + 2] = data[from + 2] as number
    rgba[to + 3] = 255
  }
  return new ImageData(rgba, width, height)
}

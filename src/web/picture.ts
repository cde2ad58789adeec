/** AVIF, WebP and JPEG streams decoded by the browser, in place of `src/codec/picture.ts`. */
import type { PictureKind } from '../codec/picture.js'
import type { Image } from '../image/image.js'

/** The pixels of a stream as they are stored, whatever profile or orientation it names. */
export async function decodePicture(kind: PictureKind, stream: Uint8Array): Promise<Image> {
  const blob = new Blob([stream as Uint8Array<ArrayBuffer>], { type: `image/${kind}` })
  // Neither turned nor converted to the screen's colours.
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: 'none', imageOrientation: 'none' })
  try {
    return pixelsOf(bitmap)
  } finally {
    bitmap.close()
  }
}

function pixelsOf(bitmap: ImageBitmap): Image {
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

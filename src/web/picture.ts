/** AVIF, WebP and JPEG streams decoded by the browser, in place of `src/codec/picture.ts`. */
import type { PictureKind } from '../codec/picture.js'
import type { Image } from '../image/image.js'
import { pixelsOf } from './pixels.js'

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

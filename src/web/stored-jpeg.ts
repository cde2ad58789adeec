/** JPEGs that archives store, decoded by the browser, in place of `src/image/stored-jpeg.ts`. */
import type { Image, Size } from '../image/image.js'

export async function decodeJpeg(bytes: Uint8Array, size: Size): Promise<Image> {
  const stated = frameSize(bytes)
  if (!stated) throw new Error('is no JPEG')
  if (stated.width !== size.width || stated.height !== size.height) {
    throw new Error(`is of ${stated.width} x ${stated.height} pixels`)
  }
  const blob = new Blob([bytes as Uint8Array<ArrayBuffer>], { type: 'image/jpeg' })
  // Pixels as they are stored: neither turned nor converted to the screen's colours.
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: 'none', imageOrientation: 'none' })
  try {
    return pixelsOf(bitmap)
  } finally {
    bitmap.close()
  }
}

/** ITU-T T.81, B.2: the size in the first frame header, so that no file can ask for more memory; null for what is no JPEG. */
function frameSize(bytes: Uint8Array): Size | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 4 || view.getUint16(0) !== 0xffd8) return null
  for (let at = 2; at + 10 <= bytes.length; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint16(at)
    const isTable = [0xffc4, 0xffc8, 0xffcc].includes(marker)
    if (marker >= 0xffc0 && marker <= 0xffcf && !isTable) {
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) }
    }
    if (marker < 0xff01 || marker === 0xffda) return null
  }
  return null
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

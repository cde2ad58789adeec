/** JPEGs that archives store, decoded by the browser, in place of `src/image/stored-jpeg.ts`. */
import type { Image, Size } from '../image/image.js'
import { hasManyScans } from '../image/jpeg-scans.js'
import { decodePicture } from './picture.js'

export async function decodeJpeg(bytes: Uint8Array, size: Size): Promise<Image> {
  const stated = frameSize(bytes)
  if (!stated) throw new Error('is no JPEG')
  if (stated.isProgressive || hasManyScans(bytes, 1)) throw new Error('is a progressive JPEG, expected a baseline one')
  if (stated.width !== size.width || stated.height !== size.height) {
    throw new Error(`is of ${stated.width} x ${stated.height} pixels`)
  }
  return decodePicture('jpeg', bytes)
}

/** ITU-T T.81, B.2: what the first frame header says of size and coding, so that no file can ask for more memory; null for what is no JPEG. */
function frameSize(bytes: Uint8Array): (Size & { readonly isProgressive: boolean }) | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 4 || view.getUint16(0) !== 0xffd8) return null
  for (let at = 2; at + 10 <= bytes.length; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint16(at)
    const isTable = [0xffc4, 0xffc8, 0xffcc].includes(marker)
    if (marker >= 0xffc0 && marker <= 0xffcf && !isTable) {
      const size = { height: view.getUint16(at + 5), width: view.getUint16(at + 7) }
      return { ...size, isProgressive: (marker & 3) === 2 }
    }
    if (marker < 0xff01 || marker === 0xffda) return null
  }
  return null
}

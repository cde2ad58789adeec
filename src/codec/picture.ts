/** AVIF, WebP and JPEG streams decoded, by sharp. */
import sharp from 'sharp'
import type { Image, Size } from '../image/image.js'
import { toImage } from '../image/sharp.js'

export type PictureKind = 'avif' | 'webp' | 'jpeg'

/** sharp's names of the formats. */
const FORMATS: Readonly<Record<PictureKind, string>> = { avif: 'heif', webp: 'webp', jpeg: 'jpeg' }

/**
 * The pixels of a stream as they are stored, whatever profile or orientation it names.
 *
 * @throws Error that says what is wrong, also if the stream's header states another size than it should have
 */
export async function decodePicture(kind: PictureKind, stream: Uint8Array, size: Size): Promise<Image> {
  const limits = { failOn: 'warning', limitInputPixels: size.width * size.height, ignoreIcc: true } as const
  const pipeline = sharp(stream, limits)
  const { format, pages = 1, width, height } = await pipeline.metadata()
  if (format !== FORMATS[kind] || pages !== 1) throw new Error(`it is a ${format} of ${pages} pages`)
  if (width !== size.width || height !== size.height) {
    throw new Error(`it has ${width} x ${height} pixels, not ${size.width} x ${size.height}`)
  }
  return toImage(pipeline)
}

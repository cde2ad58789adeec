/** JPEGs that archives store: their overview and associated images. */
import sharp from 'sharp'
import type { Image, Size } from './image.js'
import { toImage } from './sharp.js'

/**
 * The pixels of a JPEG of that size. Nothing else is taken: other decoders are more for a hostile file to aim at.
 *
 * @throws Error whose message says what is wrong with it
 */
export async function decodeJpeg(bytes: Uint8Array, size: Size): Promise<Image> {
  const pipeline = sharp(bytes, { failOn: 'error' })
  const { format, width, height, isProgressive } = await pipeline.metadata()
  if (format !== 'jpeg') throw new Error('is no JPEG')
  // A decoder of progressive JPEGs holds all coefficients, and goes over all pixels as often as the file says.
  if (isProgressive) throw new Error('is a progressive JPEG, expected a baseline one')
  if (width !== size.width || height !== size.height) throw new Error(`is of ${width} x ${height} pixels`)
  return toImage(pipeline)
}

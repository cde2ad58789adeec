/** The image that a command writes: its format is told by its name. */
import { writeFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { InvalidArgumentError } from 'commander'
import type { Sharp } from 'sharp'
import { ClericError, UnsupportedError } from '../errors.js'
import { isSameFile } from '../files/same-file.js'
import type { Image } from '../image/image.js'
import { JPEG } from '../image/jpeg.js'
import { fromImage } from '../image/sharp.js'

/** Without further loss, but for JPEG, which has no such mode. */
const FORMATS: Record<string, (pipeline: Sharp) => Sharp> = {
  '.png': (pipeline) => pipeline.png(),
  '.tif': (pipeline) => pipeline.tiff({ compression: 'deflate', predictor: 'horizontal' }),
  '.jpg': (pipeline) => pipeline.jpeg(JPEG.file),
  '.webp': (pipeline) => pipeline.webp({ lossless: true }),
}
const ALIASES: Record<string, string> = { '.tiff': '.tif', '.jpeg': '.jpg' }

function encoder(path: string): ((pipeline: Sharp) => Sharp) | undefined {
  const extension = extname(path).toLowerCase()
  return FORMATS[ALIASES[extension] ?? extension]
}

/** Parses an option's value as the name of an image to write, so that a wrong one fails before the work. */
export function imagePath(text: string): string {
  if (!encoder(text)) throw new InvalidArgumentError('Expected a name that ends in .png, .jpg, .tif or .webp.')
  return text
}

/**
 * Writes the image, made from the file `source`; returns the size in bytes.
 *
 * @throws ClericError ERR_FILE_EXISTS if the output is the source; UnsupportedError ERR_IMAGE_UNSUPPORTED if it is too
 * large for the format
 */
export async function writeImage(path: string, source: string, make: () => Promise<Image>): Promise<number> {
  if (isSameFile(path, source)) {
    throw new ClericError('ERR_FILE_EXISTS', `${path} is the file to read; choose another name`)
  }
  const encode = encoder(path) as (pipeline: Sharp) => Sharp
  const image = await make()
  const bytes = await encode(fromImage(image))
    .toBuffer()
    .catch((cause: Error) => {
      const what = `${path}: ${image.width} x ${image.height} pixels can't be written in this format: ${cause.message}`
      throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', what, { cause })
    })
  await writeFile(path, bytes)
  return bytes.length
}

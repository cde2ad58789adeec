/** The image that a command writes: its format is told by its name. */
import { extname } from 'node:path'
import { InvalidArgumentError, Option } from 'commander'
import type { Sharp } from 'sharp'
import { UnsupportedError } from '../errors.js'
import { checkOutput } from '../files/output.js'
import { partialNames, writeWhole } from '../files/partial-file.js'
import type { Image } from '../image/image.js'
import { JPEG } from '../image/jpeg.js'
import { modelPath } from '../model/model-bytes.js'
import { ICC_MODES, type IccMode } from '../slide/colour.js'
import { slideFiles } from '../slide/mirax.js'
import { fromProfiled } from '../slide/to-srgb.js'
import { oneOf } from './quantities.js'

/** Encoders by extension, all lossless but JPEG. */
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

/** The option of what becomes of the slide's ICC profile. */
export function iccOption(): Option {
  const about = 'the ICC profile: keep (in the file), srgb (pixels are converted by it), none (left out)'
  return new Option('--icc <mode>', about).argParser(oneOf(ICC_MODES)).default('keep' satisfies IccMode)
}

/**
 * Refuses, before any work, to write the image where it would harm what is read for it, or can't be written.
 *
 * @throws ClericError ERR_FILE_EXISTS, ERR_NOT_WRITABLE
 */
export function checkImageOutput(path: string, slide: string, model: string | undefined): void {
  checkOutput({ names: partialNames(path), reads: [...slideFiles(slide), model && modelPath(model)], overwrite: true })
}

/**
 * Writes the image; returns the size in bytes.
 *
 * @param profile ICC profile of its colours, which goes into the file
 * @throws UnsupportedError ERR_IMAGE_UNSUPPORTED if it is too large for the format; ClericError ERR_DISK_FULL
 */
export async function writeImage(path: string, image: Image, profile: Uint8Array | null): Promise<number> {
  const encode = encoder(path) as (pipeline: Sharp) => Sharp
  const bytes = await encode(fromProfiled(image, profile))
    .toBuffer()
    .catch((cause: Error) => {
      const what = `${path}: ${image.width} x ${image.height} pixels can't be written in this format: ${cause.message}`
      throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', what, { cause })
    })
  await writeWhole(path, bytes)
  return bytes.length
}

/** The image that a command writes: its format is told by `--format`, or by its name. */
import { extname } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
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
import type { Session } from './cli.js'
import { DASH } from './inputs.js'
import { oneOf } from './quantities.js'

const IMAGE_FORMATS = ['png', 'jpg', 'tif', 'webp'] as const
export type ImageFormat = (typeof IMAGE_FORMATS)[number]

/** Encoders, all lossless but JPEG. */
const ENCODERS: Readonly<Record<ImageFormat, (pipeline: Sharp) => Sharp>> = {
  png: (pipeline) => pipeline.png(),
  tif: (pipeline) => pipeline.tiff({ compression: 'deflate', predictor: 'horizontal' }),
  jpg: (pipeline) => pipeline.jpeg(JPEG.file),
  webp: (pipeline) => pipeline.webp({ lossless: true }),
}
const ALIASES: Readonly<Record<string, string>> = { tiff: 'tif', jpeg: 'jpg' }

/** The format that an ending such as "jpeg" means; undefined for none of an image that is written here. */
function formatOf(ending: string): ImageFormat | undefined {
  const name = ALIASES[ending.toLowerCase()] ?? ending.toLowerCase()
  return IMAGE_FORMATS.find((format) => format === name)
}

/** The options of an image to write. */
export function imageOptions(command: Command): Command {
  const parse = (text: string) => {
    const format = formatOf(text)
    if (format === undefined) throw new InvalidArgumentError(`Expected one of ${IMAGE_FORMATS.join(', ')}.`)
    return format
  }
  const format = new Option(
    '--format <name>',
    'png, jpg, tif or webp (default: as the name of the output says, or png)',
  )
  return command
    .option('-o, --output <image>', 'image to write, or - for stdout')
    .addOption(format.argParser(Object.assign(parse, { choices: IMAGE_FORMATS })))
}

/** An image to write. */
export interface ImageOutput {
  /** "-" is stdout. */
  readonly path: string
  readonly format: ImageFormat
}

/**
 * What `-o` and `--format` mean; says so where the name says another format.
 *
 * @throws InvalidArgumentError where neither tells a format
 */
export function imageOutput(session: Session, path: string | undefined, format: ImageFormat | undefined): ImageOutput {
  if (path === undefined) throw new InvalidArgumentError('Expected -o IMAGE, or -o - for stdout.')
  if (path === DASH) return { path, format: format ?? 'png' }
  const told = formatOf(extname(path).slice(1))
  const chosen = format ?? told
  if (chosen === undefined) {
    throw new InvalidArgumentError(`Expected a name that ends in .png, .jpg, .tif or .webp, or --format, for ${path}.`)
  }
  if (extname(path) !== '' && told !== chosen) session.warn(`${path} will hold ${chosen}, whatever its name says`)
  return { path, format: chosen }
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
export function checkImageOutput({ path }: Pick<ImageOutput, 'path'>, slide: string, model: string | undefined): void {
  if (path === DASH) return
  checkOutput({ names: partialNames(path), reads: [...slideFiles(slide), model && modelPath(model)], overwrite: true })
}

/**
 * Writes the image; returns the size in bytes.
 *
 * @param profile ICC profile of its colours, which goes into the file
 * @throws UnsupportedError ERR_IMAGE_UNSUPPORTED if it is too large for the format; ClericError ERR_DISK_FULL
 */
export async function writeImage(
  session: Session,
  { path, format }: ImageOutput,
  image: Image,
  profile: Uint8Array | null,
): Promise<number> {
  const bytes = await ENCODERS[format](fromProfiled(image, profile))
    .toBuffer()
    .catch((cause: Error) => {
      const what = `${path}: ${image.width} x ${image.height} pixels can't be written in this format: ${cause.message}`
      throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', what, { cause })
    })
  if (path === DASH) await session.writeBytes(bytes)
  else await writeWhole(path, bytes)
  return bytes.length
}

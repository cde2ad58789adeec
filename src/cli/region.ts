import { InvalidArgumentError, Option } from 'commander'
import { openAny } from '../archive/open-any.js'
import type { CodecChoice } from '../codec/arguments.js'
import { UnsupportedError } from '../errors.js'
import type { SlideChoice } from '../slide/choice.js'
import type { IccMode } from '../slide/colour.js'
import { inColours } from '../slide/slide-in-colours.js'
import { type Region, type SlideSource, warningsOf } from '../slide/source.js'
import { type Cli, cacheDirOption, codecOptions, type Outcome, type Session } from './cli.js'
import { withInput } from './inputs.js'
import { placeOptions } from './place.js'
import { integerFrom } from './quantities.js'
import { choiceOf, slideOptions, warnOf } from './slide-options.js'
import {
  checkImageOutput,
  type ImageFormat,
  type ImageOutput,
  iccOption,
  imageOptions,
  imageOutput,
  writeImage,
} from './write-image.js'

interface Options extends CodecChoice, SlideChoice {
  readonly output?: string
  readonly format?: ImageFormat
  readonly level: number
  readonly x: number
  readonly y: number
  readonly width?: number
  readonly height?: number
  readonly associated?: string
  readonly icc: IccMode
  readonly cacheDir?: string
}

const SIZE = integerFrom(1, 65535)

export function addRegion(cli: Cli): void {
  const associated = new Option(
    '--associated <name>',
    'instead of a region: the label, macro, thumbnail ... of the slide',
  )
  cli.add<Options>(
    'region <file>',
    'Write one region of an archive or slide, or one of its associated images, as an image',
    (command) =>
      codecOptions(
        placeOptions(cacheDirOption(slideOptions(imageOptions(command))))
          .option('--width <pixels>', "width, in the level's pixels", SIZE)
          .option('--height <pixels>', "height, in the level's pixels", SIZE)
          .addOption(associated.conflicts(['level', 'x', 'y', 'width', 'height', 'icc']))
          .addOption(iccOption()),
      ),
    async (session, options, file) => {
      const { associated: name, cacheDir } = options
      if (name === undefined) regionOf(options)
      const image = imageOutput(session, options.output, options.format)
      checkImageOutput(image, file as string, options.model)
      return withInput(session, file as string, async (path) => {
        const opened = await openAny(path, { ...session.opening(options), ...choiceOf(options), cacheDir })
        try {
          warnOf(session, opened.path, warningsOf(opened))
          return await (name === undefined
            ? writeRegion(session, opened, image, options)
            : writeAssociated(session, opened, image, name))
        } finally {
          opened.close()
        }
      })
    },
    'cleric region slide.cleric.tif -o nuclei.png --x 1000 --y 1200 --width 1024 --height 768',
  )
}

/** @throws InvalidArgumentError where a side is not given */
function regionOf({ x, y, level, width, height }: Options): Region {
  if (width === undefined || height === undefined) {
    throw new InvalidArgumentError('Expected --width and --height, or --associated.')
  }
  return { x, y, level, width, height }
}

async function writeRegion(
  session: Session,
  opened: SlideSource,
  output: ImageOutput,
  options: Options,
): Promise<Outcome> {
  const region = regionOf(options)
  const slide = await inColours(opened, options.icc)
  const pixels = await slide.readRegion(region, session.signal)
  warnIfOutside(session, slide, region)
  const bytes = await writeImage(session, output, pixels, slide.iccProfile?.() ?? null)
  const { x, y, level, width, height } = region
  return {
    json: { output: output.path, bytes, x, y, level, width, height, warnings: warningsOf(opened) },
    text: `${output.path}: ${width} x ${height} pixels of level ${level} from ${x}, ${y}`,
  }
}

function warnIfOutside(session: Session, { levels, path }: SlideSource, { x, y, level, ...size }: Region): void {
  const full = levels[0]
  const downsample = levels[level]?.downsample ?? 1
  if (!full) return
  const isWithin = (start: number, length: number, side: number) => start < side && start + length * downsample > 0
  if (isWithin(x, size.width, full.width) && isWithin(y, size.height, full.height)) return
  session.warn(
    `${path}: the region lies wholly outside the slide, which has ${full.width} x ${full.height} pixels at level 0`,
  )
}

async function writeAssociated(
  session: Session,
  slide: SlideSource,
  output: ImageOutput,
  name: string,
): Promise<Outcome> {
  const { path, associatedImages } = slide
  if (!associatedImages.includes(name)) {
    const there = associatedImages.length > 0 ? `it has ${associatedImages.join(', ')}` : 'it has none'
    throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', `${path} has no associated image ${name}; ${there}`)
  }
  const pixels = await slide.readAssociatedImage(name, session.signal)
  // The profile is the scanner's, which didn't take these.
  const bytes = await writeImage(session, output, pixels, null)
  const { width, height } = pixels
  return {
    json: { output: output.path, bytes, associated: name, width, height, warnings: warningsOf(slide) },
    text: `${output.path}: ${name}, ${width} x ${height} pixels`,
  }
}

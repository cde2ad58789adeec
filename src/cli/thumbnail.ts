import { Archive } from '../archive/archive.js'
import { openAny } from '../archive/open-any.js'
import { Pyramid } from '../archive/pyramid.js'
import type { CodecChoice } from '../codec/arguments.js'
import type { Image, Size } from '../image/image.js'
import { TileCache } from '../image/tile-cache.js'
import { drawArea } from '../server/area.js'
import { pyramidSourceOf } from '../server/slide-pyramid.js'
import type { SlideChoice } from '../slide/choice.js'
import { type IccMode, shownColours } from '../slide/colour.js'
import { type Level, type SlideSource, warningsOf } from '../slide/source.js'
import { type Cli, cacheDirOption, codecOptions, type Session } from './cli.js'
import { counted, integerFrom } from './quantities.js'
import { eachInput, outputDirOption } from './several.js'
import { choiceOf, slideOptions, warnOf } from './slide-options.js'
import { checkImageOutput, type ImageFormat, iccOption, imageOptions, imageOutput, writeImage } from './write-image.js'

interface Options extends CodecChoice, SlideChoice {
  readonly output?: string
  readonly outputDir?: string
  readonly format?: ImageFormat
  readonly size: number
  readonly icc: IccMode
  readonly cacheDir?: string
}

/** Room for the tiles that a thumbnail is made of. */
const CACHE_BYTES = 64 * 2 ** 20

export function addThumbnail(cli: Cli): void {
  cli.add<Options>(
    'thumbnail <file...>',
    'Write a small picture of the whole of an archive or slide; for archives, of the overview that they store',
    (command) =>
      codecOptions(
        cacheDirOption(slideOptions(outputDirOption(imageOptions(command))))
          .option('--size <pixels>', 'the longer side, at most', integerFrom(16, 4096), 512)
          .addOption(iccOption()),
      ),
    async (session, { output, outputDir, format, size, icc, cacheDir, ...options }, ...files) => {
      const outputs = { output, outputDir, suffix: `.${format ?? 'png'}` }
      return eachInput(session, files, outputs, async (file, path) => {
        const image = imageOutput(session, path, format)
        checkImageOutput(image, file, options.model)
        const opened = await openAny(file, { ...session.opening(options), ...choiceOf(options), cacheDir })
        try {
          const warnings = warningsOf(opened)
          warnOf(session, opened.path, warnings)
          const pixels = await thumbnailOf(session, opened, size)
          const profileOf = opened.iccProfile?.() ?? null
          const { toSrgb, profile } = await shownColours(icc, profileOf, opened.background, opened.path)
          const bytes = await writeImage(session, image, toSrgb ? await toSrgb(pixels) : pixels, profile)
          const { width, height } = pixels
          return {
            json: { output: image.path, bytes, width, height, warnings },
            text: `${image.path}: ${width} x ${height} pixels`,
          }
        } finally {
          opened.close()
        }
      })
    },
    'cleric thumbnail slide.cleric.tif -o slide.png --size 512',
  )
}

async function thumbnailOf(session: Session, slide: Archive | SlideSource, side: number): Promise<Image> {
  const { width, height } = slide.levels[0] as Level
  const scale = Math.min(1, side / Math.max(width, height))
  const scaled = (length: number) => Math.max(1, Math.round(length * scale))
  const size: Size = { width: scaled(width), height: scaled(height) }
  const pyramid = new Pyramid(slide instanceof Archive ? slide : pyramidSourceOf(slide), new TileCache(CACHE_BYTES))
  try {
    const full = { x: 0, y: 0, width, height }
    const { image, holes } = await drawArea(pyramid, full, slide.background, full, size, session.signal)
    if (holes.length > 0)
      session.warn(`${slide.path}: ${counted(holes.length, 'tile')} can't be read: hatched in the picture`)
    return image
  } finally {
    pyramid.close()
  }
}

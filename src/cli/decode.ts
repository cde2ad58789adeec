import { type Archive, openArchive } from '../archive/archive.js'
import type { CodecChoice } from '../codec/arguments.js'
import { UnsupportedError } from '../errors.js'
import { fill, paste } from '../image/draw.js'
import type { Image } from '../image/image.js'
import type { IccMode } from '../slide/colour.js'
import type { Level } from '../slide/source.js'
import { type Cli, codecOptions } from './cli.js'
import { eachInput, outputDirOption } from './several.js'
import { checkImageOutput, type ImageFormat, iccOption, imageOptions, imageOutput, writeImage } from './write-image.js'

interface Options extends CodecChoice {
  readonly output?: string
  readonly outputDir?: string
  readonly format?: ImageFormat
  readonly icc: IccMode
}

/** 3 GiB of RGB; Node's buffers end at 4 GiB. */
const MAX_PIXELS = 2 ** 30
const BAND = 1024

export function addDecode(cli: Cli): void {
  cli.add<Options>(
    'decode <file...>',
    'Write what `encode` made as images again',
    (command) => codecOptions(outputDirOption(imageOptions(command)).addOption(iccOption())),
    async (session, { output, outputDir, format, icc, ...options }, ...files) => {
      const outputs = { output, outputDir, suffix: `.${format ?? 'png'}` }
      return eachInput(session, files, outputs, async (file, path) => {
        const image = imageOutput(session, path, format)
        checkImageOutput(image, file, options.model)
        const archive = await openArchive(file, { ...session.opening(options), icc })
        try {
          const { width, height } = archive.levels[0] as Level
          const pixels = await readWhole(archive, session.signal)
          const bytes = await writeImage(session, image, pixels, archive.iccProfile())
          return {
            json: { output: image.path, bytes, width, height },
            text: `${image.path}: ${width} x ${height} pixels`,
          }
        } finally {
          archive.close()
        }
      })
    },
    'cleric decode tile.cleric -o tile.png',
  )
}

/** All of level 0, in bands: a single region may not be that large. */
async function readWhole(archive: Archive, signal: AbortSignal): Promise<Image> {
  const { width, height } = archive.levels[0] as Level
  if (width * height > MAX_PIXELS) {
    const what = `${archive.path}: ${width} x ${height} pixels are too many for one image; see: cleric region`
    throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', what)
  }
  const image = fill(width, height, archive.background)
  for (let y = 0; y < height; y += BAND) {
    const region = { x: 0, y, level: 0, width, height: Math.min(BAND, height - y) }
    paste(await archive.readRegion(region, signal), image, 0, y)
  }
  return image
}

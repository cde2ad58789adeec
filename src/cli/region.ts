import { openAny } from '../archive/open-any.js'
import type { CodecChoice } from '../codec/arguments.js'
import type { SlideChoice } from '../slide/choice.js'
import type { IccMode } from '../slide/colour.js'
import { inColours } from '../slide/slide-in-colours.js'
import { warningsOf } from '../slide/source.js'
import { type Cli, cacheDirOption, codecOptions } from './cli.js'
import { integerFrom } from './quantities.js'
import { choiceOf, slideOptions, warnOf } from './slide-options.js'
import { checkImageOutput, iccOption, imagePath, writeImage } from './write-image.js'

interface Options extends CodecChoice, SlideChoice {
  readonly output: string
  readonly level: number
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
  readonly icc: IccMode
  readonly cacheDir?: string
}

const PLACE = integerFrom(-(2 ** 40), 2 ** 40)
const SIZE = integerFrom(1, 65535)

export function addRegion(cli: Cli): void {
  cli.add<Options>(
    'region <file>',
    'Write one region of an archive or slide as an image',
    (command) =>
      codecOptions(
        cacheDirOption(slideOptions(command))
          .requiredOption('-o, --output <image>', 'PNG, JPEG, TIFF or WebP to write, told by its name', imagePath)
          .option('--level <number>', 'level to read', integerFrom(0, 63), 0)
          .option('--x <pixels>', 'left edge, in level-0 pixels', PLACE, 0)
          .option('--y <pixels>', 'top edge, in level-0 pixels', PLACE, 0)
          .requiredOption('--width <pixels>', "width, in the level's pixels", SIZE)
          .requiredOption('--height <pixels>', "height, in the level's pixels", SIZE)
          .addOption(iccOption()),
      ),
    async (session, options, file) => {
      const { x, y, level, width, height, output, icc, cacheDir } = options
      checkImageOutput(output, file, options.model)
      const opened = await openAny(file as string, { ...session.opening(options), ...choiceOf(options), cacheDir })
      try {
        const warnings = warningsOf(opened)
        warnOf(session, opened.path, warnings)
        const slide = await inColours(opened, icc)
        const region = await slide.readRegion({ x, y, level, width, height }, session.signal)
        const bytes = await writeImage(output, region, slide.iccProfile?.() ?? null)
        return {
          json: { output, bytes, x, y, level, width, height, warnings },
          text: `${output}: ${width} x ${height} pixels of level ${level} from ${x}, ${y}`,
        }
      } finally {
        opened.close()
      }
    },
    'cleric region slide.cleric.tif -o nuclei.png --x 9000 --y 7000 --width 1024 --height 768',
  )
}

import type { CodecChoice } from '../codec/arguments.js'
import type { CheckMode } from '../compress/run.js'
import type { OnBadTile } from '../compress/slide-reader.js'
import type { SlideChoice } from '../slide/choice.js'
import { openSlide } from '../slide/open.js'
import { withArchiveOutput } from './archive-output.js'
import { type Cli, cacheDirOption, codecOptions } from './cli.js'
import { compressOutcome, compressWithProgress, onBadTileOption, qualityOptions } from './compress.js'
import { eachInput, outputDirOption } from './several.js'
import { slideOptions } from './slide-options.js'
import { tileSide } from './tile-side.js'

interface Options extends CodecChoice, SlideChoice {
  readonly output?: string
  readonly outputDir?: string
  readonly quality?: number
  readonly targetBpp?: number
  readonly tile: number
  readonly cacheDir?: string
  readonly check: CheckMode | false
  readonly minPsnr?: number
  readonly lossless?: boolean
  readonly onBadTile: OnBadTile
  readonly resume?: boolean
  readonly overwrite?: boolean
}

export function addEncode(cli: Cli): void {
  cli.add<Options>(
    'encode <image...>',
    'Compress images of any size, each into a file of its own',
    (command) =>
      codecOptions(
        qualityOptions(
          outputDirOption(
            cacheDirOption(slideOptions(command)).option(
              '-o, --output <file>',
              'file to write, or - for stdout (default: the name of the image with .cleric)',
            ),
          ),
        )
          .option('--tile <pixels>', 'side of a tile', tileSide, 512)
          .addOption(onBadTileOption())
          .option('--resume', 'go on from an interrupted run with the same image, model and options')
          .option('--overwrite', 'replace an existing file'),
      ),
    async (session, { output: named, outputDir, page, series, range, cacheDir, ...options }, ...images) => {
      const outputs = { output: named, outputDir, suffix: '.cleric' }
      return eachInput(session, images, outputs, async (image, wanted) => {
        const output = wanted ?? `${image.replace(/\.[^./]*$/, '')}.cleric`
        const source = await openSlide(image, { page, series, range, cacheDir, signal: session.signal })
        try {
          // A single image needs no overview.
          const imageOptions = { ...options, levels: [0], background: 'keep', layout: 'strict' } as const
          const write = (path: string) => compressWithProgress(session, source, path, imageOptions)
          const result = await withArchiveOutput(session, output, write)
          return compressOutcome(session, { ...result, output })
        } finally {
          source.close()
        }
      })
    },
    'cleric encode tile.png -o tile.cleric',
  )
}

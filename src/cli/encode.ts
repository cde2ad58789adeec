import type { CodecChoice } from '../codec/arguments.js'
import type { CheckMode } from '../compress/run.js'
import type { SlideChoice } from '../slide/choice.js'
import { openSlide } from '../slide/open.js'
import { type Cli, cacheDirOption, codecOptions } from './cli.js'
import { compressOutcome, compressWithProgress, qualityOptions } from './compress.js'
import { slideOptions } from './slide-options.js'
import { tileSide } from './tile-side.js'

interface Options extends CodecChoice, SlideChoice {
  readonly output?: string
  readonly quality?: number
  readonly targetBpp?: number
  readonly tile: number
  readonly cacheDir?: string
  readonly check: CheckMode | false
  readonly minPsnr?: number
  readonly lossless?: boolean
  readonly resume?: boolean
  readonly overwrite?: boolean
}

export function addEncode(cli: Cli): void {
  cli.add<Options>(
    'encode <image>',
    'Compress one image of any size',
    (command) =>
      codecOptions(
        qualityOptions(
          cacheDirOption(slideOptions(command)).option(
            '-o, --output <file>',
            'file to write (default: the name of the image with .cleric)',
          ),
        )
          .option('--tile <pixels>', 'side of a tile', tileSide, 512)
          .option('--resume', 'go on from an interrupted run with the same image, model and options')
          .option('--overwrite', 'replace an existing file'),
      ),
    async (session, { output: named, page, series, range, cacheDir, ...options }, image) => {
      const output = named ?? `${(image as string).replace(/\.[^./]*$/, '')}.cleric`
      const source = await openSlide(image as string, { page, series, range, cacheDir, signal: session.signal })
      try {
        // A single image needs no overview.
        const imageOptions = { ...options, levels: [0], background: 'keep', layout: 'strict' } as const
        return compressOutcome(session, await compressWithProgress(session, source, output, imageOptions))
      } finally {
        source.close()
      }
    },
    'cleric encode tile.png -o tile.cleric',
  )
}

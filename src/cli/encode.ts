import type { CodecChoice } from '../codec/arguments.js'
import { ImageFile } from '../slide/image-file.js'
import { type Cli, cacheDirOption, codecOptions } from './cli.js'
import { compressOutcome, compressWithProgress, rateOptions } from './compress.js'
import { tileSide } from './quantities.js'

interface Options extends CodecChoice {
  readonly output?: string
  readonly quality?: number
  readonly targetBpp?: number
  readonly tile: number
  readonly cacheDir?: string
  readonly resume?: boolean
  readonly overwrite?: boolean
}

export function addEncode(cli: Cli): void {
  cli.add<Options>(
    'encode <image>',
    'Compress one image of any size',
    (command) =>
      codecOptions(
        rateOptions(
          cacheDirOption(command).option(
            '-o, --output <file>',
            'file to write (default: the name of the image with .cleric)',
          ),
        )
          .option('--tile <pixels>', 'side of a tile', tileSide, 512)
          .option('--resume', 'go on from an interrupted run with the same image, model and options')
          .option('--overwrite', 'replace an existing file'),
      ),
    async (session, { output: named, cacheDir, ...options }, image) => {
      const output = named ?? `${(image as string).replace(/\.[^./]*$/, '')}.cleric`
      const source = await ImageFile.open(image as string, { folder: cacheDir })
      try {
        // A single image needs no overview.
        const imageOptions = { ...options, background: 'keep', layout: 'strict' } as const
        return compressOutcome(await compressWithProgress(session, source, output, imageOptions))
      } finally {
        source.close()
      }
    },
    'cleric encode tile.png -o tile.cleric',
  )
}

import { openArchive } from '../archive/archive.js'
import type { CodecChoice } from '../default-codec.js'
import { fromImage } from '../slide/image-file.js'
import type { Level } from '../slide/source.js'
import { type Cli, codecOptions } from './cli.js'

interface Options extends CodecChoice {
  readonly output: string
}

export function addDecode(cli: Cli): void {
  cli.add<Options>(
    'decode <file>',
    'Write what `encode` made as an image again',
    (command) =>
      codecOptions(
        command.requiredOption('-o, --output <image>', 'PNG, JPEG, TIFF or WebP to write, told by its name'),
      ),
    async (session, options, file) => {
      const archive = await openArchive(file as string, session.codec(options))
      try {
        const { width, height } = archive.levels[0] as Level
        const image = await archive.readRegion({ x: 0, y: 0, level: 0, width, height }, session.signal)
        const { size } = await fromImage(image).toFile(options.output)
        return {
          json: { output: options.output, bytes: size, width, height },
          text: `${options.output}: ${width} x ${height} pixels`,
        }
      } finally {
        archive.close()
      }
    },
    'cleric decode tile.cleric -o tile.png',
  )
}

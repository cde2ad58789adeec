import { writeStaticFolder } from '../static/static-folder.js'
import type { Cli } from './cli.js'
import { filePath } from './inputs.js'
import { byteSize, counted } from './quantities.js'

interface Options {
  readonly output: string
  readonly model?: readonly string[]
  readonly overwrite?: boolean
}

export function addStatic(cli: Cli): void {
  cli.add<Options>(
    'static <files...>',
    'Write a folder with viewer and archives that any web server can serve; browsers decode',
    (command) =>
      command
        .requiredOption('-o, --output <folder>', 'folder to write', filePath)
        .option(
          '--model <model...>',
          'models that the archives need, each a name or a file (default: the one that ships)',
        )
        .option('--overwrite', 'replace a folder that cleric static wrote'),
    async (session, { output, model, overwrite }, ...files) => {
      const progress = session.progress('static')
      try {
        const result = await writeStaticFolder(files, output, {
          models: model,
          overwrite,
          signal: session.signal,
          onProgress: (done, total) => progress.update(done, total, byteSize(done)),
        })
        const text = `${output}: ${counted(result.slides.length, 'slide')}, ${byteSize(result.bytes)}; put it on a web server that answers range requests`
        return { json: result, text }
      } finally {
        progress.end()
      }
    },
    'cleric static slide.cleric.tif -o site',
  )
}

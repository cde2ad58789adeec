import { convertWeights } from '../checkpoint/convert.js'
import { ClericError } from '../errors.js'
import { refuseExisting } from '../files/partial-file.js'
import { isSameFile } from '../files/same-file.js'
import type { Cli } from './cli.js'
import { byteSize } from './quantities.js'

export function addConvertWeights(cli: Cli): void {
  cli.add<{ output: string; overwrite?: boolean }>(
    'convert-weights <checkpoint> [exporter-options...]',
    "Make a model file of a PyTorch checkpoint; what follows -- are options of the training's exporter",
    (command) =>
      command
        .requiredOption('-o, --output <file>', 'model file to write (.safetensors)')
        .option('--overwrite', 'replace an existing file'),
    async (session, { output, overwrite = false }, checkpoint, ...exporter) => {
      refuseExisting(output, overwrite)
      if (isSameFile(output, checkpoint as string)) {
        throw new ClericError('ERR_FILE_EXISTS', `${output} is the checkpoint itself; choose another name`)
      }
      const result = await convertWeights(checkpoint as string, output, { exporter, overwrite, signal: session.signal })
      const { bytes, model, tensors, weights } = result
      const text = `${output}: ${byteSize(bytes)}, model ${model.name} (${model.hash.slice(0, 16)})`
      return { json: { output, ...result }, text: `${text}, ${weights} weights in ${tensors} tensors` }
    },
    'cleric convert-weights s.pt -o cleric-s.safetensors -- --name cleric-s',
  )
}

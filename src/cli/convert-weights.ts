import { convertWeights } from '../checkpoint/convert.js'
import { ClericError } from '../errors.js'
import { refuseExisting } from '../partial-file.js'
import { isSameFile } from '../same-file.js'
import type { Cli } from './cli.js'
import { byteSize } from './quantities.js'

export function addConvertWeights(cli: Cli): void {
  cli.add<{ output: string; overwrite?: boolean; exporter?: string[] }>(
    'convert-weights <checkpoint>',
    'Make a model file of a PyTorch checkpoint',
    (command) =>
      command
        .requiredOption('-o, --output <file>', 'model file to write (.safetensors)')
        .option('--exporter <options...>', 'further options of the exporter (training/README.md)')
        .option('--overwrite', 'replace an existing file'),
    async (session, { output, overwrite = false, exporter = [] }, checkpoint) => {
      refuseExisting(output, overwrite)
      if (isSameFile(output, checkpoint as string)) {
        throw new ClericError('ERR_FILE_EXISTS', `${output} is the checkpoint itself; choose another name`)
      }
      const result = await convertWeights(checkpoint as string, output, { exporter, overwrite, signal: session.signal })
      const { bytes, model, tensors, weights } = result
      const text = `${output}: ${byteSize(bytes)}, model ${model.name} (${model.hash.slice(0, 16)})`
      return { json: { output, ...result }, text: `${text}, ${weights} weights in ${tensors} tensors` }
    },
    'cleric convert-weights s.pt -o cleric-s.safetensors',
  )
}

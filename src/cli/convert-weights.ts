import { convertWeights } from '../checkpoint/convert.js'
import { checkOutput } from '../files/output.js'
import { partialNames } from '../files/partial-file.js'
import type { Cli } from './cli.js'
import { filePath } from './inputs.js'
import { byteSize } from './quantities.js'

export function addConvertWeights(cli: Cli): void {
  cli.add<{ output: string; overwrite?: boolean }>(
    'convert-weights <checkpoint> [exporter-options...]',
    "Make a model file of a PyTorch checkpoint; what follows -- are options of the training's exporter",
    (command) =>
      command
        .requiredOption('-o, --output <file>', 'model file to write (.safetensors)', filePath)
        .option('--overwrite', 'replace an existing file'),
    async (session, { output, overwrite = false }, checkpoint, ...exporter) => {
      checkOutput({ names: partialNames(output), reads: [checkpoint], overwrite })
      const result = await convertWeights(checkpoint as string, output, { exporter, overwrite, signal: session.signal })
      const { bytes, model, tensors, weights } = result
      const text = `${output}: ${byteSize(bytes)}, model ${model.name} (${model.hash.slice(0, 16)})`
      return { json: { output, ...result }, text: `${text}, ${weights} weights in ${tensors} tensors` }
    },
    'cleric convert-weights s.pt -o cleric-s.safetensors -- --name cleric-s',
  )
}

/**
 * Measures the error that a model has on tissue, which it then promises (src/model/promise.ts): of crops of a folder of
 * tissue images, at several qualities, the error that one crop of a thousand exceeds (the largest, if there are fewer),
 * and half as much again. With --write the model file states it.
 *
 *     node --import tsx scripts/tissue-errors.ts FOLDER [--model FILE] [--limit 64] [--side 256] [--write]
 */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { centre, openImageSet } from '../bench/src/image-set.js'
import { TileCodec } from '../src/codec/tile-codec.js'
import { openCpu } from '../src/cpu/backend.js'
import { meanSquaredError } from '../src/metrics/psnr.js'
import { CHECKSUM, DEFAULT_MODEL_FILE, loadModel } from '../src/model/model.js'
import { PROMISE_KEY, type TissueErrors } from '../src/model/promise.js'

const QUALITIES = [0, 20, 40, 60, 80, 100]
const SHARE = 0.999
const MARGIN = 1.5

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: 'string', default: fileURLToPath(DEFAULT_MODEL_FILE) },
    limit: { type: 'string', default: '64' },
    side: { type: 'string', default: '256' },
    write: { type: 'boolean', default: false },
  },
})
const folder = positionals[0]
if (folder === undefined) throw new Error('Which folder of tissue images? See the top of this file')

const model = await loadModel(values.model)
using backend = await openCpu()
using codec = new TileCodec(model, backend)
const set = await openImageSet(folder, 0)
const limit = Math.min(Number(values.limit), set.names.length)
const errors = new Map<number, number[]>(QUALITIES.map((quality) => [quality, []]))
for (let i = 0; i < limit; i++) {
  const [whole] = await set.read(Math.floor(((i + 0.5) * set.names.length) / limit), [0])
  if (!whole) continue
  const image = centre(whole.image, Number(values.side))
  for (const quality of QUALITIES) {
    const { decoded } = await codec.encodeChecked(image, quality)
    errors.get(quality)?.push(meanSquaredError(image, decoded, image))
  }
  console.error(`${i + 1} of ${limit}: ${whole.name}`)
}
const promised: TissueErrors = QUALITIES.map((quality) => {
  const sorted = (errors.get(quality) as number[]).sort((a, b) => a - b)
  const high = sorted[Math.min(sorted.length - 1, Math.floor(SHARE * sorted.length))] as number
  const median = sorted[sorted.length >> 1] as number
  console.error(`quality ${quality}: median ${median.toFixed(1)}, most ${high.toFixed(1)}`)
  return [quality, Number((MARGIN * high).toPrecision(3))]
})
console.log(JSON.stringify(promised))
if (values.write) writeFileSync(values.model, withMetadata(readFileSync(values.model), JSON.stringify(promised)))

/** The safetensors file with the metadata entry: its tensors' offsets count from the end of the header. */
function withMetadata(file: Buffer, text: string): Buffer {
  const length = Number(file.readBigUInt64LE(0))
  const header = JSON.parse(file.subarray(8, 8 + length).toString('utf8'))
  header.__metadata__[PROMISE_KEY] = text
  const written = Buffer.from(JSON.stringify(header))
  // Readers want the tensors aligned; JSON may end in spaces.
  const padded = Buffer.concat([written, Buffer.alloc((8 - (written.length % 8)) % 8, ' ')])
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(padded.length))
  const changed = Buffer.concat([size, padded, file.subarray(8 + length)])
  // A packed file ends in the checksum of what is before it.
  if (header[CHECKSUM])
    createHash('sha256')
      .update(changed.subarray(0, -32))
      .digest()
      .copy(changed, changed.length - 32)
  return changed
}

/**
 * Writes src/web/probe-tiles.ts: the probe (src/codec/probe.ts), encoded with the model that ships on the processor. To be run
 * whenever that model changes; test/web/trial.test.ts says so.
 */
import { writeFileSync } from 'node:fs'
import { modelId } from '../src/codec/bitstream.js'
import { PROBE_QUALITY, probe } from '../src/codec/probe.js'
import { TileCodec } from '../src/codec/tile-codec.js'
import { openCpu } from '../src/cpu/backend.js'
import { loadModel } from '../src/model/model.js'

const model = await loadModel()
using backend = await openCpu()
using codec = new TileCodec(model, backend)
const payload = await codec.encode(probe(), PROBE_QUALITY)
const text = `/** Written by scripts/probe-tiles.ts. */

/** Payloads of the probe in base64, encoded on the processor, by the first 16 digits of the model's hash. */
export const PROBE_TILES: Readonly<Record<string, string>> = {
  // ${model.name}
  '${modelId(model.hash)}':
    '${Buffer.from(payload).toString('base64')}',
}
`
writeFileSync(new URL('../src/web/probe-tiles.ts', import.meta.url), text)
console.log(`${payload.length} bytes`)

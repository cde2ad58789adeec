/** A browser's GPU is tried with a tile that a processor encoded. */
import test from 'ava'
import { modelId } from '../../src/codec/bitstream.js'
import { PROBE_QUALITY, probe } from '../../src/codec/probe.js'
import { TileCodec } from '../../src/codec/tile-codec.js'
import { openCpu } from '../../src/cpu/backend.js'
import { loadModel } from '../../src/model/model.js'
import { PROBE_TILES } from '../../src/web/probe-tiles.js'
import { decodesProbe } from '../../src/web/trial.js'
import { testWithModel } from '../data.js'
import { nanoModel } from '../network/golden.js'

test('other integers are noticed, and the right ones taken', async (t) => {
  const model = await nanoModel()
  using backend = await openCpu()
  using codec = new TileCodec(model, backend)
  const encoded = Buffer.from(await codec.encode(probe(), PROBE_QUALITY)).toString('base64')
  const tiles = { [modelId(model.hash)]: encoded }
  t.true(await decodesProbe(model, backend, undefined, tiles))
  // A parameter of the entropy model that is another stands for a device that computes another value from it.
  const inexact = {
    ...model,
    parameters: {
      ...model.parameters,
      integers: (asked: string) => {
        const { shape, data } = model.parameters.integers(asked)
        return asked.startsWith('h_s.') && data.length > 1000
          ? { shape, data: data.map((v, i) => (i === 7 ? v ^ 1 : v)) }
          : { shape, data }
      },
    },
  }
  t.false(await decodesProbe(inexact, backend, undefined, tiles))
})

test('a model without a tile of its own passes', async (t) => {
  const model = await nanoModel()
  using backend = await openCpu()
  t.true(await decodesProbe(model, backend, undefined, {}))
})

testWithModel([], 'the model that ships has its tile; if it changed, run scripts/probe-tiles.ts', async (t) => {
  const model = await loadModel()
  t.true(modelId(model.hash) in PROBE_TILES)
  using backend = await openCpu()
  t.true(await decodesProbe(model, backend))
})

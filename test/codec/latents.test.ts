/**
 * Latents of tiles: those of which g_s makes the pixels, and what is said where there are none. That every device gives
 * those of PyTorch's oracle is in cross-device.test.ts.
 */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { writePayload, writeTile } from '../../src/codec/bitstream.js'
import { encodeLossless } from '../../src/codec/classic-encoder.js'
import { openCodec } from '../../src/codec/codec.js'
import { openCpu } from '../../src/cpu/backend.js'
import { crc32c } from '../../src/entropy/crc32c.js'
import { cropImage } from '../../src/image/image.js'
import { GraphBuilder } from '../../src/network/builder.js'
import { synthesis } from '../../src/network/transforms.js'
import { fixtureModel, nanoModel, nanoModelFile } from '../network/golden.js'
import { deviceOf } from './cross-device.js'
import { goldenImage as image } from './golden-tile.js'

const model = await nanoModel()
const { width, height } = image
const size = { width, height }

test.serial('they are what g_s makes the pixels of, also in a model of one rate', async (t) => {
  for (const each of [model, await fixtureModel('tiny-no-ls')]) {
    using device = deviceOf(each, await openCpu())
    const payload = await device.codec.encode(image, 45)
    const latents = await device.codec.decodeLatents(payload, size, 45)
    const g = new GraphBuilder(each.parameters)
    const yHat = g.input('y_hat', { channels: each.config.M, height: height / 16, width: width / 16 }, 'float')
    const pixels = synthesis(g, each.config, yHat)
    g.endStage('synthesis', [{ tensor: pixels, format: 'rgb8' }])
    using backend = await openCpu()
    const executable = await backend.compile(g.finish(), each.parameters)
    const outputs = await executable.run(0, new Map([[yHat, latents?.data as Float32Array]]))
    executable.close()
    t.deepEqual(outputs.get(pixels), (await device.codec.decode(payload, size, 45)).data)
  }
})

test.serial('a damaged tile has no latents', async (t) => {
  using device = deviceOf(model, await openCpu())
  const { codec } = device
  const payload = await codec.encode(image, 80)
  for (const at of [3, 20, payload.length - 2]) {
    const damaged = payload.with(at, (payload[at] as number) ^ 4)
    await t.throwsAsync(codec.decodeLatents(damaged, size, 80), { code: 'ERR_CORRUPT_TILE' })
  }
})

test.serial('a tile of a classic codec has those of its pixels, or none', async (t) => {
  using codec = await openCodec({ model: fileURLToPath(nanoModelFile), device: 'cpu' })
  const small = cropImage(image, 50, 20)
  const stream = await encodeLossless(small)
  const payload = writePayload({ kind: 'webp', crc: crc32c(stream), stream })
  const bytes = writeTile({ ...small, quality: 30, modelId: codec.model.hash.slice(0, 16) }, payload)
  const analysed = await codec.decodeLatents(bytes)
  t.deepEqual(analysed, await codec.encodeLatents(small, { quality: 30 }))
  t.deepEqual([analysed.width, analysed.height, analysed.channels], [4, 2, codec.latentChannels])
  t.true(analysed.data.every((v) => Number.isFinite(v)))
  const none = await codec.decodeLatents(bytes, { missing: 'nan' })
  t.true(none.data.length === analysed.data.length && none.data.every(Number.isNaN))
  t.deepEqual(none.stored, new Uint8Array(8))
})

test.serial('arguments, aborts and another model are refused as for pixels', async (t) => {
  using codec = await openCodec({ model: fileURLToPath(nanoModelFile), device: 'cpu' })
  const bytes = await codec.encodeTile(image)
  await t.throwsAsync(codec.decodeLatents(bytes, { missing: 'zero' as 'nan' }), {
    message: /one of analyse, nan for missing/,
  })
  await t.throwsAsync(codec.decodeLatents('CLRT' as unknown as Uint8Array), { instanceOf: TypeError })
  await t.throwsAsync(codec.decodeLatents(bytes, { signal: AbortSignal.abort() }), { code: 'ERR_ABORTED' })
  await t.throwsAsync(codec.encodeLatents(image, { quality: 101 }), { message: /for quality/ })
  await t.throwsAsync(codec.decodePayloadLatents(bytes, { width: 4096, height: 8, quality: 60 }), {
    message: /for width/,
  })
  const other = writeTile({ ...size, quality: 60, modelId: '0123456789abcdef' }, bytes.subarray(26))
  await t.throwsAsync(codec.decodeLatents(other), { code: 'ERR_MODEL_MISMATCH' })
})

/**
 * Latents of tiles: those that PyTorch's oracle has, to the bit on every device, and those of which g_s makes the
 * pixels.
 */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { writePayload, writeTile } from '../../src/codec/bitstream.js'
import { encodeLossless } from '../../src/codec/classic-encoder.js'
import { openCodec } from '../../src/codec/codec.js'
import { channelIndexes } from '../../src/codec/coding-order.js'
import { gainsAt } from '../../src/codec/gain.js'
import { openCpu } from '../../src/cpu/backend.js'
import { crc32c } from '../../src/entropy/crc32c.js'
import { RansEncoder, RansTables } from '../../src/entropy/rans.js'
import { cropImage, type Image } from '../../src/image/image.js'
import { GraphBuilder } from '../../src/network/builder.js'
import { LATENT_STEPS } from '../../src/network/graph.js'
import { gather, halfPositions } from '../../src/network/ports.js'
import { synthesis } from '../../src/network/transforms.js'
import { fixtureModel, nanoGolden, nanoModel, nanoModelFile, rgbOf } from '../network/golden.js'
import { interpreter } from '../network/interpreter.js'
import { adapters, type Device, deviceOf, processors } from './cross-device.js'

const model = await nanoModel()
const golden = nanoGolden()
const { M, Z, slices } = model.config
const [, height = 0, width = 0] = golden.get('x').shape
const size = { width, height }
const image: Image = { data: rgbOf(golden.get('x').data, height, width), ...size, channels: 3 }

/** The golden vectors' symbols as a tile: no device has a part in it. */
async function goldenPayload(): Promise<Uint8Array> {
  const encoder = new RansEncoder()
  let crc = 0
  const push = (symbols: Int16Array, indexes: Uint16Array, tables: RansTables) => {
    encoder.push(symbols, indexes, tables)
    crc = crc32c(new Uint8Array(symbols.buffer), crc)
  }
  const z = { channels: Z, height: height / 64, width: width / 64 }
  push(Int16Array.from(golden.get('z_hat').data), channelIndexes(z), new RansTables(model.zTables))
  const slice = { channels: M / slices, height: height / 16, width: width / 16 }
  for (let i = 0; i < slices; i++) {
    for (const half of ['anchor', 'nonAnchor'] as const) {
      const coded = (name: string) =>
        gather(Int16Array.from(golden.get(`${name}.${i}`).data), halfPositions(slice, half))
      push(coded('r'), Uint16Array.from(coded('index')), new RansTables(model.yTables))
    }
  }
  return writePayload({ kind: 'cleric', crc, stream: await encoder.finish() })
}

/** y_hat of the golden vectors times the inverse gain, in float32. */
function goldenLatents(): Float32Array {
  const yHat = Array.from({ length: slices }, (_, i) => [...golden.get(`y_hat.${i}`).data]).flat()
  const inverse = gainsAt(model, golden.quality)?.inverse as Float32Array
  const area = (height / 16) * (width / 16)
  return Float32Array.from(yHat, (v, i) => (v / LATENT_STEPS) * (inverse[Math.floor(i / area)] as number))
}

/** The bits of floats: NaN and -0 count too. */
const bits = ({ data }: { readonly data: Float32Array }) => new Uint32Array(data.buffer, data.byteOffset, data.length)

const devices: Device[] = []
test.before(async () => {
  devices.push(deviceOf(model, interpreter()), ...(await processors(model)), ...(await adapters(model)))
})
test.after.always(() => {
  for (const device of devices) device[Symbol.dispose]()
})

test.serial("every device gives the latents of PyTorch's oracle, to the bit", async (t) => {
  t.true(devices.length >= 3)
  t.log(devices.map(({ name }) => name).join(', '))
  const payload = await goldenPayload()
  const expected = goldenLatents()
  t.true(expected.filter((v) => v !== 0).length > expected.length / 2)
  for (const { name, codec } of devices) {
    const latents = await codec.decodeLatents(payload, size, golden.quality)
    t.deepEqual(latents && bits(latents), bits({ data: expected }), name)
    t.like(latents, { channels: M, width: width / 16, height: height / 16 })
    t.true(latents?.stored.every((each) => each === 1))
  }
})

test.serial('the latents that a device says an image has are those that another reads of its tile', async (t) => {
  const odd = cropImage(image, 55, 37)
  for (const [i, { name, codec }] of devices.entries()) {
    const other = devices[(i + 1) % devices.length] as Device
    const read = await other.codec.decodeLatents(await codec.encode(odd, 80), odd, 80)
    t.like(read, { channels: M, width: 4, height: 3 })
    const own = await codec.encodeLatents(odd, 80)
    t.deepEqual(bits(own), read && bits(read), `${name} to ${other.name}`)
    t.true(own.stored.every((each) => each === 0))
  }
})

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
  const [, { codec }] = devices as [Device, Device]
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

/**
 * What one device encodes decodes on every other, to pixels and to latents: the interpreter, the processor's instruction
 * sets, the WebGPU adapters of this machine. And whatever happens to a tile's bytes, nobody is shown another picture.
 */
import test from 'ava'
import { readTile, writeTile } from '../../src/codec/bitstream.js'
import { cropImage, type Image } from '../../src/image/image.js'
import { fixtureModel, nanoModel } from '../network/golden.js'
import { interpreter } from '../network/interpreter.js'
import { adapters, checkPairs, type Device, deviceOf, processors } from './cross-device.js'
import { goldenImage, goldenLatents, goldenPayload, goldenQuality } from './golden-tile.js'

const model = await nanoModel()

/** Smooth with some texture and an edge, so that symbols of many sizes occur. */
function picture(width: number, height: number): Image {
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)]
    return 120 + 60 * Math.sin(x / 9 + c) * Math.cos(y / 7) + 30 * Math.sin(x * y + c) + (x + 2 * y > 90 ? 40 : 0)
  })
  return { data, width, height, channels: 3 }
}

let devices: Device[] = []
test.before(async () => {
  devices = [...(await processors(model)), ...(await adapters(model))]
})
test.after.always(() => {
  for (const device of devices) device[Symbol.dispose]()
})

test.serial('tiles decode to the same symbols on every device, both ways', async (t) => {
  t.log(devices.map(({ name }) => name).join(', '))
  t.true(devices.length >= 2)
  for (const [width, height, quality] of [
    [200, 130, 100],
    [190, 61, 55],
    [64, 128, 0],
    [1, 1, 80],
  ] as const) {
    await checkPairs(t, devices, devices, picture(width, height), quality)
  }
})

test.serial("the interpreter's tiles decode on every device, and theirs on it", async (t) => {
  using slow = deviceOf(model, interpreter())
  await checkPairs(t, [slow], devices, picture(64, 64), 90)
  await checkPairs(t, devices, [slow], picture(60, 40), 70)
})

test.serial("a network of preset m's proportions codes to the same symbols on every device", async (t) => {
  const uneven = await fixtureModel('tiny-m')
  const others = [...(await processors(uneven)).slice(-1), ...(await adapters(uneven))]
  try {
    await checkPairs(t, others, others, picture(120, 70), 80)
  } finally {
    for (const device of others) device[Symbol.dispose]()
  }
})

test.serial('no flipped bit of a tile gives another picture', async (t) => {
  const [device] = devices as [Device]
  const image = picture(64, 64)
  const quality = 50
  const payload = await device.codec.encode(image, quality)
  const right = await device.codec.decode(payload, image, quality)
  const bytes = writeTile({ ...image, quality, modelId: model.hash.slice(0, 16) }, payload)
  t.log(`${8 * bytes.length} bits`)
  let harmless = 0
  for (let bit = 0; bit < 8 * bytes.length; bit++) {
    const flipped = bytes.with(bit >> 3, (bytes[bit >> 3] as number) ^ (1 << (bit & 7)))
    const decode = async () => {
      const { head, payload } = readTile(flipped)
      return device.codec.decode(payload, head, head.quality)
    }
    try {
      t.deepEqual(await decode(), right, `bit ${bit} gives another picture`)
      harmless++
    } catch (error) {
      t.is((error as { code?: string }).code, 'ERR_CORRUPT_TILE', `bit ${bit}: ${error}`)
    }
  }
  t.log(`${harmless} of them change nothing`)
})

/** The bits of floats: NaN and -0 count too. */
const bits = ({ data }: { readonly data: Float32Array }) => new Uint32Array(data.buffer, data.byteOffset, data.length)

test.serial("every device gives the latents of PyTorch's oracle, to the bit", async (t) => {
  using slow = deviceOf(model, interpreter())
  const payload = await goldenPayload()
  const expected = goldenLatents()
  t.true(expected.filter((v) => v !== 0).length > expected.length / 2)
  for (const { name, codec } of [slow, ...devices]) {
    const latents = await codec.decodeLatents(payload, goldenImage, goldenQuality)
    t.deepEqual(latents && bits(latents), bits({ data: expected }), name)
    t.like(latents, { channels: model.config.M, width: goldenImage.width / 16, height: goldenImage.height / 16 })
    t.true(latents?.stored.every((each) => each === 1))
  }
})

test.serial('the latents that a device says an image has are those that another reads of its tile', async (t) => {
  using slow = deviceOf(model, interpreter())
  const all = [slow, ...devices]
  const odd = cropImage(goldenImage, 55, 37)
  for (const [i, { name, codec }] of all.entries()) {
    const other = all[(i + 1) % all.length] as Device
    const read = await other.codec.decodeLatents(await codec.encode(odd, 80), odd, 80)
    t.like(read, { channels: model.config.M, width: 4, height: 3 })
    const own = await codec.encodeLatents(odd, 80)
    t.deepEqual(bits(own), read && bits(read), `${name} to ${other.name}`)
    t.true(own.stored.every((each) => each === 0))
  }
})

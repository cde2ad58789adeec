/** The codec on the interpreter: what holds on any backend. */
import test from 'ava'
import { gainsAt } from '../../src/codec/gain.js'
import { TileCodec } from '../../src/codec/tile-codec.js'
import { CorruptDataError } from '../../src/errors.js'
import type { Image } from '../../src/image/image.js'
import { encoderGraph } from '../../src/network/cleric.js'
import { DEAD_ZONE_TABLE, type PortData, type Tensor } from '../../src/network/graph.js'
import { nanoGolden, nanoModel, rgbOf } from '../network/golden.js'
import { Interpreter, interpreter } from '../network/interpreter.js'
import { tableBits } from './estimate.js'

const model = await nanoModel()
const golden = nanoGolden()
const [, height = 0, width = 0] = golden.get('x').shape

const image: Image = { data: rgbOf(golden.get('x').data, height, width), width, height, channels: 3 }

function newCodec(): TileCodec {
  return new TileCodec(model, interpreter())
}

/** What `image` is encoded to at the golden vectors' quality. */
let payload: Uint8Array
test.before(async () => {
  payload = await newCodec().encode(image, golden.quality)
})

test("a tile decodes to PyTorch's image, and takes the bits that the tables promise", async (t) => {
  const decoded = await newCodec().decode(payload, image, golden.quality)
  const expected = rgbOf(golden.get('x_hat').data, height, width)
  let worst = 0
  for (const [i, value] of expected.entries()) worst = Math.max(worst, Math.abs(value - (decoded.data[i] as number)))
  t.true(worst <= 1, `pixels differ by ${worst}`)

  const plan = encoderGraph(model.config, model.parameters, height, width)
  const gain = gainsAt(model, golden.quality)?.forward as Float32Array
  const run = new Interpreter(plan.graph, model.parameters)
  const inputs = new Map<Tensor, PortData>([
    [plan.image, image.data],
    [plan.gain as Tensor, gain],
  ])
  const promised = tableBits(model, plan, await run.run(0, inputs)) / 8
  // Ten bytes of head, and a little of the coder's state.
  const excess = payload.length - 10 - promised
  t.log(`${payload.length} bytes, of which ${promised.toFixed(1)} by the tables`)
  t.true(excess > 0 && excess < 5, `${payload.length} bytes, expected ${promised}`)
})

test('unsound tables are the fault of the model', (t) => {
  for (const name of ['yTables', 'zTables'] as const) {
    const tables = { ...model[name], values: model[name].values.map(() => 0) }
    t.throws(() => new TileCodec({ ...model, [name]: tables }, interpreter()), {
      instanceOf: CorruptDataError,
      code: 'ERR_MODEL_CORRUPT',
      message: /tables are unsound: CDF table 0/,
    })
  }
})

test('dead zones take fewer bits than plain rounding', async (t) => {
  const plain = { shape: [64], data: new Float32Array(64).fill(0.5) }
  const { parameters } = model
  const rounding = {
    integers: parameters.integers,
    get: (name: string) => (name === DEAD_ZONE_TABLE ? plain : parameters.get(name)),
  }
  const codec = new TileCodec({ ...model, parameters: rounding }, interpreter())
  const rounded = await codec.encode(image, golden.quality)
  // The decoder has no part in it.
  await t.notThrowsAsync(newCodec().decode(rounded, image, golden.quality))
  const [zones, nearest] = [payload.length, rounded.length]
  t.log(`${zones} bytes, ${nearest} with plain rounding`)
  t.true(zones < 0.98 * nearest)
})

test('any size is padded and cropped', async (t) => {
  const codec = newCodec()
  const odd: Image = { data: image.data.subarray(0, 37 * 23 * 3), width: 37, height: 23, channels: 3 }
  const decoded = await codec.decode(await codec.encode(odd, 0), odd, 0)
  t.deepEqual([decoded.width, decoded.height, decoded.data.length], [37, 23, 37 * 23 * 3])
})

test('an encoder that knows its pixels gives the same bytes, and the pixels that they decode to', async (t) => {
  const codec = newCodec()
  const odd: Image = { data: image.data.subarray(0, 61 * 23 * 3), width: 61, height: 23, channels: 3 }
  const { payload, decoded } = await codec.encodeChecked(odd, 70)
  t.deepEqual(payload, await codec.encode(odd, 70))
  t.deepEqual(decoded, await codec.decode(payload, odd, 70))
})

test('quality changes the rate', async (t) => {
  const codec = newCodec()
  const small: Image = { data: image.data.subarray(0, 64 * 64 * 3), width: 64, height: 64, channels: 3 }
  const sizes: number[] = []
  for (const quality of [0, 50.5, 100]) sizes.push((await codec.encode(small, quality)).length)
  t.deepEqual(
    sizes,
    [...sizes].sort((a, b) => a - b),
  )
  t.true((sizes[2] as number) > (sizes[0] as number))
})

test('a flipped bit, a missing or an extra byte never gives a picture', async (t) => {
  const codec = newCodec()
  const small: Image = { data: image.data.subarray(0, 64 * 64 * 3), width: 64, height: 64, channels: 3 }
  const payload = await codec.encode(small, 100)
  const damaged = [payload.subarray(0, payload.length - 1), Uint8Array.from([...payload, 0])]
  for (let i = 0; i < payload.length; i += Math.ceil(payload.length / 12)) {
    const copy = payload.slice()
    copy[i] = (copy[i] as number) ^ (1 << (i % 8))
    damaged.push(copy)
  }
  for (const bytes of damaged) {
    const error = await t.throwsAsync(codec.decode(bytes, small, 100))
    const { code } = error as Error & { code?: string }
    t.true(code === 'ERR_CORRUPT_TILE' || code === 'ERR_ARCHIVE_UNSUPPORTED', String(error))
  }
})

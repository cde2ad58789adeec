/**
 * The codec as applications use it: arguments, the queue, aborts, closing, calls at once. On the processor, with the
 * nano model.
 */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { readTile, writeTile } from '../../src/codec/bitstream.js'
import { type Codec, openCodec } from '../../src/codec/codec.js'
import { CorruptDataError, UnsupportedError } from '../../src/errors.js'
import { WebGpuBackend } from '../../src/webgpu/backend.js'
import { nanoModelFile } from '../network/golden.js'

const model = fileURLToPath(nanoModelFile)
const open = () => openCodec({ model, device: 'cpu' })

function picture(width: number, height: number, channels: 3 | 4 = 3): Uint8Array {
  const value = (i: number) => 128 + 90 * Math.sin(Math.floor(i / channels) / 19 + (i % channels))
  return Uint8Array.from({ length: width * height * channels }, (_, i) => value(i))
}

test('tiles come back in their size, RGB and RGBA alike', async (t) => {
  using codec = await open()
  t.is(codec.device.kind, 'cpu')
  for (const [width, height] of [
    [1, 1],
    [70, 33],
  ] as const) {
    const rgba = picture(width, height, 4)
    const rgb = rgba.filter((_, i) => i % 4 !== 3)
    const bytes = await codec.encodeTile({ data: rgb, width, height }, { quality: 33.3 })
    t.deepEqual(await codec.encodeTile({ data: new Uint8ClampedArray(rgba), width, height }, { quality: 33.3 }), bytes)
    const image = await codec.decodeTile(bytes)
    t.deepEqual([image.width, image.height, image.channels, image.data.length], [width, height, 3, rgb.length])
  }
})

test('shared memory may change as soon as a call is made', async (t) => {
  using codec = await open()
  const [width, height] = [40, 30]
  const image = { data: picture(width, height), width, height }
  const expected = await codec.encodeTile(image)
  const shared = (bytes: Uint8Array) => {
    const copy = new Uint8Array(new SharedArrayBuffer(bytes.length + 4), 4)
    copy.set(bytes)
    return copy
  }
  const pixels = shared(image.data)
  const encoding = codec.encodeTile({ ...image, data: pixels })
  pixels.fill(0)
  t.deepEqual(await encoding, expected)
  const bytes = shared(expected)
  const decoding = codec.decodeTile(bytes)
  bytes.fill(0)
  t.deepEqual(await decoding, await codec.decodeTile(expected))
})

test('bad arguments are refused before anything runs', async (t) => {
  using codec = await open()
  const image = { data: picture(8, 8), width: 8, height: 8 }
  for (const bad of [
    null,
    { ...image, width: 1025 },
    { ...image, height: 0 },
    { ...image, channels: 4 },
    { ...image, channels: 2 },
    { ...image, data: [...image.data] },
  ]) {
    const error = await t.throwsAsync(codec.encodeTile(bad as typeof image))
    t.regex(String(error), /^(Type|Range)Error: Expected .* for image/)
  }
  await t.throwsAsync(codec.encodeTile(image, { quality: 101 }), { instanceOf: RangeError, message: /for quality/ })
  await t.throwsAsync(codec.encodeTile(image, { signal: {} as AbortSignal }), { instanceOf: TypeError })
  await t.throwsAsync(codec.decodeTile('CLRT' as unknown as Uint8Array), { instanceOf: TypeError })
  const size = { width: 4096, height: 8, quality: 60 }
  await t.throwsAsync(codec.decodePayload(new Uint8Array(20), size), { instanceOf: RangeError, message: /for width/ })
  await t.throwsAsync(openCodec({ device: 'gpu' as 'cpu' }), { instanceOf: RangeError, message: /for device/ })
  await t.throwsAsync(openCodec({ device: 'cpu', adapter: 'llvmpipe' }), { instanceOf: RangeError })
  for (const options of [null, 5]) {
    const sentence = { instanceOf: TypeError, message: /^Expected an object for options but received / }
    await t.throwsAsync(codec.encodeTile(image, options as never), sentence)
    await t.throwsAsync(codec.decodeTile(new Uint8Array(20), options as never), sentence)
    await t.throwsAsync(openCodec(options as never), sentence)
  }
  await t.throwsAsync(codec.decodePayload(new Uint8Array(20), null as never), { message: /^Expected .* for tile/ })
})

test('an abort is heard while the model is read', async (t) => {
  const controller = new AbortController()
  // That it isn't there is found out later.
  const opening = openCodec({ model: '/no/such/model', device: 'cpu', signal: controller.signal })
  controller.abort('enough')
  const error = await t.throwsAsync(opening, { code: 'ERR_ABORTED' })
  t.is(error.cause, 'enough')
  await t.throwsAsync(openCodec({ model, device: 'cpu', signal: controller.signal }), { code: 'ERR_ABORTED' })
})

test.serial('an abort is heard while the device is opened, which is closed when it is open at last', async (t) => {
  t.timeout(60_000)
  const { open } = WebGpuBackend
  t.teardown(() => {
    WebGpuBackend.open = open
  })
  let closed = () => {}
  const isClosed = new Promise<void>((resolve) => {
    closed = resolve
  })
  const late = { kind: 'webgpu', close: () => closed() } as WebGpuBackend
  let finish = () => {}
  const begun = new Promise<void>((begin) => {
    WebGpuBackend.open = () => {
      begin()
      return new Promise((resolve) => {
        finish = () => resolve(late)
      })
    }
  })
  const controller = new AbortController()
  const opening = openCodec({ model, device: 'webgpu', signal: controller.signal })
  await begun
  controller.abort()
  await t.throwsAsync(opening, { code: 'ERR_ABORTED' })
  finish()
  await t.notThrowsAsync(isClosed)
})

test('a closed codec is lost', async (t) => {
  const codec = await open()
  t.false(codec.isLost)
  codec.close()
  t.true(codec.isLost)
})

test("another model's tile and a damaged one are told apart", async (t) => {
  using codec = await open()
  const bytes = await codec.encodeTile({ data: picture(20, 20), width: 20, height: 20 })
  const flipped = (at: number) => bytes.with(at, (bytes[at] as number) ^ 1)
  const { head, payload } = readTile(bytes)
  const other = writeTile({ ...head, modelId: 'ff'.repeat(8) }, payload)
  const foreign = await t.throwsAsync(codec.decodeTile(other), { instanceOf: UnsupportedError })
  t.is(foreign.code, 'ERR_MODEL_MISMATCH')
  t.regex(
    foreign.message,
    /with model ffffffffffffffff, but open is cleric-nano \([0-9a-f]{16}\)\. .*models\/README\.md/,
  )
  for (const at of [0, 11, bytes.length - 1]) {
    const damaged = await t.throwsAsync(codec.decodeTile(flipped(at)), { instanceOf: CorruptDataError })
    t.is(damaged.code, 'ERR_CORRUPT_TILE')
  }
})

/** A call that takes a while. */
const slow = (codec: Codec) => codec.encodeTile({ data: picture(1024, 1024), width: 1024, height: 1024 })
/** As many as run at a time. */
const slowCalls = (codec: Codec) => Array.from({ length: codec.tilesInFlight }, () => slow(codec))

test('a call that waits hears its abort at once, and those around it go on', async (t) => {
  using codec = await open()
  const image = { data: picture(8, 8), width: 8, height: 8 }
  let busy = true
  const first = Promise.race(slowCalls(codec)).finally(() => {
    busy = false
  })
  const controller = new AbortController()
  const second = codec.encodeTile(image, { signal: controller.signal })
  const third = codec.encodeTile(image)
  process.nextTick(() => controller.abort('enough'))
  const error = await t.throwsAsync(second, { code: 'ERR_ABORTED' })
  t.is(error.cause, 'enough')
  await t.throwsAsync(codec.encodeTile(image, { signal: controller.signal }), { code: 'ERR_ABORTED' })
  t.true(busy)
  t.true((await first).length > 0)
  t.deepEqual(await codec.decodeTile(await third), await codec.decodeTile(await codec.encodeTile(image)))
})

test('closing rejects what runs and what waits', async (t) => {
  const codec = await open()
  const calls = [...slowCalls(codec), slow(codec)]
  // When the first ones run: they are begun in promises alone, and end in a later turn of the event loop.
  process.nextTick(() => {
    codec.close()
    codec.close()
  })
  await Promise.all(calls.map((call) => t.throwsAsync(call, { code: 'ERR_CLOSED' })))
  await t.throwsAsync(slow(codec), { code: 'ERR_CLOSED' })
})

test('calls at once, of mixed sizes, give what they give one by one', async (t) => {
  using codec = await open()
  t.true(codec.tilesInFlight > 1)
  const sizes = [
    [64, 64],
    [130, 70],
    [20, 20],
    [64, 64],
    [200, 64],
    [70, 130],
    [60, 61],
    [300, 20],
  ] as const
  const images = sizes.map(([width, height], i) => ({ data: picture(width, height).map((v) => v + i), width, height }))
  const encode = (image: (typeof images)[0], i: number) => codec.encodeTile(image, { quality: 10 * i })
  const alone: Uint8Array[] = []
  for (const [i, image] of images.entries()) alone.push(await encode(image, i))
  t.deepEqual(await Promise.all(images.map(encode)), alone)

  const decoded = []
  for (const bytes of alone) decoded.push(await codec.decodeTile(bytes))
  // Both directions at once, and twice over.
  const [again, ...both] = await Promise.all([
    Promise.all(images.map(encode)),
    Promise.all(alone.map((bytes) => codec.decodeTile(bytes))),
    Promise.all(alone.map((bytes) => codec.decodeTile(bytes))),
  ])
  t.deepEqual(again, alone)
  for (const all of both) t.deepEqual(all, decoded)
})

test('a call that fails leaves those beside it alone', async (t) => {
  using codec = await open()
  const image = { data: picture(64, 64), width: 64, height: 64 }
  const bytes = await codec.encodeTile(image)
  const whole = await codec.decodeTile(bytes)
  const damaged = bytes.with(-1, (bytes.at(-1) as number) ^ 1)
  const calls = Array.from({ length: 9 }, (_, i) => codec.decodeTile(i % 2 ? damaged : bytes))
  for (const [i, call] of calls.entries()) {
    if (i % 2) await t.throwsAsync(call, { code: 'ERR_CORRUPT_TILE' })
    else t.deepEqual(await call, whole)
  }
})

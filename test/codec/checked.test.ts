/** Tiles that are checked while they are encoded, as applications see them: on the processor, with the nano model. */
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { type Codec, openCodec } from '../../src/codec/codec.js'
import { TileCodec } from '../../src/codec/tile-codec.js'
import { hash } from '../../src/image/noise.js'
import { psnr } from '../../src/metrics/psnr.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { nanoModelFile } from '../network/golden.js'

const model = fileURLToPath(nanoModelFile)
let codec: Codec
test.before(async () => {
  codec = await openCodec({ model, device: 'cpu' })
})
test.after.always(() => codec?.close())

const [width, height] = [90, 70]
const data = Uint8Array.from(
  { length: width * height * 3 },
  (_, i) => 120 + 80 * Math.sin(i / 200) + (hash(i, 0, 1) >>> 29),
)
const image = { data, width, height, channels: 3 as const }

test('the PSNR that is stated is that of what the bytes decode to', async (t) => {
  for (const options of [{ quality: 20 }, { quality: 90 }, { minPsnr: 44 }, { lossless: true }]) {
    const { bytes, psnr: stated, codec: kind } = await codec.encodeCheckedTile(image, options)
    const decoded = await codec.decodeTile(bytes)
    t.deepEqual([decoded.width, decoded.height], [width, height])
    const found = psnr(image, decoded)
    t.true(stated === found || Math.abs(stated - found) < 1e-9, `${kind}: ${stated}, not ${found}`)
    if (options.minPsnr !== undefined) t.true(stated >= options.minPsnr)
    if (options.lossless) t.is(stated, Number.POSITIVE_INFINITY)
  }
})

test('a floor that the network meets leaves the tile as it is', async (t) => {
  const { bytes } = await codec.encodeCheckedTile(image, { quality: 90 })
  t.deepEqual((await codec.encodeCheckedTile(image, { quality: 90, minPsnr: 1 })).bytes, bytes)
})

test('only what is shown counts', async (t) => {
  const shown = { width: 64, height: 70 }
  const { payload, psnr: stated } = await codec.encodeCheckedPayload(image, 60, { shown })
  const decoded = await codec.decodePayload(payload, { width, height, quality: 60 })
  const part = ({ data: pixels }: { data: Uint8Array }) => ({
    data: pixels.filter((_, i) => Math.floor(i / 3) % width < 64),
    ...shown,
    channels: 3 as const,
  })
  t.true(Math.abs(psnr(part(image), part(decoded)) - stated) < 1e-9)
})

test.serial('a device that decodes other pixels than it encoded, or none, is found out', async (t) => {
  const { decode } = TileCodec.prototype
  t.teardown(() => {
    TileCodec.prototype.decode = decode
  })
  // On tissue the model that ships is ahead of others.
  using shipped = await openCodec({ device: 'cpu' })
  using slide = new SyntheticSlide('synthetic:1000x1000:5')
  const tissue = await slide.readRegion({ x: 300, y: 300, level: 0, width: 128, height: 128 })
  const check = (verify: boolean) => shipped.encodeCheckedPayload(tissue, 20, { verify })
  t.is((await check(true)).codec, 'cleric')
  TileCodec.prototype.decode = async function (this: TileCodec, ...given) {
    const decoded = await decode.apply(this, given)
    return { ...decoded, data: decoded.data.with(17, (decoded.data[17] as number) ^ 1) }
  }
  await t.throwsAsync(check(true), { code: 'ERR_DEVICE_INEXACT' })
  await t.notThrowsAsync(check(false))
  TileCodec.prototype.decode = function (this: TileCodec, bytes, ...rest) {
    return decode.call(this, bytes.with(-1, (bytes.at(-1) as number) ^ 1), ...rest)
  }
  await t.throwsAsync(check(true), { code: 'ERR_DEVICE_INEXACT' })
})

test('bad arguments are refused', async (t) => {
  for (const [options, name] of [
    [{ minPsnr: 0 }, 'minPsnr'],
    [{ minPsnr: 101 }, 'minPsnr'],
    [{ minPsnr: 40, lossless: true }, 'minPsnr'],
    [{ lossless: 'yes' }, 'lossless'],
    [{ check: true }, 'options'],
  ] as const) {
    const refused = codec.encodeCheckedTile(image, options as never)
    await t.throwsAsync(refused, { message: new RegExp(`${name}|one of the ${name}`), code: 'ERR_INVALID_ARGUMENT' })
  }
  for (const shown of [null, { width: 0, height: 1 }, { width: 91, height: 70 }, { width: 1, height: 71 }, 5]) {
    await t.throwsAsync(codec.encodeCheckedPayload(image, 50, { shown } as never), { code: 'ERR_INVALID_ARGUMENT' })
  }
})

test('a closed codec checks nothing', async (t) => {
  const other = await openCodec({ model, device: 'cpu' })
  other.close()
  for (const options of [{}, { lossless: true }]) {
    await t.throwsAsync(other.encodeCheckedTile(image, options), { code: 'ERR_CLOSED' })
  }
})

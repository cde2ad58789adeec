/** Every codec of the bench that is there: real bitstreams, the size kept, settings in order of rate. */
import ava from 'ava'
import { type Image, psnr } from 'cleric'
import { SyntheticSlide } from 'cleric/internal'
import { losslessCodec } from '../../test/payload-codec.js'
import { type BenchCodec, isMissing } from '../src/codec.js'
import { BENCH_CODECS, openBenchCodecs } from '../src/open-codecs.js'
import { readPpm, writePpm } from '../src/ppm.js'
import { fromYcbcr, toYcbcr } from '../src/ycbcr.js'

const slide = new SyntheticSlide('synthetic:600x600:3')
const tissue = () => slide.readRegion({ x: 200, y: 200, level: 0, width: 150, height: 93 })

const opened = await openBenchCodecs(
  BENCH_CODECS.map(({ id }) => id),
  async () => losslessCodec(),
)

for (const codec of opened) {
  if (isMissing(codec)) {
    ava.skip(`${codec.label} (${codec.reason})`, (t) => t.fail())
    continue
  }
  ava(`${codec.label}: its settings go from few bits and low quality to many and high`, async (t) => {
    t.timeout(120_000)
    const image = await tissue()
    const { settings } = codec
    const chosen = codec.id.startsWith('cleric') ? settings.slice(0, 1) : [settings[0], settings[2], settings.at(-1)]
    let [bytes, quality] = [0, 0]
    for (const setting of chosen as number[]) {
      const coded = await codec.encode(image, setting)
      const decoded = await codec.decode(coded, image)
      t.deepEqual([decoded.width, decoded.height], [150, 93])
      t.true(coded.length > bytes && psnr(image, decoded) > quality, `${setting}: ${coded.length} bytes`)
      bytes = coded.length
      quality = psnr(image, decoded)
    }
    t.true(quality > 30, `${quality} dB`)
    t.true(bytes < image.data.length)
    t.regex(codec.version, /\d/)
    t.true(codec.commands.length === 2 && codec.commands[0]?.includes('{setting}'))
  })
}

for (const codec of opened) {
  if (isMissing(codec) || codec.id.startsWith('cleric')) continue
  ava(`${codec.label}: decoding rounds, so that the image gets neither darker nor lighter`, async (t) => {
    t.timeout(120_000)
    const image = await tissue()
    const decoded = await codec.decode(await codec.encode(image, codec.settings.at(-1) as number), image)
    const sum = decoded.data.reduce((total, value, i) => total + value - (image.data[i] as number), 0)
    const bias = sum / image.data.length
    // libwebp converts to 4:2:0 with a lean of its own.
    t.true(Math.abs(bias) < (codec.id === 'webp' ? 0.25 : 0.1), `${bias}`)
  })
}

const jpeg = opened.find((codec): codec is BenchCodec => codec.id === 'jpeg' && !isMissing(codec))
const testWithJpeg = jpeg ? ava : ava.skip

testWithJpeg('a bitstream that is damaged is an error that names the command', async (t) => {
  const damaged = new Uint8Array(100)
  await t.throwsAsync(() => (jpeg as BenchCodec).decode(damaged, { width: 8, height: 8 }), {
    code: 'ERR_TOOL_FAILED',
    message: /^djpeg .* failed: exit status 1: /,
  })
})

testWithJpeg('an image of another size than expected is an error', async (t) => {
  const image = await tissue()
  const coded = await (jpeg as BenchCodec).encode(image, 50)
  await t.throwsAsync(() => (jpeg as BenchCodec).decode(coded, { width: 93, height: 150 }), {
    code: 'ERR_TOOL_FAILED',
    message: /its output is no image of 93 x 150/,
  })
})

testWithJpeg('a signal that has fired stops the tool', async (t) => {
  const image = await tissue()
  await t.throwsAsync(() => (jpeg as BenchCodec).encode(image, 50, AbortSignal.abort()), { code: 'ERR_ABORTED' })
})

ava('YCbCr of 10 bits gives every RGB value of 8 bits back', (t) => {
  const side = 64
  const image: Image = { data: new Uint8Array(side ** 3 * 3), width: side * side, height: side, channels: 3 }
  for (let i = 0, j = 0; i < side ** 3; i++) {
    // Every fourth value of each channel, and the ends.
    for (const value of [i % side, Math.floor(i / side) % side, Math.floor(i / side ** 2)]) {
      image.data[j++] = Math.round((value * 255) / (side - 1))
    }
  }
  t.deepEqual(fromYcbcr(toYcbcr(image), image)?.data, image.data)
  t.is(fromYcbcr(new Uint8Array(5), image), null)
})

ava('PPM: written and read back; comments, and what is no image', async (t) => {
  const image = await tissue()
  t.deepEqual({ ...readPpm(writePpm(image)), data: null }, { ...image, data: null })
  t.deepEqual(Buffer.from(readPpm(writePpm(image))?.data ?? []), Buffer.from(image.data))
  t.like(readPpm(Buffer.from('P6\n# made by\n1 1\n255\nabc')), { width: 1, height: 1 })
  for (const text of [
    '',
    'P5\n1 1\n255\nabc',
    'P6\n1 1\n255\nab',
    'P6\n1 1\n65535\nabcabc',
    'P6\n99999 99999\n255\nabc',
  ]) {
    t.is(readPpm(Buffer.from(text)), null)
  }
})

/** Tiles of classic codecs: round trips, and streams that are damaged, hostile, or of another picture. */
import { inflateRawSync } from 'node:zlib'
import test from 'ava'
import sharp from 'sharp'
import { type ClassicKind, decodeClassic } from '../../src/codec/classic.js'
import { encodeLossless, encodeLossy } from '../../src/codec/classic-encoder.js'
import { decodePalette, encodePalette } from '../../src/codec/palette.js'
import { packSourceTiles } from '../../src/codec/source-tiles.js'
import { cropImage, type Image } from '../../src/image/image.js'
import { hash } from '../../src/image/noise.js'
import { fromImage } from '../../src/image/sharp.js'
import { psnr } from '../../src/metrics/psnr.js'
import { manyScans } from '../image/many-scans.js'

function shades(width: number, height: number): Image {
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < data.length; i++) data[i] = 120 + 60 * Math.sin(i / 70) + (hash(i, 0, 1) >>> 28)
  return { data, width, height, channels: 3 }
}

/** `count` colours, each at least once, in a picture of 300 pixels. */
function coloured(count: number): Image {
  const data = Uint8Array.from({ length: 900 }, (_, i) => {
    const number = Math.floor(i / 3) % count
    return i % 3 === 1 ? number >> 8 : number
  })
  return { data, width: 20, height: 15, channels: 3 }
}

const image = shades(75, 34)
const streams: readonly (readonly [ClassicKind, Promise<Uint8Array>])[] = [
  ['avif', encodeLossy('avif', image, 80)],
  ['jpeg', encodeLossy('jpeg', image, 95)],
  ['jpeg', encodeLossy('jpeg', image, 95, { plain: true })],
  ['webp', encodeLossless(image)],
]

test('every kind comes back, in its size; WebP unchanged', async (t) => {
  for (const [kind, stream] of streams) {
    const decoded = await decodeClassic(kind, await stream, image)
    t.deepEqual([decoded.width, decoded.height, decoded.channels], [75, 34, 3])
    const quality = psnr(image, decoded)
    t.true(kind === 'webp' ? quality === Number.POSITIVE_INFINITY : quality > 36, `${kind}: ${quality} dB`)
  }
})

test('the effort and the tables count', async (t) => {
  const [quick, thorough] = [await encodeLossy('avif', image, 60, { effort: 0 }), await encodeLossy('avif', image, 60)]
  t.notDeepEqual(quick, thorough)
  t.notDeepEqual(await encodeLossy('jpeg', image, 60, { plain: true }), await encodeLossy('jpeg', image, 60))
})

test('encoders run on one thread each, as the bytes of AVIF depend on their number', (t) => {
  t.is(sharp.concurrency(), 1)
})

test('a stream of another size is refused before it is decoded', async (t) => {
  for (const [kind, stream] of streams) {
    for (const size of [
      { width: 74, height: 34 },
      { width: 75, height: 35 },
      { width: 34, height: 75 },
    ]) {
      const error = await t.throwsAsync(decodeClassic(kind, await stream, size), { code: 'ERR_CORRUPT_TILE' })
      t.regex(error.message, /75 x 34 pixels, not|exceeds pixel limit/)
    }
  }
})

test('only the format that a tile names is decoded', async (t) => {
  const pixels = fromImage(image)
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="75" height="34"/>')
  const others = [
    svg,
    await pixels.clone().png().toBuffer(),
    await pixels.clone().tiff().toBuffer(),
    await pixels.clone().webp({ quality: 50 }).toBuffer(),
    await pixels.clone().toColourspace('b-w').jpeg().toBuffer(),
    new Uint8Array(0),
    Uint8Array.of(0xff),
  ]
  for (const kind of ['avif', 'webp', 'jpeg'] as const) {
    const foreign = await Promise.all(streams.flatMap(([own, stream]) => (own === kind ? [] : [stream])))
    for (const stream of [...others, ...foreign]) {
      await t.throwsAsync(decodeClassic(kind, stream, image), { code: 'ERR_CORRUPT_TILE' })
    }
  }
})

test('a stream that is cut off is refused', async (t) => {
  for (const [kind, promise] of streams) {
    const stream = await promise
    for (let length = 0; length < stream.length; length += Math.ceil(stream.length / 23)) {
      await t.throwsAsync(
        decodeClassic(kind, stream.subarray(0, length), image),
        { code: 'ERR_CORRUPT_TILE' },
        `${kind} ${length}`,
      )
    }
  }
})

test('few colours come back exactly, whatever their number; more than 256 have another form', async (t) => {
  for (const count of [1, 2, 3, 4, 5, 16, 17, 255, 256]) {
    for (const picture of [coloured(count), cropImage(coloured(count), 1, 1), cropImage(coloured(count), 9, 15)]) {
      const stream = (await encodePalette(picture)) as Uint8Array
      t.deepEqual(await decodePalette(stream, picture), picture, `${count} colours`)
    }
  }
  t.is(await encodePalette(coloured(257)), null)
})

test('a pixel takes as few bits as its number needs', async (t) => {
  for (const [count, bits] of [
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 4],
    [16, 4],
    [17, 8],
  ] as const) {
    const stream = (await encodePalette(coloured(count))) as Uint8Array
    t.is(inflateRawSync(stream.subarray(1 + 3 * count)).length, 15 * Math.ceil((20 * bits) / 8), `${count} colours`)
  }
})

test('hostile lists of colours are refused', async (t) => {
  const picture = coloured(3)
  const stream = (await encodePalette(picture)) as Uint8Array
  const refused = (bytes: Uint8Array, size = picture) =>
    t.throwsAsync(decodePalette(bytes, size), { code: 'ERR_CORRUPT_TILE' })
  for (let length = 0; length < stream.length; length++) {
    const { message } = await refused(stream.subarray(0, length))
    if (length > 0) t.is(message.includes('its list of 3 colours is cut off'), length < 10, message)
  }
  // Three colours are two bits, of which there are four values.
  const four = (await encodePalette(coloured(4))) as Uint8Array
  await refused(Uint8Array.from([2, ...four.subarray(1, 10), ...four.subarray(13)]))
  // Other sizes need more, or less, than there is.
  await refused(stream, { ...picture, height: 16 })
  await refused(stream, { ...picture, height: 14 })
})

test('a JPEG goes over the pixels a bounded number of times', async (t) => {
  const size = { width: 64, height: 64 }
  const grey = await decodeClassic('jpeg', manyScans(size, 64), size)
  t.true(grey.data.every((value) => value === 128))
  const refused = { code: 'ERR_CORRUPT_TILE', message: /its JPEG has more than 64 scans/ }
  await t.throwsAsync(decodeClassic('jpeg', manyScans(size, 65), size), refused)
  // Those of slides have one scan.
  const source = packSourceTiles({ columns: 1, rows: 1, jpegs: [manyScans(size, 2)] })
  const more = { code: 'ERR_CORRUPT_TILE', message: /its JPEG has more than 1 scan/ }
  await t.throwsAsync(decodeClassic('source', source, size), more)
})

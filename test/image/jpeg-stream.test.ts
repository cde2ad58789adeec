/** JPEG streams that are put together from what slides store: the same pixels, and nothing that they don't need. */
import test from 'ava'
import sharp from 'sharp'
import type { Image } from '../../src/image/image.js'
import { wholeJpeg, withTypicalTables } from '../../src/image/jpeg-stream.js'
import { random } from '../../src/image/noise.js'

const [width, height] = [80, 64]
const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => 60 + 100 * random(i % 97, i >> 9, 1))
const image: Image = { data, width, height, channels: 3 }
const encoded = (options: Parameters<ReturnType<typeof sharp>['jpeg']>[0]) =>
  sharp(image.data, { raw: image }).jpeg(options).toBuffer()
const pixels = (jpeg: Uint8Array) => sharp(jpeg, { failOn: 'warning' }).raw().toBuffer()

/** The segments up to the scan, and what follows. */
function parts(jpeg: Buffer): { segments: Buffer[]; scan: Buffer } {
  const segments: Buffer[] = []
  let at = 2
  for (let marker = 0; marker !== 0xda; ) {
    marker = jpeg[at + 1] as number
    const end = at + 2 + jpeg.readUInt16BE(at + 2)
    segments.push(jpeg.subarray(at, end))
    at = end
  }
  return { segments, scan: jpeg.subarray(at) }
}
const SOI = Buffer.of(0xff, 0xd8)
const EOI = Buffer.of(0xff, 0xd9)
const isTable = (segment: Buffer) => [0xdb, 0xc4].includes(segment[1] as number)

test('a JPEG, with its tables or without, decodes as before', async (t) => {
  for (const chromaSubsampling of ['4:4:4', '4:2:0']) {
    // Typical Huffman tables, and tables of its own.
    for (const optimiseCoding of [false, true]) {
      const jpeg = await encoded({ quality: 71, chromaSubsampling, optimiseCoding })
      const { segments, scan } = parts(jpeg)
      const tables = Buffer.concat([SOI, ...segments.filter(isTable), EOI])
      const tile = Buffer.concat([SOI, ...segments.filter((each) => !isTable(each)), scan])
      const whole = wholeJpeg(jpeg, null, false) as Uint8Array
      t.deepEqual(wholeJpeg(tile, tables, false)?.length, whole.length)
      for (const stream of [whole, wholeJpeg(tile, tables, false) as Uint8Array]) {
        t.true((await pixels(withTypicalTables(stream))).equals(await pixels(jpeg)))
      }
      // Four typical tables take 420 bytes.
      if (!optimiseCoding) t.true(whole.length < jpeg.length - 400, `${whole.length} of ${jpeg.length}`)
      t.true(Buffer.from(whole).includes(scan.subarray(0, -2)), 'the coded pixels are the same')
    }
  }
})

test('comments and application data are left behind, wherever they stand', async (t) => {
  const { segments, scan } = parts(await encoded({ quality: 80 }))
  const words = Buffer.from('Jane Doe')
  const aside = [0xe1, 0xed, 0xfe].map((marker) => Buffer.concat([Buffer.of(0xff, marker, 0, 2 + words.length), words]))
  const tile = Buffer.concat([SOI, ...segments.flatMap((segment, i) => [aside[i % 3] as Buffer, segment]), scan])
  const whole = wholeJpeg(tile, Buffer.concat([SOI, ...aside, EOI]), false) as Uint8Array
  t.false(Buffer.from(whole).includes(words))
  t.deepEqual(whole, wholeJpeg(Buffer.concat([SOI, ...segments, scan]), null, false))
  const trailing = wholeJpeg(Buffer.concat([tile, words]), null, false) as Uint8Array
  t.false(Buffer.from(trailing).includes(words), 'nor what follows the end')
})

test('components that are red, green and blue stay so', async (t) => {
  const jpeg = await encoded({ quality: 95, chromaSubsampling: '4:4:4' })
  const asRgb = await pixels(withTypicalTables(wholeJpeg(jpeg, null, true) as Uint8Array))
  const asYcbcr = await pixels(jpeg)
  // Luma is the first component: of pixels that are nearly grey it is near to each channel.
  const luma = (i: number) =>
    0.299 * (asYcbcr[i] as number) + 0.587 * (asYcbcr[i + 1] as number) + 0.114 * (asYcbcr[i + 2] as number)
  for (let i = 0; i < asRgb.length; i += 300) t.true(Math.abs((asRgb[i] as number) - luma(i)) < 3)
})

test('what is no sequential JPEG of three components and one scan is not taken', async (t) => {
  const jpeg = await encoded({ quality: 71 })
  t.is(wholeJpeg(await encoded({ progressive: true }), null, false), null)
  const grey = await sharp(image.data, { raw: image }).toColourspace('b-w').jpeg().toBuffer()
  t.is(wholeJpeg(grey, null, false), null)
  t.is(wholeJpeg(await sharp(image.data, { raw: image }).png().toBuffer(), null, false), null)
  t.is(wholeJpeg(jpeg, Buffer.from('no tables'), false), null)
  for (let length = 0; length < jpeg.length; length += 7) t.is(wholeJpeg(jpeg.subarray(0, length), null, false), null)
  // A marker that isn't expected within the coded pixels.
  const { segments, scan } = parts(jpeg)
  const marked = Buffer.concat([SOI, ...segments, scan.subarray(0, 20), Buffer.of(0xff, 0xc4), scan.subarray(20)])
  t.is(wholeJpeg(marked, null, false), null)
})

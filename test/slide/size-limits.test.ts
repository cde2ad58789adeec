/** Files of a kilobyte that ask for gigabytes are refused before a decoder sees them; large ones that are honest are not. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { deflateSync } from 'node:zlib'
import test from 'ava'
import sharp from 'sharp'
import { compressSlide } from '../../src/compress/compress.js'
import { exportSlide } from '../../src/export/export.js'
import { fill, WHITE } from '../../src/image/draw.js'
import { ImageFile } from '../../src/slide/image-file.js'
import { openSlide } from '../../src/slide/open.js'
import { openOpenSlide } from '../../src/slide/openslide.js'
import { run } from '../cli/run.js'
import { manyScans } from '../image/many-scans.js'
import { losslessCodec } from '../payload-codec.js'
import { memorySlide } from '../slides.js'
import { barePng } from './bare-png.js'
import { type BareDirectory, bareTiff, FORMS } from './bare-tiff.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-limits-'))
test.after.always(() => rmSync(folder, { recursive: true }))
let files = 0
const write = (bytes: Uint8Array, extension = '.tif') => {
  const path = join(folder, `${files++}${extension}`)
  writeFileSync(path, bytes)
  return path
}

/** A directory of 8-bit RGB whose tags are changed by `tags`. */
const directory = (tags: BareDirectory['tags'], segments = [deflateSync(Buffer.alloc(1000))]): BareDirectory => ({
  tags: { 256: [512], 257: [512], 258: [8, 8, 8], 259: [8], 262: [2], 277: [3], 284: [1], ...tags },
  segments,
})
const small = directory({ 322: [512], 323: [512] })

/** Directories that ask for too much, and what the message says of them. */
const ABSURD: Record<string, [BareDirectory, RegExp]> = {
  'a tile of 1.7 GB': [
    directory({ 256: [24000], 257: [24000], 322: [24000], 323: [24000] }),
    /tiles of 24000 x 24000 .*1728 MB/,
  ],
  'a tile of 4 GB in a small image': [
    directory({ 322: [65520], 323: [65520], 277: [1], 258: [8] }),
    /tiles of 65520 x 65520/,
  ],
  'a tile of many samples': [directory({ 322: [512], 323: [512], 277: [60000], 258: [8] }), /tiles of 512 x 512 .* MB/],
  'a tile of one bit a pixel': [
    directory({ 322: [20000], 323: [20000], 277: [1], 258: [1] }),
    /tiles of 20000 x 20000/,
  ],
  'a tile whose sides overflow': [
    directory({ 322: [2 ** 31 - 16], 323: [2 ** 31 - 16] }),
    /tiles of 2147483632 x 2147483632/,
  ],
  'a tile without a side': [directory({ 322: [512], 323: [0] }), /tiles of 512 x 0/],
  'a tile of 150 MB in a kilobyte': [
    directory({ 256: [7000], 257: [7000], 322: [7008], 323: [7008] }),
    /a tile \(number 0\) of 1\d bytes for 147336192/,
  ],
  'a tile of 150 MB of Zstandard': [directory({ 322: [9600], 323: [9600], 259: [50000] }), /tiles of 9600 x 9600/],
  'a strip of 3 GB in a kilobyte': [
    directory({ 256: [32000], 257: [32000], 278: [32000] }),
    /a strip \(number 0\) of 1\d bytes for 3072000000/,
  ],
  'a row of 6 GB': [directory({ 256: [2 ** 31 - 1], 257: [1], 278: [1] }), /rows of 2147483647 pixels/],
  'no width': [directory({ 256: [0], 322: [512], 323: [512] }), /ImageWidth 0/],
}

for (const [what, [absurd, message]] of Object.entries(ABSURD)) {
  test(`refused at once: ${what}`, async (t) => {
    for (const form of FORMS) {
      for (const chain of [[absurd], [small, absurd], [{ ...small, children: [absurd] }]]) {
        const path = write(bareTiff(chain, form))
        const started = performance.now()
        for (const open of [openSlide, openOpenSlide, (file: string) => ImageFile.open(file)]) {
          await t.throwsAsync(open(path), { code: 'ERR_UNSUPPORTED_SLIDE', message })
        }
        t.true(performance.now() - started < 5000, 'it would take longer to allocate')
      }
    }
  })
}

test('the program says so in one line, whatever the command', async (t) => {
  const [absurd] = ABSURD['a tile of 1.7 GB'] as [BareDirectory, RegExp]
  const path = write(bareTiff([absurd], { isLittle: true, isBig: false }))
  for (const [command, ...more] of [
    ['info'],
    ['compare', path],
    ['export', '-o', join(folder, 'x.tif')],
    ['region', '-o', join(folder, 'x.png'), '--width', '10', '--height', '10'],
    ['compress', '-o', join(folder, 'x.cleric.tif')],
    ['encode', '-o', join(folder, 'x.cleric')],
  ] as [string, ...string[]][]) {
    const { status, stdout, stderr } = await run(command, path, ...more, '--json')
    t.is(status, 1, command)
    t.like(JSON.parse(stdout), { error: { code: 'ERR_UNSUPPORTED_SLIDE' } }, command)
    t.regex(stderr, /^cleric \w+: .*: directory 0 has tiles of 24000 x 24000 pixels, .*expected at most .*\n$/)
  }
})

test('large tiles and strips that their data can fill are read, in the best case of each compression', async (t) => {
  const pixels = Buffer.alloc(2048 * 2048 * 3, 200)
  const image = sharp(pixels, { raw: { width: 2048, height: 2048, channels: 3 } })
  for (const compression of ['deflate', 'lzw', 'jpeg', 'packbits', 'none'] as const) {
    for (const tile of [true, false]) {
      const options = { compression, tile, tileWidth: 2048, tileHeight: 2048, predictor: 'none', quality: 1 } as const
      const path = write(await image.clone().tiff(options).toBuffer())
      const slide = await openSlide(path)
      const { data } = await slide.readRegion({ x: 2000, y: 2000, level: 0, width: 9, height: 9 })
      t.true(
        data.every((value) => Math.abs(value - 200) <= (compression === 'jpeg' ? 32 : 0)),
        compression,
      )
      slide.close()
    }
  }
})

/** An NDPI file of one image, whose JPEG ends with its header; bytes behind it stand for its data. */
function ndpi(width: number, height: number, { interval = 0, bytes = 0, unusual = Buffer.alloc(0) }): string {
  const restart = Buffer.from([0xff, 0xdd, 0, 4, interval >> 8, interval & 255])
  const scan = Buffer.from([0xff, 0xda, 0, 2])
  const jpeg = Buffer.concat([Buffer.from([0xff, 0xd8]), unusual, ...(interval > 0 ? [restart] : []), scan])
  const tags = { 256: [width], 257: [height], 278: [height], 259: [7], 65420: [1] }
  const form = { isLittle: true, isBig: false, hasWideLinks: true }
  return write(bareTiff([directory(tags, [Buffer.concat([jpeg, Buffer.alloc(bytes)])])], form), '.ndpi')
}

test('the one strip of an NDPI file may be of any size: its reader enters it at its restart markers', async (t) => {
  for (const path of [
    ndpi(60000, 60000, { interval: 7500, bytes: 7500 }),
    ndpi(8000, 8000, {}),
    ndpi(60000, 60000, { interval: 7500, bytes: 7500, unusual: Buffer.from([0xff, 0xe1, 0, 4, 0xff, 0xd9]) }),
  ]) {
    const error = await t.throwsAsync(openOpenSlide(path))
    t.notRegex(error?.message ?? '', /can hold|at most|damaged/)
  }
})

test('the one strip of an NDPI file is refused where its reader would need too much of it at once', async (t) => {
  const atOnce = /directory 0 has 65500 x 65500 pixels in a JPEG without restart markers/
  for (const [path, message] of [
    [ndpi(65500, 65500, {}), atOnce],
    // A marker that has no length, behind which libjpeg and a reader that takes it for a segment see different things.
    [ndpi(65500, 65500, { interval: 8188, bytes: 9000, unusual: Buffer.from([0xff, 0xd0]) }), atOnce],
    [ndpi(2 ** 20, 2 ** 20, { interval: 1, bytes: 9000 }), /in up to 17179869184 tiles, more than the file has bytes/],
  ] as const) {
    for (const open of [openSlide, openOpenSlide]) {
      await t.throwsAsync(open(path), { code: 'ERR_UNSUPPORTED_SLIDE', message })
    }
  }
})

/** A JPEG whose header is changed to that size; `marker` C2 is progressive. */
async function jpeg(width: number, height: number, progressive: boolean): Promise<Buffer> {
  const { data } = fill(64, 64, { red: 200, green: 100, blue: 150 })
  const bytes = await sharp(data, { raw: { width: 64, height: 64, channels: 3 } })
    .jpeg({ progressive, mozjpeg: false })
    .toBuffer()
  const at = bytes.indexOf(Buffer.from([0xff, progressive ? 0xc2 : 0xc0]))
  bytes.writeUInt16BE(height, at + 5)
  bytes.writeUInt16BE(width, at + 7)
  return bytes
}

/** A lossless WebP whose header is changed to that size. */
async function webp(width: number, height: number): Promise<Buffer> {
  const { data } = fill(64, 64, WHITE)
  const bytes = await sharp(data, { raw: { width: 64, height: 64, channels: 3 } })
    .webp({ lossless: true })
    .toBuffer()
  const at = bytes.indexOf('VP8L') + 9
  const rest = bytes.readUInt32LE(at) & ~(2 ** 28 - 1)
  bytes.writeUInt32LE((rest | (width - 1) | ((height - 1) << 14)) >>> 0, at)
  return bytes
}

const IMAGES: Record<string, [() => Buffer | Promise<Buffer>, RegExp]> = {
  'PNG of 10 GB': [() => barePng(60000, 60000, 8, 2), /png of 60000 x 60000 pixels, which its \d+ bytes can't hold/],
  'PNG of 16 bits': [() => barePng(9000, 9000, 16, 6), /png of 9000 x 9000 pixels, which its \d+ bytes can't hold/],
  'interlaced PNG of 3 GB': [
    () => barePng(32000, 32000, 8, 2, 1, Buffer.alloc(4e6)),
    /takes 2930 MiB of memory at once.*save it as PNG without interlacing/,
  ],
  'PNG of endless rows': [() => barePng(200_000_000, 1, 8, 2), /rows are too long|corrupt|limit/],
  'PNG without bounds': [() => barePng(2 ** 31 - 1, 2 ** 31 - 1, 8, 2), /no slide or image|too long/],
  'JPEG of 12 GB': [() => jpeg(65000, 65000, false), /jpeg of 65000 x 65000 pixels, which its \d+ bytes can't hold/],
  'progressive JPEG of 12 GB': [
    () => jpeg(65000, 65000, true),
    /takes \d+ MiB of memory at once.*save it as a baseline JPEG/,
  ],
  'WebP of 800 MB': [() => webp(16383, 16383), /webp of 16383 x 16383 pixels, which takes 2048 MiB/],
  'SVG of any size': [
    () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="90000" height="90000"/>'),
    /is svg; of images png, jpeg, webp are read/,
  ],
}

for (const [what, [make, message]] of Object.entries(IMAGES)) {
  test(`refused at once: ${what}`, async (t) => {
    const path = write(await make(), '.image')
    const started = performance.now()
    await t.throwsAsync(openSlide(path), { code: 'ERR_UNSUPPORTED_SLIDE', message })
    await t.throwsAsync(ImageFile.open(path), { code: 'ERR_UNSUPPORTED_SLIDE', message })
    t.true(performance.now() - started < 5000, 'it would take longer to allocate')
  })
}

test('a JPEG goes over its pixels a bounded number of times', async (t) => {
  const read = async (scans: number) => {
    using image = await ImageFile.open(write(manyScans({ width: 200, height: 100 }, scans), '.jpg'))
    return await image.readRegion({ x: 0, y: 0, level: 0, width: 10, height: 10 })
  }
  t.true((await read(64)).data.every((value) => value === 128))
  await t.throwsAsync(read(65), { code: 'ERR_UNSUPPORTED_SLIDE', message: /is a JPEG of more than 64 scans/ })
})

test('blank images of a few bytes are read', async (t) => {
  // Packed it has more bytes than are harmless.
  const grey = barePng(6000, 6000, 1, 0, 0, Buffer.alloc(6000 * (1 + 750)))
  t.true(grey.length < 5000)
  const white = await sharp({ create: { width: 1000, height: 1000, channels: 3, background: 'white' } })
    .webp({ lossless: true, effort: 0 })
    .toBuffer()
  for (const [bytes, side, value] of [
    [grey, 6000, 0],
    [white, 1000, 255],
  ] as const) {
    const image = await ImageFile.open(write(bytes, '.image'))
    t.deepEqual(
      [...(await image.readRegion({ x: side - 1, y: side - 1, level: 0, width: 1, height: 1 })).data],
      [value, value, value],
    )
    image.close()
  }
})

test('a slide that claims more tiles than can be listed is refused before memory is taken for them', async (t) => {
  const side = 2 ** 31
  const slide = memorySlide([fill(1, 1, WHITE)], { levels: [{ width: side, height: side, downsample: 1 }] })
  const output = join(folder, 'claims.tif')
  const error = { instanceOf: RangeError, message: /larger tiles for a slide of this size/ }
  await t.throwsAsync(compressSlide(slide, output, { codec: losslessCodec() }), error)
  await t.throwsAsync(exportSlide(slide, output), {
    code: 'ERR_IMAGE_UNSUPPORTED',
    message: /more than a TIFF can list/,
  })
})

/** What image files say beside their pixels: resolution, frames, depth. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32, deflateSync } from 'node:zlib'
import test from 'ava'
import sharp, { type Sharp } from 'sharp'
import { openSlide } from '../../src/slide/open.js'
import { whole } from './tiff/slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-facts-'))
test.after.always(() => rmSync(folder, { recursive: true }))
let files = 0
function file(bytes: Uint8Array, extension: string): string {
  const path = join(folder, `${files++}.${extension}`)
  writeFileSync(path, bytes)
  return path
}

const small = () => sharp({ create: { width: 20, height: 10, channels: 3, background: 'plum' } })

/** A chunk in front of a PNG's pixels. */
async function withChunk(image: Sharp, name: string, data: Buffer): Promise<Buffer> {
  const png = await image.png().toBuffer()
  const body = Buffer.concat([Buffer.from(name), data])
  const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  checksum.writeUInt32BE(crc32(body))
  const afterHeader = 8 + 25
  return Buffer.concat([png.subarray(0, afterHeader), length, body, checksum, png.subarray(afterHeader)])
}

function physical(x: number, y: number, unit: number): Buffer {
  const data = Buffer.alloc(9)
  data.writeUInt32BE(x)
  data.writeUInt32BE(y, 4)
  data[8] = unit
  return data
}

test('a resolution in a PNG or JPEG is that of the slide, unless it is a screen’s', async (t) => {
  for (const [x, y, unit, expected] of [
    [2_000_000, 2_000_000, 1, { x: 0.5, y: 0.5 }],
    [2_000_000, 4_000_000, 1, { x: 0.5, y: 0.25 }],
    [2835, 2835, 1, null],
    [11_811, 11_811, 1, null],
    [1, 1, 0, null],
    [0, 0, 1, null],
  ] as const) {
    using slide = await openSlide(file(await withChunk(small(), 'pHYs', physical(x, y, unit)), 'png'))
    t.deepEqual(slide.mpp, expected, `${x}, ${y}`)
  }
  for (const [density, expected] of [
    [25_400, 1],
    [72, null],
  ] as const) {
    using slide = await openSlide(file(await small().withMetadata({ density }).jpeg().toBuffer(), 'jpg'))
    t.is(slide.mpp?.x ?? null, expected)
  }
})

test('of several frames none is taken unasked, and an animated PNG not at all', async (t) => {
  const frames = Buffer.alloc(20 * 30 * 3)
  for (let i = 0; i < frames.length; i++) frames[i] = 100 * Math.floor(i / 600)
  const strip = sharp(frames, { raw: { width: 20, height: 30, channels: 3, pageHeight: 10 } })
  for (const [name, bytes] of [['webp', await strip.clone().webp({ lossless: true }).toBuffer()]] as const) {
    const path = file(bytes, name)
    const error = await t.throwsAsync(openSlide(path), { message: /it holds 3 images or frames.*--page N/ })
    t.is((error as { code?: string }).code, 'ERR_UNSUPPORTED_SLIDE')
    for (const page of [0, 2]) {
      using slide = await openSlide(path, { page })
      t.like(slide.levels, { length: 1, 0: { width: 20, height: 10 } })
      t.is((await whole(slide)).data[0], 100 * page)
      t.regex(slide.warnings?.join() ?? '', /2 of the 3 images/)
      t.deepEqual(
        slide.contents?.map(({ role }) => role),
        [0, 1, 2].map((i) => (i === page ? 'level 0' : null)),
      )
    }
    await t.throwsAsync(openSlide(path, { page: 3 }), { message: /--page 3: it has pages 0 to 2/ })
    await t.throwsAsync(openSlide(path, { series: 0 }), { message: /no series/ })
  }
  const control = Buffer.alloc(8)
  control.writeUInt32BE(4)
  const moving = file(await withChunk(small(), 'acTL', control), 'png')
  await t.throwsAsync(openSlide(moving), { message: /animation of 4 frames \(APNG\)/ })
})

/** A grey PNG of 16 bits. */
function deepPng(width: number, height: number, value: (x: number, y: number) => number): Buffer {
  const rows = Array.from({ length: height }, (_, y) => {
    const row = Buffer.alloc(1 + 2 * width)
    for (let x = 0; x < width; x++) row.writeUInt16BE(value(x, y), 1 + 2 * x)
    return row
  })
  const chunk = (name: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(name), data])
    const [length, checksum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    checksum.writeUInt32BE(crc32(body))
    return Buffer.concat([length, body, checksum])
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width)
  header.writeUInt32BE(height, 4)
  header[8] = 16
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  const data = deflateSync(Buffer.concat(rows))
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))])
}

test('a PNG of 16 bits is refused without a range, and scaled by it', async (t) => {
  const value = (x: number, y: number) => 1000 + 20 * x + y
  const path = file(deepPng(100, 60, value), 'png')
  await t.throwsAsync(openSlide(path), { message: /samples have 16 bits, and 8 are kept.*--range/ })
  using slide = await openSlide(path, { range: [1000, 2000] })
  const { data } = await whole(slide)
  for (let y = 0, i = 0; y < 60; y++) {
    for (let x = 0; x < 100; x++, i += 3) {
      const expected = Math.min(255, ((value(x, y) - 1000) * 255) / 1000)
      if (Math.abs((data[i] as number) - expected) > 0.5) t.fail(`${data[i]}, not ${expected}, at ${x}, ${y}`)
    }
  }
  using auto = await openSlide(path, { range: 'auto' })
  const { data: stretched } = await whole(auto)
  t.true((stretched[0] as number) <= 2 && (stretched.at(-1) as number) >= 253)
  await t.throwsAsync(openSlide(file(await small().png().toBuffer(), 'png'), { range: 'auto' }), {
    message: /more than 8 bits/,
  })
})

/** What other programs make of archives: OpenSlide, libvips (sharp), libtiff's tools, geotiff.js. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import * as geotiff from 'geotiff'
import sharp from 'sharp'
import { openArchive } from '../../src/archive/archive.js'
import { registerWithGeotiff } from '../../src/archive/geotiff.js'
import type { Layout } from '../../src/archive/head-writer.js'
import { compressSlide } from '../../src/compress/compress.js'
import type { Image } from '../../src/image/image.js'
import { fromImage, toImage } from '../../src/image/sharp.js'
import { openOpenSlide } from '../../src/slide/openslide.js'
import type { Level } from '../../src/slide/source.js'
import { losslessCodec } from '../payload-codec.js'
import { DrawnSlide, memorySlide } from '../slides.js'

const execute = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'cleric-readers-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const slide = new DrawnSlide('synthetic:1700x1100:3')
const codec = losslessCodec()
const compat = join(folder, 'compat.cleric.tif')
const strict = join(folder, 'strict.cleric.tif')

test.before(async () => {
  for (const [path, layout] of [
    [compat, 'compat'],
    [strict, 'strict'],
  ] as [string, Layout][]) {
    await compressSlide(slide, path, { codec, layout, tile: 256, background: 'keep' })
  }
  registerWithGeotiff(geotiff, { codec })
})

/** Mean difference of two images of one size. */
function difference(t: ExecutionContext, a: Image, b: Image): number {
  t.deepEqual([a.width, a.height], [b.width, b.height])
  return a.data.reduce((sum, value, i) => sum + Math.abs(value - (b.data[i] as number)), 0) / a.data.length
}

/** The slide's coarser level, each `factor` x `factor` of its pixels made one, as JPEG has it. */
async function reduced(factor: number): Promise<Image> {
  const { width, height } = slide.levels[1] as Level
  const image = await slide.readRegion({ x: 0, y: 0, level: 1, width, height })
  const [columns, rows] = [Math.ceil(width / factor), Math.ceil(height / factor)]
  const data = new Uint8Array(columns * rows * 3)
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      for (let channel = 0; channel < 3; channel++, at++) {
        let [sum, pixels] = [0, 0]
        for (let y = row * factor; y < Math.min(height, (row + 1) * factor); y++) {
          for (let x = column * factor; x < Math.min(width, (column + 1) * factor); x++, pixels++) {
            sum += image.data[(y * width + x) * 3 + channel] as number
          }
        }
        data[at] = Math.round(sum / pixels)
      }
    }
  }
  const made = fromImage({ data, width: columns, height: rows, channels: 3 })
  return toImage(sharp(await made.jpeg({ quality: 85, chromaSubsampling: '4:4:4' }).toBuffer()))
}

test('OpenSlide opens a compat archive: the overview, with its own resolution', async (t) => {
  await using opened = await openOpenSlide(compat)
  t.is(opened.vendor, 'generic-tiff')
  t.deepEqual(
    opened.levels.map(({ width, height }) => [width, height]),
    [
      [107, 69],
      [54, 35],
    ],
  )
  t.true(Math.abs((opened.mpp?.x as number) - 0.5 * 16) < 1e-6, `${opened.mpp?.x}`)
  t.true(Math.abs((opened.mpp?.y as number) - 0.5 * 16) < 1e-6)
  // OpenSlide interpolates where a downsample isn't integral, as that of the second.
  for (const [level, [factor, most]] of (
    [
      [4, 0.5],
      [8, 2],
    ] as const
  ).entries()) {
    const expected = await reduced(factor)
    const { width, height } = expected
    const shown = await opened.readRegion({ x: 0, y: 0, level, width, height })
    const mean = difference(t, shown, expected)
    t.true(mean < most, `${mean}`)
  }
})

test('OpenSlide refuses a strict archive by the number of its compression', async (t) => {
  await t.throwsAsync(openOpenSlide(strict), { message: /49644/ })
})

test('libvips lists both; of compat it shows overview and associated images', async (t) => {
  const facts = await sharp(compat).metadata()
  t.like(facts, { format: 'tiff', width: 107, height: 69, pages: 4, subifds: 2, resolutionUnit: 'cm' })
  t.true(Math.abs((facts.density as number) - 25_400 / 8) < 1)
  t.true(difference(t, await toImage(sharp(compat)), await reduced(4)) < 0.5)
  const label = await toImage(sharp(compat, { page: 2 }))
  t.true(difference(t, label, await slide.readAssociatedImage('label')) < 4)
  const macro = await toImage(sharp(compat, { page: 3 }))
  t.true(difference(t, macro, await slide.readAssociatedImage('macro')) < 4)
  t.like(await sharp(strict).metadata(), { width: 1700, height: 1100, pages: 4 })
  await t.throwsAsync(sharp(strict).raw().toBuffer(), undefined, 'it has no decoder')
})

test("libtiff's tools read the structure of both without an error", async (t) => {
  for (const [path, pattern] of [
    [compat, /Image Width: 107 Image Length: 69[\s\S]*SubIFD Offsets:[\s\S]*Compression Scheme: 49644/],
    [strict, /Image Width: 1700 Image Length: 1100[\s\S]*Compression Scheme: 49644[\s\S]*PageName: macro/],
  ] as const) {
    const info = await execute('tiffinfo', [path])
    t.regex(info.stdout, pattern)
    // It knows none of the private tags, and says so; nothing else may be on its mind.
    const complaints = info.stderr.split('\n').filter((line) => line && !/Unknown field with tag 651\d\d /.test(line))
    t.deepEqual(complaints, [])
    const dump = await execute('tiffdump', [path])
    t.regex(dump.stdout, /Version: 0x2b <BigTIFF>/)
    t.regex(dump.stdout, path === compat ? /SubIFD \(330\) IFD8 \(18\) 2</ : /Compression \(259\) SHORT \(3\) 1<49644>/)
    t.is(dump.stderr, '')
  }
})

/** Pixels of a window of an image of a TIFF, as geotiff.js reads them. */
async function window(image: geotiff.GeoTIFFImage, box: [number, number, number, number]): Promise<Buffer> {
  const pixels = await image.readRasters({ window: box, interleave: true })
  return Buffer.from(pixels as unknown as Uint8Array)
}

test('geotiff.js reads every level of a strict archive, from disk', async (t) => {
  const tiff = await geotiff.fromFile(strict)
  for (const [i, level] of slide.levels.entries()) {
    const image = await tiff.getImage(i)
    t.deepEqual([image.getWidth(), image.getHeight()], [level.width, level.height])
    const region = { x: 0, y: 0, level: i, width: level.width, height: level.height }
    const expected = Buffer.from((await slide.readRegion(region)).data)
    t.true((await window(image, [0, 0, level.width, level.height])).equals(expected), `level ${i}`)
  }
  await tiff.close()
})

test('geotiff.js reads the levels of a compat archive by the SubIFDs', async (t) => {
  const tiff = await geotiff.fromFile(compat)
  const first = await tiff.getImage(0)
  const offsets = await first.fileDirectory.loadValue('SubIFDs')
  const [offset] = Array.from(offsets as ArrayLike<number>)
  const { parser, source } = tiff as unknown as {
    parser: { parseFileDirectoryAt(offset: number): Promise<geotiff.ImageFileDirectory> }
    source: never
  }
  const directory = await parser.parseFileDirectoryAt(offset as number)
  const image = new geotiff.GeoTIFFImage(directory, true, false, source)
  const region = { x: 1500, y: 900, level: 0, width: 200, height: 200 }
  const expected = Buffer.from((await slide.readRegion(region)).data)
  t.true((await window(image, [1500, 900, 1700, 1100])).equals(expected))
  await tiff.close()
})

interface Served {
  readonly address: string
  requests: number
  bytes: number
}

/** A server of one file that counts; only ranges are answered. */
async function serve(t: ExecutionContext, path: string): Promise<Served> {
  const file = readFileSync(path)
  const server = createServer((request, response) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    if (from === undefined) return response.writeHead(416).end()
    const part = file.subarray(Number(from), Number(to) + 1)
    served.requests++
    served.bytes += part.length
    response
      .writeHead(206, { 'content-range': `bytes ${from}-${Number(from) + part.length - 1}/${file.length}` })
      .end(part)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const served = {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.cleric.tif`,
    requests: 0,
    bytes: 0,
  }
  return served
}

test('over HTTP ranges, a region of four tiles costs few requests and few bytes', async (t) => {
  const region = { x: 600, y: 300, level: 0, width: 300, height: 300 }
  const expected = Buffer.from((await slide.readRegion(region)).data)
  const size = readFileSync(strict).length
  {
    const served = await serve(t, strict)
    using archive = await openArchive(served.address, { codec })
    t.is(served.requests, 1, 'the head, with the size of the file')
    t.true(expected.equals(Buffer.from((await archive.readRegion(region)).data)))
    t.log(`openArchive and readRegion: ${served.requests} requests, ${served.bytes} of ${size} bytes`)
    t.is(served.requests, 5, 'a request a tile')
  }
  const served = await serve(t, strict)
  const tiff = await geotiff.fromUrl(served.address, { allowFullFile: false })
  const image = await tiff.getImage(0)
  t.true((await window(image, [600, 300, 900, 600])).equals(expected))
  t.log(`geotiff.js: ${served.requests} requests, ${served.bytes} of ${size} bytes`)
  t.true(served.requests <= 6)
  t.true(served.bytes < size / 2)
})

test('the ICC profile is in every level, and comes back', async (t) => {
  const { icc } = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'plum' } })
    .withIccProfile('p3')
    .png()
    .toBuffer()
    .then((png) => sharp(png).metadata())
  const profile = new Uint8Array(icc as Buffer)
  const path = join(folder, 'icc.cleric.tif')
  const plain = await slide.readRegion({ x: 0, y: 0, level: 0, width: 200, height: 200 })
  await compressSlide(memorySlide([plain], { iccProfile: () => profile }), path, { codec })
  using archive = await openArchive(path, { codec })
  t.deepEqual(archive.iccProfile(), profile)
  t.deepEqual(new Uint8Array((await sharp(path).metadata()).icc as Buffer), profile)
  await compressSlide(archive, join(folder, 'again.cleric.tif'), { codec, layout: 'strict' })
  using again = await openArchive(join(folder, 'again.cleric.tif'), { codec })
  t.deepEqual(again.iccProfile(), profile)
})

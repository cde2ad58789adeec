/** Exports, as OpenSlide, libvips (sharp) and libtiff's tools read them. */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import * as geotiff from 'geotiff'
import sharp from 'sharp'
import { openArchive } from '../../src/archive/archive.js'
import type { PayloadCodec } from '../../src/codec/codec.js'
import { compressSlide } from '../../src/compress/compress.js'
import { type ExportOptions, exportSlide } from '../../src/export/export.js'
import { fill } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { toImage } from '../../src/image/sharp.js'
import { compareSlides } from '../../src/metrics/compare.js'
import { psnr } from '../../src/metrics/psnr.js'
import { openSlide } from '../../src/slide/open.js'
import { openOpenSlide } from '../../src/slide/openslide.js'
import type { Level, SlideSource } from '../../src/slide/source.js'
import { firstTile } from '../archive/head.js'
import { dataPath, testWithData } from '../data.js'
import { losslessCodec } from '../payload-codec.js'
import { DrawnSlide, memorySlide } from '../slides.js'

const execute = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'cleric-export-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

/** Loses the lower bits of every value, so that an archive differs from its source. */
function coarseCodec(): PayloadCodec {
  const codec = losslessCodec()
  const { encodePayload } = codec
  codec.encodePayload = ({ data, ...size }, ...rest) =>
    encodePayload({ ...size, data: data.map((value) => (value & 0xf0) + 8) }, ...rest)
  return codec
}

const codec = coarseCodec()
const slide = new DrawnSlide('synthetic:1100x700:3')
const archivePath = at('slide.cleric.tif')
test.before(async () => {
  await compressSlide(slide, archivePath, { codec, tile: 256 })
})

function whole(source: SlideSource, level: number): Promise<Image> {
  const { width, height } = source.levels[level] as Level
  return source.readRegion({ x: 0, y: 0, level, width, height })
}

for (const compression of ['jpeg', 'deflate', 'webp'] as const) {
  test(`OpenSlide opens ${compression}: every level, resolution, objective power, label and macro image`, async (t) => {
    const path = at(`openslide-${compression}.tif`)
    const result = await exportSlide(archivePath, path, { codec, compression })
    t.like(result, { bytes: statSync(path).size, compression, quality: compression === 'deflate' ? null : 90 })
    await using opened = await openOpenSlide(path)
    t.is(opened.vendor, 'aperio')
    const sizes = (levels: readonly Level[]) => levels.map(({ width, height }) => [width, height])
    t.deepEqual(sizes(opened.levels), sizes(slide.levels))
    t.deepEqual(opened.mpp, { x: 0.5, y: 0.5 })
    t.is(opened.objectivePower, 20)
    t.deepEqual([...opened.associatedImages].sort(), ['label', 'macro'])
    using archive = await openArchive(archivePath, { codec })
    for (const name of ['label', 'macro']) {
      const [shown, kept] = [await opened.readAssociatedImage(name), await archive.readAssociatedImage(name)]
      t.true(psnr(shown, kept) > 35, `${name}: ${psnr(shown, kept)}`)
    }
    for (const level of archive.levels.keys()) {
      const [shown, kept] = [await whole(opened, level), await whole(archive, level)]
      if (compression === 'deflate') t.true(Buffer.from(shown.data).equals(kept.data), `level ${level}`)
      else t.true(psnr(shown, kept) > 30, `level ${level}: ${psnr(shown, kept)}`)
    }
  })

  test(`libvips and libtiff's tools read ${compression}`, async (t) => {
    const path = at(`libvips-${compression}.tif`)
    await exportSlide(archivePath, path, { codec, compression })
    t.like(await sharp(path).metadata(), { format: 'tiff', width: 1100, height: 700, pages: 4, resolutionUnit: 'cm' })
    t.is((await sharp(path).metadata()).density, 50_800)
    using archive = await openArchive(archivePath, { codec })
    for (const level of archive.levels.keys()) {
      const [shown, kept] = [await toImage(sharp(path, { page: level })), await whole(archive, level)]
      if (compression === 'deflate') t.true(Buffer.from(shown.data).equals(kept.data), `level ${level}`)
      else t.true(psnr(shown, kept) > 30, `level ${level}: ${psnr(shown, kept)}`)
    }
    const info = await execute('tiffinfo', ['-D', path])
    t.is(info.stderr, '', 'no complaint')
    t.regex(info.stdout, /Image Width: 1100 Image Length: 700[\s\S]*Tile Width: 256 Tile Length: 256/)
    t.regex(info.stdout, { jpeg: /Scheme: JPEG/, deflate: /Scheme: AdobeDeflate/, webp: /Scheme: WEBP/ }[compression])
    t.regex((await execute('tiffdump', [path])).stdout, /Version: 0x2b <BigTIFF>/)
  })
}

test('geotiff.js reads every level', async (t) => {
  using archive = await openArchive(archivePath, { codec })
  for (const compression of ['jpeg', 'deflate'] as const) {
    const path = at(`geotiff-${compression}.tif`)
    await exportSlide(archive, path, { compression })
    const tiff = await geotiff.fromFile(path)
    for (const level of archive.levels.keys()) {
      const kept = await whole(archive, level)
      const rgb = await (await tiff.getImage(level)).readRGB({ interleave: true })
      const shown = { ...kept, data: Uint8Array.from(rgb as unknown as ArrayLike<number>) }
      t.true(
        compression === 'deflate' ? shown.data.every((value, i) => value === kept.data[i]) : psnr(shown, kept) > 30,
      )
    }
    await tiff.close()
  }
})

test('compare: an export by deflate is as far from the source as the archive, one by JPEG its own loss further', async (t) => {
  using archive = await openArchive(archivePath, { codec })
  const compare = async (from: SlideSource, options: ExportOptions) => {
    const path = at('compare.tif')
    await exportSlide(archive, path, { ...options, overwrite: true })
    const opened = await openSlide(path)
    const levels = await compareSlides(from, opened)
    opened.close()
    return levels
  }
  const expected = await compareSlides(slide, archive)
  t.true(Number.isFinite(expected[0]?.psnr))
  t.deepEqual(await compare(slide, { compression: 'deflate' }), expected)
  const jpeg = { compression: 'jpeg', quality: 95 } as const
  const squared = (level: { psnr: number } | undefined) => 255 ** 2 / 10 ** ((level?.psnr as number) / 10)
  const [loss, total] = [await compare(archive, jpeg), await compare(slide, jpeg)]
  t.is(total.length, 2)
  for (const [level, each] of total.entries()) {
    // Errors that know nothing of each other add up as squares; JPEG also takes away some of the codec's noise.
    const own = squared(expected[level])
    const sum = own + squared(loss[level])
    t.true(squared(each) < 1.05 * sum && squared(each) > own, `${each.psnr} dB: ${squared(each)}, ${own}, ${sum}`)
  }
})

test('quality says how good JPEG and WebP are', async (t) => {
  for (const compression of ['jpeg', 'webp'] as const) {
    const sizes = []
    for (const quality of [20, 95]) {
      sizes.push((await exportSlide(slide, at('quality.tif'), { compression, quality, overwrite: true })).bytes)
    }
    t.true((sizes[0] as number) * 2 < (sizes[1] as number), `${sizes}`)
  }
})

/** An image with a value of its own at every pixel. */
function pattern(width: number, height: number): Image {
  const image = fill(width, height, { red: 0, green: 0, blue: 0 })
  for (let i = 0; i < image.data.length; i++) image.data[i] = Math.imul(i, 2654435761) >>> 24
  return image
}

/** Means of 4 x 4, by definition. */
function quarter(image: Image): Image {
  const [width, height] = [Math.ceil(image.width / 4), Math.ceil(image.height / 4)]
  const out = fill(width, height, { red: 0, green: 0, blue: 0 })
  for (let i = 0; i < out.data.length; i++) {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)]
    let [sum, pixels] = [0, 0]
    for (let v = 4 * y; v < Math.min(image.height, 4 * y + 4); v++) {
      for (let u = 4 * x; u < Math.min(image.width, 4 * x + 4); u++, pixels++) {
        sum += image.data[(v * image.width + u) * 3 + (i % 3)] as number
      }
    }
    out.data[i] = Math.round(sum / pixels)
  }
  return out
}

test('levels are made where the slide has none: means of 4 x 4 pixels', async (t) => {
  for (const [width, height] of [
    [4100, 521],
    [1, 5000],
    [2049, 1],
    [3, 2],
    [1, 1],
  ] as const) {
    const path = at(`made-${width}x${height}.tif`)
    const images = [pattern(width, height)]
    const { levels } = await exportSlide(memorySlide(images), path, { compression: 'deflate' })
    while (images.length < levels.length) images.push(quarter(images.at(-1) as Image))
    const last = levels.at(-1) as Level
    t.true(Math.max(last.width, last.height) <= 1024)
    t.is(levels.length > 1, width * height > 1)
    // What is narrower or lower than any tile is in strips, and for other readers than OpenSlide.
    const opened = await openSlide(path)
    t.is(opened.format, Math.min(width, height) < 16 ? 'tiff' : 'aperio')
    t.is(opened.levels.length, images.length)
    for (const [level, image] of images.entries()) {
      const shown = await toImage(sharp(path, { page: level }))
      t.deepEqual([shown.width, shown.height], [image.width, image.height])
      t.true(Buffer.from(shown.data).equals(image.data), `${width} x ${height}, level ${level}`)
      // OpenSlide interpolates where a level isn't a whole number of times smaller.
      const isWhole = opened.format === 'tiff' || Number.isInteger(opened.levels[level]?.downsample)
      const read = isWhole ? await whole(opened, level) : shown
      t.true(Buffer.from(read.data).equals(image.data), `${width} x ${height}, level ${level}, opened`)
    }
    opened.close()
  }
})

test('a gap between levels is filled; levels that are near each other stay alone', async (t) => {
  const images = [pattern(1600, 800), pattern(400, 200), pattern(25, 13)]
  const { levels } = await exportSlide(memorySlide(images), at('gap.tif'), { compression: 'deflate' })
  t.deepEqual(
    levels.map(({ width }) => width),
    [1600, 400, 100, 25],
  )
  const made = await toImage(sharp(at('gap.tif'), { page: 2 }))
  t.true(Buffer.from(made.data).equals(quarter(images[1] as Image).data))
})

async function description(t: ExecutionContext, facts: Partial<SlideSource>): Promise<string> {
  const path = at('description.tif')
  const source = memorySlide([pattern(64, 48)], { mpp: { x: 0.25, y: 0.25 }, objectivePower: 40, ...facts })
  await exportSlide(source, path, { overwrite: true })
  await using opened = await openOpenSlide(path)
  t.is(opened.levels[0]?.width, 64)
  return opened.properties['tiff.ImageDescription'] as string
}

test("ImageDescription is the slide's own, unless it is XML about another file", async (t) => {
  const own = 'Aperio Image Library v11.2.1 \r\n46000x32914 [0,0 64x48]|AppMag = 20|MPP = 0.4990|Filename = CMU-1'
  t.is(await description(t, { properties: { 'tiff.ImageDescription': own } }), own)
  t.is(await description(t, { properties: { 'openslide.comment': 'Slide 12, spleen' } }), 'Slide 12, spleen')
  const made = 'Aperio Image Library (written by cleric)\n64x48|AppMag = 40|MPP = 0.25'
  const leica = '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"><collection/></scn>'
  for (const properties of [{}, { 'tiff.ImageDescription': leica }, { 'tiff.ImageDescription': ' \n<OME/>' }]) {
    t.is(await description(t, { properties }), made)
  }
  const bare = await description(t, { mpp: null, objectivePower: null })
  t.is(bare, 'Aperio Image Library (written by cleric)\n64x48')
})

test('a resolution that differs between the axes comes back as it was, also where the slide had one number for both', async (t) => {
  const mpp = { x: 0.25, y: 0.251 }
  for (const properties of [{}, { 'tiff.ImageDescription': 'Aperio Image Library\r\n64x48|AppMag = 40|MPP = 0.25' }]) {
    const source = memorySlide([pattern(64, 48)], { mpp, properties })
    const path = at('unequal.tif')
    await exportSlide(source, path, { overwrite: true })
    using opened = await openSlide(path)
    t.true(Math.abs((opened.mpp?.x as number) / mpp.x - 1) < 1e-7, `${opened.mpp?.x}`)
    t.true(Math.abs((opened.mpp?.y as number) / mpp.y - 1) < 1e-7, `${opened.mpp?.y}`)
    t.notRegex(opened.properties['tiff.ImageDescription'] as string, /Aperio|MPP/)
  }
})

test('OpenSlide shows every level as it was written, however small: tiles are never larger than a level', async (t) => {
  for (const compression of ['deflate', 'webp', 'jpeg'] as const) {
    const images = [pattern(300, 250), pattern(150, 125), pattern(75, 62), pattern(37, 31), pattern(18, 15)]
    const path = at(`small-${compression}.tif`)
    const { warnings } = await exportSlide(memorySlide(images), path, { compression })
    t.deepEqual(warnings, [])
    await using openslide = await openOpenSlide(path)
    using opened = await openSlide(path)
    // The last level is lower than any tile: it is in a strip, and OpenSlide shows the others.
    t.is(openslide.levels.length, compression === 'jpeg' ? 5 : 4)
    for (const [level, image] of images.entries()) {
      const expected = await toImage(sharp(path, { page: level }))
      for (const reader of level < openslide.levels.length ? [openslide, opened] : []) {
        const shown = await whole(reader, level)
        let most = 0
        for (const [i, value] of shown.data.entries())
          most = Math.max(most, Math.abs(value - (expected.data[i] as number)))
        t.true(most <= (compression === 'deflate' ? 0 : 4), `${compression}, level ${level}: ${most}`)
      }
      if (compression === 'deflate') t.true(Buffer.from(expected.data).equals(image.data))
    }
  }
})

test('every associated image keeps its name', async (t) => {
  const names = ['thumbnail', 'label', 'macro', 'a b']
  const source = memorySlide([pattern(64, 48)], {
    associatedImages: names,
    readAssociatedImage: async (name) => fill(100 + names.indexOf(name), 60, { red: 10, green: 200, blue: 90 }),
  })
  const path = at('associated.tif')
  t.deepEqual((await exportSlide(source, path)).associatedImages, names)
  await using opened = await openOpenSlide(path)
  const shown = ['thumbnail', 'label', 'macro']
  // OpenSlide 4 knows no others; libtiff and libvips show them all.
  if (Number.parseInt(opened.libraryVersion, 10) < 4) shown.push('a_b')
  t.deepEqual([...opened.associatedImages].sort(), shown.toSorted())
  for (const [i, name] of shown.entries()) {
    t.is((await opened.readAssociatedImage(name)).width, 100 + i)
  }
})

test('the ICC profile is that of the slide, in every level', async (t) => {
  const pixels = { create: { width: 8, height: 8, channels: 3, background: 'pink' } } as const
  const { icc } = await sharp(await sharp(pixels).withIccProfile('p3').png().toBuffer()).metadata()
  const source = memorySlide([pattern(64, 48)], { iccProfile: () => icc as Uint8Array })
  await exportSlide(source, at('icc.tif'))
  for (const page of [0, 1]) t.deepEqual((await sharp(at('icc.tif'), { page }).metadata()).icc, icc)
})

test('tiles of one colour are stored once, and the same bytes come each time', async (t) => {
  const image = fill(2048, 2048, { red: 240, green: 241, blue: 242 })
  image.data.fill(7, 3 * (2048 * 1030 + 1030), 3 * (2048 * 1030 + 1050))
  const plain = memorySlide([image])
  const write = async (name: string, source: SlideSource) => {
    const { tiles } = await exportSlide(source, at(name), { compression: 'deflate' })
    t.is(tiles, 17)
    return readFileSync(at(name))
  }
  const bytes = await write('plain-1.tif', plain)
  // A whole tile of one colour is about 800 bytes.
  t.true(bytes.length < 8000, `${bytes.length}`)
  const slow = memorySlide([image], {
    async readRegion(region) {
      await new Promise((resolve) => setTimeout(resolve, (region.x * 7 + region.y * 3) % 11))
      return plain.readRegion(region)
    },
  })
  t.true((await write('plain-2.tif', slow)).equals(bytes))
  const shown = await toImage(sharp(at('plain-1.tif')))
  t.true(Buffer.from(shown.data).equals(image.data))
})

test('a failure leaves nothing: no slide, one that can not be read, a damaged tile, an abort', async (t) => {
  await t.throwsAsync(exportSlide(at('none.cleric.tif'), at('failed.tif')), { code: 'ERR_UNSUPPORTED_SLIDE' })
  const broken = memorySlide([pattern(2000, 600)], {
    readRegion: async (region) => {
      if (region.x >= 1024) throw new Error('the disk is gone')
      return fill(region.width, region.height, { red: 1, green: 2, blue: 3 })
    },
  })
  await t.throwsAsync(exportSlide(broken, at('failed.tif')), { message: 'the disk is gone' })
  const stop = new AbortController()
  const onProgress = ({ tiles }: { tiles: number }) => tiles === 3 && stop.abort()
  const options = { codec, onProgress, signal: stop.signal }
  await t.throwsAsync(exportSlide(archivePath, at('failed.tif'), options), { code: 'ERR_ABORTED' })
  const damaged = readFileSync(archivePath)
  const { offset, column } = await firstTile(archivePath)
  damaged[offset + 10] = (damaged[offset + 10] as number) ^ 255
  writeFileSync(at('damaged.cleric.tif'), damaged)
  const message = new RegExp(`tile at level 0, column ${column}, row 0`)
  await t.throwsAsync(exportSlide(at('damaged.cleric.tif'), at('failed.tif'), { codec }), {
    code: 'ERR_CORRUPT_TILE',
    message,
  })
  t.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('failed')),
    [],
  )
})

test('a file that is there stays, unless it is to be overwritten, and the source always', async (t) => {
  const path = at('there.tif')
  writeFileSync(path, 'mine')
  await t.throwsAsync(exportSlide(slide, path), { code: 'ERR_FILE_EXISTS' })
  t.is(readFileSync(path, 'utf8'), 'mine')
  await t.throwsAsync(exportSlide(archivePath, archivePath, { codec, overwrite: true }), { code: 'ERR_FILE_EXISTS' })
  await exportSlide(slide, path, { overwrite: true })
  t.true(statSync(path).size > 1000)
  t.false(existsSync(`${path}.partial`))
})

test('of two runs that write the same file the later one has it', async (t) => {
  const path = at('both.tif')
  const first = exportSlide(archivePath, path, {
    codec,
    onProgress: ({ tiles }) => {
      if (tiles === 1) later ??= exportSlide(archivePath, path, { codec, compression: 'deflate' })
    },
  })
  let later: ReturnType<typeof exportSlide> | undefined
  await t.throwsAsync(first, { code: 'ERR_FILE_EXISTS' })
  t.is((await later)?.bytes, statSync(path).size)
  t.regex((await execute('tiffinfo', [path])).stdout, /Scheme: AdobeDeflate/)
})

test('progress tells tiles, pixels and bytes', async (t) => {
  const reports: { tiles: number; pixels: number; bytes: number }[] = []
  const onProgress = (report: (typeof reports)[0]) => reports.push(report)
  const { tiles, levels } = await exportSlide(archivePath, at('progress.tif'), { codec, onProgress })
  t.is(tiles, 15 + 2)
  t.deepEqual(
    reports.map((report) => report.tiles),
    Array.from({ length: tiles }, (_, i) => i + 1),
  )
  const pixels = levels.reduce((sum, { width, height }) => sum + width * height, 0)
  t.like(reports.at(-1), { pixels, totalPixels: pixels, totalTiles: tiles })
})

test('wrong options are refused before anything is done', async (t) => {
  const wrong = (options: object) => exportSlide(slide, at('wrong.tif'), options as ExportOptions)
  await t.throwsAsync(wrong({ compression: 'gif' }), { instanceOf: RangeError, message: /jpeg, deflate, webp/ })
  await t.throwsAsync(wrong({ quality: 0 }), { instanceOf: RangeError })
  await t.throwsAsync(wrong({ quality: 50.5 }), { instanceOf: RangeError })
  await t.throwsAsync(wrong({ compression: 'deflate', quality: 50 }), { instanceOf: RangeError, message: /quality/ })
  await t.throwsAsync(wrong({ label: 'no' }), { instanceOf: TypeError })
  await t.throwsAsync(exportSlide(5 as never, at('wrong.tif')), { instanceOf: TypeError })
  t.false(existsSync(at('wrong.tif')))
})

const CMU = 'slides/CMU-1-Small-Region.svs'
testWithData([CMU], 'a real SVS: description, properties and associated images come through', async (t) => {
  const [archive, path] = [at('cmu.cleric.tif'), at('cmu.tif')]
  await compressSlide(dataPath(CMU), archive, { codec: losslessCodec(), background: 'keep' })
  await exportSlide(archive, path, { codec: losslessCodec(), compression: 'deflate' })
  await using source = await openOpenSlide(dataPath(CMU))
  await using opened = await openOpenSlide(path)
  t.is(opened.properties['tiff.ImageDescription'], source.properties['tiff.ImageDescription'])
  t.deepEqual(opened.mpp, source.mpp)
  t.is(opened.objectivePower, source.objectivePower)
  t.deepEqual([...opened.associatedImages].sort(), [...source.associatedImages].sort())
  for (const name of source.associatedImages) {
    const [shown, kept] = [await opened.readAssociatedImage(name), await source.readAssociatedImage(name)]
    t.true(psnr(shown, kept) > 30, `${name}: ${psnr(shown, kept)}`)
  }
  t.true(Buffer.from((await whole(opened, 0)).data).equals((await whole(source, 0)).data))
})

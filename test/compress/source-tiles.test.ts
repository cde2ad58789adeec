/** The slide's own JPEGs as tiles of its archive: bit for bit, and the pixels that the slide's reader gives. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import * as geotiff from 'geotiff'
import sharp from 'sharp'
import { type Archive, openArchive } from '../../src/archive/archive.js'
import { registerWithGeotiff } from '../../src/archive/geotiff.js'
import { validateArchive } from '../../src/archive/validate.js'
import { type Codec, openCodec } from '../../src/codec/codec.js'
import { type CompressOptions, compressSlide } from '../../src/compress/compress.js'
import { random } from '../../src/image/noise.js'
import { openSlide } from '../../src/slide/open.js'
import type { Level, SlideSource } from '../../src/slide/source.js'
import { nanoModelFile } from '../network/golden.js'
import { drawn, whole } from '../slide/tiff/slides.js'
import { memorySlide } from '../slides.js'
import type { DrawnImage } from '../tiff/draw-tiff.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-source-'))
let codec: Codec
test.before(async () => {
  codec = await openCodec({ model: fileURLToPath(nanoModelFile), device: 'cpu' })
})
test.after.always(() => {
  codec?.close()
  rmSync(folder, { recursive: true })
})

const sample = (x: number, y: number, channel: number) =>
  Math.round(70 + 60 * random(x >> 1, y >> 1, 1) + 50 * random(x, y, 2 + channel))
const page = (width: number, height: number, photometric: number, reduced = false): DrawnImage => ({
  ...{ width, height, sample, samples: 3, photometric, compression: 'jpeg', tile: [64, 64] },
  ...(reduced ? { tags: [[254, 4, [1]]] as const } : {}),
})
/** Two levels, their last columns and rows in part. */
const pages = [page(300, 200, 6), page(150, 100, 6, true)]

let archives = 0
async function compressed(slide: SlideSource | string, options: CompressOptions = {}) {
  const path = join(folder, `${archives++}.cleric.tif`)
  const result = await compressSlide(slide, path, { codec, ...options })
  return { path, result, archive: await openArchive(path, { codec }) }
}

/** Fails unless each level of the archive is that of the slide to the bit. */
async function isAsRead(t: ExecutionContext, archive: Archive, slide: SlideSource) {
  for (const [level, { width, height }] of slide.levels.entries()) {
    const read = await archive.readRegion({ x: 0, y: 0, level, width, height })
    t.is(Buffer.compare(read.data, (await whole(slide, level)).data), 0, `level ${level}`)
  }
}

/** Bytes of the slide's tiles. */
async function tileBytes(slide: SlideSource): Promise<number> {
  let bytes = 0
  for (let level = 0; level < slide.levels.length; level++) {
    const jpegs = slide.jpegTiles?.(level)
    for (let row = 0; row < (jpegs?.rows ?? 0); row++) {
      for (let column = 0; column < (jpegs?.columns ?? 0); column++) {
        bytes += (await jpegs?.read(column, row))?.length ?? 0
      }
    }
  }
  return bytes
}

test('kept always, every tile is the slide’s, in YCbCr and in RGB, and readers give its pixels', async (t) => {
  for (const photometric of [6, 2]) {
    // sharp writes YCbCr only: here its luma and chroma are called red, green and blue.
    const drawing = photometric === 6 ? pages : [{ ...page(200, 130, 6), tags: [[262, 3, [2]]] as const }]
    using slide = await openSlide(await drawn(drawing))
    const { archive, result, path } = await compressed(slide, { keepSourceTiles: 'always', layout: 'strict' })
    using _ = archive
    await isAsRead(t, archive, slide)
    t.is(result.checks?.codecs.source, result.checks?.tiles)
    t.is(result.checks?.psnr.least, Number.POSITIVE_INFINITY)
    t.deepEqual(
      archive.levels.map(({ tileWidth, tileHeight }) => [tileWidth, tileHeight]),
      slide.levels.map(({ width, height }) => [64 * Math.ceil(width / 64), 64 * Math.ceil(height / 64)]),
    )
    const stored = archive.levels.reduce((sum, { bytes }) => sum + bytes, 0)
    t.true(stored < (await tileBytes(slide)), 'what the JPEGs have in common is stored once')
    t.true((await validateArchive(archive)).ok)
    registerWithGeotiff(geotiff, { codec })
    const tiff = await geotiff.fromArrayBuffer(new Uint8Array(readFileSync(path)).buffer)
    const { width, height } = slide.levels[0] as Level
    const rasters = await (await tiff.getImage(0)).readRasters({ interleave: true, window: [0, 0, width, height] })
    t.is(Buffer.compare(Uint8Array.from(rasters as Uint8Array), (await whole(slide)).data), 0)
  }
})

test('sides that JPEGs make up are chosen, unless another is asked for', async (t) => {
  for (const [side, expected] of [
    [64, 512],
    [240, 480],
    [256, 512],
    [96, 480],
    [528, 512],
  ] as const) {
    const wide = { ...page(1100, 40, 6), tile: [side, side] as const }
    using slide = await openSlide(await drawn([wide]))
    const { archive } = await compressed(slide, { lossless: true })
    t.is(archive.tile, expected, `of ${side}`)
    archive.close()
  }
  using slide = await openSlide(await drawn([{ ...page(1100, 40, 6), tile: [240, 240] }]))
  for (const options of [{ keepSourceTiles: 'never' }, { check: 'none' }, { tile: 512 }] as const) {
    const { archive } = await compressed(slide, { quality: 0, ...options })
    t.is(archive.tile, 512)
    archive.close()
  }
})

test('by itself what costs least wins; without loss it is the slide’s own', async (t) => {
  using slide = await openSlide(await drawn(pages))
  const kinds = async (options: CompressOptions) => {
    const { archive, result } = await compressed(slide, { levels: [0], ...options })
    archive.close()
    return result.checks?.codecs
  }
  t.deepEqual(await kinds({ lossless: true }), { source: 1 })
  t.deepEqual(await kinds({ quality: 50, minPsnr: 60 }), { source: 1 })
  t.is((await kinds({ quality: 0 }))?.source, undefined)
  t.is((await kinds({ quality: 50, minPsnr: 60, keepSourceTiles: 'never' }))?.source, undefined)
  t.is((await kinds({ lossless: true, keepSourceTiles: 'never' }))?.source, undefined)
})

test('where they can not be kept it is said, or another way is taken', async (t) => {
  const png = join(folder, 'a.png')
  await sharp({ create: { width: 90, height: 80, channels: 3, background: '#234567' } }).toFile(png)
  const always = { keepSourceTiles: 'always' } as const
  await t.throwsAsync(compressed(png, always), {
    code: 'ERR_UNSUPPORTED_SLIDE',
    message: /not stored as tiles that are JPEGs/,
  })
  using slide = await openSlide(await drawn(pages))
  await t.throwsAsync(compressed(slide, { ...always, tile: 80 }), {
    code: 'ERR_UNSUPPORTED_SLIDE',
    message: /its tiles have 64 x 64 pixels, of which none of 80 can be made up/,
  })
  await t.throwsAsync(compressed(slide, { ...always, check: 'none' }), { code: 'ERR_INVALID_ARGUMENT' })
  await t.throwsAsync(compressed(slide, { keepSourceTiles: 'yes' as 'auto' }), { code: 'ERR_INVALID_ARGUMENT' })
  // A tile that isn't there is background, and no JPEG.
  using holed = await openSlide(await drawn([{ ...page(300, 200, 6), omitted: [1] }]))
  const { archive, result } = await compressed(holed, { ...always, tile: 64 })
  t.is(archive.tileCheck(0, 0, 0)?.codec, 'source')
  t.not(archive.tileCheck(0, 1, 0)?.codec, 'source')
  t.is(result.checks?.codecs.source, 19)
  archive.close()
  // Pixels that aren't those of the JPEGs.
  const other = memorySlide([await whole(slide)], { jpegTiles: (level) => holed.jpegTiles?.(level) ?? null })
  const changed = memorySlide(
    [{ ...(await whole(slide)), data: (await whole(slide)).data.map((value) => value ^ 1) }],
    {
      jpegTiles: other.jpegTiles?.bind(other) as never,
    },
  )
  const { archive: third, result: found } = await compressed(changed, { ...always, tile: 64 })
  t.is(found.checks?.codecs.source, undefined)
  third.close()
})

test('a run that is interrupted and resumed learns the same: its bytes are those of one that is not', async (t) => {
  const { width, height } = { width: 640, height: 320 }
  const data = new Uint8Array(width * height * 3)
  for (let i = 0; i < data.length; i++) data[i] = 128 + 70 * Math.sin(i / 50) + ((i * 2654435761) >>> 27)
  const slide = memorySlide([{ data, width, height, channels: 3 }])
  const options = { codec, tile: 64, quality: 40 }
  const [straight, broken] = [join(folder, 'straight.cleric.tif'), join(folder, 'broken.cleric.tif')]
  await compressSlide(slide, straight, options)
  for (const stopAt of [13, 29]) {
    const stop = new AbortController()
    const onProgress = ({ tiles }: { tiles: number }) => tiles >= stopAt && stop.abort()
    const run = compressSlide(slide, broken, { ...options, resume: true, onProgress, signal: stop.signal })
    await t.throwsAsync(run, { code: 'ERR_ABORTED' })
  }
  const { resumedTiles } = await compressSlide(slide, broken, { ...options, resume: true })
  t.true(resumedTiles >= 29)
  t.is(Buffer.compare(readFileSync(broken), readFileSync(straight)), 0)
})

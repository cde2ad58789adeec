/** SlideWorker in a real browser: what it gives is what Node.js gives, its errors keep their codes, and colours are sRGB. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { build } from 'esbuild'
import { checksOf } from '../../src/archive/checks-window.js'
import { Pyramid } from '../../src/archive/pyramid.js'
import { compressSlide } from '../../src/compress/compress.js'
import type { Image } from '../../src/image/image.js'
import { TileCache } from '../../src/image/tile-cache.js'
import { type Codec, openArchive, openCodec } from '../../src/index.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import type { SlideWorker } from '../../src/web/index.js'
import { nanoModelFile } from '../network/golden.js'
import { displayP3, displayP3Table, fromDisplayP3 } from '../slide/display-p3.js'
import { crop, memorySlide } from '../slides.js'
import { bundle, openPage, testInBrowser } from './browser.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-worker-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

const model = fileURLToPath(nanoModelFile)
const path = join(folder, 'drawn.cleric.tif')
const [WIDTH, HEIGHT] = [700, 300]

let codec: Codec
let image: Image
test.before(async () => {
  codec = await openCodec({ model, device: 'cpu' })
  using drawn = new SyntheticSlide(`synthetic:${WIDTH}x${HEIGHT}:3`)
  image = await drawn.readRegion({ x: 0, y: 0, level: 0, width: WIDTH, height: HEIGHT })
  const associated = { associatedImages: ['label'], readAssociatedImage: async () => crop(image, 0, 0, 61, 47) }
  await compressSlide(memorySlide([image], associated), path, { codec, tile: 256, levels: [0], background: 'keep' })
})
test.after.always(() => codec.close())

/** Bytes of the archive with a changed byte in one tile of level 0. */
async function damaged(wanted: string): Promise<Uint8Array> {
  const bytes = Uint8Array.from(readFileSync(path))
  using archive = await openArchive(path, { codec })
  for (const { parts } of archive.batches(1)) {
    for (const { name, offset, length } of parts) {
      if (name === wanted) bytes[offset + length - 1] = (bytes[offset + length - 1] as number) ^ 1
    }
  }
  return bytes
}

const nano = () => ['/nano.safetensors', readFileSync(model)] as const

/** Has the page know how to read a bitmap's pixels, and esbuild's function for names, which tsx puts into functions. */
const WITH_PIXELS = `globalThis.__name = (value) => value
globalThis.pixelsOf = (bitmap) => {
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d', { willReadFrequently: true })
  context.drawImage(bitmap, 0, 0)
  const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height)
  return [bitmap.width, bitmap.height, ...data.filter((_, i) => i % 4 < 3)]
}`

declare global {
  /** That of a page of one file. */
  var worker: SlideWorker
  /** Width, height, and red, green and blue of each pixel. */
  var pixelsOf: (bitmap: ImageBitmap) => number[]
}

function same(t: ExecutionContext, found: readonly number[], { data, width, height }: Image, tolerance: number): void {
  t.deepEqual(found.slice(0, 2), [width, height])
  t.is(found.length, data.length + 2)
  const worst = data.reduce((most, value, i) => Math.max(most, Math.abs(value - (found[i + 2] as number))), 0)
  t.true(worst <= tolerance, `they differ by ${worst}`)
}

testInBrowser('a page that is one file with cleric/web names the file that its worker runs', async (t) => {
  // As a classic script, which has no address of a module.
  const { outputFiles } = await build({
    stdin: {
      contents: `import { SlideWorker } from './cleric-web.js'
        document.title = 'a page, which no worker has'
        globalThis.worker = new SlideWorker({ module: 'cleric-web.js' })`,
      resolveDir: fileURLToPath(new URL('.', bundle)),
    },
    ...{ bundle: true, format: 'iife', write: false, logLevel: 'silent' },
  })
  const script = outputFiles[0]?.contents as Uint8Array
  const html = new TextEncoder().encode('<link rel="icon" href="data:,"><script src="page.js"></script>')
  const files = [
    ['/page.js', script] as const,
    ['/page.html', html] as const,
    ['/a.cleric.tif', readFileSync(path)] as const,
  ]
  const page = await openPage(t, new Map<string, Uint8Array>(files), '/page.html')
  const found = await page.evaluate(async () => {
    const slide = await globalThis.worker.open('a.cleric.tif')
    const none = { aborted: false } as AbortSignal
    const refused = slide.overview(none).catch(({ code, message }) => [code, message])
    return { width: slide.facts.levels[0]?.width, refused: await refused }
  })
  t.is(found.width, WIDTH)
  const message = 'Expected an AbortSignal for signal but received [object Object] of type Object'
  t.deepEqual(found.refused, ['ERR_INVALID_ARGUMENT', message])
})

testInBrowser('tiles, regions, pictures and facts of a slide in a worker are those of Node.js', async (t) => {
  t.timeout(300_000)
  const page = await openPage(t, new Map([['/a.cleric.tif', readFileSync(path)], nano()]))
  await page.evaluate(WITH_PIXELS)
  const found = await page.evaluate(async () => {
    const worker = new cleric.SlideWorker()
    const slide = await worker.open('a.cleric.tif', { model: 'nano.safetensors' })
    const adapter = await worker.adapter()
    const tileAt = async (level: number, column: number, row: number) => {
      const tile = await slide.tile(level, column, row)
      return tile && { pixels: pixelsOf(tile.bitmap), holes: tile.holes }
    }
    // From the overview, before there is a decoder.
    const coarse = await tileAt(5, 0, 0)
    const decoder = await slide.decoder()
    const tiles = { coarse, full: await tileAt(10, 1, 0), half: await tileAt(9, 0, 0), none: await tileAt(10, 2, 0) }
    const region = pixelsOf(await slide.region({ x: 30, y: 20, level: 0, width: 90, height: 80 }))
    const pictures = [await slide.overview(), await slide.associatedImage('label')]
    const sizes = await Promise.all(
      pictures.map(async (blob) => {
        const { width, height } = await createImageBitmap(blob as Blob)
        return [blob?.type, width, height]
      }),
    )
    const dropped = await worker.open(new File([await bytesOf('a.cleric.tif')], 'a.cleric.tif'))
    const { path, version: _, ...facts } = slide.facts
    const { path: name, version: __, ...same } = dropped.facts
    return { adapter, decoder, facts, same, path, name, tiles, region, sizes, checks: await slide.tileChecks() }
  })
  using archive = await openArchive(path, { codec })
  const pyramid = new Pyramid(archive, new TileCache(2 ** 26))
  t.true(found.adapter.software)
  t.is(found.decoder.tilesInFlight, 2)
  t.deepEqual(found.facts, found.same)
  t.regex(found.path, /^http.*a\.cleric\.tif$/)
  t.is(found.name, 'archive')
  const { bytes, bpp, quality, mpp, levels } = archive
  t.like(found.facts, { bytes, bpp, quality, mpp, icc: 'srgb', associatedImages: ['label'], levels, overviewLevel: 7 })
  for (const [name, level, column, tolerance] of [
    ['full', 10, 1, 1],
    ['half', 9, 0, 1],
    ['coarse', 5, 0, 3],
  ] as const) {
    const expected = await pyramid.tile(level, column, 0)
    same(t, found.tiles[name]?.pixels as number[], expected?.image as Image, tolerance)
    t.deepEqual(found.tiles[name]?.holes, [])
  }
  t.is(found.tiles.none, null)
  same(t, found.region, await archive.readRegion({ x: 30, y: 20, level: 0, width: 90, height: 80 }), 1)
  t.deepEqual(found.sizes, [
    ['image/png', 88, 38],
    ['image/png', 61, 47],
  ])
  const { version: _, ...checks } = checksOf(archive)
  t.like(found.checks, checks)
})

testInBrowser('errors keep their class and code on the way from the worker, and calls can be given up', async (t) => {
  t.timeout(300_000)
  const bad = await damaged('tile at level 0, column 1, row 0')
  const files = new Map([['/a.cleric.tif', readFileSync(path)], ['/bad.cleric.tif', bad], nano()])
  const page = await openPage(t, files)
  await page.evaluate(WITH_PIXELS)
  const found = await page.evaluate(async () => {
    const worker = new cleric.SlideWorker()
    const options = { model: 'nano.safetensors' }
    const slide = await worker.open('bad.cleric.tif', options)
    const classOf = (call: Promise<unknown>) =>
      call.then(
        () => 'none',
        (error) => `${error.name} ${error.code} ${error instanceof cleric.ClericError}`,
      )
    const full = await slide.tile(10, 0, 0)
    const stop = new AbortController()
    const sound = await worker.open('a.cleric.tif', options)
    const given = classOf(sound.tile(10, 1, 0, stop.signal))
    stop.abort()
    const codes = {
      given: await given,
      gone: await classOf(sound.tile(10, 0, 0, AbortSignal.abort())),
      absent: await classOf(worker.open('absent.tif')),
      none: await classOf(worker.open('nano.safetensors')),
      argument: await classOf(slide.region({ x: 0.5, y: 0, level: 0, width: 1, height: 1 })),
      model: await classOf((await worker.open('a.cleric.tif', { model: 'absent.safetensors' })).decoder()),
      // The next call after one that failed works.
      after: await classOf(sound.tile(10, 1, 0)),
    }
    sound.close()
    const closed = await classOf(sound.tile(10, 1, 0))
    const waiting = classOf(slide.tile(10, 1, 0))
    worker.close()
    return { codes, closed, waiting: await waiting, ended: await classOf(worker.adapter()), holes: full?.holes }
  })
  t.deepEqual(found.codes, {
    given: 'AbortError ERR_ABORTED true',
    gone: 'AbortError ERR_ABORTED true',
    absent: 'ClericError ERR_NETWORK true',
    none: 'UnsupportedError ERR_ARCHIVE_UNSUPPORTED true',
    argument: 'RangeError undefined false',
    model: 'ClericError ERR_NETWORK true',
    after: 'none',
  })
  t.is(found.closed, 'ClericError ERR_CLOSED true')
  t.is(found.waiting, 'ClericError ERR_CLOSED true')
  t.is(found.ended, 'ClericError ERR_CLOSED true')
  t.like(found.holes, [{ level: 0, column: 1, row: 0, code: 'ERR_CORRUPT_TILE' }])
})

testInBrowser('pixels are converted to sRGB by the profile; one of no use is left out', async (t) => {
  t.timeout(300_000)
  const small = crop(image, 0, 0, 200, 150)
  const files = new Map<string, Uint8Array>([nano()])
  const profiles = { p3: displayP3(), table: displayP3Table(), bad: new Uint8Array(200) }
  for (const [name, profile] of Object.entries(profiles)) {
    const file = join(folder, `${name}.cleric.tif`)
    const slide = memorySlide([small], { iccProfile: () => profile })
    await compressSlide(slide, file, { codec, levels: [0], background: 'keep' })
    files.set(`/${name}.cleric.tif`, readFileSync(file))
  }
  const page = await openPage(t, files)
  await page.evaluate(WITH_PIXELS)
  const found = await page.evaluate(async () => {
    const worker = new cleric.SlideWorker()
    const model = 'nano.safetensors'
    const region = { x: 0, y: 0, level: 0, width: 200, height: 150 }
    const look = async (name: string) => {
      const slide = await worker.open(`${name}.cleric.tif`, { model })
      const tile = await slide.tile(8, 0, 0)
      return { icc: slide.facts.icc, pixels: pixelsOf(tile?.bitmap as ImageBitmap) }
    }
    const read = async (icc: 'srgb' | 'keep') => {
      const archive = await cleric.openArchive('p3.cleric.tif', { model, icc })
      const { data } = await archive.readRegion(region)
      return [...data]
    }
    const refused = await codeOf(cleric.openArchive('bad.cleric.tif', { model, icc: 'srgb' }))
    const regions = { stored: await read('keep'), srgb: await read('srgb') }
    return { p3: await look('p3'), table: await look('table'), bad: await look('bad'), regions, refused }
  })
  const converted = {
    width: 200,
    height: 150,
    channels: 3,
    data: fromDisplayP3(Uint8Array.from(found.regions.stored)),
  } as const
  t.true(found.regions.stored.some((value, i) => Math.abs(value - (converted.data[i] as number)) > 6))
  same(t, [200, 150, ...found.regions.srgb], converted, 1)
  // Between the places of a table colours are guessed.
  for (const [{ icc, pixels }, tolerance] of [
    [found.p3, 1],
    [found.table, 3],
  ] as const) {
    t.is(icc, 'srgb')
    same(t, pixels, converted, tolerance)
  }
  t.is(found.bad.icc, 'none')
  using bad = await openArchive(join(folder, 'bad.cleric.tif'), { codec })
  same(t, found.bad.pixels, await bad.readRegion({ x: 0, y: 0, level: 0, width: 200, height: 150 }), 1)
  t.is(found.refused, 'ERR_IMAGE_UNSUPPORTED')
})

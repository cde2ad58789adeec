/** cleric/web in a real browser: what it decodes on WebGPU is what Node decodes on the processor. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import sharp from 'sharp'
import { modelId, type PayloadKind, writePayload, writeTile } from '../../src/codec/bitstream.js'
import { encodeLossless, encodeLossy } from '../../src/codec/classic-encoder.js'
import { encodePalette } from '../../src/codec/palette.js'
import { packSourceTiles } from '../../src/codec/source-tiles.js'
import { compressSlide } from '../../src/compress/compress.js'
import { crc32c } from '../../src/entropy/crc32c.js'
import { cropImage, type Image } from '../../src/image/image.js'
import { wholeJpeg } from '../../src/image/jpeg-stream.js'
import { type Codec, openArchive, openCodec } from '../../src/index.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { nanoModelFile } from '../network/golden.js'
import { crop, memorySlide } from '../slides.js'
import { openPage, testInBrowser } from './browser.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-web-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

const model = fileURLToPath(nanoModelFile)
const path = join(folder, 'drawn.cleric.tif')
const region = { x: 30, y: 20, level: 0, width: 150, height: 160 } as const
const QUALITY = 70

let codec: Codec
let archive: Buffer
test.before(async () => {
  codec = await openCodec({ model, device: 'cpu' })
  using drawn = new SyntheticSlide('synthetic:200x190:3')
  const image = await drawn.readRegion({ x: 0, y: 0, level: 0, width: 200, height: 190 })
  const associated = { associatedImages: ['thumbnail'], readAssociatedImage: async () => crop(image, 0, 0, 61, 47) }
  await compressSlide(memorySlide([image], associated), path, { codec, tile: 128, quality: QUALITY })
  archive = readFileSync(path)
})
test.after.always(() => codec.close())

function files(more: Readonly<Record<string, Uint8Array>> = {}): Map<string, Uint8Array> {
  return new Map(Object.entries({ '/a.cleric.tif': archive, '/nano.safetensors': readFileSync(model), ...more }))
}

/** Checks that two images differ by 1 at most, as devices may: floats are rounded where they are written. */
function same(t: ExecutionContext, found: readonly number[], expected: Uint8Array, tolerance = 1): void {
  t.is(found.length, expected.length)
  t.true(expected.length > 0)
  const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - (found[i] as number))), 0)
  t.true(worst <= tolerance, `they differ by ${worst}`)
}

testInBrowser('a region of an archive behind an address is that which Node decodes', async (t) => {
  t.timeout(300_000)
  const page = await openPage(t, files())
  const found = await page.evaluate(async (region) => {
    const archive = await cleric.openArchive('a.cleric.tif', { model: 'nano.safetensors' })
    const image = await archive.readRegion(region)
    const names = archive.associatedImages
    const thumbnail = await archive.readAssociatedImage('thumbnail')
    const facts = {
      levels: archive.levels.map(({ width, height }) => [width, height]),
      quality: archive.quality,
      names,
    }
    return { facts, data: [...image.data], thumbnail: [...thumbnail.data] }
  }, region)
  // The symbols are the same, bit for bit: else their checksum, which each tile has, would have failed.
  using reference = await openArchive(path, { codec })
  t.deepEqual(found.facts, {
    levels: reference.levels.map(({ width, height }) => [width, height]),
    quality: QUALITY,
    names: [...reference.associatedImages],
  })
  same(t, found.data, (await reference.readRegion(region)).data)
  // Decoders of JPEG are free to round otherwise.
  same(t, found.thumbnail, (await reference.readAssociatedImage('thumbnail')).data, 3)
})

testInBrowser('files, single tiles, and what is wrong with them', async (t) => {
  t.timeout(300_000)
  using slide = new SyntheticSlide('synthetic:128x128:5')
  const tile = await codec.encodeTile(await slide.readRegion({ x: 0, y: 0, level: 0, width: 100, height: 90 }))
  using reference = await openArchive(path, { codec })
  // The last byte of the first tile's symbols.
  const damaged = Uint8Array.from(archive)
  const [{ offset, length }] = [...reference.batches(1)] as unknown as [{ offset: number; length: number }]
  damaged[offset + length - 1] = (damaged[offset + length - 1] as number) ^ 1
  const page = await openPage(t, files({ '/damaged.cleric.tif': damaged, '/tile': tile }))
  const found = await page.evaluate(async () => {
    const model = 'nano.safetensors'
    const codec = await cleric.openCodec({ model })
    const file = new File([await bytesOf('a.cleric.tif')], 'a.cleric.tif')
    const dropped = await cleric.openArchive(file, { codec })
    const damaged = await cleric.openArchive('damaged.cleric.tif', { codec })
    const tile = await bytesOf('tile')
    const cut = tile.subarray(0, tile.length - 1)
    return {
      device: codec.device.kind,
      region: [...(await dropped.readRegion({ x: 100, y: 100, level: 0, width: 40, height: 40 })).data],
      tile: [...(await cleric.decodeTile(tile, { codec })).data],
      codes: {
        damaged: await codeOf(damaged.readTile(0, 0, 0)),
        cut: await codeOf(cleric.decodeTile(cut, { codec })),
        notAnArchive: await codeOf(cleric.openArchive('nano.safetensors')),
        absent: await codeOf(cleric.openArchive('absent.tif')),
        absentModel: await codeOf(cleric.openCodec({ model: 'absent.safetensors' })),
        noModel: await codeOf(cleric.openCodec({ model: 'a.cleric.tif' })),
        path: await codeOf(cleric.openArchive('file:///etc/passwd')),
        number: await codeOf(cleric.openCodec({ model: 5 as never })),
        encoding: await codeOf(
          (codec as unknown as { encodePayload: (...all: unknown[]) => Promise<unknown> }).encodePayload(
            { data: new Uint8Array(3 * 64 * 64), width: 64, height: 64 },
            50,
          ),
        ),
      },
      intact: [...(await damaged.readTile(0, 1, 1)).data].length,
    }
  })
  t.is(found.device, 'webgpu')
  const corner = { x: 100, y: 100, level: 0, width: 40, height: 40 }
  same(t, found.region, (await reference.readRegion(corner)).data)
  same(t, found.tile, (await codec.decodeTile(tile)).data)
  t.is(found.intact, 72 * 62 * 3)
  t.like(found.codes, {
    damaged: 'ERR_CORRUPT_TILE',
    cut: 'ERR_CORRUPT_TILE',
    notAnArchive: 'ERR_ARCHIVE_UNSUPPORTED',
    absent: 'ERR_NETWORK',
    absentModel: 'ERR_NETWORK',
    noModel: 'ERR_MODEL_CORRUPT',
    number: 'ERR_INVALID_ARGUMENT',
    path: 'ERR_INVALID_ARGUMENT',
    encoding: 'ERR_IMAGE_UNSUPPORTED',
  })
})

/** Two JPEGs side by side, one of YCbCr with coarse chroma and one of RGB, as slides hold them. */
async function sourceOf(image: Image): Promise<Uint8Array> {
  const half = cropImage(image, 50, 90)
  const jpegs: Uint8Array[] = []
  for (const isRgb of [false, true]) {
    const jpeg = await sharp(half.data, { raw: half })
      .jpeg({ chromaSubsampling: isRgb ? '4:4:4' : '4:2:0' })
      .toBuffer()
    jpegs.push(wholeJpeg(jpeg, null, isRgb) as Uint8Array)
  }
  return packSourceTiles({ columns: 2, rows: 1, jpegs })
}

testInBrowser('tiles of classic codecs are those of Node', async (t) => {
  t.timeout(300_000)
  const size = { width: 100, height: 90 }
  using slide = new SyntheticSlide('synthetic:128x128:5')
  const image = await slide.readRegion({ x: 0, y: 0, level: 0, ...size })
  const few = { ...image, data: image.data.map((value) => value & 0xc0) }
  const streams: Record<Exclude<PayloadKind, 'cleric'>, Uint8Array> = {
    avif: await encodeLossy('avif', image, 60),
    jpeg: await encodeLossy('jpeg', image, 60),
    webp: await encodeLossless(image),
    palette: (await encodePalette(few)) as Uint8Array,
    source: await sourceOf(image),
  }
  const head = { ...size, quality: 60, modelId: modelId(codec.model.hash) }
  const tiles = Object.entries(streams).map(([kind, stream]) => {
    const payload = writePayload({ kind: kind as PayloadKind, crc: crc32c(stream), stream })
    return [`/${kind}`, writeTile(head, payload)] as const
  })
  const page = await openPage(t, files(Object.fromEntries(tiles)))
  const found = await page.evaluate(async () => {
    const codec = await cleric.openCodec({ model: 'nano.safetensors' })
    const pixels: Record<string, number[]> = {}
    for (const kind of ['avif', 'jpeg', 'webp', 'palette', 'source']) {
      pixels[kind] = [...(await cleric.decodeTile(await bytesOf(kind), { codec })).data]
    }
    return pixels
  })
  for (const [path, tile] of tiles) {
    const kind = path.slice(1)
    const { data } = await codec.decodeTile(tile)
    // Decoders of AVIF and JPEG are free to round otherwise.
    same(t, found[kind] as number[], data, kind === 'webp' || kind === 'palette' ? 0 : 3)
  }
})

testInBrowser('the example page shows an archive from a server, moves, and takes one that is dropped', async (t) => {
  t.timeout(300_000)
  const html = readFileSync(new URL('../../docs/web-example.html', import.meta.url))
  t.true(html.toString().trimEnd().split('\n').length < 40)
  const page = await openPage(
    t,
    files({ '/example.html': html, '/cleric-s.safetensors': readFileSync(model) }),
    '/example.html?slide=a.cleric.tif',
  )
  const shown = async (status: string) => {
    await page.getByRole('status').getByText(status).waitFor()
    return page.evaluate(() => {
      // A canvas of its own, as Chromium complains of others that are read.
      const copy = new OffscreenCanvas(40, 30).getContext('2d', {
        willReadFrequently: true,
      }) as OffscreenCanvasRenderingContext2D
      copy.drawImage(document.querySelector('canvas') as HTMLCanvasElement, 0, 0)
      const { data } = copy.getImageData(0, 0, 40, 30)
      return [...data].filter((_, i) => i % 4 < 3)
    })
  }
  using reference = await openArchive(path, { codec })
  const level = reference.levels.length - 1
  const size = { level, width: 40, height: 30 }
  same(t, await shown(`Level ${level} at 0, 0`), (await reference.readRegion({ x: 0, y: 0, ...size })).data)
  await page.keyboard.press('ArrowLeft')
  const step = 256 * (reference.levels[level]?.downsample as number)
  same(t, await shown(`Level ${level} at -${step}, 0`), (await reference.readRegion({ x: -step, y: 0, ...size })).data)
  await page.evaluate(async () => {
    const dataTransfer = new DataTransfer()
    dataTransfer.items.add(new File([await (await fetch('a.cleric.tif')).arrayBuffer()], 'a.cleric.tif'))
    dispatchEvent(new DragEvent('drop', { dataTransfer, cancelable: true }))
  })
  same(t, await shown(`Level ${level} at 0, 0`), (await reference.readRegion({ x: 0, y: 0, ...size })).data)
})

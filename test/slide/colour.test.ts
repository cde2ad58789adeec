/** The ICC profile of a slide: kept, applied or left out, by the library and by commands. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import sharp from 'sharp'
import { openArchive } from '../../src/archive/archive.js'
import { compressSlide } from '../../src/compress/compress.js'
import { exportSlide } from '../../src/export/export.js'
import { fill, paste } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { ImageFile } from '../../src/slide/image-file.js'
import { openSlide } from '../../src/slide/open.js'
import type { SlideSource } from '../../src/slide/source.js'
import { fromProfiled } from '../../src/slide/to-srgb.js'
import { run } from '../cli/run.js'
import { losslessCodec } from '../payload-codec.js'
import { memorySlide } from '../slides.js'
import { displayP3, fromDisplayP3 } from './display-p3.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-colour-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const codec = losslessCodec()
const PROFILE = displayP3()
const BACKGROUND = { red: 240, green: 225, blue: 245 }

/** Colours of all kinds, most of which sRGB has; at the right a tile of one colour. */
function drawn(): Image {
  const image = fill(128, 64, { red: 180, green: 60, blue: 120 })
  for (let y = 0; y < 64; y++) {
    for (let x = 0; x < 64; x++) image.data.set([4 * x, 4 * y, 255 - 2 * (x + y)], 3 * (128 * y + x))
  }
  return image
}

const stored = drawn()
const archivePath = join(folder, 'p3.cleric.tif')
const tiffPath = join(folder, 'p3.tif')
test.before(async () => {
  const facts = { iccProfile: () => PROFILE, background: BACKGROUND, associatedImages: ['macro'] }
  const readAssociatedImage: SlideSource['readAssociatedImage'] = async () => fill(9, 9, BACKGROUND)
  const slide = memorySlide([stored], { ...facts, readAssociatedImage })
  await compressSlide(slide, archivePath, { codec, tile: 64, background: 'keep' })
  await exportSlide(archivePath, tiffPath, { codec, compression: 'deflate' })
})

/** The part of the drawn image and of the background around it that a region shows. */
const REGION = { x: -10, y: 30, level: 0, width: 150, height: 50 }
function expectedRegion(): Image {
  const image = fill(REGION.width, REGION.height, BACKGROUND)
  paste(stored, image, 10, -30)
  return image
}

/** The largest difference of a value. */
function largestError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0)
}

test('the computation that the conversions are compared with leaves grey grey, and knows what P3 is', (t) => {
  const grey = Uint8Array.of(0, 0, 0, 128, 128, 128, 255, 255, 255)
  t.deepEqual(fromDisplayP3(grey), grey)
  // Red of P3 lies outside sRGB; red of sRGB is (234, 51, 35) in P3.
  t.deepEqual([...fromDisplayP3(Uint8Array.of(255, 0, 0))], [255, 0, 0])
  t.true(largestError(fromDisplayP3(Uint8Array.of(234, 51, 35)), [255, 0, 0]) <= 1)
})

test('archives: pixels as they are stored with the profile, in sRGB, or without it', async (t) => {
  for (const [icc, pixels, profile] of [
    [undefined, expectedRegion().data, PROFILE],
    ['keep', expectedRegion().data, PROFILE],
    ['none', expectedRegion().data, null],
    ['srgb', fromDisplayP3(expectedRegion().data), null],
  ] as const) {
    using archive = await openArchive(archivePath, { codec, icc })
    const region = await archive.readRegion(REGION)
    t.true(largestError(region.data, pixels) <= (icc === 'srgb' ? 1 : 0), `${icc}`)
    t.deepEqual(archive.iccProfile(), profile)
    const tile = await archive.readTile(0, 1, 0)
    const colour = Uint8Array.of(180, 60, 120)
    t.true(largestError(tile.data.subarray(0, 3), icc === 'srgb' ? fromDisplayP3(colour) : colour) <= 1)
    const { red, green, blue } = archive.background
    const background = Uint8Array.of(240, 225, 245)
    t.true(largestError([red, green, blue], icc === 'srgb' ? fromDisplayP3(background) : background) <= 1)
    const [first] = (await archive.readAssociatedImage('macro')).data
    t.true(Math.abs((first as number) - 240) <= 2, 'an associated image is left alone')
  }
  t.true(
    largestError(fromDisplayP3(expectedRegion().data), expectedRegion().data) > 20,
    'converting makes a difference',
  )
})

test('slides: the same three ways', async (t) => {
  const region = { x: 0, y: 0, level: 0, width: 128, height: 64 }
  for (const [icc, pixels, profile] of [
    [undefined, stored.data, PROFILE],
    ['none', stored.data, null],
    ['srgb', fromDisplayP3(stored.data), null],
  ] as const) {
    using slide = await openSlide(tiffPath, { icc })
    t.true(largestError((await slide.readRegion(region)).data, pixels) <= (icc === 'srgb' ? 1 : 0), `${icc}`)
    t.deepEqual(slide.iccProfile?.() ?? null, profile)
    t.is(slide.levels.length, 2)
    t.is(slide.path, tiffPath)
  }
})

/** The image that a command wrote: its values as they are, and its profile. */
async function written(path: string): Promise<{ data: Uint8Array; icc: Uint8Array | null }> {
  const { icc } = await sharp(path).metadata()
  const data = await sharp(path).keepIccProfile().raw().toBuffer()
  return { data: new Uint8Array(data), icc: icc ? new Uint8Array(icc) : null }
}

for (const extension of ['png', 'tif', 'webp', 'jpg']) {
  test(`region and decode write the profile, or convert, or leave it out: ${extension}`, async (t) => {
    const place = ['--width', '128', '--height', '64']
    for (const [i, [icc, pixels, profile]] of (
      [
        [[], stored.data, PROFILE],
        [['--icc', 'keep'], stored.data, PROFILE],
        [['--icc', 'none'], stored.data, null],
        [['--icc', 'srgb'], fromDisplayP3(stored.data), null],
      ] as const
    ).entries()) {
      for (const [command, file, options] of [
        ['region', archivePath, place],
        ['region', tiffPath, place],
        ['decode', archivePath, []],
      ] as const) {
        const output = join(folder, `${extension}-${i}-${command}.${extension}`)
        const { status, stderr } = await run(command, file, '-o', output, ...options, ...icc)
        t.is(status, 0, stderr)
        const { data, icc: found } = await written(output)
        t.deepEqual(found, profile, `${command} ${icc}`)
        const error = largestError(data, pixels)
        t.true(extension === 'jpg' ? error < 40 : error <= 1, `${command} ${icc}: ${error}`)
      }
    }
  })
}

test('export writes the profile, or converts, or leaves it out', async (t) => {
  const region = { x: 0, y: 0, level: 0, width: 128, height: 64 }
  for (const [icc, pixels, profile] of [
    ['keep', stored.data, PROFILE],
    ['none', stored.data, null],
    ['srgb', fromDisplayP3(stored.data), null],
  ] as const) {
    const output = join(folder, `export-${icc}.tif`)
    const { status, stderr } = await run('export', archivePath, '-o', output, '--codec', 'deflate', '--icc', icc)
    t.is(status, 0, stderr)
    using slide = await openSlide(output)
    t.deepEqual(slide.iccProfile?.() ?? null, profile)
    t.true(largestError((await slide.readRegion(region)).data, pixels) <= 1)
  }
})

test('a profile by which nothing can be converted is refused for srgb, and for nothing else', async (t) => {
  const { icc: cmyk } = await sharp(
    await sharp({ create: { width: 8, height: 8, channels: 3, background: 'plum' } })
      .toColourspace('cmyk')
      .withIccProfile('cmyk')
      .jpeg()
      .toBuffer(),
  ).metadata()
  const lacking = PROFILE.slice()
  // Its tag of red is none that anybody knows.
  lacking.set(Buffer.from('qXYZ'), Buffer.from(lacking).indexOf('rXYZ'))
  for (const [i, profile] of [
    cmyk as Uint8Array,
    Uint8Array.of(1, 2, 3),
    new Uint8Array(3000).fill(7),
    lacking,
  ].entries()) {
    const path = join(folder, `bad-${i}.cleric.tif`)
    await compressSlide(memorySlide([stored], { iccProfile: () => new Uint8Array(profile) }), path, { codec })
    const error = await t.throwsAsync(openArchive(path, { codec, icc: 'srgb' }), {
      message: /bad-\d.cleric.tif: its ICC/,
    })
    t.like(error, { code: 'ERR_IMAGE_UNSUPPORTED' })
    for (const icc of ['keep', 'none'] as const) {
      const output = join(folder, `bad-${i}.png`)
      const { status, stderr } = await run('region', path, '-o', output, '--width', '9', '--height', '9', '--icc', icc)
      t.is(status, 0, stderr)
      t.deepEqual((await written(output)).data.subarray(0, 3), stored.data.subarray(0, 3))
    }
  }
})

test('the profile of sRGB itself changes nothing', async (t) => {
  const png = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'plum' } })
    .withIccProfile('srgb')
    .png()
    .toBuffer()
  const { icc } = await sharp(png).metadata()
  const path = join(folder, 'srgb.cleric.tif')
  await compressSlide(memorySlide([stored], { iccProfile: () => new Uint8Array(icc as Buffer) }), path, { codec })
  using archive = await openArchive(path, { codec, icc: 'srgb' })
  const region = await archive.readRegion({ x: 0, y: 0, level: 0, width: 128, height: 64 })
  t.is(largestError(region.data, stored.data), 0)
})

test('an image file keeps its values and its profile, also if it is decoded into a file, or brought into 8 bits', async (t) => {
  const path = join(folder, 'p3.png')
  await fromProfiled(stored, PROFILE).png().toFile(path)
  const all = { x: 0, y: 0, level: 0, width: stored.width, height: stored.height }
  for (const keepBytes of [2 ** 28, 1]) {
    using slide = await ImageFile.open(path, { keepBytes })
    t.deepEqual(Buffer.from(slide.iccProfile() ?? []), Buffer.from(PROFILE))
    t.deepEqual((await slide.readRegion(all)).data, stored.data, `${keepBytes} bytes in memory`)
  }
  using shown = await openSlide(path, { icc: 'srgb' })
  t.is(shown.iccProfile?.() ?? null, null)
  t.true(largestError((await shown.readRegion(all)).data, fromDisplayP3(stored.data)) <= 1)

  const deep = join(folder, 'p3-16.png')
  await fromProfiled(stored, PROFILE).toColourspace('rgb16').png().toFile(deep)
  using ranged = await openSlide(deep, { range: [0, 65535] })
  t.deepEqual(Buffer.from(ranged.iccProfile?.() ?? []), Buffer.from(PROFILE))
  t.true(largestError((await ranged.readRegion(all)).data, stored.data) <= 1)
})

test('an image of CMYK becomes RGB by its profile, and has none then', async (t) => {
  const path = join(folder, 'cmyk.jpg')
  const brown = { create: { width: 16, height: 16, channels: 3, background: '#a09080' } } as const
  await sharp(brown).toColourspace('cmyk').withIccProfile('cmyk').jpeg({ quality: 100 }).toFile(path)
  const { icc, space } = await sharp(path).metadata()
  t.truthy(icc)
  t.is(space, 'cmyk')
  using slide = await openSlide(path)
  t.is(slide.iccProfile?.() ?? null, null)
  const { data } = await slide.readRegion({ x: 8, y: 8, level: 0, width: 1, height: 1 })
  t.true(largestError(data, [0xa0, 0x90, 0x80]) <= 16, data.join())
})

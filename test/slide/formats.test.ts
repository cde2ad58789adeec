/**
 * Slides of formats whose public samples are large, written here: their levels, resolution, bounds, associated images and
 * pixels, as they are read, and in an archive made of them.
 */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import sharp from 'sharp'
import { openArchive } from '../../src/archive/archive.js'
import { compressSlide } from '../../src/compress/compress.js'
import { type Colour, fill, paste, WHITE } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { fromImage, toImage } from '../../src/image/sharp.js'
import { halve } from '../../src/image/shrink.js'
import { openSlide } from '../../src/slide/open.js'
import { openOpenSlide } from '../../src/slide/openslide.js'
import type { SlideSource } from '../../src/slide/source.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { run } from '../cli/run.js'
import { losslessCodec } from '../payload-codec.js'
import { dicomFile } from './dicom.js'
import { markedProfile } from './marked-slide.js'
import { JPEG, type MiraxSlide, SIDE, writeMirax } from './mirax.js'
import { JPEG as NDPI_JPEG, ndpiFile } from './ndpi.js'
import { scnFile } from './scn.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-formats-'))
test.after.always(() => rmSync(folder, { recursive: true }))

/** Which OpenSlide runs: 3 knows no DICOM. */
async function majorVersion(): Promise<number> {
  const path = join(folder, 'version.scn')
  writeFileSync(path, scnFile(await scn()))
  await using slide = await openOpenSlide(path)
  return Number.parseInt(slide.libraryVersion, 10)
}

/** A drawn image, and the ones that are half its size each. */
async function drawn(width: number, height: number, seed: number, levels: number): Promise<Image[]> {
  const slide = new SyntheticSlide(`synthetic:${width}x${height}:${seed}`)
  const images = [await slide.readRegion({ x: 0, y: 0, level: 0, width, height })]
  while (images.length < levels) images.push(halve(images.at(-1) as Image))
  return images
}

const plain = (width: number, height: number, colour: Colour) => fill(width, height, colour)

interface Expected {
  readonly format: string
  readonly levels: readonly Image[]
  /** Levels after those that are not in the file: OpenSlide makes them of one that is. */
  readonly made?: readonly Image[]
  readonly mpp: number
  readonly objectivePower: number
  readonly images: Readonly<Record<string, Image>>
  /** Colour of what lies outside; default: white. */
  readonly background?: Colour
  /** openslide.bounds-*. */
  readonly bounds?: { readonly x: number; readonly y: number; readonly width: number; readonly height: number }
}

/** Checks what is read of a slide, by itself and from an archive that is made of it. */
async function checkSlide(t: ExecutionContext, path: string, expected: Expected): Promise<void> {
  const codec = losslessCodec()
  const { made = [] } = expected
  const output = join(folder, `${expected.format}-${expected.levels.length}.cleric.tif`)
  using slide = await openSlide(path)
  t.is(slide.format, expected.format)
  await compressSlide(path, output, { codec, tile: 128, background: 'keep' })
  using archive = await openArchive(output, { codec })
  for (const source of [slide, archive] as SlideSource[]) {
    const sizes = source.levels.map(({ width, height }) => [width, height])
    t.deepEqual(
      sizes,
      [...expected.levels, ...made].map(({ width, height }) => [width, height]),
    )
    for (const axis of ['x', 'y'] as const) t.true(Math.abs((source.mpp?.[axis] ?? 0) - expected.mpp) < 1e-9)
    t.is(source.objectivePower, expected.objectivePower)
    t.deepEqual(source.background, expected.background ?? WHITE)
    const { bounds } = expected
    const stated = (name: string) => source.properties[`openslide.bounds-${name}`]
    t.deepEqual(
      ['x', 'y', 'width', 'height'].map(stated),
      bounds ? [bounds.x, bounds.y, bounds.width, bounds.height].map(String) : Array(4).fill(undefined),
    )
    for (const [level, image] of expected.levels.entries()) {
      const { width, height } = image
      const { data } = await source.readRegion({ x: 0, y: 0, level, width, height })
      t.true(Buffer.from(data).equals(Buffer.from(image.data)), `level ${level}`)
    }
    for (const [i, image] of made.entries()) {
      const { width, height } = image
      const { data } = await source.readRegion({ x: 0, y: 0, level: expected.levels.length + i, width, height })
      const difference = data.reduce((sum, value, j) => sum + Math.abs(value - (image.data[j] as number)), 0)
      t.true(difference / data.length < 3, `level ${expected.levels.length + i}: ${difference / data.length}`)
    }
    t.deepEqual([...source.associatedImages].sort(), Object.keys(expected.images).sort())
    for (const [name, image] of Object.entries(expected.images)) {
      const { data, ...size } = await source.readAssociatedImage(name)
      t.like(size, { width: image.width, height: image.height })
      // In the archive it is a JPEG.
      t.true(
        data.every((value, i) => Math.abs(value - (image.data[i] as number)) <= 3),
        name,
      )
    }
  }
  const { status, json } = await run('info', path, '--json')
  t.is(status, 0)
  t.like(json(), { objectivePower: expected.objectivePower, properties: { 'openslide.vendor': expected.format } })
}

/** Two scanned parts on a glass of 1024 x 768 pixels. */
async function scn() {
  const [first, second] = [await drawn(512, 384, 3, 2), await drawn(256, 256, 4, 2)]
  const macro = plain(100, 75, { red: 90, green: 160, blue: 200 })
  return {
    ...{ width: 1024, height: 768, nanometres: 500, objective: 20, macro },
    regions: [
      { images: first, left: 64, top: 128 },
      { images: second, left: 640, top: 256 },
    ],
  }
}

test('Leica SCN: two scanned parts of a glass, white between them', async (t) => {
  const slide = await scn()
  const path = join(folder, 'slide.scn')
  writeFileSync(path, scnFile(slide))
  const levels = [0, 1].map((level) => {
    const glass = fill(slide.width >> level, slide.height >> level, WHITE)
    for (const { images, left, top } of slide.regions) paste(images[level] as Image, glass, left >> level, top >> level)
    return glass
  })
  const bounds = { x: 64, y: 128, width: 640 + 256 - 64, height: 128 + 384 - 128 }
  await checkSlide(t, path, {
    format: 'leica',
    levels,
    mpp: 0.5,
    objectivePower: 20,
    images: { macro: slide.macro },
    bounds,
  })
})

test('DICOM: levels of frames, label and overview, an ICC profile; no version before OpenSlide 4 reads it', async (t) => {
  const series = join(folder, 'series')
  mkdirSync(series)
  const levels = await drawn(500, 300, 5, 2)
  const [label, macro] = [
    plain(40, 30, { red: 250, green: 240, blue: 230 }),
    plain(90, 30, { red: 10, green: 200, blue: 90 }),
  ]
  const facts = { objectivePower: 40, iccProfile: markedProfile() }
  const spacing = (level: number): [number, number] => [0.00025 * 2 ** level, 0.00025 * 2 ** level]
  const files = [
    ...levels.map((image, level) => ({ image, flavour: 'VOLUME' as const, tile: 128, spacing: spacing(level) })),
    { image: label, flavour: 'LABEL' as const, spacing: spacing(4) },
    { image: macro, flavour: 'OVERVIEW' as const, spacing: spacing(4) },
  ]
  for (const [instance, file] of files.entries()) {
    writeFileSync(join(series, `${instance}.dcm`), dicomFile({ ...facts, ...file, instance: instance + 1 }))
  }
  const path = join(series, '0.dcm')
  if ((await majorVersion()) < 4) {
    const refused = { code: 'ERR_UNSUPPORTED_SLIDE', message: /0\.dcm.* DICOM needs OpenSlide 4\.0 or later/ }
    await t.throwsAsync(openSlide(path), refused)
    // Also by another name, as archives of PACS have them: by its bytes it is no image of any other kind.
    const bare = join(folder, 'IM000001')
    writeFileSync(bare, readFileSync(path))
    await t.throwsAsync(openSlide(bare), { ...refused, message: /DICOM by its first bytes.* OpenSlide 4\.0 or later/ })
    return
  }
  await checkSlide(t, path, { format: 'dicom', levels, mpp: 0.25, objectivePower: 40, images: { label, macro } })
  using slide = await openSlide(path)
  // It has an odd length, and DICOM none but even ones.
  t.is(facts.iccProfile.length % 2, 1)
  t.true(Buffer.from(slide.iccProfile?.() ?? []).equals(facts.iccProfile))
  t.is(slide.properties['dicom.PatientName'], 'Nobody^Drawn')
})

test('DICOM: what identifies is left out with the label', async (t) => {
  if ((await majorVersion()) < 4) return void t.pass('OpenSlide 3 reads no DICOM')
  const path = join(folder, 'named.dcm')
  const [image] = await drawn(200, 150, 6, 1)
  const facts = { flavour: 'VOLUME', tile: 128, spacing: [0.00025, 0.00025], objectivePower: 40, instance: 1 } as const
  writeFileSync(path, dicomFile({ ...facts, image: image as Image }))
  const output = join(folder, 'named.cleric.tif')
  const codec = losslessCodec()
  await compressSlide(path, output, { codec, label: false })
  using archive = await openArchive(output, { codec })
  t.is(archive.properties['openslide.vendor'], 'dicom')
  t.deepEqual(
    Object.keys(archive.properties).filter((name) => name.startsWith('dicom.')),
    [],
  )
})

const MIRAX_FILL = { red: 250, green: 240, blue: 230 }

/** Four photographs beside each other, the first and the third of which are blank and not kept. */
async function mirax(changes?: MiraxSlide['changes']): Promise<MiraxSlide> {
  return {
    levels: await drawn(8 * SIDE, 2 * SIDE, 7, 2),
    ...{ isKept: (column) => column % 2 === 1, fill: MIRAX_FILL, mpp: 0.25, objective: 20 },
    label: plain(40, 30, { red: 250, green: 240, blue: 130 }),
    macro: plain(90, 30, { red: 10, green: 200, blue: 90 }),
    ...(changes && { changes }),
  }
}

test('MIRAX: JPEG images of photographs, blank where none was kept, label and macro image', async (t) => {
  const slide = await mirax()
  const path = await writeMirax(folder, 'mirax', slide)
  const levels = await Promise.all(
    slide.levels.map(async (image, level) => {
      // An image has whole blocks of a JPEG, so that all of them together are as one.
      const whole = await toImage(sharp(await fromImage(image).jpeg(JPEG).toBuffer()))
      const photo = (2 * SIDE) >> level
      for (const column of [0, 2]) paste(plain(photo, photo, MIRAX_FILL), whole, column * photo, 0)
      return whole
    }),
  )
  await checkSlide(t, path, {
    format: 'mirax',
    levels,
    mpp: 0.25,
    objectivePower: 20,
    background: MIRAX_FILL,
    images: { label: slide.label, macro: slide.macro },
    bounds: { x: 2 * SIDE, y: 0, width: 6 * SIDE, height: 2 * SIDE },
  })
})

test('MIRAX: its size is that of all its files, none of which is overwritten', async (t) => {
  const path = await writeMirax(folder, 'many', await mirax())
  const inside = join(folder, 'many')
  const names = readdirSync(inside)
  t.deepEqual(names.sort(), ['Data0000.dat', 'Data0001.dat', 'Data0002.dat', 'Index.dat', 'Slidedat.ini'])
  const files = [path, ...names.map((name) => join(inside, name))]
  const before = files.map((file) => readFileSync(file))
  using slide = await openSlide(path)
  t.is(
    slide.bytes,
    files.reduce((sum, file) => sum + statSync(file).size, 0),
  )
  const codec = losslessCodec()
  for (const file of files) {
    for (const argv of [
      ['compress', path, '--overwrite'],
      ['export', path, '--overwrite'],
    ]) {
      const { status, stderr } = await run(...(argv as [string]), '-o', file)
      t.is(status, 1)
      t.regex(stderr, /the file to read; choose another name/)
    }
    const error = { code: 'ERR_FILE_EXISTS', message: /the file to read; choose another name/ }
    await t.throwsAsync(compressSlide(slide, file, { codec, overwrite: true }), error)
  }
  symlinkSync(join(inside, 'Data0001.dat'), join(folder, 'linked.png'))
  const region = await run('region', path, '-o', join(folder, 'linked.png'), '--width', '9', '--height', '9')
  t.is(region.status, 1)
  t.deepEqual(
    files.map((file) => readFileSync(file)),
    before,
  )
})

test('MIRAX: what identifies is left out with the label', async (t) => {
  const path = await writeMirax(folder, 'named', await mirax())
  const output = join(folder, 'named-mirax.cleric.tif')
  const codec = losslessCodec()
  await compressSlide(path, output, { codec, label: false })
  using archive = await openArchive(output, { codec })
  t.deepEqual(
    Object.entries(archive.properties).filter(([name]) => name.startsWith('mirax.')),
    [['mirax.GENERAL.OBJECTIVE_MAGNIFICATION', '20']],
  )
  t.deepEqual(archive.associatedImages, ['macro'])
})

test('MIRAX: the picture that is left where the folder is missing does not pass for the slide', async (t) => {
  for (const name of ['alone.mrxs', 'ALONE.MRXS']) {
    const path = join(folder, name)
    writeFileSync(
      path,
      await fromImage(plain(90, 60, MIRAX_FILL))
        .jpeg()
        .toBuffer(),
    )
    await t.throwsAsync(openSlide(path), {
      code: 'ERR_UNSUPPORTED_SLIDE',
      message: /alone\.mrxs is a slide of MIRAX/i,
    })
  }
})

/** Lines of Slidedat.ini for which OpenSlide would take more memory than there is, and then end the process. */
const ABSURD: readonly [NonNullable<MiraxSlide['changes']>, RegExp][] = [
  [{ DIGITIZER_WIDTH: 40_000, DIGITIZER_HEIGHT: 40_000 }, /images of 40000 x 40000/],
  [{ IMAGENUMBER_X: 2 ** 20, IMAGENUMBER_Y: 2 ** 20 }, /1048576 x 1048576 images/],
  [{ FILE_COUNT: 2 ** 31 - 2 }, /2147483646 files/],
  [{ HIER_0_COUNT: 2 ** 31 - 2 }, /2147483646 levels/],
]

for (const [i, [changes, message]] of ABSURD.entries()) {
  test(`MIRAX: absurd sizes are refused: ${Object.keys(changes)[0]}`, async (t) => {
    const path = await writeMirax(folder, `absurd-${i}`, await mirax(changes))
    const error = { code: 'ERR_UNSUPPORTED_SLIDE', message }
    await t.throwsAsync(openOpenSlide(path), error)
    await t.throwsAsync(openSlide(path), error)
  })
}

test('NDPI: levels of one JPEG each, which is entered at its restart markers, and a macro image', async (t) => {
  const images = await drawn(512, 256, 8, 5)
  const macro = plain(90, 30, { red: 10, green: 200, blue: 90 })
  const facts = 'Created=2026/01/01\r\nSlideName=Nobody, drawn\r\n'
  const path = join(folder, 'slide.ndpi')
  writeFileSync(path, await ndpiFile({ levels: images.slice(0, 2), mpp: 0.25, lens: 20, macro, facts }))
  const decoded = async (image: Image) => toImage(sharp(await fromImage(image).jpeg(NDPI_JPEG).toBuffer()))
  await checkSlide(t, path, {
    format: 'hamamatsu',
    levels: await Promise.all(images.slice(0, 2).map(decoded)),
    made: images.slice(2),
    ...{ mpp: 0.25, objectivePower: 20, images: { macro } },
  })
  using slide = await openSlide(path)
  t.is(slide.properties['hamamatsu.SlideName'], 'Nobody, drawn')
  t.is(slide.properties['hamamatsu.XOffsetFromSlideCentre'], '-1000')

  const output = join(folder, 'named-ndpi.cleric.tif')
  const codec = losslessCodec()
  await compressSlide(path, output, { codec, label: false, macro: false })
  using archive = await openArchive(output, { codec })
  t.deepEqual(
    Object.entries(archive.properties).filter(([name]) => name.startsWith('hamamatsu.')),
    [['hamamatsu.SourceLens', '20']],
  )
})

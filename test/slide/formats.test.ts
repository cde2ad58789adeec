/**
 * Slides of formats whose public samples are large, written here: their levels, resolution, bounds, associated images and
 * pixels, as they are read, and in an archive made of them.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { openArchive } from '../../src/archive/archive.js'
import { compressSlide } from '../../src/compress/compress.js'
import { type Colour, fill, paste, WHITE } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { halve } from '../../src/image/shrink.js'
import { openSlide } from '../../src/slide/open.js'
import { openOpenSlide } from '../../src/slide/openslide.js'
import type { SlideSource } from '../../src/slide/source.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { run } from '../cli/run.js'
import { losslessCodec } from '../payload-codec.js'
import { dicomFile } from './dicom.js'
import { markedProfile } from './marked-slide.js'
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
  readonly mpp: number
  readonly objectivePower: number
  readonly images: Readonly<Record<string, Image>>
  /** openslide.bounds-*. */
  readonly bounds?: { readonly x: number; readonly y: number; readonly width: number; readonly height: number }
}

/** Checks what is read of a slide, by itself and from an archive that is made of it. */
async function checkSlide(t: ExecutionContext, path: string, expected: Expected): Promise<void> {
  const codec = losslessCodec()
  const output = join(folder, `${expected.format}-${expected.levels.length}.cleric.tif`)
  using slide = await openSlide(path)
  t.is(slide.format, expected.format)
  await compressSlide(path, output, { codec, tile: 128, background: 'keep' })
  using archive = await openArchive(output, { codec })
  for (const source of [slide, archive] as SlideSource[]) {
    const sizes = source.levels.map(({ width, height }) => [width, height])
    t.deepEqual(
      sizes,
      expected.levels.map(({ width, height }) => [width, height]),
    )
    for (const axis of ['x', 'y'] as const) t.true(Math.abs((source.mpp?.[axis] ?? 0) - expected.mpp) < 1e-9)
    t.is(source.objectivePower, expected.objectivePower)
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
    await t.throwsAsync(openSlide(path), { code: 'ERR_UNSUPPORTED_SLIDE', message: /0\.dcm/ })
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

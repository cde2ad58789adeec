/** What `label: false` and `macro: false` promise: nothing that comes out says whose slide it is. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import sharp from 'sharp'
import { openArchive } from '../../src/archive/archive.js'
import { LAYOUTS } from '../../src/archive/head-writer.js'
import { compressSlide } from '../../src/compress/compress.js'
import { exportSlide } from '../../src/export/export.js'
import { withoutText } from '../../src/slide/icc-profile.js'
import { openSlide } from '../../src/slide/open.js'
import { openOpenSlide } from '../../src/slide/openslide.js'
import type { SlideSource } from '../../src/slide/source.js'
import { losslessCodec } from '../payload-codec.js'
import { memorySlide } from '../slides.js'
import { APERIO, MARK, markedProfile, markedSlide, OME, writeMarkedTiff } from './marked-slide.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-identity-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const codec = losslessCodec()
const sources: Record<string, () => Promise<SlideSource>> = {
  'an SVS file': async () => openSlide(await writeMarkedTiff(next(''), APERIO)),
  'a TIFF with OME-XML': async () => openSlide(await writeMarkedTiff(next(''), OME)),
  'a slide in memory': async () => markedSlide(),
}
let number = 0
const next = (extension: string) => join(folder, `${number++}${extension}`)

/** Where the mark is in bytes, as ASCII or UTF-16. */
function marks(bytes: Uint8Array): number[] {
  const buffer = Buffer.from(bytes)
  const patterns = [Buffer.from(MARK), Buffer.from(MARK, 'utf16le'), Buffer.from(MARK, 'utf16le').swap16()]
  // Four letters is all that some fields of a profile hold.
  patterns.push(Buffer.from(MARK.slice(0, 4)))
  return patterns.map((pattern) => buffer.indexOf(pattern)).filter((at) => at >= 0)
}

function isClean(t: ExecutionContext, path: string): void {
  t.deepEqual(marks(readFileSync(path)), [], path)
}

const CHOICES = [
  { label: false, macro: true, images: ['macro', 'thumbnail'] },
  { label: true, macro: false, images: ['label', 'thumbnail'] },
  { label: false, macro: false, images: ['thumbnail'] },
]

for (const [what, open] of Object.entries(sources)) {
  test(`archives of ${what}`, async (t) => {
    const slide = await open()
    for (const layout of LAYOUTS) {
      for (const { images, ...choice } of CHOICES) {
        const path = next('.cleric.tif')
        await compressSlide(slide, path, { codec, layout, tile: 64, ...choice })
        isClean(t, path)
        using archive = await openArchive(path, { codec })
        const expected = slide.associatedImages.filter((name) => images.includes(name))
        t.deepEqual([...archive.associatedImages].sort(), expected.sort())
        t.deepEqual(archive.mpp, slide.mpp)
      }
      const path = next('.cleric.tif')
      await compressSlide(slide, path, { codec, layout, tile: 64 })
      t.true(marks(readFileSync(path)).length > 0, 'without the options all is kept')
    }
    slide.close()
  })

  test(`exports of ${what}, and of its archive`, async (t) => {
    const slide = await open()
    const path = next('.cleric.tif')
    await compressSlide(slide, path, { codec, tile: 64 })
    for (const source of [slide, await openArchive(path, { codec })]) {
      for (const { images, ...choice } of CHOICES) {
        const tiff = next('.tif')
        const { associatedImages } = await exportSlide(source, tiff, { codec, ...choice })
        isClean(t, tiff)
        t.deepEqual([...associatedImages].sort(), slide.associatedImages.filter((name) => images.includes(name)).sort())
        await using opened = await openOpenSlide(tiff)
        t.deepEqual(marks(Buffer.from(JSON.stringify([opened.properties, opened.associatedImages]))), [])
        t.deepEqual(opened.mpp, slide.mpp)
      }
    }
    const tiff = next('.tif')
    await exportSlide(slide, tiff)
    // OME-XML never goes into an export, and OpenSlide before version 4 knows of no profile.
    const isKept = what !== 'a TIFF with OME-XML' || slide.iccProfile?.() !== null
    t.is(marks(readFileSync(tiff)).length > 0, isKept, 'without the options all is kept')
    slide.close()
  })
}

test('exports of an archive without label stay without', async (t) => {
  const [path, tiff] = [next('.cleric.tif'), next('.tif')]
  await compressSlide(markedSlide(), path, { codec, label: false })
  await exportSlide(path, tiff, { codec })
  isClean(t, tiff)
  await using opened = await openOpenSlide(tiff)
  t.deepEqual([...opened.associatedImages].sort(), ['macro', 'thumbnail'])
})

test('what an interrupted run leaves does not say it either', async (t) => {
  const slide = await (sources['an SVS file'] as () => Promise<SlideSource>)()
  const stop = new AbortController()
  const path = next('.cleric.tif')
  const onProgress = ({ tiles }: { tiles: number }) => tiles === 9 && stop.abort()
  const options = { codec, tile: 64, label: false, macro: false, signal: stop.signal, onProgress }
  await t.throwsAsync(compressSlide(slide, path, options), { code: 'ERR_ABORTED' })
  slide.close()
  t.false(existsSync(path))
  const left = readdirSync(folder).filter((name) => join(folder, name).startsWith(`${path}.`))
  t.deepEqual(left.length, 2)
  for (const name of left) isClean(t, join(folder, name))
})

/** A profile that libvips brings along. */
async function knownProfile(name: string): Promise<Uint8Array> {
  const pixels = { create: { width: 8, height: 8, channels: 3, background: 'pink' } } as const
  return (await sharp(await sharp(pixels).withIccProfile(name).png().toBuffer()).metadata()).icc as Uint8Array
}

test('a profile without its texts has the same colours', async (t) => {
  const image = { data: new Uint8Array(3 * 64 * 64), width: 64, height: 64, channels: 3 } as const
  for (let i = 0; i < image.data.length; i++) image.data[i] = Math.imul(i, 2654435761) >>> 24
  /** As a program shows it that minds the profile. */
  const shown = async (profile: Uint8Array | null) => {
    const path = next('.tif')
    await exportSlide(memorySlide([image], { iccProfile: () => profile }), path, { compression: 'deflate' })
    return sharp(path).toColourspace('srgb').raw().toBuffer()
  }
  const plain = await shown(null)
  for (const profile of [markedProfile(), await knownProfile('p3')]) {
    const silent = withoutText(profile)
    t.truthy(silent)
    const expected = await shown(profile)
    t.false(expected.equals(plain), 'the profile matters')
    t.true((await shown(silent)).equals(expected))
  }
  t.true(marks(markedProfile()).length > 0)
  t.deepEqual(marks(withoutText(markedProfile()) as Uint8Array), [])
})

test('what is no profile is left out, and never read beyond its end', (t) => {
  const profile = markedProfile()
  t.is(withoutText(new Uint8Array(0)), null)
  t.is(withoutText(new Uint8Array(500).fill(255)), null)
  for (let length = 0; length < profile.length; length++) {
    const silent = withoutText(profile.slice(0, length))
    t.true(silent === null || marks(silent).length === 0)
  }
  // A text under the tag of a number.
  for (const tag of ['wtpt', 'rTRC', 'A2B0']) {
    const at = Buffer.from(profile).indexOf('cprt', 128)
    const disguised = profile.slice()
    disguised.set(Buffer.from(tag), at)
    t.is(withoutText(disguised), null)
  }
})

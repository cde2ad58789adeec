import { execFile } from 'node:child_process'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import sharp from 'sharp'
import { crc32c } from '../../src/entropy/crc32c.js'
import { openOpenSlide } from '../../src/slide/openslide.js'
import { dataPath, testWithData } from '../data.js'
import { TYPESCRIPT } from '../typescript.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const cmuFile = 'slides/CMU-1-Small-Region.svs'
const tcgaFile = 'slides/TCGA-CR-7395-01A-01-TS1.svs'
const [cmu, tcga] = [dataPath(cmuFile), dataPath(tcgaFile)]
const slideTest = (title: string, run: (t: ExecutionContext) => Promise<void>) =>
  testWithData([cmuFile, tcgaFile], title, run)

let folder = ''
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cleric-openslide-'))
})
test.after.always(() => rm(folder, { recursive: true, force: true }))

slideTest('what an Aperio slide says of itself', async (t) => {
  await using slide = await openOpenSlide(cmu)
  t.is(slide.vendor, 'aperio')
  t.is(slide.format, 'aperio')
  t.is(slide.bytes, 1938955)
  t.deepEqual(slide.levels, [{ width: 2220, height: 2967, downsample: 1 }])
  t.deepEqual(slide.mpp, { x: 0.499, y: 0.499 })
  t.is(slide.objectivePower, 20)
  t.deepEqual(slide.background, { red: 255, green: 255, blue: 255 })
  t.deepEqual([...slide.associatedImages].sort(), ['label', 'macro', 'thumbnail'])
  t.is(slide.properties['aperio.AppMag'], '20')
  t.regex(slide.libraryVersion, /^\d+\.\d+\.\d+/)
  t.is(slide.iccProfile(), null)
})

slideTest('the pixels are those that libtiff decodes', async (t) => {
  await using slide = await openOpenSlide(cmu)
  const region = { left: 480, top: 960, width: 300, height: 200 }
  const image = await slide.readRegion({ x: 480, y: 960, level: 0, width: 300, height: 200 })
  t.is(image.channels, 3)
  t.is(image.data.length, 300 * 200 * 3)
  const expected = await sharp(cmu, { page: 0 }).extract(region).removeAlpha().raw().toBuffer()
  let worst = 0
  for (let i = 0; i < expected.length; i++) worst = Math.max(worst, Math.abs((expected[i] ?? 0) - (image.data[i] ?? 0)))
  // Two JPEG decoders: the same but for rounding and the upsampling of chroma.
  t.true(worst <= 4, `max difference ${worst}`)
})

slideTest('a region is the crop of the whole, and white outside the slide', async (t) => {
  await using slide = await openOpenSlide(cmu)
  const whole = await slide.readRegion({ x: 0, y: 0, level: 0, width: 2220, height: 2967 })
  const at = (x: number, y: number, channel: number) =>
    x < 0 || y < 0 || x >= whole.width || y >= whole.height ? 255 : whole.data[(y * whole.width + x) * 3 + channel]
  for (const [x, y] of [
    [100, 200],
    [-50, -70],
    [2150, 2900],
    [-30, 2940],
    [5000, 5000],
    [-(2 ** 40), 2 ** 40],
  ] as const) {
    const [width, height] = [130, 110]
    const part = await slide.readRegion({ x, y, level: 0, width, height })
    const expected = new Uint8Array(width * height * 3)
    for (let i = 0; i < expected.length; i++) {
      const pixel = Math.floor(i / 3)
      expected[i] = at(x + (pixel % width), y + Math.floor(pixel / width), i % 3) ?? 0
    }
    t.deepEqual(crc32c(part.data), crc32c(expected), `at ${x}, ${y}`)
  }
})

slideTest('many reads at once give what single reads give', async (t) => {
  await using slide = await openOpenSlide(tcga)
  const regions = Array.from({ length: 40 }, (_, i) => ({
    x: (i * 97) % 4000,
    y: (i * 61) % 3000,
    level: i % slide.levels.length,
    width: 200 + i,
    height: 150,
  }))
  const together = await Promise.all(regions.map((region) => slide.readRegion(region)))
  for (const [i, region] of regions.entries()) {
    const alone = await slide.readRegion(region)
    t.is(alone.width, region.width)
    t.is(crc32c(alone.data), crc32c(together[i]?.data ?? new Uint8Array()))
  }
})

slideTest('associated images', async (t) => {
  await using slide = await openOpenSlide(cmu)
  const macro = await slide.readAssociatedImage('macro')
  t.like(macro, { width: 1280, height: 431, channels: 3 })
  t.is(macro.data.length, 1280 * 431 * 3)
  // A photograph of a glass slide, not a blank.
  t.true(new Set(macro.data).size > 100)
  const label = await slide.readAssociatedImage('label')
  t.like(label, { width: 387, height: 463 })
  await t.throwsAsync(slide.readAssociatedImage('labels'), { instanceOf: RangeError, message: /label/ })
})

slideTest('a damaged slide: opened, then an error with OpenSlide’s own text, or refused', async (t) => {
  const bytes = await readFile(cmu)
  const cut = join(folder, 'cut.svs')
  await writeFile(cut, bytes.subarray(0, 900_000))
  // Its directories are at the end, so nothing knows it any more.
  await t.throwsAsync(openOpenSlide(cut), { name: 'SlideError', code: 'ERR_UNSUPPORTED_SLIDE' })
  const noisy = join(folder, 'noisy.svs')
  await writeFile(noisy, Buffer.from(bytes).fill(0xff, 400_000, 450_000))
  await using slide = await openOpenSlide(noisy)
  const good = { x: 0, y: 2800, level: 0, width: 100, height: 100 }
  const before = await slide.readRegion(good)
  const error = await t.throwsAsync(slide.readRegion({ x: 0, y: 0, level: 0, width: 2220, height: 2967 }), {
    name: 'SlideError',
    code: 'ERR_OPENSLIDE_READ',
  })
  t.true(error?.message.startsWith(`Can't read slide ${noisy}: `))
  t.true((error?.message.length ?? 0) > `Can't read slide ${noisy}: `.length)
  // One bad tile doesn't take the rest of the slide with it.
  t.deepEqual(await slide.readRegion(good), before)
})

test('files that are no slides', async (t) => {
  const text = join(folder, 'text.svs')
  await writeFile(text, 'Not a slide at all.\n')
  const empty = join(folder, 'empty.svs')
  await writeFile(empty, '')
  const unsupported = { name: 'SlideError', code: 'ERR_UNSUPPORTED_SLIDE' }
  await t.throwsAsync(openOpenSlide(text), { ...unsupported, message: /text\.svs: OpenSlide .* knows no slide format/ })
  await t.throwsAsync(openOpenSlide(empty), unsupported)
  await t.throwsAsync(openOpenSlide(folder), { ...unsupported, message: /is a directory/ })
  await t.throwsAsync(openOpenSlide(join(folder, 'absent.svs')), {
    name: 'SlideError',
    code: 'ERR_OPENSLIDE_READ',
    message: /absent\.svs: no such file/,
  })
  await t.throwsAsync(openOpenSlide(''), { instanceOf: RangeError })
  await t.throwsAsync(openOpenSlide(7 as unknown as string), { instanceOf: TypeError })
})

slideTest('arguments out of range', async (t) => {
  const named = join(folder, 'Präparat №1.svs')
  await copyFile(cmu, named)
  await using slide = await openOpenSlide(named)
  const region = { x: 0, y: 0, level: 0, width: 1, height: 1 }
  await slide.readRegion(region)
  for (const change of [
    { level: 1 },
    { level: -1 },
    { width: 0 },
    { height: -5 },
    { x: 0.5 },
    { x: 2 ** 41 },
    { width: 2 ** 15, height: 2 ** 14 },
  ]) {
    await t.throwsAsync(slide.readRegion({ ...region, ...change }), { instanceOf: RangeError }, JSON.stringify(change))
  }
})

test('without OpenSlide the addon loads, and opening a slide names the package to install', async (t) => {
  const script = `
    import { crc32c } from './src/entropy/crc32c.ts'
    import { openOpenSlide } from './src/slide/openslide.ts'
    crc32c(new Uint8Array(1))
    openOpenSlide('package.json').catch((error) => console.log(JSON.stringify([error.name, error.code, error.message])))`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [TYPESCRIPT, '--input-type=module', '--eval', script],
    { cwd: root, env: { ...process.env, CLERIC_OPENSLIDE: '/nonexistent/libopenslide.so' } },
  )
  const [name, code, message] = JSON.parse(stdout) as string[]
  t.is(name, 'SlideError')
  t.is(code, 'ERR_OPENSLIDE_MISSING')
  t.regex(message ?? '', /\/nonexistent\/libopenslide\.so.*apt-get install libopenslide0.*brew install openslide/s)
})

test('without OpenSlide a PNG is still read, and a TIFF, which may be a slide, is not taken for an image', async (t) => {
  const image = sharp({ create: { width: 30, height: 20, channels: 3, background: 'plum' } })
  const [png, tiff] = [join(folder, 'plain.png'), join(folder, 'plain.svs')]
  await image.clone().png().toFile(png)
  await writeFile(tiff, await image.clone().tiff().toBuffer())
  const script = `
    import { openSlide } from './src/slide/open.ts'
    const [png, tiff] = ${JSON.stringify([png, tiff])}
    const { levels } = await openSlide(png)
    openSlide(tiff).catch((error) => console.log(JSON.stringify([levels[0].width, error.code])))`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [TYPESCRIPT, '--input-type=module', '--eval', script],
    { cwd: root, env: { ...process.env, CLERIC_OPENSLIDE: '/nonexistent/libopenslide.so' } },
  )
  t.deepEqual(JSON.parse(stdout), [30, 'ERR_OPENSLIDE_MISSING'])
})

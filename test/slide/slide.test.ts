/** Drawn slides and image files as slides; the choice between them and OpenSlide. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import sharp from 'sharp'
import { fill, WHITE } from '../../src/image/draw.js'
import { ImageFile } from '../../src/slide/image-file.js'
import { openSlide } from '../../src/slide/open.js'
import { levelPosition, levelRegion } from '../../src/slide/source.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { dataPath, testWithData } from '../data.js'
import { crop } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-slide-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

test('a drawn slide is the same in every region, on every level, and differs by seed', async (t) => {
  const slide = new SyntheticSlide('synthetic:900x700:7')
  t.deepEqual(
    slide.levels.map(({ width, height }) => [width, height]),
    [
      [900, 700],
      [225, 175],
    ],
  )
  for (const [level, { width, height }] of slide.levels.entries()) {
    const whole = await slide.readRegion({ x: 0, y: 0, level, width, height })
    const part = await slide.readRegion(levelRegion(slide, level, 61, 47, 100, 90))
    t.deepEqual(part, crop(whole, 61, 47, 100, 90))
  }
  const other = await new SyntheticSlide('synthetic:900x700:8').readRegion({
    x: 0,
    y: 0,
    level: 0,
    width: 9,
    height: 9,
  })
  const first = await slide.readRegion({ x: 0, y: 0, level: 0, width: 9, height: 9 })
  t.notDeepEqual(other, first)
})

test('a drawn slide has glass, eosin and haematoxylin', async (t) => {
  const slide = new SyntheticSlide('synthetic:1200x900')
  const { data } = await slide.readRegion({ x: 0, y: 0, level: 0, width: 1200, height: 900 })
  let [glass, pink, blue] = [0, 0, 0]
  for (let i = 0; i < data.length; i += 3) {
    const [r, g, b] = [data[i] as number, data[i + 1] as number, data[i + 2] as number]
    if (Math.min(r, g, b) > 235) glass++
    else if (r > b && g < r - 40) pink++
    else if (b > r + 15 && g < b - 40) blue++
  }
  const pixels = data.length / 3
  t.true(glass > 0.1 * pixels && pink > 0.2 * pixels && blue > 0.01 * pixels, `${glass}, ${pink}, ${blue} of ${pixels}`)
})

test('a drawn slide can be huge', async (t) => {
  const slide = new SyntheticSlide('synthetic:200000x150000')
  t.true(slide.levels.length >= 5)
  const { data } = await slide.readRegion({ x: 123456, y: 98765, level: 0, width: 64, height: 64 })
  t.is(data.length, 64 * 64 * 3)
})

for (const description of [
  'synthetic:',
  'synthetic:10',
  'synthetic:0x10',
  'synthetic:10x400001',
  'synthetic:10x10:x',
]) {
  test(`refuses ${description}`, async (t) => {
    t.like(await t.throwsAsync(openSlide(description)), { code: 'ERR_UNSUPPORTED_SLIDE' })
  })
}

test('image files are slides of one level, whatever their channels', async (t) => {
  const rgb = await new SyntheticSlide('synthetic:90x70').readRegion({ x: 0, y: 0, level: 0, width: 90, height: 70 })
  const image = sharp(rgb.data, { raw: { width: 90, height: 70, channels: 3 } })
  await image.clone().png().toFile(at('rgb.png'))
  await image.clone().tiff({ compression: 'lzw' }).toFile(at('rgb.tif'))
  await image.clone().ensureAlpha(0.5).png().toFile(at('rgba.png'))
  await image.clone().greyscale().png().toFile(at('grey.png'))
  for (const name of ['rgb.png', 'rgb.tif']) {
    const slide = await openSlide(at(name))
    t.deepEqual(slide.levels, [{ width: 90, height: 70, downsample: 1 }], name)
    const part = await slide.readRegion({ x: 11, y: 13, level: 0, width: 40, height: 30 })
    t.true(Buffer.from(part.data).equals(Buffer.from(crop(rgb, 11, 13, 40, 30).data)), name)
    const beyond = await slide.readRegion({ x: -5, y: 65, level: 0, width: 10, height: 10 })
    t.is(beyond.data[0], WHITE.red)
    slide.close()
  }
  for (const name of ['rgba.png', 'grey.png']) {
    const slide = await openSlide(at(name))
    const { data } = await slide.readRegion({ x: 0, y: 0, level: 0, width: 90, height: 70 })
    t.is(data.length, 90 * 70 * 3, name)
  }
  // Half transparent on white.
  const { data } = await (await openSlide(at('rgba.png'))).readRegion({ x: 45, y: 35, level: 0, width: 1, height: 1 })
  t.true(Math.abs((data[1] as number) - (255 + (rgb.data[(35 * 90 + 45) * 3 + 1] as number)) / 2) <= 2)
})

test('an image with an orientation stands upright', async (t) => {
  const tall = fill(20, 40, { red: 9, green: 99, blue: 199 })
  await sharp(tall.data, { raw: { width: 20, height: 40, channels: 3 } })
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toFile(at('turned.jpg'))
  const slide = await ImageFile.open(at('turned.jpg'))
  t.like(slide.levels[0], { width: 40, height: 20 })
  t.is((await slide.readRegion({ x: 0, y: 0, level: 0, width: 40, height: 20 })).width, 40)
})

test('what nobody can read is refused by name', async (t) => {
  writeFileSync(at('noise.png'), 'noise')
  for (const name of ['noise.png', 'absent.svs']) {
    const error = await t.throwsAsync(openSlide(at(name)), { message: new RegExp(name) })
    t.like(error, { code: 'ERR_UNSUPPORTED_SLIDE' })
  }
  for (const name of ['noise.png/below', 'long'.repeat(99)]) {
    const error = { name: 'SlideError', code: 'ERR_UNSUPPORTED_SLIDE', message: `${at(name)} doesn't exist` }
    await t.throwsAsync(openSlide(at(name)), error)
  }
  await t.throwsAsync(openSlide(''), { instanceOf: RangeError })
})

test('a damaged image fails when it is read', async (t) => {
  const { data } = await new SyntheticSlide('synthetic:200x200').readRegion({
    x: 0,
    y: 0,
    level: 0,
    width: 200,
    height: 200,
  })
  const png = await sharp(data, { raw: { width: 200, height: 200, channels: 3 } })
    .png()
    .toBuffer()
  writeFileSync(at('cut.png'), png.subarray(0, png.length / 2))
  const slide = await openSlide(at('cut.png'))
  const error = await t.throwsAsync(slide.readRegion({ x: 0, y: 0, level: 0, width: 200, height: 200 }))
  t.like(error, { code: 'ERR_UNSUPPORTED_SLIDE' })
})

test('columns of a level survive the way through level-0 pixels, for any downsample', (t) => {
  for (const downsample of [1, 1.5, 2.0004, 4.000225, 15.99, 16.03]) {
    const source = { levels: [{ width: 1e6, height: 1e6, downsample }] }
    for (let column = 0; column < 5000; column += 37) {
      t.is(levelPosition(levelRegion(source, 0, column, 0, 1, 1).x, downsample), column)
    }
  }
})

testWithData(['slides/CMU-1-Small-Region.svs'], 'an Aperio slide is opened by OpenSlide', async (t) => {
  const slide = await openSlide(dataPath('slides/CMU-1-Small-Region.svs'))
  t.is(slide.format, 'aperio')
  slide.close()
})

testWithData(
  ['slides/TCGA-CR-7395-01A-01-TS1.svs'],
  'a level of odd downsample has the same pixels in every region',
  async (t) => {
    const slide = await openSlide(dataPath('slides/TCGA-CR-7395-01A-01-TS1.svs'))
    t.false(Number.isInteger(slide.levels[1]?.downsample))
    const large = await slide.readRegion(levelRegion(slide, 1, 900, 700, 700, 500))
    for (const [x, y] of [
      [0, 0],
      [131, 77],
      [400, 333],
    ] as const) {
      const small = await slide.readRegion(levelRegion(slide, 1, 900 + x, 700 + y, 200, 150))
      t.true(Buffer.from(small.data).equals(Buffer.from(crop(large, x, y, 200, 150).data)), `${x}, ${y}`)
    }
    slide.close()
  },
)

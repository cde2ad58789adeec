/** Files that were read wrong once, each of which is right now: the picture, or a refusal that says why. */
import sharp from 'sharp'
import { fill, paste } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { toImage } from '../../src/image/sharp.js'
import { type OpenSlideOptions, openSlide } from '../../src/slide/open.js'
import type { Level } from '../../src/slide/source.js'
import { casePath, testWithCases } from '../data.js'
import { whole } from './tiff/slides.js'

function difference(a: Image, b: Image): number {
  if (a.width !== b.width || a.height !== b.height) return Number.POSITIVE_INFINITY
  return a.data.reduce((most, value, i) => Math.max(most, Math.abs(value - (b.data[i] as number))), 0)
}

async function read(name: string, level = 0, options: OpenSlideOptions = {}): Promise<Image> {
  using slide = await openSlide(casePath(name), options)
  return await whole(slide, level)
}

function refused(name: string, expected: RegExp, options: OpenSlideOptions = {}): void {
  testWithCases([name], `${name} is refused${options.series === undefined ? '' : ' by its series'}`, async (t) => {
    const error = await t.throwsAsync(openSlide(casePath(name), options), { message: expected })
    t.like(error, { code: 'ERR_UNSUPPORTED_SLIDE' })
    t.notRegex(error?.message ?? '', /\n/)
  })
}

refused('cut-short.svs', /slide of Aperio.*OpenSlide can't open.*directory 2, at byte 40854, lies beyond/)
refused('cut-short-with-damaged-tile.svs', /slide of Aperio.*OpenSlide can't open/)
refused('gray16-12bit-range.tif', /numbers of 16 bits.*--range/)
refused('float01.tif', /floating-point numbers of 32 bits.*--range/)
refused('three-channels-subifd.ome.tif', /3 channels.*--page/)
refused('three-channels-subifd.ome.tif', /series 0 holds 3 channels/, { series: 0 })
refused('ojpeg-tile.tif', /Compression 6 \(old-style JPEG\) isn't read/)
refused('huge-tile.tif', /tiles of 24000 x 24000 pixels, 1728 MB each/)

testWithCases(
  ['small-levels-deflate.tif', 'small-levels-expected-level1.png', 'boxes.tiff'],
  'levels that are smaller than their tile are equal to the source',
  async (t) => {
    const expected = await toImage(sharp(casePath('small-levels-expected-level1.png')))
    t.is(difference(await read('small-levels-deflate.tif', 1), expected), 0)
    for (const level of [0, 1, 2, 3]) {
      const page = await toImage(sharp(casePath('boxes.tiff'), { page: level }))
      t.is(difference(await read('boxes.tiff', level), page), 0, `level ${level}`)
    }
  },
)

testWithCases(
  [
    'orientation3-strips.tif',
    'orientation3-tiled-deflate.tif',
    'orientation3-tiled-jpeg.tif',
    'small-levels-deflate.tif',
  ],
  'three orientations are the same picture, turned by 180 degrees',
  async (t) => {
    const strips = await read('orientation3-strips.tif')
    t.is(difference(await read('orientation3-tiled-deflate.tif'), strips), 0)
    t.true(difference(await read('orientation3-tiled-jpeg.tif'), strips) < 40)
    // libvips turns by the same tag.
    t.is(difference(await toImage(sharp(casePath('orientation3-strips.tif')).autoOrient()), strips), 0)
  },
)

testWithCases(['ycbcr-strips.tif', 'ycbcr-expected.png'], 'YCbCr without JPEG is RGB', async (t) => {
  const expected = await toImage(sharp(casePath('ycbcr-expected.png')))
  // The file itself was rounded; tiff2rgba is as far from the picture.
  t.true(difference(await read('ycbcr-strips.tif'), expected) <= 3)
})

testWithCases(
  ['rgb-plus-unspecified-strips.tif', 'resolution-0.5um-strips.tif'],
  'a fourth sample of no meaning is dropped, and told',
  async (t) => {
    using slide = await openSlide(casePath('rgb-plus-unspecified-strips.tif'))
    t.regex(slide.warnings?.join() ?? '', /ExtraSamples/)
    t.is(difference(await whole(slide), await read('resolution-0.5um-strips.tif')), 0)
  },
)

testWithCases(['gray16-12bit-range.tif', 'float01.tif'], 'more than 8 bits are scaled by a range', async (t) => {
  const deep = await read('gray16-12bit-range.tif', 0, { range: [0, 4095] })
  const floating = await read('float01.tif', 0, { range: [0, 1] })
  t.true(difference(deep, floating) <= 2)
  t.true(difference(await read('float01.tif', 0, { range: 'auto' }), floating) > 20)
})

testWithCases(
  ['three-channels-subifd.ome.tif', 'thumbnail-first.tif', 'pyramid-no-subfiletype.tif', 'whole.svs'],
  'of several images the slide is taken with its levels',
  async (t) => {
    const sizes = async (name: string, options: OpenSlideOptions = {}) => {
      using slide = await openSlide(casePath(name), options)
      return [slide.levels.map(({ width }: Level) => width), [...slide.associatedImages], slide.mpp?.x ?? null]
    }
    t.deepEqual(await sizes('three-channels-subifd.ome.tif', { page: 2 }), [[400, 200], [], 0.5])
    t.deepEqual(await sizes('thumbnail-first.tif'), [[400], ['thumbnail'], null])
    t.deepEqual(await sizes('pyramid-no-subfiletype.tif'), [[400, 200, 100], [], null])
    t.deepEqual(await sizes('whole.svs'), [[400, 200], ['thumbnail'], 0.2527])
  },
)

testWithCases(
  ['resolution-0.5um.png', 'resolution-0.5um-strips.tif'],
  'half a micrometre is half a micrometre',
  async (t) => {
    for (const name of ['resolution-0.5um.png', 'resolution-0.5um-strips.tif']) {
      using slide = await openSlide(casePath(name))
      t.deepEqual(slide.mpp, { x: 0.5, y: 0.5 }, name)
    }
  },
)

testWithCases(['missing-tile.tif'], 'a tile of no bytes is background, and nothing else is', async (t) => {
  const image = await read('missing-tile.tif')
  const white = fill(256, 256, { red: 255, green: 255, blue: 255 })
  const blank: string[] = []
  for (let y = 0; y + 256 <= image.height; y += 256) {
    for (let x = 0; x + 256 <= image.width; x += 256) {
      const tile = fill(256, 256, { red: 0, green: 0, blue: 0 })
      paste(image, tile, -x, -y)
      if (Buffer.from(tile.data).equals(white.data)) blank.push(`${x / 256}, ${y / 256}`)
    }
  }
  t.is(blank.length, 1, blank.join('; '))
})

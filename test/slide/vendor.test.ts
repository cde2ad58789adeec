/** Scanners' slides: never plain images in their place, and what OpenSlide reads wrong is read here. */
import test from 'ava'
import { openSlide } from '../../src/slide/open.js'
import { openOpenSlide } from '../../src/slide/openslide.js'
import { type DrawnImage, type DrawnTag, drawTiff } from '../tiff/draw-tiff.js'
import { type Colours, drawn, isAs, whole, written } from './tiff/slides.js'

const description = (words: string): DrawnTag => [270, 2, words]
const APERIO = description(
  'Aperio Image Library v11.2.1\n400x300 [0,0 400x300] (128x128) JPEG/RGB Q=70|AppMag = 40|MPP = 0.2527',
)
const sample = (x: number, y: number, channel: number) =>
  [20 + (x >> 1), 220 - (y >> 1), 90 + ((x + y) >> 3)][channel] as number
const colours: Colours = (x, y) => [sample(x, y, 0), sample(x, y, 1), sample(x, y, 2)]
const jpeg: DrawnImage = {
  width: 400,
  height: 300,
  sample,
  samples: 3,
  photometric: 6,
  compression: 'jpeg',
  tile: [128, 128],
  tags: [APERIO, [530, 3, [1, 1]]],
}

test('a slide whose chain of directories is cut is refused, with the vendor, OpenSlide’s reason and the place', async (t) => {
  const bytes = await drawTiff([
    jpeg,
    { ...jpeg, width: 100, height: 75, tile: undefined, tags: jpeg.tags?.slice(1) } as never,
  ])
  using slide = await openSlide(written(bytes, 'whole.svs'))
  t.is(slide.format, 'aperio')
  for (const name of ['cut.svs', 'cut.tif']) {
    const path = written(bytes.subarray(0, bytes.length - 60), name)
    const error = await t.throwsAsync(openSlide(path), { message: /slide of Aperio by its ImageDescription/ })
    t.like(error, { code: 'ERR_UNSUPPORTED_SLIDE' })
    t.regex(
      error?.message ?? '',
      /OpenSlide can't open: OpenSlide \S+ knows no slide format.*directory 1, at byte \d+, lies beyond/,
    )
  }
})

test('what only says whose it is, by tags or by name, is refused in place of a plain image', async (t) => {
  const plain: DrawnImage = { width: 64, height: 48, sample, samples: 3, photometric: 2, rows: 10 }
  const leica = '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"/>'
  const cases: readonly [string, DrawnTag[], RegExp][] = [
    ['a.tif', [description('Aperio Image Library')], /Aperio by its ImageDescription/],
    ['a.tif', [description(leica)], /Leica by its ImageDescription/],
    ['a.tif', [[305, 2, 'Philips DP'], description('<DataObject ObjectType="DPUfsImport"/>')], /Philips/],
    ['a.tif', [[305, 2, 'MedScan']], /Trestle by its Software/],
    ['a.tif', [[65420, 4, [1]]], /Hamamatsu by its tag 65420/],
    ['a.tif', [[700, 1, [...Buffer.from('<EncodeInfo><iScan Mag="40"/></EncodeInfo>')]]], /Ventana by its XMP/],
    ['a.svs', [], /Aperio by its extension \.svs/],
    ['a.NDPI', [], /Hamamatsu by its extension \.ndpi/],
  ]
  for (const [name, tags, expected] of cases) {
    const path = await drawn([{ ...plain, tags }], {}, name)
    const error = await t.throwsAsync(openSlide(path), { message: expected })
    t.regex(error?.message ?? '', /OpenSlide can't open/)
  }
  // A JPEG that stands in front of a folder of the slide's own, as MIRAX has it, is a preview.
  const sharp = (await import('sharp')).default
  const preview = await sharp({ create: { width: 30, height: 20, channels: 3, background: 'plum' } })
    .jpeg()
    .toBuffer()
  await t.throwsAsync(openSlide(written(preview, 'slide.mrxs')), { message: /MIRAX by its extension \.mrxs/ })
  // Tiled, and named as an Aperio slide only: a plain TIFF after all.
  using slide = await openSlide(await drawn([{ ...jpeg, tags: [[530, 3, [1, 1]]] }], {}, 'plain.svs'))
  t.is(slide.format, 'tiff')
})

test("levels that are smaller than their tile, and no JPEG, are as they were stored, which some releases of libtiff don't show OpenSlide", async (t) => {
  const small = (width: number, height: number, tile: [number, number]): DrawnImage => ({
    ...jpeg,
    ...{ width, height, tile, photometric: 2, compression: 'deflate', tags: [[254, 4, [1]]] },
  })
  const sizes = [
    [200, 150, [256, 128]],
    [100, 75, [64, 128]],
    [60, 50, [64, 64]],
  ] as const
  const thumbnail: DrawnImage = {
    ...jpeg,
    width: 40,
    height: 30,
    tile: undefined,
    rows: 30,
    tags: [description('Aperio')],
  } as never
  const path = await drawn([jpeg, thumbnail, ...sizes.map(([w, h, tile]) => small(w, h, [...tile]))], {}, 'small.svs')
  await using openslide = await openOpenSlide(path)
  using slide = await openSlide(path)
  t.is(slide.format, 'aperio')
  t.is(slide.levels.length, 4)
  let scrambled = 0
  for (const level of [1, 2, 3]) {
    const image = await whole(slide, level)
    isAs(t, image, colours, 0, `level ${level}`)
    if (!Buffer.from((await whole(openslide, level)).data).equals(image.data)) scrambled++
    const part = await slide.readRegion({ x: 40, y: 32, level, width: 20, height: 30 })
    const { downsample } = slide.levels[level] as { downsample: number }
    const [left, top] = [Math.round(40 / downsample), Math.round(32 / downsample)]
    const { width, height } = slide.levels[level] as { width: number; height: number }
    const isInside = (x: number, y: number) => left + x < width && top + y < height
    isAs(
      t,
      part,
      (x, y) => (isInside(x, y) ? colours(left + x, top + y) : [255, 255, 255]),
      0,
      `part of level ${level}`,
    )
  }
  // Those of Debian 12 and 13 scramble them, that of Ubuntu 24.04 doesn't.
  t.log(`${scrambled} of 3 levels are scrambled by this system's libtiff`)
})

test('a slide that OpenSlide would not turn, or whose tiles are absurdly large, is refused', async (t) => {
  const turned = await drawn([{ ...jpeg, tags: [...(jpeg.tags ?? []), [274, 3, [3]]] }], {}, 'turned.svs')
  await t.throwsAsync(openSlide(turned), { message: /Orientation is 3, which OpenSlide doesn't heed/ })
  const huge = await drawn([{ ...jpeg, tags: [APERIO, [322, 4, [60_000]], [323, 4, [60_000]]] }], {}, 'huge.svs')
  await t.throwsAsync(openSlide(huge), {
    message: /tiles of 60000 x 60000 pixels/,
  })
})

test('focal planes of a scanner’s slide are told', async (t) => {
  const plane: DrawnImage = { ...jpeg, tags: [[530, 3, [1, 1]]] }
  using slide = await openSlide(
    await drawn(
      [jpeg, { ...plane, width: 40, height: 30, tile: undefined, rows: 30 } as never, plane],
      {},
      'stack.svs',
    ),
  )
  t.regex(slide.warnings?.join() ?? '', /1 more images of the size of a level/)
  t.deepEqual(slide.contents?.map(({ role }) => role)[0], 'level 0')
})

test('no page, series or range can be taken of a scanner’s slide or a drawn one', async (t) => {
  const path = await drawn([jpeg], {}, 'choice.svs')
  for (const choice of [{ page: 0 }, { series: 0 }, { range: 'auto' }] as const) {
    for (const slide of [path, 'synthetic:30x20']) {
      await t.throwsAsync(openSlide(slide, choice), { message: /takes no page, series or range/ })
    }
  }
})

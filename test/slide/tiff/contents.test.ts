/** What of a file that holds several images is the slide: pyramids, thumbnails, labels, channels, series. */
import { writeFileSync } from 'node:fs'
import test from 'ava'
import { contentsOf, openSlide } from '../../../src/slide/open.js'
import type { SlideSource } from '../../../src/slide/source.js'
import { type DrawnImage, type DrawnTag, drawTiff } from '../../tiff/draw-tiff.js'
import { type Colours, drawn, isAs, refusalOf, whole, withSlide, written } from './slides.js'

/** A picture of one colour each, so that it shows which was taken. */
function plain(width: number, height: number, value: number, more: Partial<DrawnImage> = {}): DrawnImage {
  return {
    width,
    height,
    samples: 3,
    photometric: 2,
    tile: [64, 64],
    compression: 'deflate',
    ...more,
    sample: () => value,
  }
}
const all =
  (value: number): Colours =>
  () => [value, value, value]
const reduced: DrawnTag = [254, 4, [1]]
const text = (tag: number, words: string): DrawnTag => [tag, 2, words]
const sizes = ({ levels }: SlideSource) => levels.map(({ width, height }) => `${width}x${height}`).join(' ')
const roles = ({ contents }: SlideSource) => contents?.map(({ role }) => role)

test('a pyramid of SubIFDs, of marked pages, or of pages that halve, has its levels and resolution', async (t) => {
  const resolution: DrawnTag[] = [
    [282, 5, [40_000]],
    [283, 5, [40_000]],
    [296, 3, [3]],
  ]
  const base = plain(400, 300, 10, { tags: resolution })
  for (const pages of [
    [{ ...base, children: [plain(200, 150, 20, { tags: [reduced] }), plain(100, 75, 30, { tags: [reduced] })] }],
    // SubIFDs are reduced versions by their size, in whatever order they come.
    [{ ...base, children: [plain(100, 75, 30), plain(200, 150, 20)] }],
    [base, plain(200, 150, 20, { tags: [reduced] }), plain(100, 75, 30, { tags: [reduced] })],
    [base, plain(200, 150, 20), plain(100, 75, 30)],
    [base, plain(200, 150, 20, { tags: [[255, 3, [2]]] }), plain(100, 75, 30, { tags: [[255, 3, [2]]] })],
  ]) {
    await withSlide(pages, async (slide) => {
      t.is(sizes(slide), '400x300 200x150 100x75')
      t.deepEqual(
        slide.levels.map(({ downsample }) => downsample),
        [1, 2, 4],
      )
      t.deepEqual(slide.mpp, { x: 0.25, y: 0.25 })
      t.deepEqual(slide.warnings, [])
      for (const level of [0, 1, 2]) isAs(t, await whole(slide, level), all(10 * level + 10))
      // Positions are those of level 0.
      const corner = await slide.readRegion({ x: 398, y: 298, level: 1, width: 2, height: 2 })
      isAs(t, corner, (x, y) => (x === 0 && y === 0 ? [20, 20, 20] : [255, 255, 255]))
    })
  }
})

test('sides of a pyramid may be rounded up or down at each level, and be reduced by other factors if they are marked', async (t) => {
  const down = [plain(301, 251, 1), plain(150, 125, 2), plain(75, 62, 3), plain(37, 31, 4)]
  await withSlide(down, async (slide) => t.is(sizes(slide), '301x251 150x125 75x62 37x31'))
  const up = [plain(301, 251, 1), plain(151, 126, 2), plain(76, 63, 3)]
  await withSlide(up, async (slide) => t.is(slide.levels.length, 3))
  const third = [plain(300, 240, 1), plain(100, 80, 2, { tags: [reduced] })]
  await withSlide(third, async (slide) => t.deepEqual(slide.levels[1], { width: 100, height: 80, downsample: 3 }))
})

test('the largest picture is the slide; a small one of the same shape is its thumbnail, wherever it stands', async (t) => {
  const small = plain(40, 30, 99, { tags: [reduced] })
  for (const [pages, role] of [
    [
      [small, plain(400, 300, 10)],
      ['thumbnail', 'level 0'],
    ],
    [
      [plain(40, 30, 99), plain(400, 300, 10)],
      ['thumbnail', 'level 0'],
    ],
    [
      [plain(400, 300, 10), plain(40, 30, 99)],
      ['level 0', 'thumbnail'],
    ],
    [
      [plain(400, 300, 10, { rows: 9, tile: undefined } as object), plain(200, 150, 99)],
      ['level 0', 'thumbnail'],
    ],
  ] as const) {
    await withSlide(pages, async (slide) => {
      t.is(sizes(slide), '400x300')
      t.deepEqual(roles(slide), [...role])
      t.deepEqual(slide.associatedImages, ['thumbnail'])
      isAs(t, await slide.readAssociatedImage('thumbnail'), all(99))
      isAs(t, await whole(slide), all(10))
      t.like(await t.throwsAsync(slide.readAssociatedImage('label')), { code: 'ERR_UNSUPPORTED_SLIDE' })
    })
  }
})

test('images that are named are associated images', async (t) => {
  const pages = [
    plain(400, 300, 10, { tags: [text(270, 'a slide')] }),
    plain(90, 50, 20, { tags: [text(285, 'Label')] }),
    plain(120, 60, 30, { tags: [reduced, text(270, 'Aperio\nmacro 120x60')] }),
    plain(50, 60, 40, { tags: [reduced, text(285, 'a b')], rows: 60, tile: undefined } as object),
  ]
  await withSlide(pages, async (slide) => {
    t.deepEqual(slide.associatedImages, ['label', 'macro', 'a b'])
    isAs(t, await slide.readAssociatedImage('macro'), all(30))
    t.deepEqual(slide.warnings, [])
    t.is(slide.properties['tiff.ImageDescription'], 'a slide')
  })
})

test('several pictures: none is taken unless a page or series is asked for, and what is left is told', async (t) => {
  const pages = [plain(400, 300, 10), plain(400, 300, 20), plain(410, 280, 30, { children: [plain(205, 140, 31)] })]
  const refusal = await refusalOf(t, pages)
  t.regex(refusal, /it holds 3 pictures \(directory 0, 400 x 300; .*directory 2, 410 x 280\).*--page N/)
  const path = await drawn(pages)
  t.deepEqual(
    (await contentsOf(path))?.map(({ page, subIfd, width, role }) => [page, subIfd, width, role]),
    [
      [0, null, 400, null],
      [1, null, 400, null],
      [2, null, 410, null],
      [2, 0, 205, null],
    ],
  )
  for (const [choice, value, expected] of [
    [{ page: 1 }, 20, '400x300'],
    [{ series: 0 }, 10, '400x300'],
    [{ page: 2 }, 30, '410x280 205x140'],
    [{ series: 2 }, 30, '410x280 205x140'],
  ] as const) {
    using slide = await openSlide(path, choice)
    t.is(sizes(slide), expected)
    isAs(t, await whole(slide), all(value))
    t.regex(slide.warnings?.join() ?? '', /of the 4 images that it holds aren't taken: directory/)
  }
  t.regex(await refusalOf(t, pages, { page: 3 }), /--page 3: it has pages 0 to 2/)
  t.regex(await refusalOf(t, pages, { series: 3 }), /--series 3: it has series 0 to 2/)
  await t.throwsAsync(openSlide(path, { page: 1, series: 1 }), { instanceOf: RangeError })
  await t.throwsAsync(openSlide(path, { page: -1 }), { instanceOf: RangeError })
})

test('one level of a pyramid can be taken by itself', async (t) => {
  await withSlide(
    [plain(400, 300, 10), plain(200, 150, 20)],
    async (slide) => {
      t.is(sizes(slide), '200x150')
      isAs(t, await whole(slide), all(20))
    },
    { page: 1 },
  )
})

test('a mask is no picture, and is told', async (t) => {
  const mask: DrawnImage = { width: 400, height: 300, bits: 1, photometric: 4, sample: () => 1, tags: [[254, 4, [4]]] }
  await withSlide([plain(400, 300, 10), mask], async (slide) => {
    t.is(sizes(slide), '400x300')
    t.regex(slide.warnings?.join() ?? '', /1 of the 2 images.*directory 1/)
  })
})

interface Pixels {
  readonly c?: number
  readonly z?: number
  readonly t?: number
  readonly name?: string
  readonly more?: string
  readonly data?: string
}
const ome = (...images: readonly Pixels[]) =>
  text(
    270,
    `<?xml version="1.0"?><!-- <Pixels SizeC="9"/> --><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:1">${images
      .map(
        ({ c = 1, z = 1, t = 1, name = '', more = '', data = '<TiffData/>' }, i) =>
          `<Image ID="Image:${i}" Name="${name}"><Pixels ID="Pixels:${i}" SizeX="1" SizeY="1" SizeC="${c}" SizeZ="${z}" SizeT="${t}" ${more}>${data}</Pixels></Image>`,
      )
      .join('')}</OME>`,
  )

test('OME-TIFF: levels in SubIFDs, resolution in any unit, label and macro image by their names', async (t) => {
  const rgb = { c: 3, data: '<Channel SamplesPerPixel="3"/><TiffData IFD="0"/>' }
  for (const [more, x] of [
    ['PhysicalSizeX="0.5" PhysicalSizeY="0.25"', 0.5],
    ['PhysicalSizeX="500" PhysicalSizeXUnit="nm" PhysicalSizeY="250" PhysicalSizeYUnit="nm"', 0.5],
    ['PhysicalSizeX="0.0005" PhysicalSizeXUnit="mm" PhysicalSizeY="0.25" PhysicalSizeYUnit="\u00b5m"', 0.5],
    ['PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="1"', null],
  ] as const) {
    const description = ome({ ...rgb, more }, { ...rgb, name: 'label image', data: '<TiffData IFD="1"/>' })
    const pages = [
      plain(400, 300, 10, { tags: [description], children: [plain(200, 150, 20, { tags: [reduced] })] }),
      plain(90, 60, 30),
    ]
    await withSlide(pages, async (slide) => {
      t.is(sizes(slide), '400x300 200x150')
      t.deepEqual(slide.mpp && [slide.mpp.x, slide.mpp.y], x === null ? null : [x, 0.25])
      t.deepEqual(slide.associatedImages, ['label'])
      t.deepEqual(slide.warnings, [])
    })
  }
})

test('OME-TIFF: channels, focal planes, times and series are named when one has to be chosen', async (t) => {
  const grey = (value: number, tags: DrawnTag[] = []): DrawnImage => ({
    ...plain(400, 300, value, {
      tags,
      children: [plain(200, 150, value, { samples: 1, photometric: 1, tags: [reduced] })],
    }),
    samples: 1,
    photometric: 1,
  })
  const planes = (tag: DrawnTag) => [grey(10, [tag]), grey(20), grey(30)]
  t.regex(await refusalOf(t, planes(ome({ c: 3 }))), /3 channels.*--page N/)
  t.regex(await refusalOf(t, planes(ome({ z: 3 }))), /3 focal planes/)
  t.regex(await refusalOf(t, planes(ome({ t: 3 }))), /3 points in time/)
  t.regex(await refusalOf(t, planes(ome({ c: 3 })), { series: 0 }), /series 0 holds 3 channels; give --page N/)
  const series = ome(
    { more: 'PhysicalSizeX="1" PhysicalSizeY="1"' },
    { more: 'PhysicalSizeX="2" PhysicalSizeY="2"', data: '<TiffData IFD="1"/>' },
    { data: '<TiffData IFD="2" PlaneCount="1"/>' },
  )
  t.regex(await refusalOf(t, planes(series)), /3 pictures.*--page N or --series N/)
  for (const [choice, value, mpp] of [
    [{ page: 1 }, 20, 2],
    [{ series: 1 }, 20, 2],
    [{ series: 0 }, 10, 1],
  ] as const) {
    await withSlide(
      planes(series),
      async (slide) => {
        t.is(sizes(slide), '400x300 200x150')
        isAs(t, await whole(slide, 1), all(value))
        t.deepEqual(slide.mpp, { x: mpp, y: mpp })
      },
      choice,
    )
  }
})

test('images that a file speaks of and does not hold are not dropped', async (t) => {
  const cases: readonly [DrawnTag, RegExp][] = [
    [ome({ c: 2 }), /OME-XML it has an image in directory 1, but it has 1 directories/],
    [ome({ data: '<TiffData IFD="7"/>' }), /directory 7/],
    [ome({ data: '<TiffData IFD="0"><UUID FileName="b.ome.tif">urn:uuid:2</UUID></TiffData>' }), /in other files/],
    [text(270, '<?xml version="1.0"?><OME><Image></OME>'), /OME-XML in its ImageDescription is damaged/],
    [text(270, 'ImageJ=1.53\nimages=12\nslices=12\n'), /ImageJ\) it holds 12 images, but it has directories for 1/],
  ]
  for (const [tag, expected] of cases) t.regex(await refusalOf(t, [plain(64, 64, 1, { tags: [tag] })]), expected)
  const micron: DrawnTag[] = [text(270, 'ImageJ=1.53\nunit=micron\n'), [282, 5, [4]], [283, 5, [4]], [296, 3, [1]]]
  await withSlide([plain(64, 64, 1, { tags: micron })], async (slide) => t.deepEqual(slide.mpp, { x: 0.25, y: 0.25 }))
})

test('a resolution of screens and printers is none of a slide', async (t) => {
  for (const [x, y, unit, expected] of [
    [72, 72, 2, null],
    [96, 96, 2, null],
    [300, 300, 2, null],
    [28.346, 28.346, 3, null],
    [1, 1, 1, null],
    [0, 0, 2, null],
    [50_800, 25_400, 2, [0.5, 1]],
    [20_000, 40_000, 3, [0.5, 0.25]],
    [50_800, 25_400, undefined, [0.5, 1]],
  ] as const) {
    const tags: DrawnTag[] = [[282, 5, [x]], [283, 5, [y]], ...(unit ? [[296, 3, [unit]] as DrawnTag] : [])]
    await withSlide([plain(64, 64, 1, { tags })], async ({ mpp }) =>
      t.deepEqual(mpp && [mpp.x, mpp.y], expected && [...expected], `${x}, ${y}, ${unit}`),
    )
  }
})

test('a chain of directories that breaks off is refused, and told where', async (t) => {
  const bytes = await drawTiff([plain(64, 64, 1), plain(32, 32, 2)])
  const cut = written(bytes.subarray(0, bytes.length - 20))
  const error = await t.throwsAsync(openSlide(cut))
  t.regex(error?.message ?? '', /directory 1, at byte \d+, lies beyond its end at byte \d+: it is cut short or damaged/)
  t.is(await contentsOf(cut), null)
  // The last directory's link, which is the file's last number, leads back to the first.
  const circle = Buffer.from(bytes)
  bytes.copy(circle, circle.length - 4, 4, 8)
  const path = written(circle)
  t.regex((await t.throwsAsync(openSlide(path)))?.message ?? '', /its directories run in a circle/)
  writeFileSync(path, Buffer.concat([bytes.subarray(0, 4), Buffer.alloc(4)]))
  t.regex((await t.throwsAsync(openSlide(path)))?.message ?? '', /it has no directory/)
})

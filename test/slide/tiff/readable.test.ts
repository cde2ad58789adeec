/** Each rule of what isn't read has a file that it refuses, by the tag and the place; all else is read. */
import test from 'ava'
import type { DrawnImage, DrawnTag } from '../../tiff/draw-tiff.js'
import { refusalOf, withSlide } from './slides.js'

const RGB: DrawnImage = { width: 40, height: 30, samples: 3, photometric: 2, sample: () => 7, compression: 'deflate' }
const tag = (number: number, ...values: number[]): DrawnTag => [number, 3, values]

for (const [title, image, expected] of [
  ['old-style JPEG', { tags: [tag(259, 6)] }, /Compression 6 \(old-style JPEG\) isn't read/],
  ['JPEG 2000', { tags: [tag(259, 33005)] }, /Compression 33005 \(JPEG 2000\)/],
  ['Zstandard', { tags: [[259, 4, [50000]]] }, /Compression 50000 \(Zstandard\)/],
  ['a compression of nobody', { tags: [tag(259, 4711)] }, /Compression 4711 isn't read/],
  ['no photometric interpretation', { tags: [tag(262)] }, /PhotometricInterpretation is missing/],
  ['CIELab', { photometric: 8 }, /PhotometricInterpretation CIELab isn't read/],
  ['a mosaic of colour filters', { samples: 1, photometric: 32803 }, /CFA isn't read/],
  ['different bits', { tags: [tag(258, 8, 8, 16)] }, /BitsPerSample differs/],
  ['different formats', { tags: [tag(339, 1, 1, 3)] }, /SampleFormat differs/],
  ['complex numbers', { tags: [tag(339, 6, 6, 6), tag(258, 64, 64, 64)] }, /SampleFormat 6 of 64 bits/],
  ['24-bit floating point', { tags: [tag(339, 3, 3, 3), tag(258, 24, 24, 24)] }, /SampleFormat 3 of 24 bits/],
  ['an unknown planar configuration', { tags: [tag(284, 3)] }, /PlanarConfiguration is 3/],
  ['an unknown orientation', { tags: [tag(274, 12)] }, /Orientation is 12, not 1 to 8/],
  ['no rows', { tags: [tag(278, 0)] }, /RowsPerStrip is missing or zero/],
  ['no tile height', { tile: [16, 16], tags: [tag(323)] }, /has tiles of 16 x 0 pixels/],
  ['too few samples', { samples: 2 }, /SamplesPerPixel is 2, but PhotometricInterpretation RGB has 3/],
  ['six channels', { samples: 6 }, /SamplesPerPixel is 6: it has 3 channels beside its colours/],
  ['grey of two channels', { samples: 2, photometric: 1 }, /2 channels, which aren't red, green and blue/],
  ['a palette of two channels', { samples: 2, photometric: 3 }, /palette with SamplesPerPixel 2/],
  ['a palette of 16 bits', { samples: 1, photometric: 3, bits: 16 }, /palette of 16 bits/],
  ['CMYK of 16 bits', { samples: 4, photometric: 5, bits: 16 }, /CMYK of 16 bits/],
  ['other inks', { samples: 4, photometric: 5, tags: [tag(332, 2)] }, /InkSet/],
  ['a volume', { tags: [[32997, 4, [5]]] }, /ImageDepth/],
  ['bits from the lowest on of a compression', { tags: [tag(266, 2)] }, /FillOrder 2/],
  ['differences without compression', { compression: 'none', predictor: 2 }, /Predictor 2 .*none/],
  ['floating-point differences of integers', { tags: [tag(317, 3)] }, /Predictor 3/],
  ['an unknown predictor', { tags: [tag(317, 7)] }, /Predictor 7/],
  ['JPEG of CMYK', { samples: 4, photometric: 5, tags: [tag(259, 7)] }, /JPEG with PhotometricInterpretation CMYK/],
  ['JPEG of 12 bits', { tags: [tag(259, 7), tag(258, 12, 12, 12)] }, /JPEG with .*12 bits/],
  ['WebP of grey', { samples: 1, photometric: 1, tags: [[259, 4, [50001]]] }, /WebP that isn't RGB/],
  ['fax of grey', { samples: 1, photometric: 1, tags: [tag(259, 4)] }, /CCITT that isn't black and white/],
  ['odd subsampling', { photometric: 6, tags: [tag(530, 3, 1)] }, /YCbCrSubSampling 3 1/],
  ['subsampled planes', { photometric: 6, planar: 2, tags: [tag(530, 2, 2)] }, /YCbCrSubSampling 2 2/],
  [
    'an absurd tile',
    {
      tile: [16, 16],
      tags: [
        [322, 4, [24_000]],
        [323, 4, [24_000]],
      ],
    },
    /tiles of 24000 x 24000 pixels/,
  ],
  [
    'an absurd strip',
    { tags: [256, 257, 278].map((number): DrawnTag => [number, 4, [20_000]]) },
    /a strip \(number 0\) of \d+ bytes for 1200000000/,
  ],
] as const satisfies readonly (readonly [string, Partial<DrawnImage>, RegExp])[]) {
  test(`refuses ${title}`, async (t) => {
    const refusal = await refusalOf(t, [{ ...RGB, ...(image as Partial<DrawnImage>) }])
    t.regex(refusal, expected)
    t.regex(refusal, /directory 0/)
  })
}

test('too few places of tiles, and places beyond the file, are told when they are needed', async (t) => {
  const region = { x: 0, y: 0, level: 0, width: 40, height: 30 }
  await withSlide([{ ...RGB, rows: 10, tags: [[273, 4, [8]]] }], async (slide) => {
    await t.throwsAsync(slide.readRegion(region), {
      message: /StripOffsets has 1 values that can be read where 3 are due/,
    })
  })
  await withSlide([{ ...RGB, tile: [16, 16], tags: [[325, 4, []]] }], async (slide) => {
    await t.throwsAsync(slide.readRegion(region), { message: /TileByteCounts has no values/ })
  })
  await withSlide([{ ...RGB, rows: 30, tags: [[273, 4, [10_000_000]]] }], async (slide) => {
    await t.throwsAsync(slide.readRegion(region), { message: /its bytes 10000000 to \d+ lie beyond the file's end/ })
  })
})

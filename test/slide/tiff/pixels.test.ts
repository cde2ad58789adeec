/** What TIFFs' tags say of pixels: every layout of the same picture reads the same, every kind of sample as it is meant. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import test from 'ava'
import { openSlide } from '../../../src/slide/open.js'
import { repeatedScans } from '../../image/many-scans.js'
import type { Drawing, DrawnImage } from '../../tiff/draw-tiff.js'
import { type Colours, drawn, isAs, refusalOf, whole, withSlide, written } from './slides.js'

const [W, H] = [75, 53]
/** Smooth, so that JPEG keeps it, and different everywhere. */
const rgb = (x: number, y: number, channel: number) => [40 + 2 * x, 200 - 3 * y, 60 + x + y][channel] as number
const colours: Colours = (x, y) => [rgb(x, y, 0), rgb(x, y, 1), rgb(x, y, 2)]
const grey: Colours = (x, y) => [rgb(x, y, 0), rgb(x, y, 0), rgb(x, y, 0)]
const RGB: DrawnImage = { width: W, height: H, sample: rgb, samples: 3, photometric: 2 }

const DRAWINGS: readonly Drawing[] = [true, false].flatMap((isBig) =>
  [true, false].map((isLittleEndian) => ({ isBig, isLittleEndian })),
)

test('strips and tiles, planes, predictors, compressions, byte orders: the same picture', async (t) => {
  for (const drawing of DRAWINGS) {
    for (const layout of [{ rows: 20 }, { rows: H }, { tile: [32, 16] }, { tile: [96, 64] }] as Partial<DrawnImage>[]) {
      for (const [compression, predictor, planar] of [
        ['none', undefined, 1],
        ['none', undefined, 2],
        ['deflate', 1, 1],
        ['deflate', 2, 1],
        ['deflate', 2, 2],
        ['packbits', undefined, 1],
        ['packbits', undefined, 2],
        ['webp', undefined, 1],
      ] as const) {
        const image = { ...RGB, ...layout, compression, planar, ...(predictor ? { predictor } : {}) }
        const what = JSON.stringify({ drawing, layout, compression, predictor, planar })
        await withSlide([image], async (slide) => isAs(t, await whole(slide), colours, 0, what), {}, drawing)
      }
    }
  }
})

test('JPEG tiles and strips, of colour, of grey, and of planes, are near the picture', async (t) => {
  for (const layout of [{ rows: 16 }, { tile: [32, 16] }, { tile: [96, 64] }] as Partial<DrawnImage>[]) {
    const image = { ...RGB, ...layout, compression: 'jpeg', photometric: 6, tags: [[530, 3, [1, 1]]] } as const
    await withSlide([image], async (slide) => isAs(t, await whole(slide), colours, 12, JSON.stringify(layout)))
    const mono = { ...image, samples: 1, photometric: 1, tags: [] }
    await withSlide([mono], async (slide) => isAs(t, await whole(slide), grey, 12, JSON.stringify(layout)))
  }
})

test('LZW as libtiff writes it', async (t) => {
  const plain = await drawn([{ ...RGB, rows: 20 }])
  for (const options of [['lzw'], ['lzw:2'], ['lzw:2', '-t', '-w', '32', '-l', '16']]) {
    const path = written(Buffer.alloc(0))
    await promisify(execFile)('tiffcp', ['-c', ...options, plain, path])
    using slide = await openSlide(path)
    isAs(t, await whole(slide), colours, 0, options.join(' '))
  }
})

test('any region, also outside, is the part of the whole that it covers', async (t) => {
  const layouts = [
    { rows: 20 },
    { rows: H },
    { tile: [32, 16] },
    { tile: [32, 16], planar: 2 },
  ] as Partial<DrawnImage>[]
  for (const layout of layouts) {
    await withSlide([{ ...RGB, ...layout }], async (slide) => {
      for (const [x, y, width, height] of [
        [0, 0, 1, 1],
        [31, 15, 3, 3],
        [-7, -9, 30, 20],
        [60, 40, 40, 40],
        [200, 200, 5, 5],
      ] as const) {
        const isInside = (u: number, v: number) => u >= 0 && v >= 0 && u < W && v < H
        const expected: Colours = (u, v) => (isInside(x + u, y + v) ? colours(x + u, y + v) : [255, 255, 255])
        isAs(t, await slide.readRegion({ x, y, level: 0, width, height }), expected, 0, `${x}, ${y}`)
      }
    })
  }
})

test('a large image in one strip is read by its rows', async (t) => {
  const [width, height] = [3000, 700]
  const sample = (x: number, y: number, channel: number) => (x * 7 + y * 13 + channel * 50) & 255
  for (const planar of [1, 2]) {
    await withSlide([{ width, height, sample, samples: 3, photometric: 2, planar }], async (slide) => {
      const image = await slide.readRegion({ x: 2900, y: 300, level: 0, width: 100, height: 150 })
      const expected: Colours = (x, y) => [0, 1, 2].map((c) => sample(2900 + x, 300 + y, c)) as [number, number, number]
      isAs(t, image, expected)
    })
  }
})

/** Where a place of the shown picture is in the stored one of W x H. */
const STORED: readonly ((x: number, y: number) => [number, number])[] = [
  (x, y) => [x, y],
  (x, y) => [W - 1 - x, y],
  (x, y) => [W - 1 - x, H - 1 - y],
  (x, y) => [x, H - 1 - y],
  (x, y) => [y, x],
  (x, y) => [y, H - 1 - x],
  (x, y) => [W - 1 - y, H - 1 - x],
  (x, y) => [W - 1 - y, x],
]

test('all eight orientations, whole and in regions, with resolution and levels turned too', async (t) => {
  for (const [i, stored] of STORED.entries()) {
    const tags = [
      [274, 3, [i + 1]],
      [282, 5, [20_000]],
      [283, 5, [10_000]],
      [296, 3, [3]],
    ] as const
    for (const layout of [{ rows: 20 }, { tile: [32, 16], compression: 'deflate' }] as Partial<DrawnImage>[]) {
      const half = { ...RGB, ...layout, width: 38, height: 27, tags: [[254, 4, [1]], tags[0]] } as const
      await withSlide([{ ...RGB, ...layout, tags }, half], async (slide) => {
        const isSwapped = i >= 4
        t.like(slide.levels, { 0: { width: isSwapped ? H : W, height: isSwapped ? W : H }, length: 2 })
        t.deepEqual(slide.mpp, isSwapped ? { x: 1, y: 0.5 } : { x: 0.5, y: 1 })
        isAs(t, await whole(slide), (x, y) => colours(...stored(x, y)), 0, `orientation ${i + 1}`)
        const part = await slide.readRegion({ x: 17, y: 29, level: 0, width: 20, height: 11 })
        isAs(t, part, (x, y) => colours(...stored(17 + x, 29 + y)), 0, `orientation ${i + 1}, a part`)
        const tile = slide.tileSize?.(0)
        if (layout.tile) t.deepEqual(tile, isSwapped ? { width: 16, height: 32 } : { width: 32, height: 16 })
      })
    }
  }
  t.regex(await refusalOf(t, [{ ...RGB, tags: [[274, 3, [9]]] }]), /Orientation is 9/)
})

test('a fourth sample: of no meaning, premultiplied alpha, alpha', async (t) => {
  const opacity = (x: number) => 3 * x
  const sample = (x: number, y: number, channel: number) => (channel === 3 ? opacity(x) : rgb(x, y, channel))
  const four = { ...RGB, samples: 4, sample }
  for (const tags of [[[338, 3, [0]]], []] as const) {
    await withSlide([{ ...four, tags }], async (slide) => {
      isAs(t, await whole(slide), colours)
      t.regex(slide.warnings?.join() ?? '', /fourth sample.*left out/)
    })
  }
  const on = (value: number, x: number) => Math.round((value * opacity(x)) / 255 + 255 - opacity(x))
  await withSlide([{ ...four, tags: [[338, 3, [2]]] }], async (slide) => {
    isAs(t, await whole(slide), (x, y) => colours(x, y).map((value) => on(value, x)) as [number, number, number], 1)
    t.deepEqual(slide.warnings, [])
  })
  const premultiplied = (x: number, y: number, c: number) => (c === 3 ? opacity(x) : Math.min(rgb(x, y, c), opacity(x)))
  await withSlide([{ ...four, sample: premultiplied, tags: [[338, 3, [1]]] }], async (slide) => {
    const over = (x: number, y: number, c: number) => premultiplied(x, y, c) + 255 - opacity(x)
    isAs(t, await whole(slide), (x, y) => [over(x, y, 0), over(x, y, 1), over(x, y, 2)])
  })
  t.regex(await refusalOf(t, [{ ...RGB, samples: 5, sample: () => 1 }]), /SamplesPerPixel is 5.*2 channels beside/)
  t.regex(await refusalOf(t, [{ ...RGB, samples: 3, photometric: 1 }]), /3 channels, which aren't red, green and blue/)
})

test('grey of 1, 2, 4 and 8 bits, either way round, and palettes', async (t) => {
  for (const bits of [1, 2, 4, 8]) {
    const most = 2 ** bits - 1
    const sample = (x: number, y: number) => (x + 3 * y) & most
    const level = (x: number, y: number) => Math.round((sample(x, y) * 255) / most)
    for (const layout of [{ rows: 7 }, { tile: [32, 16] }] as Partial<DrawnImage>[]) {
      const image = { width: W, height: H, sample, bits, ...layout }
      await withSlide([image], async (slide) =>
        isAs(t, await whole(slide), (x, y) => [level(x, y), level(x, y), level(x, y)], 0, `${bits} bits`),
      )
      await withSlide([{ ...image, photometric: 0 }], async (slide) => {
        const white = (x: number, y: number) => 255 - level(x, y)
        isAs(t, await whole(slide), (x, y) => [white(x, y), white(x, y), white(x, y)], 0, `${bits} bits, white is zero`)
      })
      const entry = (channel: number, value: number) => (value * 31 + channel * 77) & 255
      const map = [0, 1, 2].flatMap((channel) => Array.from({ length: most + 1 }, (_, value) => entry(channel, value)))
      const expected: Colours = (x, y) => [0, 1, 2].map((c) => entry(c, sample(x, y))) as [number, number, number]
      for (const scale of [256, 257, 1]) {
        const tags = [[320, 3, map.map((value) => value * scale)]] as const
        const what = `${bits} bits, palette times ${scale}`
        await withSlide([{ ...image, photometric: 3, tags }], async (s) => isAs(t, await whole(s), expected, 0, what))
      }
    }
  }
})

test('CMYK and YCbCr that is no JPEG become RGB', async (t) => {
  const ink = (x: number, y: number, channel: number) => (channel === 3 ? y : rgb(x, y, channel))
  await withSlide([{ ...RGB, samples: 4, photometric: 5, sample: ink }], async (slide) => {
    const light = (x: number, y: number, c: number) => Math.round(((255 - rgb(x, y, c)) * (255 - y)) / 255)
    isAs(t, await whole(slide), (x, y) => [light(x, y, 0), light(x, y, 1), light(x, y, 2)])
    t.regex(slide.warnings?.join() ?? '', /CMYK/)
  })
  const ycc = (x: number, y: number, channel: number) => [90 + x, 100 + y, 150 - x][channel] as number
  const toRgb = (luma: number, cb: number, cr: number) =>
    [luma + 1.402 * (cr - 128), luma - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), luma + 1.772 * (cb - 128)].map(
      (value) => Math.min(255, Math.max(0, Math.round(value))),
    ) as [number, number, number]
  for (const [planar, compression, predictor] of [
    [1, 'none', 1],
    [2, 'none', 1],
    [1, 'deflate', 2],
    [2, 'deflate', 2],
  ] as const) {
    const image = {
      compression,
      predictor,
      ...RGB,
      photometric: 6,
      sample: ycc,
      planar,
      rows: 20,
      tags: [[530, 3, [1, 1]]],
    } as const
    await withSlide([image], async (slide) =>
      isAs(t, await whole(slide), (x, y) => toRgb(ycc(x, y, 0), ycc(x, y, 1), ycc(x, y, 2)), 1, `planar ${planar}`),
    )
  }
  // Blocks of 2 x 2: four Y, one Cb, one Cr, as one row of samples each.
  const blocks = { width: W, height: H, samples: 3, photometric: 6, tags: [[530, 3, [2, 2]]] } as const
  const bytes = Buffer.alloc(Math.ceil(W / 2) * Math.ceil(H / 2) * 6)
  for (let v = 0, i = 0; v < H; v += 2) {
    for (let u = 0; u < W; u += 2) {
      for (const [dx, dy] of [
        [0, 0],
        [1, 0],
        [0, 1],
        [1, 1],
      ] as const) {
        bytes[i++] = ycc(u + dx, v + dy, 0)
      }
      bytes[i++] = ycc(u, v, 1)
      bytes[i++] = ycc(u, v, 2)
    }
  }
  await withSlide([{ ...blocks, sample: () => 0, damage: () => bytes }], async (slide) =>
    isAs(t, await whole(slide), (x, y) => toRgb(ycc(x, y, 0), ycc(x & ~1, y & ~1, 1), ycc(x & ~1, y & ~1, 2)), 1),
  )
})

test('more than 8 bits, signed and floating-point numbers are refused without a range, and scaled by it', async (t) => {
  for (const [bits, format, value, range] of [
    [16, 1, (x: number, y: number) => 1000 + 40 * x + y, [1000, 4000]],
    [32, 1, (x: number, y: number) => 70_000 * x + y, [0, 6_000_000]],
    [16, 2, (x: number, y: number) => 30 * x - 10 * y, [-600, 2300]],
    [8, 2, (x: number, y: number) => x - y, [-60, 80]],
    [32, 3, (x: number, y: number) => x / 75 - y / 200, [-0.5, 1]],
    [64, 3, (x: number, y: number) => x / 75 - y / 200, [-0.5, 1]],
  ] as const) {
    const what = `${bits} bits of format ${format}`
    const stored = (x: number, y: number) => (format === 2 ? (value(x, y) + 2 ** bits) % 2 ** bits : value(x, y))
    for (const drawing of DRAWINGS) {
      for (const predictor of format === 3 ? [1, 3] : [1, 2]) {
        const image = { width: W, height: H, sample: stored, bits, format, compression: 'deflate', predictor } as const
        if (predictor === 1) t.regex(await refusalOf(t, [image], {}, drawing), /BitsPerSample.*--range MIN,MAX/, what)
        const [min, max] = range
        const level = (x: number, y: number) => {
          const number = format === 3 && bits === 32 ? Math.fround(value(x, y)) : value(x, y)
          return Math.min(255, Math.max(0, ((number - min) * 255) / (max - min)))
        }
        const expected: Colours = (x, y) => [level(x, y), level(x, y), level(x, y)]
        const check = async (slide: Parameters<Parameters<typeof withSlide>[1]>[0]) => {
          isAs(t, await whole(slide), expected, 0.5, what)
          t.regex(slide.warnings?.join() ?? '', /shown as 0 to 255/)
        }
        await withSlide([image], check, { range: [min, max] }, drawing)
      }
    }
  }
})

test('the range "auto" spans the values but for the outermost', async (t) => {
  const sample = (x: number, y: number) => (x === 5 && y === 5 ? 65_535 : 500 + 10 * x + y)
  const image: DrawnImage = { width: 300, height: 200, sample, bits: 16, compression: 'deflate', rows: 9 }
  await withSlide(
    [image],
    async (slide) => {
      const [min = 0, max = 0] = (slide.properties['cleric.range'] ?? '').split(',').map(Number)
      t.true(min >= 500 && min < 530 && max > 3650 && max <= 3690, `${min}, ${max}`)
      const level = (x: number, y: number) => Math.min(255, Math.max(0, ((sample(x, y) - min) * 255) / (max - min)))
      isAs(t, await whole(slide), (x, y) => [level(x, y), level(x, y), level(x, y)], 0.5)
    },
    { range: 'auto' },
  )
  t.regex(await refusalOf(t, [{ ...RGB, compression: 'jpeg', photometric: 6 }], { range: [0, 9] }), /a range is for/)
})

test('bits from the lowest on, and numbers of an odd depth', async (t) => {
  const sample = (x: number, y: number) => (x * y) & 1
  const level = (x: number, y: number) => 255 * sample(x, y)
  const reverse = (byte: number) => Number.parseInt([...byte.toString(2).padStart(8, '0')].reverse().join(''), 2)
  const image = { width: W, height: H, sample, bits: 1, damage: (bytes: Buffer) => Buffer.from(bytes.map(reverse)) }
  await withSlide([{ ...image, tags: [[266, 3, [2]]] }], async (slide) =>
    isAs(t, await whole(slide), (x, y) => [level(x, y), level(x, y), level(x, y)]),
  )
})

test('a tile or strip of no bytes is background', async (t) => {
  for (const layout of [{ tile: [32, 16] }, { rows: 16 }] as Partial<DrawnImage>[]) {
    await withSlide([{ ...RGB, ...layout, omitted: [1] }], async (slide) => {
      const isOmitted = (x: number, y: number) => (layout.tile ? x >= 32 && x < 64 && y < 16 : y >= 16 && y < 32)
      isAs(t, await whole(slide), (x, y) => (isOmitted(x, y) ? [255, 255, 255] : colours(x, y)))
    })
  }
})

test('what can not be decoded is an error that names the place, never a colour', async (t) => {
  const zeroed = (bytes: Buffer, number: number) =>
    number === 1 ? Buffer.from(bytes).fill(0, bytes.length >> 1) : bytes
  const shortened = (bytes: Buffer, number: number) => (number === 1 ? bytes.subarray(0, bytes.length >> 1) : bytes)
  for (const damage of [zeroed, shortened]) {
    for (const [compression, kind] of [
      ['jpeg', 'JPEG'],
      ['deflate', 'deflate'],
      ['webp', 'WebP'],
    ] as const) {
      const photometric = compression === 'jpeg' ? 6 : 2
      const image = { ...RGB, tile: [32, 16], compression, photometric, damage, tags: [[530, 3, [1, 1]]] } as const
      await withSlide([image], async (slide) => {
        const reading = slide.readRegion({ x: 30, y: 0, level: 0, width: 10, height: 10 })
        const error = await t.throwsAsync(reading, { message: new RegExp(`tile 1, 0 of directory 0.*${kind}`) })
        t.is((error as { code?: string }).code, 'ERR_UNSUPPORTED_SLIDE')
        // The others are there.
        await slide.readRegion({ x: 0, y: 0, level: 0, width: 32, height: 16 })
      })
    }
  }
  await withSlide([{ ...RGB, rows: 16, compression: 'packbits', damage: shortened }], async (slide) => {
    await t.throwsAsync(whole(slide), { message: /the strip with row 16 of directory 0 can't be decoded/ })
  })
  await withSlide([{ ...RGB, rows: 16, damage: shortened }], async (slide) => {
    await t.throwsAsync(whole(slide), { message: /the strip with row 16.*1800 bytes of pixels where 3600 are due/ })
  })
})

test('a JPEG in a tile or strip goes over its pixels a bounded number of times', async (t) => {
  for (const [layout, size] of [
    [{ tile: [32, 16] }, { width: 32, height: 16 }],
    [{ rows: 16 }, { width: 75, height: 16 }],
  ] as const) {
    const withScans = (scans: number) => {
      const damage = (bytes: Buffer, number: number) => (number === 0 ? Buffer.from(repeatedScans(size, scans)) : bytes)
      return { ...RGB, ...layout, compression: 'jpeg', photometric: 6, damage, tags: [[530, 3, [1, 1]]] } as const
    }
    const region = { x: 0, y: 0, level: 0, width: 30, height: 10 }
    await withSlide([withScans(64)], async (slide) => {
      const { data } = await slide.readRegion(region)
      t.true(data.every((value) => value === 128))
    })
    await withSlide([withScans(65)], async (slide) => {
      const refused = { code: 'ERR_UNSUPPORTED_SLIDE', message: /more than 64 scans/ }
      await t.throwsAsync(slide.readRegion(region), refused)
    })
  }
})

test('a TIFF that is replaced while it is open is refused', async (t) => {
  const path = await drawn([RGB])
  using slide = await openSlide(path)
  await whole(slide)
  const { writeFileSync } = await import('node:fs')
  writeFileSync(path, Buffer.alloc(100))
  await t.throwsAsync(whole(slide), { code: 'ERR_FILE_CHANGED' })
})

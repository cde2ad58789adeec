/** What addresses of the IIIF Image API ask for, in numbers, and what describes an image; `iiif.test.ts` has the pictures. */
import test from 'ava'
import fc from 'fast-check'
import type { Size } from '../../src/image/image.js'
import { describeImage, parseImageRequest } from '../../src/server/iiif.js'
import { Refusal } from '../../src/server/refusal.js'

const FULL = { width: 1000, height: 600 }

function parse(region: string, size = 'max', rotation = '0', file = 'default.jpg', full: Size = FULL) {
  return parseImageRequest(full, { region, size, rotation, file })
}

/** Code of the refusal. */
function refused(...address: Parameters<typeof parse>): string {
  try {
    parse(...address)
  } catch (error) {
    if (error instanceof Refusal) return error.code
    throw error
  }
  return 'none'
}

test('regions', (t) => {
  for (const [text, x, y, width, height] of [
    ['full', 0, 0, 1000, 600],
    ['square', 200, 0, 600, 600],
    ['10,20,30,40', 10, 20, 30, 40],
    ['0,0,1,1', 0, 0, 1, 1],
    ['999,599,1,1', 999, 599, 1, 1],
    ['900,500,500,500', 900, 500, 100, 100],
    ['0,0,9999999999,9999999999', 0, 0, 1000, 600],
    ['pct:10,20,30,40', 100, 120, 300, 240],
    ['pct:50,50,80,80', 500, 300, 500, 300],
    ['pct:.5,0,5.,0.5', 5, 0, 50, 3],
    // Its edges are rounded, and not its size.
    ['pct:0.04,0,0.06,100', 0, 0, 1, 600],
    ['pct:12.34567,0,1,100', 123, 0, 10, 600],
  ] as const) {
    t.deepEqual(parse(text).region, { x, y, width, height }, text)
  }
  const tall = { width: 601, height: 1000 }
  t.deepEqual(parse('square', 'max', '0', 'default.jpg', tall).region, { x: 0, y: 199, width: 601, height: 601 })
  for (const text of [
    ...[
      '',
      'ful',
      'fullx',
      'squares',
      '1,2,3',
      '1,2,3,4,5',
      '1.5,0,10,10',
      '-1,0,10,10',
      'x,0,1,1',
      'x0,0,1,1',
      '0,0,1,1x',
    ],
    ...['0,0,0,10', '0,0,10,0', '1000,0,1,1', '0,600,1,1', '10000000000,0,1,1', '0,0,10000000000,1'],
    ...['pct:1,1,1', 'pct:1.2.3,0,1,1', 'pct:a,0,1,1', 'pct:,0,1,1', 'pct:.,0,1,1', 'pct:0,0,0,0', 'pct:0,0,0.01,100'],
    ...[
      'pct:100,0,1,1',
      'pct:0,100,1,1',
      'pct:10000000000,0,1,1',
      'pct:0.00000000001,0,1,1',
      'pct:x1,0,1,1',
      'pct:1x,0,1,1',
    ],
    'pct:.00000000001,0,1,1',
  ]) {
    t.is(refused(text), 'ERR_BAD_REQUEST', text)
  }
})

test('sizes', (t) => {
  for (const [text, width, height] of [
    ['max', 1000, 600],
    ['^max', 3739, 2243],
    ['400,', 400, 240],
    ['1,', 1, 1],
    [',300', 500, 300],
    [',1', 2, 1],
    ['400,500', 400, 500],
    ['1000,600', 1000, 600],
    ['pct:50', 500, 300],
    ['pct:100', 1000, 600],
    ['pct:12.34', 123, 74],
    ['pct:0.01', 1, 1],
    ['!100,200', 100, 60],
    ['!200,60', 100, 60],
    ['!1,1', 1, 1],
    ['!3,3', 3, 2],
    ['^1300,', 1300, 780],
    ['^,900', 1500, 900],
    ['^1500,40', 1500, 40],
    ['^!2000,700', 1167, 700],
    ['^pct:200', 2000, 1200],
    ['^400,', 400, 240],
  ] as const) {
    t.deepEqual(parse('full', text).size, { width, height }, text)
  }
  // A size is that of the region.
  t.deepEqual(parse('0,0,100,50', '!10,10').size, { width: 10, height: 5 })
  for (const text of [
    ...[
      '',
      ',',
      '!',
      'maxx',
      'xmax',
      'full',
      '5',
      '5,5,5',
      'x5,5',
      '5,5x',
      '-5,',
      '5.5,',
      '1000000000,',
      ',1000000000',
    ],
    ...[
      '0,',
      ',0',
      '0,5',
      '5,0',
      '!0,5',
      '!5,0',
      '!5,',
      '!,5',
      '!,',
      '!!5,5',
      'pct:',
      'pct:0',
      'pct:-1',
      'pct:x',
      'pct:1e1',
    ],
    ...['xpct:5', 'pct:5\n', 'pct:10000000000', '^', '^^5,', '^0,', '!^5,5'],
    ...['1001,600', '1000,601', '1001,', ',601', 'pct:101', '!1001,601'],
  ]) {
    t.is(refused('full', text), 'ERR_BAD_REQUEST', text)
  }
})

test('a picture has at most 2^23 pixels, and 8192 a side', (t) => {
  const size = (full: Size, text: string) => parse('full', text, '0', 'default.jpg', full).size
  const isRefused = (full: Size, text: string) => refused('full', text, '0', 'default.jpg', full)
  const largest = { width: 8192, height: 1024 }
  t.deepEqual(size(largest, 'max'), largest)
  t.deepEqual(size(largest, '8192,1024'), largest)
  t.deepEqual(size(largest, '^max'), largest)
  t.deepEqual(size({ width: 100_000, height: 1000 }, 'max'), { width: 8192, height: 81 })
  t.deepEqual(size({ width: 1000, height: 100_000 }, 'max'), { width: 81, height: 8192 })
  t.deepEqual(size({ width: 10_000_000, height: 1 }, 'max'), { width: 8192, height: 1 })
  t.deepEqual(size({ width: 20_000, height: 10_000 }, 'max'), { width: 4096, height: 2048 })
  t.deepEqual(size({ width: 10, height: 1 }, '^max'), { width: 8192, height: 819 })
  const square = { width: 9000, height: 9000 }
  t.deepEqual(size(square, '2896,2896'), { width: 2896, height: 2896 })
  t.deepEqual(size(square, '4096,2048'), { width: 4096, height: 2048 })
  for (const [full, text] of [
    [square, '4096,2049'],
    [square, '8193,1'],
    [square, '1,8193'],
    [square, '2897,'],
    [FULL, '^3740,'],
  ] as const) {
    t.is(isRefused(full, text), 'ERR_TOO_LARGE', text)
  }
})

test('rotations', (t) => {
  for (const [text, rotation, isMirrored] of [
    ['0', 0, false],
    ['90', 90, false],
    ['22.5', 22.5, false],
    ['.5', 0.5, false],
    ['5.', 5, false],
    ['359.9999999999', 359.9999999999, false],
    ['360', 0, false],
    ['!0', 0, true],
    ['!180', 180, true],
    ['!360', 0, true],
  ] as const) {
    t.like(parse('full', 'max', text), { rotation, isMirrored }, text)
  }
  for (const text of [
    '',
    '!',
    '361',
    '360.0000000001',
    '!361',
    '-90',
    '1e2',
    'x1',
    '1x',
    '!!1',
    '90!',
    '.',
    '00000000001',
  ]) {
    t.is(refused('full', 'max', text), 'ERR_BAD_REQUEST', text)
  }
})

test('qualities and formats', (t) => {
  for (const quality of ['default', 'color', 'gray', 'bitonal']) {
    for (const format of ['jpg', 'png', 'webp']) {
      t.like(parse('full', 'max', '0', `${quality}.${format}`), { quality, format })
    }
  }
  for (const file of [
    ...[
      '',
      '.',
      'default',
      'default.',
      '.jpg',
      'random.jpg',
      'default.gif',
      'default.jpeg',
      'Default.jpg',
      'xdefault.jpg',
    ],
    ...[
      'default.jpgx',
      'default.jpg.png',
      'default.png.jpg',
      'default..jpg',
      '1default.jpg',
      'default.jpg\n',
      'default.constructor',
    ],
  ]) {
    t.is(refused('full', 'max', '0', file), 'ERR_BAD_REQUEST', file)
  }
})

test('canonical addresses', (t) => {
  const full = { width: 1000, height: 600 }
  const canonical = (region: string, size: string, rotation: string, file: string) =>
    parseImageRequest(full, { region, size, rotation, file }).canonical
  t.is(canonical('0,0,1000,600', '1000,', '0', 'color.jpg'), 'full/max/0/default.jpg')
  t.is(canonical('pct:0,0,50,50', '250,', '360', 'gray.png'), '0,0,500,300/250,150/0/gray.png')
  t.is(canonical('square', '!100,200', '!90.0', 'default.jpg'), '200,0,600,600/100,100/!90/default.jpg')
  t.is(canonical('full', '^2000,', '22.5', 'bitonal.webp'), 'full/^2000,1200/22.5/bitonal.webp')
  t.is(canonical('full', 'max', '.0000001', 'default.jpg'), 'full/max/0.0000001/default.jpg')
  t.is(canonical('900,500,500,500', 'max', '0', 'default.jpg'), '900,500,100,100/max/0/default.jpg')
  for (const size of ['1000,500', '900,600', '^1001,500', '^900,601']) {
    t.is(canonical('full', size, '0', 'default.jpg'), `full/${size}/0/default.jpg`)
  }
})

test('no request, whatever it asks for, makes more than so many pixels', (t) => {
  const part = fc.oneof(
    fc.integer({ min: 0, max: 2 ** 31 }).map(String),
    fc.double({ min: 0, max: 200, noNaN: true }).map(String),
    fc.string({ maxLength: 6 }),
  )
  const list = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join(','))
  const region = fc.oneof(
    fc.constantFrom('full', 'square'),
    list,
    list.map((text) => `pct:${text}`),
  )
  const mark = fc.constantFrom('', '^', '!', '^!', 'pct:', '^pct:')
  const size = fc.oneof(
    fc.constantFrom('max', '^max'),
    fc.tuple(mark, list).map(([before, text]) => before + text),
    part.map((text) => `${text},`),
  )
  const rotation = fc.oneof(
    part,
    part.map((text) => `!${text}`),
  )
  const side = fc.integer({ min: 1, max: 2 ** 31 })
  fc.assert(
    fc.property(side, side, region, size, rotation, (width, height, ...[r, s, turn]) => {
      try {
        const asked = parseImageRequest({ width, height }, { region: r, size: s, rotation: turn, file: 'default.jpg' })
        const { region: area, size: made } = asked
        t.true(area.x >= 0 && area.y >= 0 && area.width >= 1 && area.height >= 1)
        t.true(area.x + area.width <= width && area.y + area.height <= height)
        t.true(
          made.width >= 1 &&
            made.height >= 1 &&
            made.width * made.height <= 2 ** 23 &&
            Math.max(made.width, made.height) <= 8192,
        )
        t.true([area.x, area.y, area.width, area.height, made.width, made.height].every(Number.isInteger))
        // The canonical form means the same.
        const [cr, cs, ct, cf] = asked.canonical.split('/') as [string, string, string, string]
        const again = parseImageRequest({ width, height }, { region: cr, size: cs, rotation: ct, file: cf })
        t.deepEqual(again, { ...asked, quality: 'default' })
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
      }
    }),
    { numRuns: 3000 },
  )
})

test('an image is described by what may be asked of it', (t) => {
  t.deepEqual(describeImage(FULL, 'https://example.org/x'), {
    '@context': 'http://iiif.io/api/image/3/context.json',
    id: 'https://example.org/x',
    type: 'ImageService3',
    protocol: 'http://iiif.io/api/image',
    profile: 'level2',
    width: 1000,
    height: 600,
    maxWidth: 8192,
    maxHeight: 8192,
    maxArea: 2 ** 23,
    sizes: [
      { width: 125, height: 75 },
      { width: 250, height: 150 },
      { width: 500, height: 300 },
      { width: 1000, height: 600 },
    ],
    tiles: [{ width: 512, height: 512, scaleFactors: [1, 2] }],
    extraFormats: ['webp'],
    extraQualities: ['color', 'gray', 'bitonal'],
    extraFeatures: ['canonicalLinkHeader', 'mirroring', 'profileLinkHeader', 'rotationArbitrary', 'sizeUpscaling'],
  })
  const { sizes, tiles } = describeImage({ width: 16_384, height: 8192 }, 'x')
  t.deepEqual(sizes[0], { width: 64, height: 32 })
  // The next is 8192 x 4096, of which no picture is made.
  t.deepEqual(sizes.at(-1), { width: 4096, height: 2048 })
  t.deepEqual(tiles[0]?.scaleFactors, [1, 2, 4, 8, 16, 32])
  t.deepEqual(describeImage({ width: 8192, height: 16_384 }, 'x').tiles[0]?.scaleFactors, [1, 2, 4, 8, 16, 32])
  t.deepEqual(describeImage({ width: 64, height: 20 }, 'x').sizes, [{ width: 64, height: 20 }])
  t.deepEqual(describeImage({ width: 100, height: 20 }, 'x').tiles[0]?.scaleFactors, [1])
  t.deepEqual(describeImage({ width: 1, height: 1 }, 'x').tiles[0]?.scaleFactors, [1])
})

/**
 * The IIIF Image API 3.0, by the cases of the standard's own validator (https://github.com/IIIF/image-validator): a
 * picture of 10 x 10 squares of 100 pixels, each of a colour of its own.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { FastifyInstance } from 'fastify'
import sharp from 'sharp'
import { compressSlide } from '../../src/compress/compress.js'
import { fill, paste, WHITE } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { createViewerServer } from '../../src/server/server.js'
import { losslessCodec } from '../payload-codec.js'
import { memorySlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-iiif-'))
const codec = losslessCodec()
const base = '/iiif/3/squares.cleric.tif'

/** Colour of the square in that column and row. */
const colourOf = (column: number, row: number) => ({
  red: 25 * column + 10,
  green: 25 * row + 10,
  blue: (column * 67 + row * 131) % 256,
})

function squares(): Image {
  const image = fill(1000, 1000, WHITE)
  for (let row = 0; row < 10; row++) {
    for (let column = 0; column < 10; column++) {
      paste(fill(100, 100, colourOf(column, row)), image, 100 * column, 100 * row)
    }
  }
  return image
}

let server: FastifyInstance
test.before(async () => {
  mkdirSync(join(folder, 'more'))
  const slide = memorySlide([squares()])
  await compressSlide(slide, join(folder, 'squares.cleric.tif'), { codec, background: 'keep', tile: 256 })
  await compressSlide(slide, join(folder, 'more', 'a b.cleric.tif'), { codec, background: 'keep' })
  await compressSlide(
    memorySlide([fill(5000, 1200, { red: 9, green: 99, blue: 199 })]),
    join(folder, 'wide.cleric.tif'),
    {
      codec,
    },
  )
  server = await createViewerServer(folder, { codec, cors: ['*'] })
})
test.after.always(async () => {
  await server?.close()
  rmSync(folder, { recursive: true })
})

async function get(t: ExecutionContext, path: string) {
  const answer = await server.inject(`${base}/${path}`)
  t.is(answer.statusCode, 200, `${path}: ${answer.statusCode === 200 ? '' : answer.body}`)
  const { data, info } = await sharp(answer.rawPayload)
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
  const pixel = (x: number, y: number) => [
    ...data.subarray((y * info.width + x) * info.channels, (y * info.width + x) * info.channels + 3),
  ]
  return { answer, width: info.width, height: info.height, channels: info.channels, pixel }
}

/** Whether the middle of what shows a square has its colour. */
function isSquare(t: ExecutionContext, found: readonly number[], column: number, row: number, what: string) {
  const { red, green, blue } = colourOf(column, row)
  const error = Math.max(...[red, green, blue].map((value, i) => Math.abs(value - (found[i] as number))))
  t.true(error <= 8, `${what}: ${found} for ${[red, green, blue]}`)
}

const PLACES = [
  [0, 0],
  [9, 9],
  [3, 7],
  [6, 2],
  [9, 0],
] as const

test('info.json describes the image, at the address by which it was asked for', async (t) => {
  const answer = await server.inject({ url: `${base}/info.json`, headers: { host: 'localhost:8080' } })
  const info = answer.json()
  t.like(info, {
    '@context': 'http://iiif.io/api/image/3/context.json',
    id: `http://localhost:8080${base}`,
    type: 'ImageService3',
    protocol: 'http://iiif.io/api/image',
    profile: 'level2',
    width: 1000,
    height: 1000,
  })
  for (const { width, height } of info.sizes) t.true(Number.isInteger(width) && Number.isInteger(height))
  t.deepEqual(info.tiles, [{ width: 512, height: 512, scaleFactors: [1, 2] }])
  t.regex(String(answer.headers['content-type']), /^application\/json/)
  t.is(answer.headers['access-control-allow-origin'], '*')
  const linked = await server.inject({ url: `${base}/info.json`, headers: { accept: 'application/ld+json' } })
  t.regex(
    String(linked.headers['content-type']),
    /^application\/ld\+json;\s*profile="http:\/\/iiif.io\/api\/image\/3\/context.json"/,
  )
  const proxied = { host: 'slides.localhost', 'x-forwarded-proto': 'https' }
  t.is(
    (await server.inject({ url: `${base}/info.json`, headers: proxied })).json().id,
    `https://slides.localhost${base}`,
  )
})

test('what info.json lists is there, at that size', async (t) => {
  const info = (await server.inject(`${base}/info.json`)).json()
  for (const { width, height } of info.sizes)
    t.like(await get(t, `full/${width},${height}/0/default.jpg`), { width, height })
  for (const factor of info.tiles[0].scaleFactors) {
    const side = Math.min(1000, 512 * factor)
    const size = Math.ceil(side / factor)
    t.like(await get(t, `0,0,${side},${side}/${size},${size}/0/default.jpg`), { width: size, height: size })
  }
})

test('identifiers: redirect, escapes, and none for what is not there', async (t) => {
  const redirect = await server.inject({ url: base, headers: { host: 'localhost:1' } })
  t.is(redirect.statusCode, 303)
  t.is(redirect.headers.location, `http://localhost:1${base}/info.json`)
  for (const id of ['more%2Fa%20b.cleric.tif', 'squares%2Ecleric%2Etif']) {
    t.is((await server.inject(`/iiif/3/${id}/full/max/0/default.jpg`)).statusCode, 200, id)
    t.regex((await server.inject(`/iiif/3/${id}/info.json`)).json().id, new RegExp(`${id}$`))
  }
  for (const id of ['a%2Fb', '0a1b2c3d', '[frob]', 'more/a%20b.cleric.tif', '..%2Fsquares.cleric.tif']) {
    for (const rest of ['info.json', 'full/max/0/default.jpg']) {
      const answer = await server.inject(`/iiif/3/${id}/${rest}`)
      t.is(answer.statusCode, 404, `${id}/${rest}`)
      t.is(answer.json().code, 'ERR_NOT_FOUND')
    }
  }
})

test('the squares are where they should be; links tell the profile and the canonical address', async (t) => {
  const { answer, width, height, pixel } = await get(t, 'full/max/0/default.jpg')
  t.deepEqual([width, height], [1000, 1000])
  for (const [column, row] of PLACES) isSquare(t, pixel(100 * column + 50, 100 * row + 50), column, row, 'full')
  t.regex(String(answer.headers.link), /<http:\/\/iiif\.io\/api\/image\/3\/level2\.json>;rel="profile"/)
  t.regex(
    String(answer.headers.link),
    /<http:\/\/localhost(:80)?\/iiif\/3\/squares\.cleric\.tif\/full\/max\/0\/default\.jpg>;rel="canonical"/,
  )
  t.regex(String(answer.headers['content-type']), /^image\/jpeg/)
})

test('regions: in pixels, in percent, square', async (t) => {
  for (const [column, row] of PLACES) {
    const inPixels = await get(t, `${column * 100 + 13},${row * 100 + 13},74,74/max/0/default.jpg`)
    t.deepEqual([inPixels.width, inPixels.height], [74, 74])
    isSquare(t, inPixels.pixel(37, 37), column, row, 'pixels')
    const inPercent = await get(t, `pct:${column * 10 + 1},${row * 10 + 1},8,8/max/0/default.jpg`)
    t.deepEqual([inPercent.width, inPercent.height], [80, 80])
    isSquare(t, inPercent.pixel(40, 40), column, row, 'percent')
  }
  t.like(await get(t, 'square/max/0/default.jpg'), { width: 1000, height: 1000 })
  t.like(await get(t, '900,950,500,500/max/0/default.jpg'), { width: 100, height: 50 })
})

test('sizes: by width, height, both, a box, percent, and of a region', async (t) => {
  for (const [size, width, height] of [
    ['max', 1000, 1000],
    ['^max', 2896, 2896],
    ['471,', 471, 471],
    [',733', 733, 733],
    ['400,700', 400, 700],
    ['!400,700', 400, 400],
    ['!700,400', 400, 400],
    ['pct:61', 610, 610],
    ['^1300,', 1300, 1300],
    ['^,1300', 1300, 1300],
    ['^1500,1200', 1500, 1200],
    ['^pct:200', 2000, 2000],
    ['^!2000,500', 500, 500],
    ['^!2000,3000', 2000, 2000],
    ['1,1', 1, 1],
  ] as const) {
    const picture = await get(t, `full/${size}/0/default.jpg`)
    t.deepEqual([picture.width, picture.height], [width, height], size)
    if (width < 100) continue
    for (const [column, row] of PLACES) {
      const [x, y] = [Math.round(((column + 0.5) * width) / 10), Math.round(((row + 0.5) * height) / 10)]
      isSquare(t, picture.pixel(x, y), column, row, size)
    }
  }
  for (const [column, row] of PLACES) {
    const { width, height, pixel } = await get(t, `${column * 100},${row * 100},100,100/53,53/0/default.jpg`)
    t.deepEqual([width, height], [53, 53])
    isSquare(t, pixel(26, 26), column, row, 'region')
  }
})

test('rotations and mirroring', async (t) => {
  for (const [rotation, topLeft, bottomRight] of [
    ['0', [0, 0], [9, 9]],
    ['360', [0, 0], [9, 9]],
    ['90', [0, 9], [9, 0]],
    ['180', [9, 9], [0, 0]],
    ['270', [9, 0], [0, 9]],
    ['!0', [9, 0], [0, 9]],
    ['!180', [0, 9], [9, 0]],
    ['!90', [9, 9], [0, 0]],
  ] as const) {
    const { width, height, pixel } = await get(t, `full/max/${rotation}/default.jpg`)
    t.deepEqual([width, height], [1000, 1000])
    isSquare(t, pixel(50, 50), topLeft[0], topLeft[1], `${rotation} top left`)
    isSquare(t, pixel(950, 950), bottomRight[0], bottomRight[1], `${rotation} bottom right`)
  }
  const turned = await get(t, '0,0,400,200/max/90/default.jpg')
  t.deepEqual([turned.width, turned.height], [200, 400])
  const free = await get(t, 'full/500,/22.5/default.png')
  t.true(free.width > 600 && free.width < 700)
  t.deepEqual(free.pixel(0, 0), [255, 255, 255])
})

test('qualities and formats', async (t) => {
  const mean = (pixel: readonly number[]) => Math.max(...pixel) - Math.min(...pixel)
  const gray = await get(t, 'full/500,/0/gray.png')
  const bitonal = await get(t, 'full/500,/0/bitonal.png')
  for (const [column, row] of PLACES) {
    const at = [50 * column + 25, 50 * row + 25] as const
    t.is(mean(gray.pixel(...at)), 0)
    t.true([0, 255].includes(bitonal.pixel(...at)[0] as number))
  }
  isSquare(t, (await get(t, 'full/500,/0/color.jpg')).pixel(175, 375), 3, 7, 'color')
  for (const [format, type] of [
    ['jpg', 'jpeg'],
    ['png', 'png'],
    ['webp', 'webp'],
  ] as const) {
    const { answer } = await get(t, `full/300,/0/default.${format}`)
    t.is((await sharp(answer.rawPayload).metadata()).format, type)
    t.is(answer.headers['content-type'], `image/${type}`)
  }
})

test('what makes no sense is a 400 that says what would', async (t) => {
  for (const path of [
    ...[
      'random/max/0/default.jpg',
      '1,2,3/max/0/default.jpg',
      '0,0,0,10/max/0/default.jpg',
      '1000,0,10,10/max/0/default.jpg',
    ],
    ...[
      '-1,0,10,10/max/0/default.jpg',
      '1.5,0,10,10/max/0/default.jpg',
      'pct:0,0,0,0/max/0/default.jpg',
      'pct:a,0,1,1/max/0/default.jpg',
    ],
    ...['pct:100,100,10,10/max/0/default.jpg', '0,0,99999999999,1/max/0/default.jpg'],
    ...[
      'full/full/0/default.jpg',
      'full/random/0/default.jpg',
      'full/0,/0/default.jpg',
      'full/,0/0/default.jpg',
      'full/!0,5/0/default.jpg',
    ],
    ...[
      'full/,/0/default.jpg',
      'full/!5,/0/default.jpg',
      'full/-5,/0/default.jpg',
      'full/pct:0/0/default.jpg',
      'full/pct:/0/default.jpg',
    ],
    ...[
      'full/1500,1500/0/default.jpg',
      'full/,1500/0/default.jpg',
      'full/1500,/0/default.jpg',
      'full/pct:200/0/default.jpg',
    ],
    ...['full/!2000,3000/0/default.jpg', 'full/^9000,/0/default.jpg', 'full/^8000,8000/0/default.jpg'],
    ...[
      'full/max/rand/default.jpg',
      'full/max/361/default.jpg',
      'full/max/-90/default.jpg',
      'full/max/!/default.jpg',
      'full/max/1e2/default.jpg',
    ],
    ...[
      'full/max/0/random.jpg',
      'full/max/0/default.xyz',
      'full/max/0/default.gif',
      'full/max/0/default',
      'full/max/0/.jpg',
    ],
  ]) {
    const answer = await server.inject(`${base}/${path}`)
    t.is(answer.statusCode, 400, path)
    t.deepEqual(Object.keys(answer.json()), ['code', 'message'])
    t.regex(answer.json().code, /^ERR_(BAD_REQUEST|TOO_LARGE)$/)
  }
})

test('a picture of one column of a wide image', async (t) => {
  const wide = await server.inject('/iiif/3/wide.cleric.tif/full/1,1200/0/default.png')
  t.is(wide.statusCode, 200)
  t.like(await sharp(wide.rawPayload).metadata(), { width: 1, height: 1200 })
})

test('pictures are kept by version, and not sent again', async (t) => {
  const path = `${base}/full/300,/0/default.jpg`
  const { etag } = (await server.inject(path)).headers
  t.is((await server.inject({ url: path, headers: { 'if-none-match': `"x", ${etag}` } })).statusCode, 304)
})

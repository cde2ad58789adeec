/** What the server shows of slides: damaged ones, ones without levels, ones that change, and ones that are no archives. */
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import type { FastifyInstance } from 'fastify'
import sharp from 'sharp'
import { openArchive } from '../../src/archive/archive.js'
import { maxLevel } from '../../src/archive/pyramid.js'
import { compressSlide } from '../../src/compress/compress.js'
import { fill } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { TileCache } from '../../src/image/tile-cache.js'
import { SlideError } from '../../src/index.js'
import { Library } from '../../src/server/library.js'
import { createViewerServer } from '../../src/server/server.js'
import type { Region } from '../../src/slide/source.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { dataPath, testWithData } from '../data.js'
import { losslessCodec } from '../payload-codec.js'
import { memorySlide } from '../slides.js'
import { drawTiff } from '../tiff/draw-tiff.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-slides-'))
const codec = losslessCodec()
test.after.always(() => rmSync(folder, { recursive: true }))

/** Noise around a colour: nothing that is left out as blank. */
function texture(width: number, height: number, [red, green, blue]: readonly [number, number, number]): Image {
  const image = fill(width, height, { red, green, blue })
  for (let i = 0; i < image.data.length; i++) image.data[i] = (image.data[i] as number) + ((i * 2654435761) >>> 29)
  return image
}

async function pixels(t: ExecutionContext, server: FastifyInstance, url: string) {
  const answer = await server.inject(url)
  t.is(answer.statusCode, 200, `${url}: ${answer.statusCode === 200 ? '' : answer.body}`)
  const { data, info } = await sharp(answer.rawPayload).raw().toBuffer({ resolveWithObject: true })
  return { answer, data, width: info.width, height: info.height }
}

/** Share of the pixels that are of the stripes that stand for what isn't there. */
function hatched(data: Uint8Array): number {
  let count = 0
  for (let i = 0; i < data.length; i += 3) {
    const [red, green, blue] = data.subarray(i, i + 3) as unknown as [number, number, number]
    if (red > 190 && green < 40 && blue > 120 && blue < 170) count++
  }
  return (3 * count) / data.length
}

test('a damaged tile is hatched and named at every level, and costs nothing else', async (t) => {
  const inside = join(folder, 'damaged')
  mkdirSync(inside)
  const path = join(inside, 'a.cleric.tif')
  const image = texture(2048, 1024, [180, 120, 160])
  await compressSlide(memorySlide([image]), path, { codec, background: 'keep', levels: [0] })
  const bytes = readFileSync(path)
  {
    using archive = await openArchive(path, { codec })
    for (const { parts } of archive.batches(1)) {
      for (const { place, offset } of parts) {
        if (place?.column === 1 && place.row === 0) bytes[offset + 40] = (bytes[offset + 40] as number) ^ 1
      }
    }
  }
  writeFileSync(path, bytes)
  await using server = await createViewerServer(inside, { codec })
  const top = maxLevel(image)
  t.deepEqual((await server.inject('/bad-tiles/a.cleric.tif')).json(), [])
  for (const [level, place, share] of [
    [top, '1_0', 1],
    [top - 1, '0_0', 1 / 4],
    [top - 2, '0_0', 1 / 8],
  ] as const) {
    const { answer, data } = await pixels(t, server, `/deepzoom/a.cleric.tif_files/${level}/${place}.png`)
    t.is(answer.headers['cleric-bad-tiles'], '0/1/0')
    t.is(answer.headers['cache-control'], 'no-store')
    // Half of the stripes are white.
    const found = hatched(data)
    t.true(found > share * 0.3 && found < share * 0.6, `level ${level}: ${found}`)
  }
  for (let level = 0; level <= top; level++) await pixels(t, server, `/deepzoom/a.cleric.tif_files/${level}/0_0.png`)
  const beside = await pixels(t, server, `/deepzoom/a.cleric.tif_files/${top}/0_0.png`)
  t.is(beside.answer.headers['cleric-bad-tiles'], undefined)
  t.is(hatched(beside.data), 0)
  const list = (await server.inject('/bad-tiles/a.cleric.tif')).json()
  t.like(list, [{ level: 0, column: 1, row: 0, code: 'ERR_CORRUPT_TILE' }])
  t.is(list.length, 1)
  t.false(JSON.stringify(list).includes(folder))
  const iiif = await pixels(t, server, '/iiif/3/a.cleric.tif/0,0,1024,512/512,/0/default.png')
  t.is(iiif.answer.headers['cleric-bad-tiles'], '0/1/0')
  t.true(hatched(iiif.data) > 0.1)
})

test('a place that the slide could not be read at is hatched in the overview too', async (t) => {
  const inside = join(folder, 'holes')
  mkdirSync(inside)
  const whole = memorySlide([texture(4096, 2048, [180, 120, 160])])
  const failing = {
    ...whole,
    readRegion: (region: Region) =>
      region.x < 1024 && region.x + region.width > 512 && region.y < 512
        ? Promise.reject(new SlideError('ERR_OPENSLIDE_READ', 'bad'))
        : whole.readRegion(region),
  }
  await compressSlide(failing, join(inside, 'a.cleric.tif'), { codec, background: 'keep', onBadTile: 'background' })
  await using server = await createViewerServer(inside, { codec })
  // One of 8 x 4 tiles, of whose stripes half are white.
  for (const url of ['/deepzoom/a.cleric.tif_files/8/0_0.png', '/thumbnail/a.cleric.tif?size=256']) {
    const { data, answer } = await pixels(t, server, url)
    t.true(hatched(data) > 0.3 / 32, `${url}: ${hatched(data)}`)
    t.regex(String(answer.headers['cleric-bad-tiles']), /0\/1\/0/)
  }
})

test('the first picture takes no tile of the slide', async (t) => {
  const inside = join(folder, 'first')
  mkdirSync(inside)
  const counting = losslessCodec()
  const image = texture(4096, 3072, [180, 120, 160])
  await compressSlide(memorySlide([image]), join(inside, 'a.cleric.tif'), {
    codec: counting,
    levels: [0],
    background: 'keep',
  })
  await using server = await createViewerServer(inside, { codec: counting })
  const { width, height, data } = await pixels(t, server, '/thumbnail/a.cleric.tif')
  t.deepEqual([width, height], [256, 192])
  t.true(Math.abs((data[0] as number) - 183) < 12)
  for (let level = 0; level <= 8; level++) await pixels(t, server, `/deepzoom/a.cleric.tif_files/${level}/0_0.jpeg`)
  // No more than the overview has.
  t.like(await pixels(t, server, '/thumbnail/a.cleric.tif?size=1024'), { width: 256, height: 192 })
  t.is(counting.decoded, 0)
})

for (const [how, replace] of [
  [
    'replaced',
    (from: string, to: string) => {
      copyFileSync(from, `${to}.new`)
      renameSync(`${to}.new`, to)
    },
  ],
  ['rewritten in place', (from: string, to: string) => copyFileSync(from, to)],
] as const) {
  test(`a file that is ${how} while it is served: the tag of a picture is of its version`, async (t) => {
    const inside = join(folder, how)
    mkdirSync(join(inside, 'served'), { recursive: true })
    const sources = [join(inside, 'red.cleric.tif'), join(inside, 'blue.cleric.tif')] as const
    for (const [i, source] of sources.entries()) {
      const image = texture(512, 512, i === 0 ? [200, 60, 60] : [60, 60, 200])
      await compressSlide(memorySlide([image]), source, { codec, background: 'keep', levels: [0] })
    }
    const served = join(inside, 'served', 'a.cleric.tif')
    replace(sources[0], served)
    await using server = await createViewerServer(join(inside, 'served'), { codec })
    const colours = new Map<string, string>()
    const seen = new Set<string>()
    let [isOver, answers, failures] = [false, 0, 0]
    const ask = async () => {
      while (!isOver) {
        const answer = await server.inject('/deepzoom/a.cleric.tif_files/9/0_0.png')
        answers++
        if (answer.statusCode !== 200) {
          failures++
          t.regex(answer.json().code, /^ERR_(FILE_CHANGED|ARCHIVE_CORRUPT|ARCHIVE_UNSUPPORTED|NOT_FOUND)$/)
          t.is(how, 'rewritten in place', answer.body)
          continue
        }
        const { data } = await sharp(answer.rawPayload).raw().toBuffer({ resolveWithObject: true })
        const colour = (data[0] as number) > (data[2] as number) ? 'red' : 'blue'
        const tag = String(answer.headers.etag)
        t.is(colours.get(tag) ?? colour, colour, tag)
        colours.set(tag, colour)
        seen.add(colour)
      }
    }
    const asking = Array.from({ length: 8 }, ask)
    const deadline = performance.now() + 60_000
    for (let i = 1; i <= 20 || (seen.size < 2 && performance.now() < deadline); i++) {
      const before = answers
      while (answers < before + 4) await sleep(20)
      replace(sources[(i % 2) as 0 | 1], served)
    }
    isOver = true
    await Promise.all(asking)
    t.log(`${answers} answers, ${failures} of them failures, ${colours.size} versions`)
    t.is(seen.size, 2)
    t.true(answers > 20)
  })
}

test('slides that are no archives are shown, and named as the source of the archive beside them', async (t) => {
  const inside = join(folder, 'sources')
  mkdirSync(inside)
  const sample = (x: number, y: number, channel: number) => 60 + ((x * (channel + 2) + y * 5) % 120)
  const drawn = {
    width: 1200,
    height: 700,
    sample,
    samples: 3,
    photometric: 2,
    compression: 'deflate',
    tile: [240, 240],
  } as const
  writeFileSync(join(inside, 'x.tif'), await drawTiff([{ ...drawn, tile: [240, 240] }]))
  writeFileSync(join(folder, 'outside.tif'), readFileSync(join(inside, 'x.tif')))
  symlinkSync(join(folder, 'outside.tif'), join(inside, 'link.tif'))
  await compressSlide(new SyntheticSlide('synthetic:600x400:2'), join(inside, 'x.cleric.tif'), { codec })
  await using server = await createViewerServer(inside, { codec })
  t.deepEqual((await server.inject('/slides')).json(), ['x.cleric.tif', 'x.tif'])
  t.like((await server.inject('/slide?name=x.cleric.tif')).json(), {
    kind: 'archive',
    source: 'x.tif',
    modelFile: null,
  })
  t.like((await server.inject('/slide?name=x.tif')).json(), { kind: 'slide', source: null, quality: null, model: null })
  const { data, width } = await pixels(t, server, '/deepzoom/x.tif_files/11/1_0.png')
  t.is(width, 512)
  for (const [x, y] of [
    [0, 0],
    [100, 300],
    [511, 511],
  ] as const) {
    const at = (y * 512 + x) * 3
    t.deepEqual(
      [...data.subarray(at, at + 3)],
      [0, 1, 2].map((channel) => sample(512 + x, y, channel)),
    )
  }
  for (let level = 0; level <= 11; level++) await pixels(t, server, `/deepzoom/x.tif_files/${level}/0_0.jpeg`)
  t.is((await server.inject('/files/x.tif')).statusCode, 404, 'only archives are handed out')
  t.is((await server.inject('/slide?name=link.tif')).statusCode, 404)
  await using alone = await createViewerServer(join(inside, 'x.tif'), { codec })
  t.deepEqual((await alone.inject('/slides')).json(), ['x.tif'])
  await pixels(t, alone, '/thumbnail/x.tif')
  await t.throwsAsync(createViewerServer(join(inside, 'none.svs')))
  writeFileSync(join(inside, 'text.txt'), 'text')
  await t.throwsAsync(createViewerServer(join(inside, 'text.txt'), { codec }), { code: 'ERR_UNSUPPORTED_SLIDE' })
})

testWithData(['slides/CMU-1-Small-Region.svs'], 'a scanner’s slide is shown, with its associated images', async (t) => {
  await using server = await createViewerServer(dataPath('slides/CMU-1-Small-Region.svs'), { codec })
  const facts = (await server.inject('/slide?name=CMU-1-Small-Region.svs')).json()
  t.like(facts, { kind: 'slide', format: 'aperio', objectivePower: 20 })
  t.true(facts.associatedImages.length > 0)
  for (const image of facts.associatedImages) {
    await pixels(t, server, `/associated/CMU-1-Small-Region.svs?image=${encodeURIComponent(image)}`)
  }
  await pixels(t, server, '/thumbnail/CMU-1-Small-Region.svs')
  await pixels(t, server, '/deepzoom/CMU-1-Small-Region.svs_files/12/1_1.jpeg')
})

test('heads of archives and tiles share one bound of memory', async (t) => {
  const inside = join(folder, 'heads')
  mkdirSync(inside)
  const path = join(inside, '0.cleric.tif')
  await compressSlide(memorySlide([texture(1024, 1024, [180, 120, 160])]), path, {
    codec,
    background: 'keep',
    tile: 64,
  })
  for (let i = 1; i < 20; i++) copyFileSync(path, join(inside, `${i}.cleric.tif`))
  const cache = new TileCache(2 ** 20)
  const library = await Library.open(inside, { codec, cache })
  const head = await library.visit('0.cleric.tif', async ({ archive }) => archive?.headBytes ?? 0)
  t.true((head as number) > 5000)
  t.is(cache.reserved, head as number)
  for (let i = 0; i < 20; i++) await library.visit(`${i}.cleric.tif`, async () => {})
  t.is(cache.reserved, 20 * (head as number))
  library.close()
  await sleep(10)
  t.is(cache.reserved, 0)
})

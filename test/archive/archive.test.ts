/** Archives written and read back, with a lossless codec in place of the real one. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { openArchive } from '../../src/archive/archive.js'
import { validateArchive } from '../../src/archive/validate.js'
import { compressSlide } from '../../src/compress/compress.js'
import { fill } from '../../src/image/draw.js'
import { compareSlides } from '../../src/metrics/compare.js'
import { openSlide } from '../../src/slide/open.js'
import { losslessCodec } from '../payload-codec.js'
import { DrawnSlide, memorySlide } from '../slides.js'
import { firstTile, headOf } from './head.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-archive-'))
test.after.always(() => rmSync(folder, { recursive: true }))
let files = 0
const fresh = () => join(folder, `${files++}.cleric.tif`)
const slide = new DrawnSlide('synthetic:700x500:3')

test('every level comes back as it was, with what the slide says of itself', async (t) => {
  const codec = losslessCodec()
  const path = fresh()
  const result = await compressSlide(slide, path, { codec, tile: 128, background: 'keep', quality: 42.5 })
  using archive = await openArchive(path, { codec })
  t.deepEqual(
    archive.levels.map(({ width, height, downsample, columns, rows }) => ({
      width,
      height,
      downsample,
      columns,
      rows,
    })),
    [
      { width: 700, height: 500, downsample: 1, columns: 6, rows: 4 },
      { width: 175, height: 125, downsample: 4, columns: 2, rows: 1 },
    ],
  )
  for (const { maxError } of await compareSlides(slide, archive)) t.is(maxError, 0)
  t.like(archive, {
    quality: 42.5,
    tile: 128,
    mpp: { x: 0.5, y: 0.5 },
    objectivePower: 20,
    background: slide.background,
    properties: slide.properties,
    associatedImages: ['label', 'macro'],
    model: codec.model,
  })
  t.is(result.bytes, readFileSync(path).length)
  t.is(result.tiles, 26)
  t.is(result.bpp, archive.bpp)
  const macro = await archive.readAssociatedImage('macro')
  t.deepEqual([macro.width, macro.height], [175, 125])
})

test('a region may lie across tiles and reach outside the slide, which has the background colour', async (t) => {
  const codec = losslessCodec()
  const path = fresh()
  await compressSlide(slide, path, { codec, tile: 64, background: 'keep' })
  using archive = await openArchive(path, { codec })
  for (const region of [
    { x: 100, y: 90, level: 0, width: 200, height: 77 },
    { x: -30, y: -20, level: 0, width: 100, height: 100 },
    { x: 650, y: 450, level: 0, width: 300, height: 200 },
    { x: 5000, y: 5000, level: 0, width: 10, height: 10 },
    { x: 200, y: 100, level: 1, width: 90, height: 80 },
  ]) {
    const [expected, got] = await Promise.all([slide.readRegion(region), archive.readRegion(region)])
    t.true(Buffer.from(expected.data).equals(Buffer.from(got.data)), JSON.stringify(region))
  }
})

test('the same slide and options give the same bytes, however long tiles take', async (t) => {
  const [a, b] = [fresh(), fresh()]
  await compressSlide(slide, a, { codec: losslessCodec(), tile: 128 })
  await compressSlide(slide, b, { codec: losslessCodec(3), tile: 128 })
  t.true(readFileSync(a).equals(readFileSync(b)))
})

test('glass is left out: auto gives its mean colour back, white gives white, keep only what is uniform', async (t) => {
  const image = fill(256, 128, { red: 240, green: 241, blue: 239 })
  for (let i = 0; i < 128; i++) image.data.fill(236 + (i % 9), (i * 256 + 128) * 3, (i + 1) * 256 * 3)
  const glass = memorySlide([image])
  for (const [background, blank, colour] of [
    ['auto', 2, 240],
    ['white', 2, 255],
    ['keep', 1, 236],
  ] as const) {
    const codec = losslessCodec()
    const path = fresh()
    const result = await compressSlide(glass, path, { codec, tile: 128, background })
    t.is(result.blankTiles, blank)
    t.is(codec.encoded, 2 - blank)
    using archive = await openArchive(path, { codec })
    const { data } = await archive.readRegion({ x: 128, y: 0, level: 0, width: 1, height: 1 })
    t.is(data[0], colour)
    t.is(archive.levels[0]?.blankTiles, blank)
  }
})

test('--levels keeps the levels asked for', async (t) => {
  const codec = losslessCodec()
  const path = fresh()
  await compressSlide(slide, path, { codec, levels: [0] })
  using archive = await openArchive(path, { codec })
  t.is(archive.levels.length, 1)
  await t.throwsAsync(compressSlide(slide, fresh(), { codec, levels: [1] }), { instanceOf: RangeError })
  await t.throwsAsync(compressSlide(slide, fresh(), { codec, levels: [0, 7] }), { instanceOf: RangeError })
})

test('without label: neither image nor identifying properties are in the file', async (t) => {
  const codec = losslessCodec()
  const path = fresh()
  const named = memorySlide([fill(64, 64, { red: 9, green: 9, blue: 9 })], {
    associatedImages: ['label', 'macro'],
    properties: { 'aperio.Filename': 'Jane Doe 1970', 'openslide.vendor': 'aperio', 'aperio.MPP': '0.5' },
    readAssociatedImage: async () => fill(10, 10, { red: 1, green: 2, blue: 3 }),
  })
  await compressSlide(named, path, { codec, label: false })
  using archive = await openArchive(path, { codec })
  t.deepEqual(archive.associatedImages, ['macro'])
  t.deepEqual({ ...archive.properties }, { 'openslide.vendor': 'aperio', 'aperio.MPP': '0.5' })
  t.false(readFileSync(path).includes('Jane'))
})

test('wrong arguments are refused in the house sentence, before anything is written', async (t) => {
  const codec = losslessCodec()
  const path = fresh()
  // biome-ignore lint/suspicious/noExplicitAny: what callers without types may pass
  const wrong = (value: unknown): any => value
  using archive = await compressSlide(slide, fresh(), { codec, levels: [0] }).then(({ output }) => openArchive(output))
  for (const call of [
    () => compressSlide(wrong(42), path),
    () => compressSlide(slide, path, wrong(null)),
    () => compressSlide(slide, path, { codec, label: wrong('no') }),
    () => compressSlide(slide, path, { codec, overwrite: wrong(1) }),
    () => compressSlide(slide, path, { codec, onProgress: wrong(1) }),
    () => openArchive('x', wrong(null)),
    () => validateArchive(wrong({})),
    () => validateArchive(archive, { signal: wrong(1) }),
    () => compareSlides(slide, wrong({})),
    () => compareSlides(slide, slide, { signal: wrong(1) }),
    () => openSlide('x', { signal: wrong(1) }),
  ]) {
    await t.throwsAsync(call(), { instanceOf: TypeError, message: /^Expected .* for .* but received / }, String(call))
  }
  t.false(existsSync(path))
  t.false(existsSync(`${path}.partial`))
})

test('an associated image is a JPEG or damaged; a closed archive is not damaged', async (t) => {
  const codec = losslessCodec()
  const path = fresh()
  await compressSlide(slide, path, { codec, levels: [0], background: 'keep' })
  const bytes = readFileSync(path)
  const [label] = (await headOf(path)).images
  const at = label?.offset as number
  Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg><!--').copy(bytes, at)
  const archive = await openArchive(new Blob([bytes]), { codec })
  const { badImages } = await validateArchive(archive)
  t.like(badImages, [{ name: 'label', code: 'ERR_ARCHIVE_CORRUPT' }])
  archive.close()
  t.like(await t.throwsAsync(archive.readAssociatedImage('macro')), { code: 'ERR_CLOSED' })
})

test('an existing file is refused unless it may be overwritten', async (t) => {
  const path = fresh()
  writeFileSync(path, 'mine')
  const error = await t.throwsAsync(compressSlide(slide, path, { codec: losslessCodec() }))
  t.like(error, { code: 'ERR_FILE_EXISTS' })
  t.is(readFileSync(path, 'utf8'), 'mine')
  await compressSlide(slide, path, { codec: losslessCodec(), overwrite: true })
  t.true(readFileSync(path).length > 1000)
})

test('two runs that write the same file leave one whole archive; the other run fails', async (t) => {
  const path = fresh()
  const seeds = [3, 4]
  const runs = seeds.map((seed) =>
    compressSlide(`synthetic:700x500:${seed}`, path, { codec: losslessCodec(2), tile: 64, overwrite: true }),
  )
  const results = await Promise.allSettled(runs)
  const lost = results.find((result) => result.status === 'rejected')
  t.like(lost?.reason, { code: 'ERR_FILE_EXISTS' })
  const winner = results.findIndex(({ status }) => status === 'fulfilled')
  using archive = await openArchive(path, { codec: losslessCodec() })
  t.true((await validateArchive(archive)).ok)
  t.is(archive.properties['cleric.synthetic.seed'], String(seeds[winner]))
  t.false(existsSync(`${path}.partial`))
})

test('several tiles are in flight, but few, and the time of the codec is counted once', async (t) => {
  const codec = losslessCodec(15)
  const image = await slide.readRegion({ x: 0, y: 0, level: 0, width: 700, height: 500 })
  const options = { codec, tile: 64, background: 'keep' } as const
  const { deviceBusy, seconds, readSeconds, writeSeconds } = await compressSlide(memorySlide([image]), fresh(), options)
  t.true(codec.overlapping >= 2 && codec.overlapping <= 6, `${codec.overlapping}`)
  // 15 ms a tile, of up to six at a time.
  t.true(deviceBusy * seconds > 0.014 * (codec.encoded / 6), `${deviceBusy} of ${seconds} s`)
  t.true(deviceBusy <= 1)
  for (const part of [readSeconds, writeSeconds]) t.true(part > 0 && part < seconds, `${part} of ${seconds} s`)
})

test('decoded tiles are kept up to the limit, and decoded once for callers at the same time', async (t) => {
  const codec = losslessCodec(2)
  const path = fresh()
  await compressSlide(slide, path, { codec, tile: 128, background: 'keep' })
  const region = { x: 0, y: 0, level: 0, width: 256, height: 256 }
  {
    using archive = await openArchive(path, { codec })
    await Promise.all([archive.readRegion(region), archive.readRegion(region)])
    await archive.readRegion(region)
    t.is(codec.decoded, 4)
  }
  using archive = await openArchive(path, { codec, cacheBytes: 0 })
  await archive.readRegion(region)
  await archive.readRegion(region)
  t.is(codec.decoded, 12)
})

test('a read can be aborted without harm to another', async (t) => {
  const codec = losslessCodec(20)
  const path = fresh()
  await compressSlide(slide, path, { codec, tile: 128, background: 'keep', levels: [0] })
  using archive = await openArchive(path, { codec })
  const stop = new AbortController()
  const region = { x: 0, y: 0, level: 0, width: 128, height: 128 }
  const aborted = archive.readRegion(region, stop.signal)
  const other = archive.readRegion(region)
  setTimeout(() => stop.abort(), 5)
  t.like(await t.throwsAsync(aborted), { code: 'ERR_ABORTED' })
  t.is((await other).width, 128)
})

test('another model is refused by name', async (t) => {
  const path = fresh()
  await compressSlide(slide, path, { codec: losslessCodec(), levels: [0] })
  using archive = await openArchive(path, { codec: losslessCodec(0, 'other') })
  const error = await t.throwsAsync(archive.readRegion({ x: 300, y: 200, level: 0, width: 8, height: 8 }))
  t.like(error, { code: 'ERR_MODEL_MISMATCH' })
  const id = '[0-9a-f]{16}'
  t.regex(error.message, new RegExp(`made with model lossless \\(${id}\\), but open is other \\(${id}\\)\\. `))
  t.regex(error.message, /that model's file; models\/README\.md of cleric lists/)
})

test('after close() reads fail with ERR_CLOSED', async (t) => {
  const path = fresh()
  await compressSlide(slide, path, { codec: losslessCodec() })
  const archive = await openArchive(path, { codec: losslessCodec() })
  archive.close()
  archive.close()
  const error = await t.throwsAsync(archive.readRegion({ x: 0, y: 0, level: 0, width: 8, height: 8 }))
  t.like(error, { code: 'ERR_CLOSED' })
})

test('a damaged tile fails alone, by name; validate lists it', async (t) => {
  const codec = losslessCodec()
  const path = fresh()
  await compressSlide(slide, path, { codec, tile: 128, background: 'keep' })
  const bytes = readFileSync(path)
  const { offset, column } = await firstTile(path)
  t.is(column, 0)
  bytes[offset + 20] = (bytes[offset + 20] as number) ^ 255
  writeFileSync(path, bytes)
  using archive = await openArchive(path, { codec })
  const error = await t.throwsAsync(archive.readRegion({ x: 0, y: 0, level: 0, width: 8, height: 8 }))
  t.like(error, { code: 'ERR_CORRUPT_TILE' })
  t.regex(error.message, /tile at level 0, column 0, row 0/)
  t.is((await archive.readRegion({ x: 128, y: 0, level: 0, width: 8, height: 8 })).width, 8)
  const validation = await validateArchive(archive)
  t.false(validation.ok)
  t.is(validation.tiles, 26)
  t.is(validation.bad.length, 1)
  t.like(validation.bad[0], { level: 0, column: 0, row: 0, code: 'ERR_CORRUPT_TILE' })
})

test('servers that break off, send without end, or are not there fail with a code', async (t) => {
  const codec = losslessCodec()
  const path = fresh()
  await compressSlide(slide, path, { codec, levels: [0] })
  const bytes = readFileSync(path)
  let answer: 'short' | 'endless' | 'never' = 'short'
  const server = createServer((request, response) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const range = { 'content-range': `bytes ${from}-${to}/${bytes.length}` }
    if (answer === 'short') response.writeHead(206, { ...range, 'content-length': 64 }).end(bytes.subarray(0, 9))
    else if (answer === 'endless') {
      response.writeHead(206, range)
      const more = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65536)));
      }
      response.on('drain', more)
      more()
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const close = () => {
    server.closeAllConnections()
    return new Promise((resolve) => server.close(resolve))
  }
  t.teardown(close)
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.cleric.tif`
  t.like(await t.throwsAsync(openArchive(address, { codec })), { code: 'ERR_NETWORK' })
  answer = 'endless'
  const endless = await t.throwsAsync(openArchive(address, { codec }), { message: /more than bytes 0 to 65536/ })
  t.like(endless, { code: 'ERR_ARCHIVE_UNSUPPORTED' })
  answer = 'never'
  const opening = openArchive(address, { codec, signal: AbortSignal.timeout(50) })
  t.like(await t.throwsAsync(opening), { code: 'ERR_ABORTED' })
  await close()
  const error = await t.throwsAsync(openArchive(address, { codec }), { message: /^http:/ })
  t.like(error, { code: 'ERR_NETWORK' })
})

test('an archive is read from a Blob and over HTTP ranges', async (t) => {
  const codec = losslessCodec()
  const path = fresh()
  await compressSlide(slide, path, { codec, tile: 128, background: 'keep' })
  const bytes = readFileSync(path)
  const region = { x: 90, y: 70, level: 0, width: 140, height: 90 }
  const expected = Buffer.from((await slide.readRegion(region)).data)
  let sent = 0
  const server = createServer((request, response) => {
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? []
    const part = bytes.subarray(Number(from), Number(to) + 1)
    sent += part.length
    response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${bytes.length}` }).end(part)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a.cleric.tif`
  for (const source of [new Blob([bytes]), address, new URL(address)]) {
    using archive = await openArchive(source, { codec })
    t.true(expected.equals(Buffer.from((await archive.readRegion(region)).data)))
  }
  t.true(sent < bytes.length, 'only ranges are fetched')
})

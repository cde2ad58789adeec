/** `cleric pipe`: what is answered, what is refused, and how it stops. */
import { closeSync, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { openArchive } from '../../src/archive/archive.js'
import { toldError } from '../../src/pipe/answers.js'
import { encodeFrame, headersOf, MAX_HEADER_BYTES } from '../../src/pipe/frames.js'
import { PixelMemory } from '../../src/pipe/pixel-memory.js'
import { MAX_REGIONS } from '../../src/pipe/requests.js'
import { Room } from '../../src/pipe/room.js'
import { makeArchive } from '../cli/run.js'
import { losslessCodec } from '../payload-codec.js'
import { PipeClient } from './pipe-client.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-pipe-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'a.cleric.tif')
test.before(() => makeArchive(path))

/** [x, y, level, width, height], as requests have it. */
const REGIONS = [
  [0, 0, 0, 64, 48],
  [90, 100, 0, 64, 48],
  [-20, 250, 0, 64, 48],
]

async function pixelsOf(regions: readonly (readonly number[])[]): Promise<Buffer> {
  using archive = await openArchive(path, { codec: losslessCodec() })
  const images = regions.map(([x, y, level, width, height]) =>
    archive.readRegion({ x, y, level, width, height } as Parameters<typeof archive.readRegion>[0]),
  )
  return Buffer.concat((await Promise.all(images)).map(({ data }) => data))
}

function memoryOf(t: ExecutionContext, name: string, size: number) {
  const file = join(folder, name)
  const descriptor = openSync(file, 'w+')
  ftruncateSync(descriptor, size)
  t.teardown(() => closeSync(descriptor))
  return { memory: new PixelMemory(descriptor), content: () => readFileSync(file) }
}

test('greets, opens, tells the facts, reads regions, closes', async (t) => {
  const client = new PipeClient()
  t.like((await client.answer(null)) as object, { protocol: 1, version: '1.2.3', memory: 0 })
  const { result: facts } = await client.ask({ op: 'open', path })
  t.like(facts, { slide: 0, format: 'archive', hasProfile: false, associatedImages: ['label', 'macro'] })
  t.like((facts as { levels: object[] }).levels[0], { width: 400, height: 300, downsample: 1, tileWidth: 128 })
  const { body, result } = await client.ask({ op: 'regions', slide: 0, regions: REGIONS })
  t.deepEqual(result, { width: 64, height: 48 })
  t.true(body.equals(await pixelsOf(REGIONS)))
  t.is((await client.ask({ op: 'profile', slide: 0 })).body.length, 0)
  t.deepEqual((await client.ask({ op: 'close', slide: 0 })).result, {})
  t.is((await client.ask({ op: 'regions', slide: 0, regions: REGIONS })).error?.code, 'ERR_CLOSED')
  t.is(await client.end(), null)
})

test('pixels go to their place in the shared memory, and nowhere else', async (t) => {
  const expected = await pixelsOf(REGIONS)
  const { memory, content } = memoryOf(t, 'memory', expected.length + 200)
  const client = new PipeClient({ memory })
  const slide = await client.open(path)
  const { body, result } = await client.ask({ op: 'regions', slide, regions: REGIONS, at: 100 })
  t.is(body.length, 0)
  t.deepEqual(result, { width: 64, height: 48, at: 100 })
  t.true(content().equals(Buffer.concat([Buffer.alloc(100), expected, Buffer.alloc(100)])))
  const { error } = await client.ask({ op: 'regions', slide, regions: REGIONS, at: 201 })
  t.like(error, { class: 'ArgumentError', code: 'ERR_INVALID_ARGUMENT' })
  t.is(await client.end(), null)
})

test('a copy that is too long for one turn arrives whole', async (t) => {
  const { memory, content } = memoryOf(t, 'long', 2 ** 21 + 10)
  const bytes = Buffer.alloc(2 ** 21, 7)
  await memory.write(bytes, 10)
  t.true(content().subarray(10).equals(bytes))
})

test('a batch has its tiles decoded side by side, each once', async (t) => {
  const codec = losslessCodec(5)
  const client = new PipeClient({ codec })
  const slide = await client.open(path)
  const regions = [0, 1, 2].flatMap((column) => [0, 1].map((row) => [128 * column, 128 * row, 0, 128, 128]))
  await client.ask({ op: 'regions', slide, regions: [...regions, ...regions] })
  t.is(codec.decoded, regions.length)
  t.true(codec.overlapping >= 4, `${codec.overlapping} at a time`)
  await client.end()
})

test('what is asked wrongly is refused by name, and the next request is answered', async (t) => {
  const client = new PipeClient()
  const slide = await client.open(path)
  const region = [0, 0, 0, 1, 1]
  for (const [header, said] of [
    [{ op: 'none' }, /one of open, .* for op/],
    [{ op: 'toString' }, /for op/],
    [{ op: 'open' }, /non-empty string for path/],
    [{ op: 'open', path, options: { codec: {} } }, /an option/],
    [{ op: 'open', path, options: { device: 'abacus' } }, /device/],
    [{ op: 'open', path, options: { icc: 'maybe' } }, /icc/],
    [{ op: 'open', path, options: [] }, /options/],
    [{ op: 'regions', slide: '0', regions: [region] }, /slide/],
    [{ op: 'regions', slide, regions: [] }, /1 to 4096 regions/],
    [{ op: 'regions', slide, regions: Array(MAX_REGIONS + 1).fill(region) }, /1 to 4096 regions/],
    [{ op: 'regions', slide, regions: [[0, 0, 0, 1]] }, /a region/],
    [{ op: 'regions', slide, regions: [region, [0, 0, 9, 1, 1]] }, /level/],
    [{ op: 'regions', slide, regions: [[0, 0, 0, 0, 1]] }, /width/],
    [{ op: 'regions', slide, regions: [[0.5, 0, 0, 1, 1]] }, / x /],
    [{ op: 'regions', slide, regions: [[0, 0, 0, 2 ** 20, 2 ** 20]] }, /at most 805306368 bytes/],
    [{ op: 'regions', slide, regions: [region], at: 0 }, / at /],
    [{ op: 'latents', slide, region }, /an open codec that gives latents/],
    [{ op: 'latents', slide, region: [0, 0, 0, 1] }, /a region/],
    [{ op: 'latents', slide, region, missing: 'zero' }, /missing/],
    [{ op: 'associated', slide, name: '' }, /name/],
    [{ op: 'cancel', request: -1 }, /request/],
    [{ id: -1, op: 'close', slide }, / id /],
  ] as const) {
    const id = client.send(header)
    const { error } = await client.answer('id' in header ? null : id).then(async (answer) => {
      // The greeting comes first where nothing was asked.
      return answer.error || !('id' in header) ? answer : client.answer(null)
    })
    t.like(error, { class: 'ArgumentError', code: 'ERR_INVALID_ARGUMENT' }, JSON.stringify(header).slice(0, 80))
    t.regex(error?.message ?? '', said)
  }
  t.is((await client.ask({ op: 'regions', slide, regions: [region] })).body.length, 3)
  t.is(await client.end(), null)
})

test('errors keep their class and code', async (t) => {
  const client = new PipeClient()
  const missing = await client.ask({ op: 'open', path: join(folder, 'none.tif') })
  t.like(missing.error, { class: 'SlideError', code: 'ERR_UNSUPPORTED_SLIDE' })
  const below = await client.ask({ op: 'open', path: `${path}/below` })
  t.is(below.error?.code, 'ERR_UNSUPPORTED_SLIDE')
  const slide = await client.open(path)
  const named = await client.ask({ op: 'associated', slide, name: 'none' })
  t.like(named.error, { class: 'UnsupportedError', code: 'ERR_ARCHIVE_UNSUPPORTED' })
  t.deepEqual((await client.ask({ op: 'detect', path })).result, { format: 'cleric' })
  t.deepEqual((await client.ask({ op: 'detect', path: folder })).result, { format: null })
  t.deepEqual((await client.ask({ op: 'detect', path: join(folder, 'none.tif') })).result, { format: null })
  await client.end()
})

const lengths = (header: number, body: number) => {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32LE(header, 0)
  bytes.writeUInt32LE(body, 4)
  return bytes
}
for (const [what, bytes, said] of [
  ['a header longer than any', lengths(MAX_HEADER_BYTES + 1, 0), /a header of 1048577 bytes/],
  ['a request with a body', lengths(2, 1), /a request with a body/],
  ['a header that is no JSON', Buffer.concat([lengths(2, 0), Buffer.from('{a')]), /no JSON/],
  ['a header that is no UTF-8', Buffer.concat([lengths(3, 0), Buffer.from([0x22, 0xff, 0x22])]), /no JSON/],
  ['a list for a header', Buffer.concat([lengths(2, 0), Buffer.from('[]')]), /no JSON object/],
  ['an end within a frame', lengths(10, 0), /ended within a frame/],
] as const) {
  test(`no stream of requests: ${what}`, async (t) => {
    const client = new PipeClient()
    await client.answer(null)
    client.input.write(bytes)
    const error = (await client.end()) as Error
    t.like(error, { code: 'ERR_PIPE_PROTOCOL' })
    t.regex(error.message, said)
    t.is((await client.answer(null)).error?.message, error.message)
  })
}

test('errors that are none of cleric are told apart', (t) => {
  const refused = Object.assign(new Error('EACCES: permission denied'), { code: 'EACCES' })
  t.deepEqual(toldError(refused), { class: 'SystemError', code: 'EACCES', message: refused.message })
  t.like(toldError(new TypeError('a fault')), { class: 'InternalError', code: 'ERR_INTERNAL' })
  t.deepEqual(toldError('text'), { class: 'InternalError', code: 'ERR_INTERNAL', message: 'text' })
})

test('frames are the same however the stream is cut', async (t) => {
  const headers = [{ a: 1 }, { text: 'ä'.repeat(300) }, {}, { list: [1, 2, 3] }]
  const stream = Buffer.concat(headers.flatMap((header) => encodeFrame(header)))
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), async (sizes) => {
      async function* pieces() {
        for (let at = 0, i = 0; at < stream.length; i++) {
          const size = sizes[i % sizes.length] as number
          yield stream.subarray(at, at + size)
          at += size
        }
      }
      const seen: object[] = []
      for await (const header of headersOf(pieces())) seen.push(header)
      t.deepEqual(seen, headers)
    }),
    { numRuns: 50 },
  )
})

test('a request that is cancelled is answered, and its work stops', async (t) => {
  const codec = losslessCodec(60_000)
  const client = new PipeClient({ codec })
  const slide = await client.open(path)
  // Whoever waits for a codec that never ends can only be stopped.
  codec.decodePayload = (_payload, _tile, signal) =>
    new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
  const id = client.send({ op: 'regions', slide, regions: REGIONS })
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.deepEqual((await client.ask({ op: 'cancel', request: id })).result, {})
  t.like((await client.answer(id)).error, { class: 'AbortedError', code: 'ERR_ABORTED' })
  // One that has had no turn yet is stopped like one that has begun.
  const first = client.send({ op: 'regions', slide, regions: new Array(256).fill([0, 0, 0, 1, 1]) })
  const waiting = client.send({ op: 'regions', slide, regions: REGIONS })
  for (const request of [waiting, first]) await client.ask({ op: 'cancel', request })
  for (const request of [first, waiting]) {
    t.like((await client.answer(request)).error, { class: 'AbortedError', code: 'ERR_ABORTED' })
  }
  const read = client.send({ op: 'regions', slide, regions: REGIONS })
  await new Promise((resolve) => setTimeout(resolve, 20))
  await client.ask({ op: 'close', slide })
  t.like((await client.answer(read)).error, { class: 'ClericError', code: 'ERR_CLOSED' })
  const last = await client.open(path)
  client.send({ op: 'regions', slide: last, regions: REGIONS })
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.is(await client.end(), null, 'the end of the input ends it, whatever is under way')
})

test('a signal ends it, whatever is under way', async (t) => {
  const client = new PipeClient()
  await client.open(path)
  t.is(await client.stop(), null)
})

test('room is given in turn, and never more than there is', async (t) => {
  const room = new Room(10)
  let [taken, most] = [0, 0]
  const order: number[] = []
  const enter = (bytes: number, number: number) =>
    room.with(bytes, async () => {
      order.push(number)
      taken += bytes
      most = Math.max(most, taken)
      await new Promise((resolve) => setTimeout(resolve, 1))
      taken -= bytes
    })
  await Promise.all([enter(6, 0), enter(6, 1), enter(1, 2), enter(10, 3), enter(2, 4)])
  t.deepEqual(order, [0, 1, 2, 3, 4])
  t.true(most <= 10)
  await t.throwsAsync(
    room.with(50, () => Promise.reject(new Error('failed'))),
    { message: 'failed' },
  )
  await enter(10, 5)
  t.is(order.at(-1), 5)
})

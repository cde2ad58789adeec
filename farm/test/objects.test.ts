/** Slides and archives in a store of objects. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { type CompressOptions, compressSlide, type SlideError } from 'cleric'
import { compressOne, rowOf } from 'cleric/internal'
import { fromImage } from '../../src/image/sharp.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { losslessCodec, type TestCodec } from '../../test/payload-codec.js'
import { TYPESCRIPT } from '../../test/typescript.js'
import { objectAt } from '../src/objects/client.js'
import { Scratch } from '../src/objects/local-copy.js'
import { ObjectBytes } from '../src/objects/object-bytes.js'
import { decodeObjectJournal, encodeObjectJournal } from '../src/objects/object-journal.js'
import { Places } from '../src/places.js'
import { FarmQueues } from '../src/queue.js'
import { statusOf } from '../src/status.js'
import { submit } from '../src/submit.js'
import { type WorkerEvent, work } from '../src/worker.js'
import { hasRedis, TestRedis } from './redis.js'
import { S3Server } from './s3-server.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-objects-'))
const at = (...names: string[]) => join(folder, ...names)
const SCRATCH = { folder: at('scratch'), bytes: 2 ** 30 }
/** Small, so that a small archive has many. */
const PART_BYTES = 2 ** 16
const STORE = { partBytes: PART_BYTES, journalMs: 20 }
const OPTIONS = { tile: 64, quality: 50, keepSourceTiles: 'never' } as const satisfies CompressOptions

let store: S3Server
let redis: TestRedis
test.before(async () => {
  store = await S3Server.start({ leastPart: PART_BYTES, page: 7 })
  Object.assign(process.env, store.environment)
  if (hasRedis) redis = await TestRedis.start(folder)
  writeFileSync(at('a.tif'), await slideBytes())
})
test.after.always(async () => {
  await store?.[Symbol.asyncDispose]()
  await redis?.kill()
  rmSync(folder, { recursive: true, force: true })
})
const testWithRedis = hasRedis ? test.serial : test.serial.skip

/** A tiled TIFF of 800 x 600. */
async function slideBytes(): Promise<Buffer> {
  const slide = new SyntheticSlide('synthetic:800x600:5')
  const image = await slide.readRegion({ x: 0, y: 0, level: 0, width: 800, height: 600 })
  return fromImage(image).tiff({ tile: true, tileWidth: 128, tileHeight: 128, compression: 'deflate' }).toBuffer()
}

/** What of the store's objects begins so. */
const keys = (prefix: string) => [...store.objects.keys()].filter((key) => key.startsWith(prefix)).sort()
const bytesOf = (key: string) => store.objects.get(key)?.bytes

/** The archive of the same slide as a file. */
async function asFile(): Promise<Buffer> {
  await compressSlide(at('a.tif'), at('a.cleric.tif'), { ...OPTIONS, codec: losslessCodec(), overwrite: true })
  return readFileSync(at('a.cleric.tif'))
}

async function compressObject(name: string, codec: TestCodec, options: CompressOptions = {}) {
  const [source, archive] = [`s3://slides/${name}.tif`, `s3://slides/${name}.cleric.tif`]
  const places = new Places(new Scratch(SCRATCH.folder, SCRATCH.bytes), STORE)
  const signal = options.signal ?? new AbortController().signal
  try {
    const row = rowOf({ path: source, archive }, await places.sourceVersion(source, 'test'))
    await using opened = await places.openSource(source, { codec, signal })
    const all = { ...OPTIONS, codec, ...options }
    return await compressOne(row, opened.slide, places.archive(archive), all, null, async () => {})
  } finally {
    places.close()
  }
}

test.serial('an archive in a store is the file that it would be, and so is one that was interrupted', async (t) => {
  const expected = await asFile()
  store.put('one/a.tif', readFileSync(at('a.tif')))
  const whole = losslessCodec()
  const row = await compressObject('one/a', whole)
  t.deepEqual(bytesOf('one/a.cleric.tif'), expected)
  t.is(row.result?.bytes, expected.length)
  t.regex(store.objects.get('one/a.cleric.tif')?.tag as string, /-\d{1,2}"$/, 'it came in parts')
  t.true(expected.length > 6 * PART_BYTES)
  await t.throwsAsync(compressObject('one/a', losslessCodec()), { code: 'ERR_FILE_EXISTS' })

  store.put('two/a.tif', readFileSync(at('a.tif')))
  for (const tiles of [1, 9, 40, 70]) {
    const codec = losslessCodec()
    const stop = new AbortController()
    const onProgress = ({ tiles: done }: { tiles: number }) => {
      if (done >= tiles) stop.abort()
    }
    const run = compressObject('two/a', codec, { resume: true, signal: stop.signal, onProgress })
    await t.throwsAsync(run, { code: 'ERR_ABORTED' })
    t.is(store.uploads.size, 1, 'it goes on with the same upload')
    t.deepEqual(keys('two/a.cleric.tif').at(0), 'two/a.cleric.tif.journal')
  }
  const last = losslessCodec()
  const reports: number[] = []
  await compressObject('two/a', last, { resume: true, onProgress: ({ tiles }) => reports.push(tiles) })
  t.true((reports[0] as number) >= 70 && last.encoded < whole.encoded / 2, `${reports[0]}, ${last.encoded} tiles`)
  t.deepEqual(bytesOf('two/a.cleric.tif'), expected)
  t.deepEqual(keys('two/'), ['two/a.cleric.tif', 'two/a.tif'])
  t.is(store.uploads.size, 0)
  t.deepEqual(readdirSync(folder).includes('scratch'), false, 'nothing was copied')
})

test.serial('what another run began is told, and begun anew', async (t) => {
  store.put('three/a.tif', readFileSync(at('a.tif')))
  const stop = new AbortController()
  const onProgress = ({ tiles }: { tiles: number }) => tiles > 20 && stop.abort()
  const options = { resume: true, signal: stop.signal, onProgress }
  await t.throwsAsync(compressObject('three/a', losslessCodec(), options), { code: 'ERR_ABORTED' })
  const other = { resume: true, quality: 40 }
  await t.throwsAsync(compressObject('three/a', losslessCodec(), other), { code: 'ERR_RESUME_MISMATCH' })
  // A journal that is damaged, and an upload that the store has given up meanwhile, are of no use.
  const journal = bytesOf('three/a.cleric.tif.journal') as Buffer
  store.put('three/a.cleric.tif.journal', journal.with(20, (journal[20] as number) ^ 1))
  await compressObject('three/a', losslessCodec(), { resume: true })
  t.deepEqual(bytesOf('three/a.cleric.tif'), await asFile())
  t.is(store.uploads.size, 0, 'what was begun is no longer there')
})

test.serial('requests that fail for a while are made again; an object that changes is no longer read', async (t) => {
  store.put('four/a.tif', readFileSync(at('a.tif')))
  let requests = 0
  store.fault = () => (++requests % 5 === 0 ? 503 : undefined)
  await compressObject('four/a', losslessCodec())
  store.fault = () => undefined
  t.deepEqual(bytesOf('four/a.cleric.tif'), await asFile())

  const places = new Places(new Scratch(SCRATCH.folder, 0))
  const bytes = await ObjectBytes.open(places.client, objectAt('s3://slides/four/a.tif'))
  t.deepEqual(Buffer.from(await bytes.read(100, 300)), readFileSync(at('a.tif')).subarray(100, 400))
  await t.throwsAsync(bytes.read(bytes.size, 1), { code: 'ERR_ARCHIVE_CORRUPT' })
  store.put('four/a.tif', readFileSync(at('a.tif')).subarray(0, -1))
  bytes.close()
  await t.throwsAsync(bytes.read(100, 300), { code: 'ERR_FILE_CHANGED' })
  await t.throwsAsync(ObjectBytes.open(places.client, objectAt('s3://slides/none.tif')), { code: 'ERR_NETWORK' })
  await t.throwsAsync(ObjectBytes.open(places.client, objectAt('s3://other-bucket/a.tif')), { code: 'ERR_NETWORK' })
  places.close()
  const secret = process.env.AWS_SECRET_ACCESS_KEY
  process.env.AWS_SECRET_ACCESS_KEY = 'wrong'
  const wrong = new Places(new Scratch(SCRATCH.folder, 0))
  await t.throwsAsync(ObjectBytes.open(wrong.client, objectAt('s3://slides/four/a.tif')), { code: 'ERR_NETWORK' })
  process.env.AWS_SECRET_ACCESS_KEY = secret
  wrong.close()
  for (const address of ['s3://', 's3://A', 's3://x/y']) t.throws(() => objectAt(address), { instanceOf: RangeError })
})

test.serial('a slide whose reader needs a file is copied for the time that it is read, if there is room', async (t) => {
  const slide = new SyntheticSlide('synthetic:300x200:1')
  const image = await slide.readRegion({ x: 0, y: 0, level: 0, width: 300, height: 200 })
  store.put('five/a.png', await fromImage(image).png().toBuffer())
  const places = new Places(new Scratch(SCRATCH.folder, SCRATCH.bytes))
  const opening = { codec: losslessCodec(), signal: new AbortController().signal }
  {
    await using opened = await places.openSource('s3://slides/five/a.png', opening)
    t.deepEqual(readFileSync(opened.slide as string), bytesOf('five/a.png'))
  }
  t.deepEqual(readdirSync(SCRATCH.folder), [])
  places.close()
  const none = new Places(new Scratch(SCRATCH.folder, 10))
  const error = await t.throwsAsync<SlideError>(none.openSource('s3://slides/five/a.png', opening))
  t.is(error?.code, 'ERR_UNSUPPORTED_SLIDE')
  none.close()

  // A second copy waits until there is room for it.
  const bytes = await ObjectBytes.open(places.client, objectAt('s3://slides/five/a.png'))
  const scratch = new Scratch(SCRATCH.folder, bytes.size)
  const first = await scratch.copy(bytes, 0, opening.signal)
  let isThere = false
  const second = scratch.copy(bytes, 0, opening.signal).then((copy) => {
    isThere = true
    return copy
  })
  await sleep(50)
  t.false(isThere)
  await first[Symbol.asyncDispose]()
  await (await second)[Symbol.asyncDispose]()
})

test('a journal in a store is read as it was written, or not at all', (t) => {
  const journal = {
    uploadId: 'u',
    partBytes: 8,
    parts: [{ number: 2, size: 8, tag: '"t"' }],
    front: { length: 3, checksum: 4 },
    journal: Uint8Array.of(1, 2, 3),
    tail: Uint8Array.of(4, 5),
  }
  const bytes = encodeObjectJournal(journal)
  t.deepEqual(decodeObjectJournal(bytes), journal)
  for (let i = 0; i < bytes.length; i++) {
    t.is(decodeObjectJournal(bytes.with(i, (bytes[i] as number) ^ 0x11)), null, `byte ${i}`)
    t.is(decodeObjectJournal(bytes.subarray(0, i)), null, `${i} bytes`)
  }
})

const place = (queue: string) => ({ redis: redis.url, queue })

async function workUntil(queue: string, isOver: (events: readonly WorkerEvent[]) => boolean): Promise<WorkerEvent[]> {
  const events: WorkerEvent[] = []
  const stop = new AbortController()
  const codec = losslessCodec()
  const onEvent = (event: WorkerEvent) => {
    events.push(event)
    if (isOver(events)) stop.abort()
  }
  const how = { concurrency: 2, leaseMs: 30_000, scratch: SCRATCH, store: STORE }
  await work({ ...place(queue), ...how, codec, signal: stop.signal, onEvent })
  return events
}

testWithRedis('the slides below a prefix are queued, done, and removed once they were validated', async (t) => {
  const small = await fromImage({
    ...(await new SyntheticSlide('synthetic:150x100:1').readRegion({ x: 0, y: 0, level: 0, width: 150, height: 100 })),
  })
    .tiff()
    .toBuffer()
  // More than a page of the listing.
  const names = Array.from({ length: 9 }, (_, i) => `${i % 3}/s${i}.tif`)
  for (const name of names) store.put(`scans/${name}`, small)
  for (const other of ['scans/readme.md', 'scans/m.mrxs', 'scans/.hidden/x.tif', 'scans2/x.tif'])
    store.put(other, small)
  const submission = { ...place('prefix'), to: 's3://slides/done', options: OPTIONS, thenDelete: true }
  t.deepEqual(await submit(['s3://slides/scans'], submission), { queued: 9, known: 0 })
  t.deepEqual(await submit(['s3://slides/scans/'], submission), { queued: 0, known: 9 })
  await t.throwsAsync(submit(['s3://slides/scans/m.mrxs'], submission), { code: 'ERR_UNSUPPORTED_SLIDE' })
  await t.throwsAsync(submit(['s3://slides/nothing'], submission), { code: 'ERR_UNSUPPORTED_SLIDE' })

  const kinds = (events: readonly WorkerEvent[], ...wanted: string[]) =>
    events.filter(({ kind }) => wanted.includes(kind)).length
  await workUntil('prefix', (events) => kinds(events, 'done', 'failed') === 9)
  t.deepEqual(keys('done/'), names.map((name) => `done/${name.replace('.tif', '.cleric.tif')}`).sort())
  // One was replaced since: it stays.
  store.put('scans/0/s0.tif', Buffer.concat([small, Buffer.alloc(2)]))
  await workUntil('prefix', (events) => kinds(events, 'deleted', 'trouble') >= 9)
  t.deepEqual(keys('scans/'), ['scans/.hidden/x.tif', 'scans/0/s0.tif', 'scans/m.mrxs', 'scans/readme.md'])
  const ledger = keys('done/').filter((key) => key.includes('/cleric-deletions-'))
  t.is(ledger.length, 8)
  t.regex(JSON.parse(String(bytesOf(ledger[0] as string))).source, /^s3:\/\/slides\/scans\//)
})

testWithRedis(
  'a worker is killed in the middle of a slide in a store: another goes on, to the same object',
  async (t) => {
    const expected = await asFile()
    store.put('killed/a.tif', readFileSync(at('a.tif')))
    await submit(['s3://slides/killed/a.tif'], { ...place('killed'), to: 's3://slides/killed', options: OPTIONS })
    const script = fileURLToPath(new URL('object-worker.ts', import.meta.url))
    const start = (delayMs: number) =>
      spawn(process.execPath, [TYPESCRIPT, script, redis.url, 'killed', String(PART_BYTES), String(delayMs)], {
        env: { ...process.env, ...store.environment },
        stdio: 'ignore',
      })
    const first = start(40)
    const partsSent = () => [...store.uploads.values()].reduce((sum, { parts }) => sum + parts.size, 0)
    while (partsSent() < 3) await sleep(20)
    await sleep(300)
    first.kill('SIGKILL')
    await once(first, 'exit')
    const before = store.requests.length
    const second = start(0)
    const status = async () => {
      await using queues = await FarmQueues.open(place('killed'))
      return await statusOf(queues)
    }
    while ((await status()).counts.done < 1) await sleep(50)
    second.kill('SIGTERM')
    await once(second, 'exit')
    t.deepEqual(bytesOf('killed/a.cleric.tif'), expected)
    t.deepEqual(keys('killed/'), ['killed/a.cleric.tif', 'killed/a.tif'])
    t.is(store.uploads.size, 0)
    const posts = store.requests.slice(before).filter((request) => request === 'POST killed/a.cleric.tif')
    t.is(posts.length, 1, 'the upload is completed, and no other is begun')
  },
)

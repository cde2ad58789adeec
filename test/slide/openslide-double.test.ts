/** What no real slide shows, with native/test/fake_openslide.cc in OpenSlide's place. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { openOpenSlide } from '../../src/slide/openslide.js'

const built = dirname(
  process.env.CLERIC_ADDON ?? fileURLToPath(new URL('../../build/Release/cleric.node', import.meta.url)),
)
process.env.CLERIC_OPENSLIDE = join(built, 'fake_openslide.so')

let folder = ''
let files = 0
test.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cleric-double-'))
})
test.after.always(() => rm(folder, { recursive: true, force: true }))

async function slide(options = '') {
  const path = join(folder, `${files++}.fake`)
  await writeFile(path, `fake ${options}`)
  return openOpenSlide(path)
}

/** A region without the columns 1000 .. 1099, which fail. */
const good = { x: 0, y: 0, level: 0, width: 64, height: 2 }
const bad = { x: 1050, y: 0, level: 0, width: 1, height: 1 }
const readError = { name: 'SlideError', code: 'ERR_OPENSLIDE_READ' }

test('premultiplied alpha is blended with the background, holes become it', async (t) => {
  for (const [option, background] of [
    ['', [255, 255, 255]],
    ['background=204060', [0x20, 0x40, 0x60]],
    ['background=nonsense', [255, 255, 255]],
  ] as const) {
    await using source = await slide(option)
    t.deepEqual(Object.values(source.background), [...background])
    for (const level of [0, 1]) {
      const image = await source.readRegion({ x: -8, y: 1996, level, width: 300, height: 6 })
      const expected: number[] = []
      for (let row = 0; row < 6; row++) {
        for (let column = 0; column < 300; column++) {
          const [x, y] = [-8 + (column << level), 1996 + (row << level)]
          const alpha = x < 0 || y >= 2000 ? 0 : x & 255
          const colour = [alpha, alpha >> 1, 0]
          for (const c of [0, 1, 2]) {
            expected.push((colour[c] ?? 0) + Math.round(((background[c] ?? 0) * (255 - alpha)) / 255))
          }
        }
      }
      t.deepEqual([...image.data], expected)
    }
  }
})

test('a failed read reports OpenSlide’s text and spoils no other read', async (t) => {
  await using source = await slide()
  const expected = await source.readRegion(good)
  await t.throwsAsync(source.readRegion(bad), { ...readError, message: /fake bad tile$/ })
  t.deepEqual(await source.readRegion(good), expected)
  const results = await Promise.allSettled(
    Array.from({ length: 60 }, (_, i) => source.readRegion(i % 3 === 0 ? bad : good)),
  )
  for (const [i, result] of results.entries()) {
    if (i % 3 === 0) t.is(result.status, 'rejected')
    else t.deepEqual(result, { status: 'fulfilled', value: expected })
  }
})

test('a slide that opens damaged, or has no levels', async (t) => {
  await t.throwsAsync(slide('damaged'), { ...readError, message: /fake damage$/ })
  await t.throwsAsync(slide('levels=0'), { ...readError, message: /no levels/ })
})

test('properties of any name and any bytes', async (t) => {
  await using source = await slide()
  t.is(source.libraryVersion, 'fake-9.9')
  t.deepEqual(source.mpp, { x: 0.25, y: 0.5 })
  t.is(source.objectivePower, 40)
  t.is(Object.getOwnPropertyDescriptor(source.properties, '__proto__')?.value, 'harmless')
  t.is(source.properties['fake.not-utf8'], 'caf\ufffd')
})

test('the ICC profile, where the library has it', async (t) => {
  await using none = await slide()
  t.is(none.iccProfile(), null)
  await using some = await slide('icc=300')
  t.deepEqual(
    some.iccProfile(),
    Uint8Array.from({ length: 300 }, (_, i) => i),
  )
  await using broken = await slide('icc=bad')
  t.throws(() => broken.iccProfile(), { ...readError, message: /fake bad profile/ })
  t.is((await broken.readRegion(good)).width, 64)
  await using absurd = await slide('icc=1000000000')
  t.throws(() => absurd.iccProfile(), readError)
})

test('associated images: blended, of absurd size, and unreadable', async (t) => {
  await using source = await slide('background=0000ff')
  t.deepEqual(await source.readAssociatedImage('dot'), {
    data: Uint8Array.of(0x40, 0x20, 127),
    width: 1,
    height: 1,
    channels: 3,
  })
  await t.throwsAsync(source.readAssociatedImage('huge'), { ...readError, message: /1048576 x 1048576/ })
  await t.throwsAsync(source.readAssociatedImage('lost'), { ...readError, message: /fake lost image/ })
  t.is((await source.readAssociatedImage('dot')).width, 1)
})

test('close lets reads under way finish, refuses new ones, and closes the file', async (t) => {
  const source = await slide('slow=30')
  const reads = Array.from({ length: 10 }, () => source.readRegion(good))
  const closed = source.close()
  await t.throwsAsync(source.readRegion(good), { code: 'ERR_CLOSED' })
  await t.throwsAsync(source.readAssociatedImage('dot'), { code: 'ERR_CLOSED' })
  let settled = 0
  for (const read of reads) read.then(() => settled++)
  await closed
  t.is(settled, 10)
  await source.close()
})

test('an aborted read rejects at once; what hasn’t begun never runs', async (t) => {
  await using source = await slide('slow=400')
  const controller = new AbortController()
  const start = performance.now()
  const reads = Array.from({ length: 40 }, () => source.readRegion(good, controller.signal))
  setTimeout(() => controller.abort(new Error('enough')), 20)
  const results = await Promise.allSettled(reads)
  for (const result of results) t.like(result, { status: 'rejected', reason: { code: 'ERR_ABORTED' } })
  await t.throwsAsync(source.readRegion(good, controller.signal), { name: 'AbortError', code: 'ERR_ABORTED' })
  await t.throwsAsync(openOpenSlide(source.path, controller.signal), { code: 'ERR_ABORTED' })
  // All 40 would take 40 * 400 ms over the 4 threads of the pool.
  await source.readRegion({ ...good, width: 1 })
  t.true(performance.now() - start < 3000, `${performance.now() - start} ms`)
  t.deepEqual((await source.readRegion(good)).width, 64)
})

test('an AbortSignal that never fires keeps nothing', async (t) => {
  await using source = await slide()
  const { signal } = new AbortController()
  t.deepEqual(await source.readRegion(good, signal), await source.readRegion(good))
  await t.throwsAsync(source.readRegion(bad, signal), readError)
  await t.throwsAsync(source.readRegion(good, 'now' as unknown as AbortSignal), { instanceOf: TypeError })
})

test('a worker thread may end while its reads are under way', async (t) => {
  const path = join(folder, 'worker.fake')
  await writeFile(path, 'fake slow=200')
  const code = `const { parentPort, workerData: [addon, path, library] } = require('node:worker_threads')
    const slide = new (require(addon).Slide)()
    slide.open(path, library).then(() => {
      for (let job = 0; job < 12; job++) slide.readRegion(job, 0, 0, 0, 10, 10, 0)
      parentPort.postMessage('reading')
    })`
  for (const delay of [0, 100, 300]) {
    const worker = new Worker(code, {
      eval: true,
      workerData: [join(built, 'cleric.node'), path, process.env.CLERIC_OPENSLIDE],
      execArgv: [],
    })
    t.is(await new Promise((resolve) => worker.once('message', resolve)), 'reading')
    await new Promise((resolve) => setTimeout(resolve, delay))
    // Once this aborted the whole process.
    t.is(await worker.terminate(), 1)
  }
})

// Serial: by itself, before the others.
test.serial('handles are closed: with the slide, and after failed reads', async (t) => {
  // The property counts the open handles at the time of opening, its own included.
  const open = async () => {
    await using source = await slide()
    return Number(source.properties['fake.open-handles'])
  }
  t.is(await open(), 1)
  const source = await slide()
  for (let i = 0; i < 5; i++) await t.throwsAsync(source.readRegion(bad), readError)
  await source.readRegion(good)
  t.is(await open(), 2)
  await source.close()
  t.is(await open(), 1)
})

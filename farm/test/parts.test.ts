/** Slides that several workers share: what becomes of their parts when workers are killed, or when a part can't be done. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { compressSlide, type ManifestRow } from 'cleric'
import { SEGMENT_TILES } from 'cleric/internal'
import { compressTo } from '../../src/compress/compress.js'
import { run } from '../../test/cli/run.js'
import { nanoModelFile } from '../../test/network/golden.js'
import { losslessCodec } from '../../test/payload-codec.js'
import { TYPESCRIPT } from '../../test/typescript.js'
import { divisionOf, sharesOf } from '../src/parts.js'
import { FarmQueues, type SlideJob } from '../src/queue.js'
import { manifestOf, statusOf } from '../src/status.js'
import { submit } from '../src/submit.js'
import { type WorkerEvent, type WorkerOptions, work } from '../src/worker.js'
import { hasRedis, TestRedis } from './redis.js'

const testWithRedis = hasRedis ? test.serial : test.serial.skip

const folder = mkdtempSync(join(tmpdir(), 'cleric-farm-parts-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

let redis: TestRedis
test.before(async () => {
  if (hasRedis) redis = await TestRedis.start(folder)
})
test.after.always(() => redis?.kill())

const at = (...names: string[]) => join(folder, ...names)
const place = (queue: string) => ({ redis: redis.url, queue })
const SEGMENT = 16
const OPTIONS = { tile: 64, quality: 50 } as const
const SLIDE = 'synthetic:900x700:5'

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await sleep(50)
}

/** Workers in this process, at work until `isOver` says so; gives what happened. */
class Crew {
  readonly events: WorkerEvent[] = []
  readonly #stop = new AbortController()
  readonly #workers: Promise<void>[]

  constructor(queue: string, codecs: readonly WorkerOptions['codec'][]) {
    this.#workers = codecs.map((codec) =>
      work({
        ...place(queue),
        codec,
        concurrency: 1,
        leaseMs: 30_000,
        scratch: { folder, bytes: 0 },
        segmentTiles: SEGMENT,
        signal: this.#stop.signal,
        onEvent: (event) => this.events.push(event),
      }),
    )
  }

  /** When all of them are known to Redis. */
  async isThere(queues: FarmQueues): Promise<void> {
    await until(async () => (await queues.slides.getWorkersCount()) === this.#workers.length)
  }

  count(kind: WorkerEvent['kind']): number {
    return this.events.filter((event) => event.kind === kind).length
  }

  async end(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#workers)
  }
}

test('shares are runs of whole segments, at most two a worker, and all tiles are in one', (t) => {
  for (const [tiles, workers] of [
    [1025, 2],
    [9000, 2],
    [100_000, 3],
    [5_000_000, 1000],
  ] as const) {
    const shares = sharesOf(tiles, workers, SEGMENT_TILES)
    t.true(shares.length > 1 && shares.length <= Math.min(2 * workers, 256))
    t.is(
      shares.reduce((end, { first, count }) => {
        t.is(first, end)
        t.is(first % SEGMENT_TILES, 0)
        t.true(count > 0)
        return first + count
      }, 0),
      tiles,
    )
  }
})

testWithRedis(
  'a part that can not be done fails its slide with its reason, and leaves nothing; retried it is whole',
  async (t) => {
    const source = at('slide.tif')
    await compressSlide(SLIDE, source, { codec: losslessCodec(), tile: 128 })
    const to = at('poison')
    mkdirSync(to)
    await using queues = await FarmQueues.open(place('poison'))
    const poisoned = () => {
      const codec = losslessCodec()
      let tiles = 0
      codec.encodeCheckedPayload = async (image, quality, check) => {
        if (++tiles > 30) throw new Error('poison')
        return losslessCodec().encodeCheckedPayload(image, quality, check)
      }
      return codec
    }
    const sick = new Crew('poison', [poisoned(), poisoned()])
    await sick.isThere(queues)
    await submit([source], {
      ...place('poison'),
      to,
      options: OPTIONS,
      splitAbove: 40,
      thenDelete: true,
      backoffMs: 20,
    })
    await until(async () => sick.count('failed') === 1)
    await sick.end()
    t.is(sick.count('divided'), 1)
    t.true(sick.events.some((event) => event.kind === 'failed' && event.isLast))
    t.deepEqual(readdirSync(to), [])
    const status = await statusOf(queues)
    t.like(status.counts, { waiting: 0, active: 0, delayed: 0, done: 0, failed: 1 })
    t.like(status.failures, { 0: { source, attempts: 3, reason: 'ERR_INTERNAL: poison' } })
    t.is(await queues.parts.getJobCountByTypes(), 0)
    const rows: ManifestRow[] = []
    for await (const row of manifestOf(queues)) rows.push(row)
    t.like(rows, { 0: { source, state: 'failed', error: { code: 'ERR_INTERNAL', message: 'poison' } } })

    // Another slide is there by now, which has other parts.
    const other = at('other.tif')
    await compressSlide('synthetic:600x500:6', other, { codec: losslessCodec(), tile: 128 })
    renameSync(other, source)
    const one = at('one-of-other.cleric.tif')
    await compressTo(source, one, { ...OPTIONS, codec: losslessCodec() }, { segmentTiles: SEGMENT })
    const well = new Crew('poison', [losslessCodec(), losslessCodec()])
    await well.isThere(queues)
    t.is((await run('farm', 'retry', '--redis', redis.url, '--queue', 'poison')).status, 0)
    await until(async () => well.count('deleted') === 1)
    await well.end()
    t.like([well.count('divided'), well.count('done'), well.count('trouble')], [1, 1, 0])
    t.true(well.count('part') > 2)
    t.false(existsSync(source), 'removed once the other worker had validated the archive')
    t.deepEqual(
      readdirSync(to).filter((name) => !name.startsWith('cleric-deletions-')),
      ['slide.cleric.tif'],
    )
    t.deepEqual(readFileSync(join(to, 'slide.cleric.tif')), readFileSync(one))
    const after = await statusOf(queues)
    t.like(after.counts, { done: 1, failed: 0, active: 0 })
    const [job] = await queues.slides.getCompleted()
    t.is(job?.data.split?.round, 1)
  },
)

testWithRedis('a slide is divided only where workers would have nothing to do, and where it can be', async (t) => {
  await using queues = await FarmQueues.open(place('undivided'))
  const submission = { ...place('undivided'), to: at('undivided'), options: OPTIONS, splitAbove: 40 }
  const alone = new Crew('undivided', [losslessCodec()])
  await alone.isThere(queues)
  await submit(['synthetic:300x200:1'], { ...submission, splitAbove: 4 })
  await until(async () => alone.count('done') === 1)
  t.is(alone.count('divided'), 0, 'by one worker')
  await alone.end()

  const two = new Crew('undivided', [losslessCodec(), losslessCodec()])
  await two.isThere(queues)
  const source = 'synthetic:700x500:1'
  const job = { source, archive: at('a.cleric.tif'), options: OPTIONS, begun: null, thenDelete: false, splitAbove: 40 }
  const { signal } = new AbortController()
  const { slides, parts } = queues
  const divider = { codec: losslessCodec(), signal, slides, parts, segmentTiles: SEGMENT }
  const opened = { slide: source, [Symbol.asyncDispose]: async () => {} }
  const sharesOfJob = async (changed: Partial<SlideJob>) =>
    (await divisionOf({ ...job, ...changed }, opened, divider))?.shares.length ?? null
  t.is(await sharesOfJob({}), 3)
  t.is(await sharesOfJob({ splitAbove: 93 }), 3)
  t.is(await sharesOfJob({ splitAbove: 94 }), null, 'not above')
  t.is(await sharesOfJob({ splitAbove: 0 }), null)
  t.is(await sharesOfJob({ archive: 's3://bucket/a.cleric.tif' }), null)
  t.is(await sharesOfJob({ options: { targetBpp: 1 } }), null)
  t.is(await sharesOfJob({ source: at('a.png') }), null)
  await queues.slides.pause()
  await submit(['synthetic:300x200:2'], submission)
  t.is(await sharesOfJob({}), 3, 'one waits for two workers')
  await submit(['synthetic:300x200:3'], submission)
  t.is(await sharesOfJob({}), null, 'each has one')
  await two.end()
})

testWithRedis('workers that share a slide are killed at random: its file is that of one', async (t) => {
  t.timeout(300_000)
  const to = at('killed')
  // What tiles come to without the model is looked at elsewhere, and would take most of the time here.
  const choice = { ...OPTIONS, check: 'none' } as const
  mkdirSync(to)
  await using queues = await FarmQueues.open(place('killed'))
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const model = fileURLToPath(nanoModelFile)
  const start = () =>
    spawn(process.execPath, [TYPESCRIPT, 'farm/test/part-worker.ts', redis.url, 'killed', model, `${SEGMENT}`], {
      cwd: root,
      stdio: 'ignore',
    })
  const workers: ChildProcess[] = Array.from({ length: 3 }, start)
  let kills = 0
  let mostParts = 0
  try {
    await until(async () => (await queues.slides.getWorkersCount()) === 3)
    await submit([SLIDE], { ...place('killed'), to, options: choice, splitAbove: 40, backoffMs: 100 })
    for (;;) {
      await sleep(300)
      const { counts, failures, active } = await statusOf(queues)
      t.deepEqual(failures, [])
      if (counts.done === 1) break
      t.is(counts.active + counts.waiting + counts.delayed, 1, 'it counts as one slide')
      const { parts = null, progress = 0 } = active[0] ?? {}
      t.true(progress >= 0 && progress <= 1)
      if (!parts) continue
      mostParts = Math.max(mostParts, parts.done + parts.active)
      // No more, as a part whose worker dies three times counts as one that kills.
      if (kills >= 3 || parts.active === 0) continue
      const victim = kills++ % 3
      workers[victim]?.kill('SIGKILL')
      workers[victim] = start()
      await sleep(1000)
    }
    t.log(`${kills} kills, ${mostParts} parts at once or done`)
    t.true(kills >= 2)
    t.true(mostParts >= 2)
  } finally {
    const living = workers.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
    for (const worker of living) worker.kill('SIGTERM')
    await Promise.all(living.map((worker) => once(worker, 'exit')))
  }
  const name = 'synthetic-900x700-5.cleric.tif'
  t.deepEqual(readdirSync(to), [name])
  const one = at('one.cleric.tif')
  const { tiles, bytes } = await compressTo(SLIDE, one, { ...choice, model, device: 'cpu' }, { segmentTiles: SEGMENT })
  t.deepEqual(readFileSync(join(to, name)), readFileSync(one))
  t.like(await statusOf(queues), { tiles, bytes, counts: { done: 1 } })
  t.regex((await run('farm', 'status', '--redis', redis.url, '--queue', 'killed')).stdout, /^1 done, 0 at work/)
})

/** A farm with a real Redis: what becomes of slides whose workers, or whose Redis, are killed; and of slides that can't be read. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { Queue, Worker } from 'bullmq'
import { type ArchiveFacts, compressCollection, type ManifestRow, openArchive, validateArchive } from 'cleric'
import { createCli } from '../../src/cli/commands.js'
import { run } from '../../test/cli/run.js'
import { nanoModelFile } from '../../test/network/golden.js'
import { losslessCodec } from '../../test/payload-codec.js'
import { validateThenDelete } from '../src/deletion.js'
import { Scratch } from '../src/objects/local-copy.js'
import { Places } from '../src/places.js'
import { connectForEver, FarmQueues, PREFIX, type SlideJob, type SlideQueue } from '../src/queue.js'
import { countsOf, manifestOf, statusOf } from '../src/status.js'
import { submit } from '../src/submit.js'
import { countSlide } from '../src/totals.js'
import { serveStatus } from '../src/web.js'
import { type WorkerEvent, work } from '../src/worker.js'
import { hasRedis, TestRedis } from './redis.js'

const testWithRedis = hasRedis ? test.serial : test.serial.skip
if (!hasRedis && process.env.CI === 'true') test('redis-server is there', (t) => t.fail('needs redis-server'))

const folder = mkdtempSync(join(tmpdir(), 'cleric-farm-'))
test.after.always(() => rmSync(folder, { recursive: true, force: true }))

let redis: TestRedis
test.before(async () => {
  if (hasRedis) redis = await TestRedis.start(folder)
})
test.after.always(() => redis?.kill())

const at = (...names: string[]) => join(folder, ...names)
const place = (queue: string) => ({ redis: redis.url, queue })
const SCRATCH = { folder: at('scratch'), bytes: 2 ** 30 }
const OPTIONS = { tile: 128, quality: 50 } as const

/** A slide file: a PNG of 300 x 200. */
async function slideFile(path: string, seed: number): Promise<string> {
  const { SyntheticSlide } = await import('../../src/slide/synthetic.js')
  const { fromImage } = await import('../../src/image/sharp.js')
  const slide = new SyntheticSlide(`synthetic:300x200:${seed}`)
  const image = await slide.readRegion({ x: 0, y: 0, level: 0, width: 300, height: 200 })
  await fromImage(image).png().toFile(path)
  return path
}

/** Works in this process until `isOver` says so; gives what happened. */
async function workUntil(queue: string, isOver: (events: readonly WorkerEvent[]) => boolean): Promise<WorkerEvent[]> {
  const events: WorkerEvent[] = []
  const stop = new AbortController()
  await work({
    ...place(queue),
    codec: losslessCodec(),
    concurrency: 2,
    leaseMs: 30_000,
    scratch: SCRATCH,
    signal: stop.signal,
    onEvent: (event) => {
      events.push(event)
      if (isOver(events)) stop.abort()
    },
  })
  return events
}

async function rowsOf(queues: FarmQueues): Promise<ManifestRow[]> {
  const rows: ManifestRow[] = []
  for await (const row of manifestOf(queues)) rows.push(row)
  return rows
}

const ended = (events: readonly WorkerEvent[]) =>
  events.filter((event) => event.kind === 'done' || (event.kind === 'failed' && event.isLast)).length

testWithRedis('with --quiet, too, a worker says what failed', async (t) => {
  const broken = at('quiet.svs')
  writeFileSync(broken, 'no slide')
  await submit([broken], { ...place('quiet'), to: at('quiet'), options: OPTIONS })
  const stop = new AbortController()
  let stderr = ''
  const write = (text: string) => {
    stderr += text
    if (text.includes('quiet.svs')) stop.abort()
    return true
  }
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)])
  const io = { stdout: { write: () => true }, stderr: { write }, codec: losslessCodec(), signal }
  await createCli(io).run(['farm', 'work', '--quiet', '--redis', redis.url, '--queue', 'quiet'])
  t.regex(stderr, /^failed, to be tried again, .*quiet\.svs: .*quiet\.svs/m)
})

testWithRedis(
  'slides are queued once, done, and accounted for; one that can not be read fails after three tries',
  async (t) => {
    const broken = at('broken.svs')
    writeFileSync(broken, 'no slide')
    const inputs = ['synthetic:300x200:1', 'synthetic:200x300:2', broken]
    const submission = { ...place('few'), to: at('few'), options: OPTIONS, backoffMs: 20 }
    t.deepEqual(await submit(inputs, submission), { queued: 3, known: 0 })
    t.deepEqual(await submit(inputs, submission), { queued: 0, known: 3 })

    const events = await workUntil('few', (all) => ended(all) === 3)
    const failures = events.flatMap((event) => (event.kind === 'failed' ? [event.isLast] : []))
    t.deepEqual(failures, [false, false, true])
    await using queues = await FarmQueues.open(place('few'))
    const status = await statusOf(queues)
    t.like(status.counts, { waiting: 0, active: 0, delayed: 0, done: 2, failed: 1 })
    t.regex(status.failures[0]?.reason as string, /^ERR_UNSUPPORTED_SLIDE: .*broken\.svs/)
    t.is(status.failures[0]?.attempts, 3)
    t.is(status.secondsLeft, 0)
    const rows = await rowsOf(queues)
    t.deepEqual(rows.map(({ state }) => state).sort(), ['done', 'done', 'failed'])
    t.is(rows.find(({ state }) => state === 'failed')?.error?.code, 'ERR_UNSUPPORTED_SLIDE')
    for (const { archive, result } of rows.filter(({ state }) => state === 'done')) {
      t.is(readFileSync(archive).length, result?.bytes as number)
    }

    // The commands say the same.
    const farm = async (...argv: string[]) => run('farm', ...argv, '--redis', redis.url, '--queue', 'few', '--json')
    t.like((await farm('status')).json(), { counts: { done: 2, failed: 1 } })
    const table = await farm('manifest', '-o', at('few.csv'))
    t.like(table.json(), { slides: 3 })
    t.is(readFileSync(at('few.csv'), 'utf8').split('\r\n').length, 5)
    t.like((await farm('manifest', '-o', at('few.json'))).json(), { slides: 3 })
    t.deepEqual(JSON.parse(readFileSync(at('few.json'), 'utf8')), rows)
    t.is((await farm('manifest', '-o', at('few.txt'))).status, 2)
    t.like((await farm('pause')).json(), { isPaused: true })
    t.like((await farm('retry')).json(), { failed: 0, waiting: 1, isPaused: true })
    t.like((await farm('resume')).json(), { isPaused: false })
    t.is((await farm('drain')).status, 0)

    const server = await serveStatus(place('few'), { port: 0, host: '127.0.0.1' })
    const response = await fetch(`${server.listeningOrigin}/status`)
    t.like(await response.json(), { counts: { done: 2 } })
    t.regex(await (await fetch(server.listeningOrigin)).text(), /<title>cleric farm<\/title>/)
    t.is((await fetch(`${server.listeningOrigin}/status?failuresFrom=-1`)).status, 400)
    const figures = await (await fetch(`${server.listeningOrigin}/metrics`)).text()
    const tiles = rows.reduce((sum, { result }) => sum + (result?.tiles ?? 0), 0)
    for (const line of ['cleric_farm_jobs{state="done"} 2', `cleric_farm_all_tiles ${tiles}`]) {
      t.true(figures.split('\n').includes(line), line)
    }
    await server.close()
  },
)

testWithRedis('a worker that is stopped gives its slide back, where the next goes on', async (t) => {
  await submit(['synthetic:1200x900:3'], { ...place('stopped'), to: at('stopped'), options: OPTIONS })
  const stop = new AbortController()
  const events: WorkerEvent[] = []
  const slow = losslessCodec()
  let tiles = 0
  const codec = {
    ...slow,
    async encodeCheckedPayload(...parameters: Parameters<typeof slow.encodeCheckedPayload>) {
      if (++tiles === 12) stop.abort()
      return slow.encodeCheckedPayload(...parameters)
    },
  }
  const options = { ...place('stopped'), codec, concurrency: 1, leaseMs: 30_000, scratch: SCRATCH }
  await work({ ...options, signal: stop.signal, onEvent: (event) => events.push(event) })
  t.deepEqual(
    events.map(({ kind }) => kind),
    ['begun', 'returned'],
  )
  t.true(existsSync(at('stopped', `synthetic-1200x900-3.cleric.tif.journal`)))
  const after = await workUntil('stopped', (all) => ended(all) === 1)
  const [done] = after.flatMap((event) => (event.kind === 'done' ? [event.row] : []))
  t.is(done?.state, 'done')
  await using queues = await FarmQueues.open(place('stopped'))
  const [job] = await queues.slides.getCompleted()
  t.is(job?.attemptsMade, 1, 'giving back is no failed try')
})

testWithRedis('a slide is removed only once another worker has found its archive whole', async (t) => {
  const slides = [await slideFile(at('keep-1.png'), 1), await slideFile(at('keep-2.png'), 2)] as const
  const to = at('removed')
  await submit(slides, { ...place('removed'), to, options: OPTIONS, thenDelete: true })
  const first = await workUntil('removed', (all) => ended(all) === 2)
  t.false(
    first.some(({ kind }) => kind === 'deleted'),
    'a worker does not validate its own archives',
  )
  t.true(slides.every((slide) => existsSync(slide)))

  // One archive is damaged before anybody looks at it: its slide stays.
  const path = join(to, 'keep-2.cleric.tif')
  const bytes = readFileSync(path)
  writeFileSync(path, bytes.with(bytes.length - 9, (bytes[bytes.length - 9] as number) ^ 1))
  const second = await workUntil('removed', (all) => {
    const settled = all.filter(({ kind }) => kind === 'deleted' || kind === 'trouble')
    return settled.length >= 2
  })
  t.deepEqual(
    second.flatMap((event) => (event.kind === 'deleted' ? [event.source] : [])),
    [slides[0]],
  )
  t.false(existsSync(slides[0]))
  t.true(existsSync(slides[1]))
  const ledgers = readdirSync(to).filter((name) => name.startsWith('cleric-deletions-'))
  const lines = ledgers.flatMap((name) => readFileSync(join(to, name), 'utf8').trimEnd().split('\n'))
  t.is(lines.length, 1)
  const entry = JSON.parse(lines[0] as string)
  t.is(entry.source, slides[0])
  t.not(entry.madeBy, entry.validatedBy)
})

test('a slide that could not be read everywhere is never removed', async (t) => {
  const slide = await slideFile(at('holes.png'), 4)
  const archive = at('holes.cleric.tif')
  const codec = losslessCodec()
  const [row] = (await compressCollection([slide], folder, { codec })).rows as [ManifestRow]
  const places = new Places(new Scratch(folder, 0))
  const validator = { codec, places, id: '1', madeBy: 'a', validatedBy: 'b', signal: new AbortController().signal }
  const whole = { ...row, archive, result: row.result as ArchiveFacts }
  const holed = { ...whole, result: { ...whole.result, unreadableTiles: 1 } }
  await t.throwsAsync(validateThenDelete(holed, validator), { code: 'ERR_OPENSLIDE_READ' })
  t.true(existsSync(slide))
  await validateThenDelete(whole, validator)
  t.false(existsSync(slide))
})

testWithRedis(
  'the status looks at no slide that is done, counts each once, and tells failures by the page',
  async (t) => {
    const connection = connectForEver(redis.url)
    const queue: SlideQueue = new Queue('many', { connection, prefix: PREFIX })
    const data: SlideJob = { source: 'a.svs', archive: 'a', options: OPTIONS, begun: null, thenDelete: false }
    const add = (count: number, fails: boolean) =>
      queue.addBulk(
        Array.from({ length: count }, () => ({
          name: 'slide' as const,
          data: { ...data, source: fails ? 'bad' : 'a' },
        })),
      )
    const row = { sourceBytes: 1000, result: { bytes: 10, tiles: 3 }, archive: 'x'.repeat(1000) } as ManifestRow
    const worker = new Worker<SlideJob, ManifestRow>(
      'many',
      async (job) => {
        if (job.data.source === 'bad') throw new Error('poison')
        const id = job.id as string
        t.deepEqual(
          [await countSlide(connection, queue, id, row), await countSlide(connection, queue, id, row)],
          [true, false],
        )
        return row
      },
      { connection, prefix: PREFIX, concurrency: 20, drainDelay: 1 },
    )
    await using queues = await FarmQueues.open(place('many'))
    const until = async (done: number, failed: number) => {
      for (;;) {
        const { counts } = await countsOf(queues)
        if (counts.done === done && counts.failed === failed) return
        await sleep(20)
      }
    }
    const sent = async () => Number(/total_net_output_bytes:(\d+)/.exec(await queues.client.info('stats'))?.[1])
    const costOf = async (work: () => Promise<unknown>) => {
      const before = await sent()
      await work()
      return (await sent()) - before
    }
    await add(5, false)
    await until(5, 0)
    const few = await costOf(() => statusOf(queues))
    await add(300, false)
    await add(130, true)
    await until(305, 130)
    await worker.close()
    t.like(await statusOf(queues), { sourceBytes: 305_000, bytes: 3050, tiles: 915, failuresFrom: 0 })
    const none = await costOf(() => statusOf(queues, 130))
    // What it keeps of when slides were finished: some 20 bytes each, of at most a thousand.
    t.true(none < few + 300 * 40, `${few} bytes with 5 slides done, ${none} with 305`)
    const pages = await Promise.all([0, 100, 200].map(async (from) => (await statusOf(queues, from)).failures.length))
    t.deepEqual(pages, [100, 30, 0])
    t.regex(
      (await run('farm', 'status', '--redis', redis.url, '--queue', 'many')).stdout,
      /and 30 more failures: --failures-from 100/,
    )
    await queue.close()
    connection.disconnect()
  },
)

testWithRedis('where no Redis answers the command says so, without a password', async (t) => {
  const { status, stderr } = await run('farm', 'status', '--redis', 'redis://me:secret@127.0.0.1:1')
  t.is(status, 1)
  t.regex(stderr, /No Redis answers at redis:\/\/127\.0\.0\.1:1 .*--redis/)
  t.notRegex(stderr, /secret/)
  t.is((await run('farm', 'status', '--queue', 'a:b')).status, 2)
})

const WORKERS = 4
const SLIDES = 40
const KILLS = 8

testWithRedis('workers and Redis are killed at random: every slide is done once, and is whole', async (t) => {
  t.timeout(600_000)
  const to = at('killed')
  mkdirSync(to)
  await using own = await TestRedis.start(mkdtempSync(join(folder, 'redis-')))
  const farm = { redis: own.url, queue: 'killed' }
  const inputs = Array.from({ length: SLIDES }, (_, i) => `synthetic:${200 + 5 * i}x${150 + 3 * i}:${i}`)
  // What tiles come to without the model is looked at elsewhere, and would take most of the time here.
  const choice = { ...OPTIONS, check: 'none' } as const
  t.like(await submit(inputs, { ...farm, to, options: choice, backoffMs: 100 }), { queued: SLIDES })

  const program = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
  const options = [
    '--redis',
    farm.redis,
    '--queue',
    farm.queue,
    '--model',
    fileURLToPath(nanoModelFile),
    '--device',
    'cpu',
  ]
  const start = () =>
    spawn(process.execPath, [program, 'farm', 'work', ...options, '--lease', '8'], { stdio: 'ignore' })
  const workers: ChildProcess[] = Array.from({ length: WORKERS }, start)
  try {
    let kills = 0
    let doneAtKill = 0
    let random = 7
    const draw = (below: number) => {
      random = (Math.imul(random, 1103515245) + 12345) & 0x7fffffff
      return random % below
    }
    const now = async () => {
      await using queues = await FarmQueues.open(farm)
      return await statusOf(queues)
    }
    for (;;) {
      await sleep(draw(80))
      const { counts, failures } = await now()
      t.deepEqual(failures, [])
      if (counts.done === SLIDES) break
      // However fast this machine is, there is something done between two of them, and something left to do.
      if (kills === KILLS || counts.done < doneAtKill + SLIDES / 2 / KILLS) continue
      doneAtKill = counts.done
      kills++
      if (kills % 4 === 0) {
        await own.kill()
        await own.start()
      } else {
        const victim = draw(WORKERS)
        workers[victim]?.kill('SIGKILL')
        workers[victim] = start()
      }
    }
    t.log(`${kills} kills`)
    t.true(kills > 0)
  } finally {
    const living = workers.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
    for (const worker of living) worker.kill('SIGTERM')
    await Promise.all(living.map((worker) => once(worker, 'exit')))
  }

  await using queues = await FarmQueues.open(farm)
  const rows = await rowsOf(queues)
  t.is(new Set(rows.map(({ archive }) => archive)).size, SLIDES)
  t.deepEqual(
    readdirSync(to).sort(),
    rows.map(({ archive }) => archive.slice(to.length + 1)).sort(),
    'nothing else is left',
  )
  for (const row of rows) {
    t.is(row.state, 'done')
    using archive = await openArchive(row.archive, { model: fileURLToPath(nanoModelFile), device: 'cpu' })
    t.true((await validateArchive(archive)).ok)
  }
  // Interrupted or not, the file is that of an undisturbed run.
  const [first] = rows
  const { compressSlide } = await import('cleric')
  const again = at('again.cleric.tif')
  await compressSlide(first?.source as string, again, {
    ...choice,
    model: fileURLToPath(nanoModelFile),
    device: 'cpu',
  })
  t.deepEqual(readFileSync(again), readFileSync(first?.archive as string))
})

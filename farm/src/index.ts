import { tmpdir } from 'node:os'
import { extname } from 'node:path'
import {
  type ArchiveOptionValues,
  archiveOptions,
  byteSize,
  type Cli,
  type CodecChoice,
  codecOptions,
  counted,
  duration,
  integerFrom,
  type ManifestRow,
  manifestTableHead,
  manifestTableLine,
  PartialFile,
  type Session,
} from 'cleric/internal'
import { type Command, InvalidArgumentError } from 'commander'
import { WorkerMetrics } from './metrics.js'
import { DEFAULT_REDIS, FarmQueues, type Place } from './queue.js'
import { countsOf, type FarmStatus, MOST_FAILURES, manifestOf, statusOf } from './status.js'
import { submit } from './submit.js'
import { serveMetrics, serveStatus } from './web.js'
import { work } from './worker.js'

/** Called by cleric's command line. */
export function addCommands(cli: Cli): void {
  addSubmit(cli)
  addWork(cli)
  addStatus(cli)
  addManifest(cli)
  addControls(cli)
}

function placeOptions(command: Command): Command {
  return command
    .option('--redis <url>', 'where Redis is', process.env.CLERIC_REDIS ?? DEFAULT_REDIS)
    .option('--queue <name>', 'name of the farm', queueName, 'slides')
}

/** A colon divides the parts of Redis' keys. */
function queueName(text: string): string {
  if (!/^[\w.-]{1,100}$/.test(text)) throw new InvalidArgumentError('Expected letters, digits, ".", "_" and "-".')
  return text
}

const PORT = integerFrom(0, 65_535)
/** Eight segments: 40 minutes of two cores, or two of a large GPU. */
const SPLIT_ABOVE = 8192
const MOST_SPLIT_ABOVE = 2 ** 31

function addSubmit(cli: Cli): void {
  type Options = Place &
    ArchiveOptionValues & {
      to: string
      priority?: number
      verifyThenDelete?: boolean
      overwrite?: boolean
      splitAbove: number
    }
  cli.add<Options>(
    'farm submit <slide...>',
    'Queue slides, folders of them, prefixes in a store (s3://bucket/prefix), and lists (.txt, one a line)',
    (command) =>
      archiveOptions(
        placeOptions(command).requiredOption('--to <folder>', 'where the archives go: a folder, or s3://bucket/prefix'),
      )
        .option('--priority <number>', '1 is first; without one, before all that have one', integerFrom(1, 2 ** 20))
        .option('--verify-then-delete', 'remove each slide once another worker has found its archive whole')
        .option('--overwrite', 'replace existing archives')
        .option(
          '--split-above <tiles>',
          'let workers without other work share a slide of more tiles; 0: never',
          integerFrom(0, MOST_SPLIT_ABOVE),
          SPLIT_ABOVE,
        ),
    async (
      _,
      { to, priority, verifyThenDelete: thenDelete, splitAbove, redis, queue, check, ...options },
      ...slides
    ) => {
      const place = { redis, queue, to, priority, thenDelete, splitAbove }
      const json = await submit(slides, { ...place, options: { ...options, check: check === false ? 'none' : check } })
      const known = json.known > 0 ? `; known already: ${json.known}` : ''
      return { json, text: `${counted(json.queued, 'slide')} queued${known}` }
    },
    'cleric farm submit /scans --to /archives --quality 60',
  )
}

function addWork(cli: Cli): void {
  interface Options extends Place, CodecChoice {
    concurrency: number
    lease: number
    scratch: string
    scratchBytes: number
    metricsPort?: number
    metricsHost: string
  }
  cli.add<Options>(
    'farm work',
    'Work on queued slides until Ctrl-C; as many of these as there are machines and GPUs',
    (command) =>
      codecOptions(placeOptions(command))
        .option('--concurrency <number>', 'slides at a time', integerFrom(1, 64), 1)
        .option(
          '--lease <seconds>',
          "after so long, a slide of a worker that is gone is another's",
          integerFrom(1, 3600),
          30,
        )
        .option('--scratch <folder>', 'where slides of a store are copied to whose readers need a file', tmpdir())
        .option(
          '--scratch-bytes <number>',
          'most bytes of such copies at the same time',
          integerFrom(0, Number.MAX_SAFE_INTEGER),
          64 * 2 ** 30,
        )
        .option('--metrics-port <port>', 'serve figures for Prometheus there, at /metrics', PORT)
        .option('--metrics-host <address>', 'on which address', '127.0.0.1'),
    async (session, options) => {
      const { metricsPort, metricsHost, lease, scratch, scratchBytes, model, device, adapter, ...place } = options
      await using queues = await FarmQueues.open(place)
      const metrics = new WorkerMetrics(async () => (await countsOf(queues)).counts)
      const server =
        metricsPort === undefined ? null : await serveMetrics(metrics, { port: metricsPort, host: metricsHost })
      let [done, failed] = [0, 0]
      try {
        await work({
          ...place,
          ...session.codec({ model, device, adapter }),
          leaseMs: 1000 * lease,
          scratch: { folder: scratch, bytes: scratchBytes },
          signal: session.signal,
          onEvent: (event) => {
            metrics.note(event)
            if (event.kind === 'done') done++
            if (event.kind === 'failed' && event.isLast) failed++
            if (event.kind === 'failed' || event.kind === 'trouble') session.complain(lineOf(event))
            else session.warn(lineOf(event))
          },
        })
      } finally {
        await server?.close()
      }
      return { json: { done, failed }, text: `${counted(done, 'slide')} done, ${failed} failed` }
    },
    'cleric farm work --redis redis://queue.lab:6379 --device webgpu',
  )
}

/** A line of a worker's log. */
function lineOf(event: Parameters<Parameters<typeof work>[0]['onEvent']>[0]): string {
  switch (event.kind) {
    case 'begun':
      return `begun ${event.source}`
    case 'returned':
      return `given back ${event.source}`
    case 'done': {
      const { sourceBytes, result } = event.row
      return `done ${event.source}: ${byteSize(sourceBytes)} to ${byteSize(result?.bytes ?? 0)}`
    }
    case 'failed':
      return `${event.isLast ? 'failed' : 'failed, to be tried again,'} ${event.source}: ${event.row.error?.message}`
    case 'divided':
      return `divided ${event.source} into ${counted(event.parts, 'part')}`
    case 'part': {
      const { first, count } = event.share
      return `done tiles ${first} to ${first + count - 1} of ${event.source}`
    }
    case 'deleted':
      return `removed ${event.source}, validated by ${event.result.validatedBy}`
    case 'trouble':
      return event.message
  }
}

function addStatus(cli: Cli): void {
  cli.add<Place & { failuresFrom: number; port?: number; host: string }>(
    'farm status',
    'How far the farm is; with --port, as a page that keeps itself up to date',
    (command) =>
      placeOptions(command)
        .option(
          '--failures-from <number>',
          `which ${MOST_FAILURES} failures to tell: from this one on, 0 being the latest`,
          integerFrom(0, Number.MAX_SAFE_INTEGER),
          0,
        )
        .option('--port <port>', 'serve a page there, until Ctrl-C; and figures for Prometheus, at /metrics', PORT)
        .option('--host <address>', 'on which address', '127.0.0.1'),
    async (session, { failuresFrom, port, host, ...place }) => {
      if (port !== undefined) return serve(session, place, { port, host })
      await using queues = await FarmQueues.open(place)
      const json = await statusOf(queues, failuresFrom)
      return { json, text: textOf(json) }
    },
    'cleric farm status',
  )
}

async function serve(session: Session, place: Place, listening: { port: number; host: string }): Promise<null> {
  const server = await serveStatus(place, listening)
  try {
    const url = server.listeningOrigin
    session.announce({ url }, url)
    await new Promise<void>((resolve) => {
      if (session.signal.aborted) resolve()
      session.signal.addEventListener('abort', () => resolve(), { once: true })
    })
  } finally {
    await server.close()
  }
  return null
}

function textOf(status: FarmStatus): string {
  const { counts, isPaused, workers, active, failures, failuresFrom, deletions } = status
  const { sourceBytes, bytes, throughput, secondsLeft } = status
  const { waiting, delayed, done, failed } = counts
  const more = failed - failuresFrom - failures.length
  const pace = throughput === null ? [] : [`${byteSize(throughput)} of slides a second`]
  const left = secondsLeft ? [`about ${duration(secondsLeft)} left`] : []
  const removed = deletions.done + deletions.waiting + deletions.failed > 0
  return [
    `${done} done, ${counts.active} at work, ${waiting} waiting, ${delayed} to be tried again, ${failed} failed${isPaused ? '; paused' : ''}`,
    [`${byteSize(sourceBytes)} became ${byteSize(bytes)}`, ...pace, ...left].join(', '),
    counted(workers.length, 'worker'),
    ...(removed
      ? [
          `slides removed: ${deletions.done}, ${deletions.waiting} to be validated, ${deletions.failed} kept after a failure`,
        ]
      : []),
    ...active.map(({ source, progress, worker, parts }) => {
      const by = parts ? `${parts.done} of ${parts.total} parts done, ${parts.active} at work` : (worker ?? '?')
      return `  ${(100 * progress).toFixed(0).padStart(3)} % ${source} (${by})`
    }),
    ...failures.map(({ source, attempts, reason }) => `  failed after ${attempts} tries: ${source}: ${reason}`),
    ...(more > 0 ? [`  and ${more} more failures: --failures-from ${failuresFrom + failures.length}`] : []),
  ].join('\n')
}

function addManifest(cli: Cli): void {
  cli.add<Place & { output: string }>(
    'farm manifest',
    'Write what became of each slide: a table (.csv), JSON (.json) or JSON lines (.jsonl)',
    (command) => placeOptions(command).requiredOption('-o, --output <file>', 'file to write: .csv, .json or .jsonl'),
    async (_, { output, ...place }) => {
      const form = FORMS[extname(output).toLowerCase()]
      if (!form) throw new InvalidArgumentError('Expected a file .csv, .json or .jsonl.')
      await using queues = await FarmQueues.open(place)
      let slides = 0
      async function* text({ head, line, foot }: ManifestForm) {
        yield head
        for await (const row of manifestOf(queues)) yield line(row, slides++)
        yield foot
      }
      // Redis may fail in the middle: what was there stays then.
      const file = await PartialFile.create(output)
      let length = 0
      try {
        for await (const piece of text(form)) {
          const bytes = Buffer.from(piece)
          await file.write(bytes, length)
          length += bytes.length
        }
        await file.publish(new Uint8Array(0), 0, length, true)
      } finally {
        await file.discard()
      }
      return { json: { output, slides }, text: `${output}: ${counted(slides, 'slide')}` }
    },
    'cleric farm manifest -o slides.csv',
  )
}

/** How a manifest is written, by the ending of its file. */
interface ManifestForm {
  readonly head: string
  /** @param number of the row, from 0 */
  readonly line: (row: ManifestRow, number: number) => string
  readonly foot: string
}

const FORMS: Readonly<Record<string, ManifestForm>> = {
  '.csv': { head: manifestTableHead(), line: manifestTableLine, foot: '' },
  '.json': { head: '[', line: (row, number) => `${number > 0 ? ',' : ''}\n${JSON.stringify(row)}`, foot: '\n]\n' },
  '.jsonl': { head: '', line: (row) => `${JSON.stringify(row)}\n`, foot: '' },
}

/** Commands without options of their own. */
function addControls(cli: Cli): void {
  const control = (name: string, about: string, act: (queues: FarmQueues, session: Session) => Promise<string>) =>
    cli.add<Place>(
      `farm ${name}`,
      about,
      placeOptions,
      async (session, place) => {
        await using queues = await FarmQueues.open(place)
        const text = await act(queues, session)
        const { counts, isPaused } = await countsOf(queues)
        return { json: { ...counts, isPaused }, text }
      },
      `cleric farm ${name}`,
    )
  control('retry', 'Queue the slides that failed once more', async ({ slides }) => {
    const failed = await slides.getFailedCount()
    await slides.retryJobs({ state: 'failed', count: Number.MAX_SAFE_INTEGER })
    return `${counted(failed, 'slide')} queued once more`
  })
  control('pause', 'Begin no further slide; those at work are finished', async (queues) => {
    await pause(queues)
    return 'Paused; cleric farm resume goes on'
  })
  control('resume', 'Go on after pause or drain', async ({ slides, parts }) => {
    await Promise.all([slides.resume(), parts.resume()])
    return 'Going on'
  })
  control('drain', 'Begin no further slide, and wait until none is at work', async (queues, { signal }) => {
    await pause(queues)
    const atWork = async () => (await queues.slides.getActiveCount()) + (await queues.parts.getActiveCount())
    while (!signal.aborted && (await atWork()) > 0) await new Promise((resolve) => setTimeout(resolve, 500))
    return 'Paused, and no slide is at work; cleric farm resume goes on'
  })
}

/** No slide is begun, nor a part of one that is divided. */
async function pause({ slides, parts }: FarmQueues): Promise<void> {
  await Promise.all([slides.pause(), parts.pause()])
}

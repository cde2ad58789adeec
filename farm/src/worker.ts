/** A worker: takes jobs, one or several at a time, until it is stopped. */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { DelayedError, type Job, Queue, Worker } from 'bullmq'
import { type ClericError, type CompressProgress, openCodec } from 'cleric'
import {
  type CodecChoice,
  compressOne,
  failedRow,
  isSameVersion,
  type ManifestRow,
  type PayloadCodec,
  rowOf,
  settingsOf,
} from 'cleric/internal'
import type { Redis } from 'ioredis'
import { validateThenDelete } from './deletion.js'
import { Scratch } from './objects/local-copy.js'
import type { ObjectStoreOptions } from './objects/object-store.js'
import { Places } from './places.js'
import {
  connectForEver,
  type DeletionJob,
  type DeletionQueue,
  type DeletionResult,
  deletionsOf,
  JOB_OPTIONS,
  jobId,
  type Place,
  PREFIX,
  type SlideJob,
  type SlideQueue,
} from './queue.js'
import { countSlide } from './totals.js'

export interface WorkerOptions extends Place, CodecChoice {
  /** Slides at work at the same time. */
  readonly concurrency: number
  /** Instead of opening a codec. */
  readonly codec?: PayloadCodec | undefined
  readonly onEvent: (event: WorkerEvent) => void
  readonly signal: AbortSignal
  /** Time after which a job whose worker no longer answers is another's. */
  readonly leaseMs: number
  /** For slides in a store whose readers need a file: where copies go, and how many bytes they may have together. */
  readonly scratch: { readonly folder: string; readonly bytes: number }
  /** How archives are written into a store. */
  readonly store?: ObjectStoreOptions | undefined
}

/** What a worker tells while it works. */
export type WorkerEvent =
  | { readonly kind: 'begun' | 'returned'; readonly source: string }
  | { readonly kind: 'done'; readonly source: string; readonly row: ManifestRow }
  | { readonly kind: 'failed'; readonly source: string; readonly row: ManifestRow; readonly isLast: boolean }
  | { readonly kind: 'deleted'; readonly source: string; readonly result: DeletionResult }
  | { readonly kind: 'trouble'; readonly message: string }

/** How often a job's progress is written to Redis. */
const PROGRESS_MS = 5_000
/** Tries that end with the worker's death before a slide counts as one that kills. */
const MOST_DEATHS = 2
/** When a worker looks again at an archive of its own that another one is to validate. */
const OTHERS_MS = 5_000

/**
 * Works until the signal fires: jobs under way are then given back, to be gone on with where they are.
 *
 * @throws ClericError ERR_NO_DEVICE and the like, if the codec can't be opened
 */
export async function work(options: WorkerOptions): Promise<void> {
  const { redis, queue, concurrency, signal, onEvent, leaseMs, model, device, adapter } = options
  const codec = options.codec ?? (await openCodec({ model, device, adapter, signal }))
  const name = `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`
  const connection = connectForEver(redis)
  const trouble = (error: Error) => onEvent({ kind: 'trouble', message: error.message })
  connection.on('error', trouble)
  const deletions: DeletionQueue = new Queue(deletionsOf(queue), { connection, prefix: PREFIX })
  const queues = { slides: new Queue(queue, { connection, prefix: PREFIX }), deletions }
  for (const each of Object.values(queues)) each.on('error', () => {})
  const shared = {
    connection,
    prefix: PREFIX,
    name,
    lockDuration: leaseMs,
    stalledInterval: leaseMs,
    maxStalledCount: MOST_DEATHS,
  }
  const places = new Places(new Scratch(options.scratch.folder, options.scratch.bytes), options.store)
  const station = { ...options, ...queues, codec, name, connection, places }
  const slides = new Worker<SlideJob, ManifestRow, 'slide'>(queue, (job, token) => workOn(job, token, station), {
    ...shared,
    concurrency,
  })
  const validations = new Worker<DeletionJob, DeletionResult, 'deletion'>(
    deletionsOf(queue),
    (job, token) => removeSlide(job, token, station),
    shared,
  )
  // An error that nobody listens to would end the process.
  for (const worker of [slides, validations]) worker.on('error', trouble)
  try {
    await aborted(signal)
  } finally {
    await Promise.all([slides.close(), validations.close()])
    await Promise.all(Object.values(queues).map((each) => each.close()))
    connection.disconnect()
    places.close()
    if (!options.codec) (codec as { close?: () => void }).close?.()
  }
}

interface Station extends WorkerOptions {
  readonly codec: PayloadCodec
  readonly name: string
  readonly connection: Redis
  readonly places: Places
  readonly slides: Pick<SlideQueue, 'toKey'>
  readonly deletions: DeletionQueue
}

async function workOn(job: Job<SlideJob, ManifestRow, 'slide'>, token: string | undefined, station: Station) {
  const { source, archive, options, thenDelete } = job.data
  const { codec, name, places, signal, onEvent } = station
  const settings = settingsOf(options, codec.model.hash)
  // As far as it is known, should it be out of reach.
  let row = rowOf({ path: source, archive }, { sourceBytes: 0, sourceModified: 0, settings })
  onEvent({ kind: 'begun', source })
  let last = Number.NEGATIVE_INFINITY
  const onProgress = ({ pixels, totalPixels }: CompressProgress) => {
    if (performance.now() - last < PROGRESS_MS) return
    last = performance.now()
    // Lost progress does no harm.
    job.updateProgress(Math.round((1000 * pixels) / Math.max(1, totalPixels)) / 1000).catch(() => {})
  }
  try {
    row = rowOf({ path: source, archive }, await places.sourceVersion(source, settings))
    const { begun } = job.data
    const before = begun !== null && isSameVersion(begun, row) ? begun : null
    await using opened = await places.openSource(source, { codec, signal })
    const compress = (resume: boolean) => {
      const compressing = { ...options, codec, resume, signal, onProgress }
      return compressOne(row, opened.slide, places.archive(archive), compressing, before, (noted) =>
        job.updateData({ ...job.data, begun: noted }),
      )
    }
    const done = await compress(true).catch((error: ClericError) => {
      // What another kind of device began can't be gone on with here, as its tiles may differ in the last bit.
      if (error.code !== 'ERR_RESUME_MISMATCH') throw error
      return compress(false)
    })
    await countSlide(station.connection, station.slides, job.id as string, done)
    if (thenDelete)
      await station.deletions.add('deletion', { row: done, madeBy: name }, { ...JOB_OPTIONS, jobId: jobId(archive) })
    onEvent({ kind: 'done', source, row: done })
    return done
  } catch (error) {
    if (signal.aborted) {
      await job.moveToDelayed(Date.now(), token)
      onEvent({ kind: 'returned', source })
      throw new DelayedError()
    }
    const tries = job.opts.attempts ?? 1
    onEvent({ kind: 'failed', source, row: failedRow(row, error), isLast: job.attemptsMade + 1 >= tries })
    throw new Error(`${(error as ClericError).code ?? 'ERR_INTERNAL'}: ${(error as Error).message}`, { cause: error })
  }
}

async function removeSlide(
  job: Job<DeletionJob, DeletionResult, 'deletion'>,
  token: string | undefined,
  station: Station,
) {
  const { row, madeBy } = job.data
  const { name, codec, places, signal, onEvent } = station
  if (madeBy === name) {
    await job.moveToDelayed(Date.now() + OTHERS_MS, token)
    throw new DelayedError()
  }
  try {
    const result = await validateThenDelete(row, {
      codec,
      places,
      id: job.id as string,
      madeBy,
      validatedBy: name,
      signal,
    })
    onEvent({ kind: 'deleted', source: row.source, result })
    return result
  } catch (error) {
    if (signal.aborted) {
      await job.moveToDelayed(Date.now(), token)
      throw new DelayedError()
    }
    onEvent({ kind: 'trouble', message: `${row.source} stays: ${(error as Error).message}` })
    throw error
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

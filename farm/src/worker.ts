/** A worker: takes jobs, one or several at a time, until it is stopped. */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { DelayedError, type Job, UnrecoverableError, WaitingChildrenError, Worker } from 'bullmq'
import { type ClericError, type CompressProgress, openCodec } from 'cleric'
import {
  type CodecChoice,
  compressOne,
  compressPart,
  failedRow,
  isSameVersion,
  type ManifestRow,
  type PayloadCodec,
  resuming,
  rowOf,
  settingsOf,
} from 'cleric/internal'
import type { Redis } from 'ioredis'
import { validateThenDelete } from './deletion.js'
import { Scratch } from './objects/local-copy.js'
import type { ObjectStoreOptions } from './objects/object-store.js'
import { divisionOf, mustAllBeDone, OpenParts, PartFailedError, partName, queueParts, removeParts } from './parts.js'
import { type OpenedSource, Places } from './places.js'
import {
  connectForEver,
  type DeletionJob,
  type DeletionQueue,
  type DeletionResult,
  deletionsOf,
  FarmQueues,
  failureReason,
  JOB_OPTIONS,
  jobId,
  type PartJob,
  type PartQueue,
  type Place,
  PREFIX,
  partsOf,
  type Share,
  type SlideJob,
  type SlideQueue,
  type Split,
  TRIES,
} from './queue.js'
import { countSlide } from './totals.js'

export interface WorkerOptions extends Place, CodecChoice {
  /** Slides at work at the same time, and as many parts of slides that are divided. */
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
  /** Tiles of a segment of a divided slide, the same for all workers; default `SEGMENT_TILES`. */
  readonly segmentTiles?: number | undefined
}

/** What a worker tells while it works. */
export type WorkerEvent =
  | { readonly kind: 'begun' | 'returned'; readonly source: string }
  | { readonly kind: 'done'; readonly source: string; readonly row: ManifestRow }
  | { readonly kind: 'failed'; readonly source: string; readonly row: ManifestRow; readonly isLast: boolean }
  | { readonly kind: 'divided'; readonly source: string; readonly parts: number }
  | { readonly kind: 'part'; readonly source: string; readonly share: Share }
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
  const queues = FarmQueues.on(connection, queue)
  const shared = {
    connection,
    prefix: PREFIX,
    name,
    lockDuration: leaseMs,
    stalledInterval: leaseMs,
    maxStalledCount: MOST_DEATHS,
  }
  const places = new Places(new Scratch(options.scratch.folder, options.scratch.bytes), options.store)
  const { slides: slideQueue, parts: partQueue, deletions } = queues
  const jobs = { slides: slideQueue, parts: partQueue, deletions }
  const station = { ...options, ...jobs, codec, name, connection, places }
  const slides = new Worker<SlideJob, ManifestRow, 'slide'>(queue, (job, token) => workOn(job, token, station), {
    ...shared,
    concurrency,
  })
  const parts = new Worker<PartJob, null, 'part'>(partsOf(queue), (job, token) => workOnPart(job, token, station), {
    ...shared,
    concurrency,
  })
  const validations = new Worker<DeletionJob, DeletionResult, 'deletion'>(
    deletionsOf(queue),
    (job, token) => removeSlide(job, token, station),
    shared,
  )
  // An error that nobody listens to would end the process.
  for (const worker of [slides, parts, validations]) worker.on('error', trouble)
  try {
    await aborted(signal)
  } finally {
    await Promise.all([slides.close(), parts.close(), validations.close()])
    await queues[Symbol.asyncDispose]()
    places.close()
    if (!options.codec) (codec as { close?: () => void }).close?.()
  }
}

interface Station extends WorkerOptions {
  readonly codec: PayloadCodec
  readonly name: string
  readonly connection: Redis
  readonly places: Places
  readonly slides: SlideQueue
  readonly parts: PartQueue
  readonly deletions: DeletionQueue
}

async function workOn(job: Job<SlideJob, ManifestRow, 'slide'>, token: string | undefined, station: Station) {
  const { source, archive, options, thenDelete } = job.data
  const { codec, name, places, signal, onEvent } = station
  const settings = settingsOf(options, codec.model.hash)
  // As far as it is known, should it be out of reach.
  let row = rowOf({ path: source, archive }, { sourceBytes: 0, sourceModified: 0, settings })
  onEvent({ kind: 'begun', source })
  const onProgress = seldom(({ pixels, totalPixels }: CompressProgress) =>
    job.updateProgress(Math.round((1000 * pixels) / Math.max(1, totalPixels)) / 1000),
  )
  try {
    row = rowOf({ path: source, archive }, await places.sourceVersion(source, settings))
    await using opened = await places.openSource(source, { codec, signal })
    if (await isDivided(job, token, row, opened, station)) {
      onEvent({ kind: 'divided', source, parts: job.data.split?.shares.length ?? 0 })
      throw new WaitingChildrenError()
    }
    const { begun, split = null } = job.data
    if (split) await mustAllBeDone(job, split)
    const before = begun !== null && isSameVersion(begun, row) ? begun : null
    using parts = await OpenParts.open(archive, split, signal)
    const division = { parts: parts.all, segmentTiles: station.segmentTiles }
    const done = await resuming((resume) => {
      const compressing = { ...options, codec, resume, signal, onProgress }
      const begin = (noted: ManifestRow) => job.updateData({ ...job.data, begun: noted })
      return compressOne(row, opened.slide, places.archive(archive), compressing, before, begin, division)
    })
    await countSlide(station.connection, station.slides, job.id as string, done)
    if (thenDelete)
      await station.deletions.add('deletion', { row: done, madeBy: name }, { ...JOB_OPTIONS, jobId: jobId(archive) })
    if (split) await removeParts(archive, split)
    onEvent({ kind: 'done', source, row: done })
    return done
  } catch (error) {
    if (error instanceof WaitingChildrenError) throw error
    if (signal.aborted) {
      await job.moveToDelayed(Date.now(), token)
      onEvent({ kind: 'returned', source })
      throw new DelayedError()
    }
    const isOfPart = error instanceof PartFailedError
    const isLast = isOfPart || job.attemptsMade + 1 >= (job.opts.attempts ?? 1)
    const { split } = job.data
    if (isLast && split) {
      await removeParts(archive, split)
      const next = { ...split, round: split.round + 1, isQueued: false, tries: isOfPart ? TRIES : 0 }
      await job.updateData({ ...job.data, split: next })
    }
    onEvent({ kind: 'failed', source, row: failedRow(row, error), isLast })
    const reason = reasonOf(error)
    throw isOfPart ? new UnrecoverableError(reason) : new Error(reason, { cause: error })
  }
}

/** Whether a slide waits for parts of it, which are queued if they weren't. */
async function isDivided(
  job: Job<SlideJob, ManifestRow, 'slide'>,
  token: string | undefined,
  row: ManifestRow,
  opened: OpenedSource,
  station: Station,
): Promise<boolean> {
  const split = await splitOf(job, row, opened, station)
  if (!split) return false
  if (!split.isQueued) {
    await queueParts(job, split, station.parts)
    await job.updateData({ ...job.data, split: { ...split, isQueued: true } })
  }
  return job.moveToWaitingChildren(token as string)
}

/** How a slide is divided, as its job has it or now gets it; null if it isn't. */
async function splitOf(
  job: Job<SlideJob, ManifestRow, 'slide'>,
  row: ManifestRow,
  opened: OpenedSource,
  station: Station,
): Promise<Split | null> {
  const { archive, begun, options, split = null } = job.data
  const isSame = begun !== null && isSameVersion(begun, row)
  // A slide that has failed keeps its division for another try, unless there is another slide now.
  if (split && (split.isQueued || isSame)) return split
  // What one worker has begun is gone on with by one.
  if (!split && begun !== null) return null
  const replaces = await station.places.archive(archive).version()
  const mayWrite = replaces === null || options.overwrite === true
  const found = mayWrite ? await divisionOf(job.data, opened, station) : null
  if (!found && !split) return null
  const next = found ? { ...found, round: split?.round ?? 0 } : undefined
  await job.updateData({ ...job.data, begun: { ...row, replaces }, split: next })
  return next ?? null
}

async function workOnPart(job: Job<PartJob, null, 'part'>, token: string | undefined, station: Station): Promise<null> {
  const { source, archive, options, share } = job.data
  const { codec, places, signal, segmentTiles, onEvent } = station
  const onProgress = seldom(({ tiles }: CompressProgress) => job.updateProgress(tiles / share.count))
  try {
    await using opened = await places.openSource(source, { codec, signal })
    await places.archive(archive).prepare()
    await resuming((resume) => {
      const compressing = { ...options, codec, resume, signal, onProgress }
      return compressPart(opened.slide, partName(archive, share), share, compressing, { segmentTiles })
    })
    onEvent({ kind: 'part', source, share })
    return null
  } catch (error) {
    if (signal.aborted) {
      await job.moveToDelayed(Date.now(), token)
      throw new DelayedError()
    }
    onEvent({ kind: 'trouble', message: `a part of ${source} failed: ${(error as Error).message}` })
    throw new Error(reasonOf(error), { cause: error })
  }
}

function reasonOf(error: unknown): string {
  const { code = 'ERR_INTERNAL', message } = error as ClericError
  return failureReason({ code, message })
}

/** Tells Redis now and then how far a job is; lost progress does no harm. */
function seldom(tell: (progress: CompressProgress) => Promise<void>): (progress: CompressProgress) => void {
  let last = Number.NEGATIVE_INFINITY
  return (progress) => {
    if (performance.now() - last < PROGRESS_MS) return
    last = performance.now()
    tell(progress).catch(() => {})
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

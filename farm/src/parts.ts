/**
 * Slides that are divided: where one would hold the rest up, several workers encode parts of it, each a job of its own, and
 * a last one puts them together. The slide's job waits for its parts meanwhile, as a job of BullMQ does for its children.
 */
import { rm } from 'node:fs/promises'
import { type Job, UnrecoverableError } from 'bullmq'
import {
  archiveNames,
  countTiles,
  openAny,
  openPart,
  type Part,
  type PayloadCodec,
  SEGMENT_TILES,
} from 'cleric/internal'
import { isObject } from './objects/client.js'
import type { OpenedSource } from './places.js'
import {
  errorIn,
  JOB_OPTIONS,
  jobId,
  type PartQueue,
  type Share,
  type SlideJob,
  type SlideQueue,
  type Split,
} from './queue.js'

/** Most parts of a slide: as many files are open while they are put together. */
const MOST_PARTS = 256
/** So that workers of different speed are done at about the same time. */
const PARTS_A_WORKER = 2

/** A part has failed for good, and so has its slide. */
export class PartFailedError extends UnrecoverableError {
  readonly code: string

  constructor(reason: string) {
    const { code, message } = errorIn(reason)
    super(message)
    this.code = code
  }
}

/** What the division of a slide needs. */
export interface Divider {
  readonly codec: PayloadCodec
  readonly signal: AbortSignal
  readonly slides: SlideQueue
  readonly parts: PartQueue
  readonly segmentTiles?: number | undefined
}

/** Runs of whole segments that are as equal as may be, two for each worker. */
export function sharesOf(tiles: number, workers: number, segmentTiles: number): Share[] {
  const segments = Math.ceil(tiles / segmentTiles)
  const each = segmentTiles * Math.ceil(segments / Math.min(MOST_PARTS, PARTS_A_WORKER * workers))
  const count = Math.ceil(tiles / each)
  return Array.from({ length: count }, (_, i) => ({ first: i * each, count: Math.min(each, tiles - i * each) }))
}

/**
 * How a slide is to be divided; null if it isn't: because it is small, because as many slides wait as there are workers,
 * so that all have work without that, or because it can't be. A picture is decoded whole by whoever opens it, each part
 * would look for the quality of a `targetBpp` anew, and parts are files beside the archive.
 */
export async function divisionOf(
  { source, archive, options, splitAbove = 0 }: SlideJob,
  opened: OpenedSource,
  { codec, signal, slides, segmentTiles = SEGMENT_TILES }: Divider,
): Promise<Split | null> {
  const isDivisible = !isObject(archive) && options.targetBpp === undefined && !/\.(png|jpe?g|webp)$/i.test(source)
  if (splitAbove === 0 || !isDivisible) return null
  const tiles = await tilesOf(opened, { codec, options, signal })
  if (tiles <= splitAbove || tiles <= segmentTiles) return null
  const [workers, waiting] = await Promise.all([
    slides.getWorkersCount(),
    slides.getJobCountByTypes('waiting', 'prioritized'),
  ])
  if (workers < 2 || waiting >= workers) return null
  const shares = sharesOf(tiles, workers, segmentTiles)
  return { shares, round: 0, isQueued: false, tries: 0 }
}

async function tilesOf(
  { slide }: OpenedSource,
  { codec, options, signal }: Pick<SlideJob, 'options'> & Pick<Divider, 'codec' | 'signal'>,
): Promise<number> {
  if (typeof slide !== 'string') return countTiles(slide, options)
  const { page, series, range } = options
  const source = await openAny(slide, { codec, page, series, range, signal })
  try {
    return countTiles(source, options)
  } finally {
    source.close()
  }
}

/** Queues the parts of a slide; those that are queued already stay as they are, and those that are done take no time. */
export async function queueParts(job: Job<SlideJob>, { shares, round }: Split, parts: PartQueue): Promise<void> {
  const { source, archive, options } = job.data
  const { backoff, priority = 0 } = job.opts
  const parent = { id: job.id as string, queue: job.queueQualifiedName }
  await parts.addBulk(
    shares.map((share) => ({
      name: 'part' as const,
      data: { source, archive, options, share },
      opts: {
        ...JOB_OPTIONS,
        ...(backoff === undefined ? {} : { backoff }),
        ...{ parent, priority, jobId: `${prefixOf(archive, round)}${share.first}` },
        // The slide's job keeps what became of them.
        ...{ ignoreDependencyOnFailure: true, removeOnComplete: true, removeOnFail: true },
      },
    })),
  )
}

/** The ids of all parts of a slide begin with it. */
function prefixOf(archive: string, round: number): string {
  return `${jobId(archive)}-${round}-`
}

/** @throws PartFailedError if one has */
export async function mustAllBeDone(job: Job<SlideJob>, { round }: Split): Promise<void> {
  const failures = Object.entries(await job.getIgnoredChildrenFailures())
  // Those of tries before `farm retry` are still there.
  const failure = failures.find(([key]) => key.includes(`:${prefixOf(job.data.archive, round)}`))
  if (failure) throw new PartFailedError(failure[1])
}

/** Where a part is until it is put together with the others. */
export function partName(archive: string, { first }: Share): string {
  return `${archive}.part-${first}`
}

/** The parts of a slide that are there; closed with it. */
export class OpenParts implements Disposable {
  readonly all: readonly Part[]

  private constructor(all: readonly Part[]) {
    this.all = all
  }

  static async open(archive: string, split: Split | null, signal: AbortSignal): Promise<OpenParts> {
    const parts: Part[] = []
    try {
      for (const share of split?.shares ?? []) {
        const part = await openPart(partName(archive, share), signal)
        if (part) parts.push(part)
      }
      return new OpenParts(parts)
    } catch (error) {
      for (const part of parts) part.close()
      throw error
    }
  }

  [Symbol.dispose](): void {
    for (const part of this.all) part.close()
  }
}

/** Removes all that the parts of a slide have left. */
export async function removeParts(archive: string, { shares }: Split): Promise<void> {
  for (const share of shares) {
    for (const name of archiveNames(partName(archive, share))) await rm(name, { force: true })
  }
}

/** How far a farm is. */

import type { Job, JobState } from 'bullmq'
import type { ManifestRow } from 'cleric/internal'
import { errorIn, type FarmQueues, type SlideJob } from './queue.js'
import { type Finished, recentlyFinished, totalsOf } from './totals.js'

/** How far the parts of a slide are that is divided. */
export interface PartsStatus {
  readonly done: number
  readonly active: number
  readonly total: number
}

/** A slide at work. */
export interface ActiveSlide {
  readonly source: string
  /** 0 to 1, a few seconds old. */
  readonly progress: number
  readonly worker: string | null
  /** Seconds since this try began. */
  readonly seconds: number
  /** 1 for the first. */
  readonly attempt: number
  /** Null for a slide that one worker is at. */
  readonly parts: PartsStatus | null
}

export interface FailedSlide {
  readonly source: string
  readonly attempts: number
  readonly reason: string
}

export interface FarmStatus {
  readonly isPaused: boolean
  readonly counts: {
    readonly waiting: number
    readonly active: number
    /** To be tried again in a while. */
    readonly delayed: number
    readonly done: number
    readonly failed: number
  }
  readonly workers: readonly string[]
  readonly active: readonly ActiveSlide[]
  /** At most {@link MOST_FAILURES}, the latest first, from number `failuresFrom` on; `counts.failed` is of all. */
  readonly failures: readonly FailedSlide[]
  readonly failuresFrom: number
  /** Sums over the slides that are done. */
  readonly sourceBytes: number
  readonly bytes: number
  readonly tiles: number
  /** Source bytes a second, over the last ten minutes in which slides were finished; null before two were. */
  readonly throughput: number | null
  /** Slides a second, likewise. */
  readonly slidesPerSecond: number | null
  readonly secondsLeft: number | null
  /** Slides that were removed after their archives were validated, and those that wait for it. */
  readonly deletions: { readonly done: number; readonly waiting: number; readonly failed: number }
}

const PAGE = 1000
const WINDOW_MS = 600_000
/** Divided slides that are told: there are few at a time, as slides are divided only where few wait. */
const MOST_DIVIDED = 100
/** Failures that are told at once. */
export const MOST_FAILURES = 100

/** All jobs in these states, which are asked for a page at a time. */
async function* jobsIn(queues: FarmQueues, states: JobState[]) {
  for (let from = 0; ; from += PAGE) {
    const jobs = await queues.slides.getJobs(states, from, from + PAGE - 1, true)
    yield* jobs
    if (jobs.length < PAGE) return
  }
}

/** How many slides are in which state. */
export async function countsOf({ slides }: FarmQueues): Promise<Pick<FarmStatus, 'counts' | 'isPaused'>> {
  const [counts, isPaused] = await Promise.all([
    slides.getJobCounts('waiting', 'prioritized', 'active', 'waiting-children', 'delayed', 'completed', 'failed'),
    slides.isPaused(),
  ])
  const of = (name: string) => counts[name] ?? 0
  return {
    isPaused,
    counts: {
      waiting: of('waiting') + of('prioritized'),
      active: of('active') + of('waiting-children'),
      delayed: of('delayed'),
      done: of('completed'),
      failed: of('failed'),
    },
  }
}

/**
 * How far the farm is. It takes no longer however many slides are done or have failed.
 *
 * @param failuresFrom which failures are told: from this one on, 0 being the latest
 */
export async function statusOf(queues: FarmQueues, failuresFrom = 0): Promise<FarmStatus> {
  const { slides, deletions, client } = queues
  const [known, workers, active, divided, failed, removals, totals, finished] = await Promise.all([
    countsOf(queues),
    slides.getWorkers(),
    slides.getActive(),
    dividedSlides(queues),
    slides.getFailed(failuresFrom, failuresFrom + MOST_FAILURES - 1),
    deletions.getJobCounts('waiting', 'active', 'delayed', 'completed', 'failed'),
    totalsOf(client, slides),
    recentlyFinished(client, slides),
  ])
  const { sourceBytes, bytes, tiles } = totals
  const pace = paceOf(finished)
  const { waiting, active: atWork, delayed } = known.counts
  const left = waiting + atWork + delayed
  return {
    ...known,
    workers: workers.map(({ name }) => (name as string).replace(/^.*:w:/, '')),
    active: [
      ...active.map((job) => {
        const { progress, processedBy: worker = null } = job
        return { ...atWorkOf(job), progress: typeof progress === 'number' ? progress : 0, worker, parts: null }
      }),
      ...divided,
    ],
    failures: failed.map(({ data, attemptsMade, failedReason }) => ({
      source: data.source,
      attempts: Math.max(attemptsMade, data.split?.tries ?? 0),
      reason: failedReason,
    })),
    failuresFrom,
    sourceBytes,
    bytes,
    tiles,
    throughput: pace?.bytes ?? null,
    slidesPerSecond: pace?.slides ?? null,
    secondsLeft: pace && left > 0 ? left / pace.slides : left === 0 ? 0 : null,
    deletions: {
      done: removals.completed ?? 0,
      waiting: (removals.waiting ?? 0) + (removals.active ?? 0) + (removals.delayed ?? 0),
      failed: removals.failed ?? 0,
    },
  }
}

function atWorkOf({ data, processedOn = 0, attemptsMade }: Job<SlideJob>) {
  const seconds = Math.max(0, Date.now() - processedOn) / 1000
  return { source: data.source, seconds, attempt: attemptsMade + 1 }
}

/** Slides whose parts are waited for. */
async function dividedSlides({ slides, parts }: FarmQueues): Promise<ActiveSlide[]> {
  const jobs = await slides.getJobs('waiting-children', 0, MOST_DIVIDED - 1)
  if (jobs.length === 0) return []
  const active = await parts.getActive()
  return Promise.all(
    jobs.map(async (job) => {
      const total = job.data.split?.shares.length ?? 0
      const { unprocessed = 0 } = await job.getDependenciesCount({ unprocessed: true })
      const done = Math.max(0, total - unprocessed)
      const parts = active.filter(({ data }) => data.archive === job.data.archive)
      const under = parts.reduce((sum, { progress }) => sum + (typeof progress === 'number' ? progress : 0), 0)
      const progress = Math.min(1, (done + under) / Math.max(1, total))
      return { ...atWorkOf(job), progress, worker: null, parts: { done, active: parts.length, total } }
    }),
  )
}

/** Slides and source bytes a second, between the first and the last slide of the last ten minutes of work. */
function paceOf(finished: readonly Finished[]) {
  const last = finished.reduce((most, { at }) => Math.max(most, at), 0)
  const recent = finished.filter(({ at }) => at > last - WINDOW_MS).sort((a, b) => a.at - b.at)
  const [first, ...others] = recent
  const seconds = first === undefined ? 0 : (last - first.at) / 1000
  if (others.length === 0 || seconds <= 0) return null
  const bytes = others.reduce((sum, { sourceBytes }) => sum + sourceBytes, 0)
  return { slides: others.length / seconds, bytes: bytes / seconds }
}

/**
 * What became of every slide of the farm, those that are done first; those not begun are left out. One at a time, as a
 * farm may have more than memory holds.
 */
export async function* manifestOf(queues: FarmQueues): AsyncGenerator<ManifestRow> {
  for await (const { data, returnvalue, failedReason } of jobsIn(queues, [
    'completed',
    'failed',
    'active',
    'waiting-children',
    'delayed',
    'waiting',
    'prioritized',
  ])) {
    if (returnvalue) yield returnvalue
    else if (data.begun) {
      yield failedReason ? { ...data.begun, state: 'failed', error: errorIn(failedReason) } : data.begun
    }
  }
}

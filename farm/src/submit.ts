/** Queues slides. */
import { readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { SlideError } from 'cleric'
import { type CollectionSlide, findSlides } from 'cleric/internal'
import { BACKOFF_MS, FarmQueues, JOB_OPTIONS, type JobOptions, jobId, type Place, type SlideJob } from './queue.js'

export interface SubmitOptions extends Place {
  /** Folder that the archives go to. */
  readonly to: string
  readonly options: JobOptions
  /** 1 (first) to 2^20; default 0, before all of them. */
  readonly priority?: number | undefined
  readonly thenDelete?: boolean | undefined
  /** Time between the first try and the second, doubled before the third; default 5 s. */
  readonly backoffMs?: number | undefined
}

export interface Submission {
  /** Jobs that are new. */
  readonly queued: number
  /** Slides whose archives have a job already, in whatever state. */
  readonly known: number
}

/** Jobs that go to Redis at once. */
const BATCH = 1000

/**
 * Queues a job for each slide of these files, folders and lists; one that has a job already is left as it is.
 *
 * @param inputs slides, folders of them, and lists of paths (.txt, a path a line, of slides relative to the list)
 * @throws SlideError ERR_UNSUPPORTED_SLIDE if there is none; ClericError ERR_NETWORK; what `findSlides` throws
 */
export async function submit(inputs: readonly string[], submission: SubmitOptions): Promise<Submission> {
  const { to, options, priority = 0, thenDelete = false, backoffMs: delay = BACKOFF_MS } = submission
  const slides = await slidesOf(inputs)
  await using queues = await FarmQueues.open(submission)
  const before = await queues.slides.getJobCountByTypes()
  for (let from = 0; from < slides.length; from += BATCH) {
    const jobs = slides.slice(from, from + BATCH).map(({ path, archive }) => {
      const target = join(resolve(to), archive)
      const data: SlideJob = { source: sourceOf(path), archive: target, options, begun: null, thenDelete }
      return {
        name: 'slide' as const,
        data,
        opts: { ...JOB_OPTIONS, backoff: { type: 'exponential', delay }, jobId: jobId(target), priority },
      }
    })
    await queues.slides.addBulk(jobs)
  }
  const queued = (await queues.slides.getJobCountByTypes()) - before
  return { queued, known: slides.length - queued }
}

/** A drawn slide is no path. */
function sourceOf(path: string): string {
  return path.startsWith('synthetic:') ? path : resolve(path)
}

async function slidesOf(inputs: readonly string[]): Promise<CollectionSlide[]> {
  const lists = await Promise.all(inputs.map((input) => (isList(input) ? listed(input) : [input])))
  const slides = await findSlides(lists.flat())
  if (slides.length === 0) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `There is no slide in ${inputs.join(', ')}`)
  return slides
}

function isList(input: string): boolean {
  return /\.txt$/i.test(input)
}

async function listed(list: string): Promise<string[]> {
  const lines = (await readFile(list, 'utf8')).split(/\r?\n/).map((line) => line.trim())
  const paths = lines.filter((line) => line !== '' && !line.startsWith('#'))
  return Promise.all(
    paths.map(async (path) => {
      const slide = path.startsWith('synthetic:') ? path : resolve(list, '..', path)
      if (!path.startsWith('synthetic:')) await stat(slide)
      return slide
    }),
  )
}

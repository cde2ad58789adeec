/** Queues slides. */
import { readFile, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { SlideError } from 'cleric'
import { type CollectionSlide, type FoundSlide, isSlideName, nameArchives, slidesAt } from 'cleric/internal'
import { isObject, objectAt, s3Client } from './objects/client.js'
import { isOneObject, slidesBelow } from './objects/listing.js'
import { BACKOFF_MS, FarmQueues, JOB_OPTIONS, type JobOptions, jobId, type Place, type SlideJob } from './queue.js'

export interface SubmitOptions extends Place {
  /** Folder, or s3://BUCKET/PREFIX, that the archives go to. */
  readonly to: string
  readonly options: JobOptions
  /** 1 (first) to 2^20; default 0, before all of them. */
  readonly priority?: number | undefined
  readonly thenDelete?: boolean | undefined
  /** Tiles above which several workers may share a slide; default never. */
  readonly splitAbove?: number | undefined
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
 * @param inputs slides, folders of them, addresses of objects and prefixes (s3://BUCKET/PREFIX), and lists of all these
 * (.txt, one a line; paths are relative to the list)
 * @throws SlideError ERR_UNSUPPORTED_SLIDE if there is none; ClericError ERR_NETWORK; what `findSlides` throws
 */
export async function submit(inputs: readonly string[], submission: SubmitOptions): Promise<Submission> {
  const { to, options, priority = 0, thenDelete = false, splitAbove = 0, backoffMs: delay = BACKOFF_MS } = submission
  if (isObject(to)) objectAt(to)
  const slides = await slidesOf(inputs)
  await using queues = await FarmQueues.open(submission)
  const before = await queues.slides.getJobCountByTypes()
  for (let from = 0; from < slides.length; from += BATCH) {
    const jobs = slides.slice(from, from + BATCH).map(({ path, archive }) => {
      const target = isObject(to) ? `${to.replace(/\/*$/, '/')}${archive}` : join(resolve(to), archive)
      const data: SlideJob = { source: sourceOf(path), archive: target, options, begun: null, thenDelete, splitAbove }
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

/** A drawn slide is no path, and an address in a store the same everywhere. */
function sourceOf(path: string): string {
  return isNoPath(path) ? path : resolve(path)
}

function isNoPath(path: string): boolean {
  return path.startsWith('synthetic:') || isObject(path)
}

async function slidesOf(inputs: readonly string[]): Promise<CollectionSlide[]> {
  const lists = await Promise.all(inputs.map((input) => (isList(input) ? listed(input) : [input])))
  const all = lists.flat()
  const found = await slidesAt(all.filter((input) => !isObject(input)))
  const slides = nameArchives([...found, ...(await objectsAt(all.filter(isObject)))])
  if (slides.length === 0) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `There is no slide in ${inputs.join(', ')}`)
  return slides
}

/** The slides at these addresses: objects with the ending of one, and those below all other addresses. */
async function objectsAt(addresses: readonly string[]): Promise<FoundSlide[]> {
  if (addresses.length === 0) return []
  const client = s3Client()
  try {
    const each = await Promise.all(
      addresses.map(async (input) => {
        const address = objectAt(input)
        if (!isSlideFile(address.key)) return slidesBelow(client, address)
        if (!isOneObject(address.key)) {
          const what = 'its slide has many files; mount the bucket, and give the path'
          throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${input}: ${what}`)
        }
        return [{ path: input, name: basename(address.key) }]
      }),
    )
    return each.flat()
  } finally {
    client.destroy()
  }
}

/** Named outright, an archive and a picture are slides too. */
function isSlideFile(key: string): boolean {
  return isSlideName(key) || /\.(tiff?|png|jpe?g|webp)$/i.test(key)
}

function isList(input: string): boolean {
  return /\.txt$/i.test(input)
}

async function listed(list: string): Promise<string[]> {
  const lines = (await readFile(list, 'utf8')).split(/\r?\n/).map((line) => line.trim())
  const paths = lines.filter((line) => line !== '' && !line.startsWith('#'))
  return Promise.all(
    paths.map(async (path) => {
      const slide = isNoPath(path) ? path : resolve(list, '..', path)
      if (!isNoPath(path)) await stat(slide)
      return slide
    }),
  )
}

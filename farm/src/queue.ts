/** The farm's queue in Redis: one job a slide, known by the path of its archive. */
import { createHash } from 'node:crypto'
import { type JobsOptions, Queue } from 'bullmq'
import { ClericError, type CodecChoice, type CompressOptions } from 'cleric'
import type { ManifestRow, Share } from 'cleric/internal'
import { Redis } from 'ioredis'

export const DEFAULT_REDIS = 'redis://127.0.0.1:6379'
/** What the farm's keys in Redis begin with. */
export const PREFIX = 'cleric'

/** Where the queue is. */
export interface Place {
  /** redis:// or rediss:// URL, or unix:// path; with user, password and database where need be. */
  readonly redis: string
  /** Name of the queue; farms of different names don't see each other. */
  readonly queue: string
}

/** The options of `compressSlide` that a job carries; where and when it is done is the worker's business. */
export type JobOptions = Omit<
  CompressOptions,
  keyof CodecChoice | 'codec' | 'cacheDir' | 'resume' | 'signal' | 'onProgress' | 'onSearch' | 'onUnreadable'
>

/** A slide to compress. Paths are absolute, and the same on every machine of the farm. */
export interface SlideJob {
  readonly source: string
  readonly archive: string
  readonly options: JobOptions
  /** What the last try noted before it began. */
  readonly begun: ManifestRow | null
  /** Whether the slide is removed once its archive was validated by another worker. */
  readonly thenDelete: boolean
  /** Tiles above which several workers may share the slide; absent or 0: never. */
  readonly splitAbove?: number | undefined
  /** How it is divided, if it is. */
  readonly split?: Split | undefined
}

export type { Share }

/** How a slide is divided into parts that are jobs of their own. */
export interface Split {
  readonly shares: readonly Share[]
  /** How often the parts were given up, for `farm retry`. */
  readonly round: number
  /** Whether all of this round's parts were queued. */
  readonly isQueued: boolean
  /** Tries that a part had which failed for good; 0 if none has. */
  readonly tries: number
}

export type SlideQueue = Queue<SlideJob, ManifestRow, 'slide'>

/** A part of a slide to encode. */
export interface PartJob extends Pick<SlideJob, 'source' | 'archive' | 'options'> {
  readonly share: Share
}

export type PartQueue = Queue<PartJob, null, 'part'>

/** An archive to validate, and the slide to remove afterwards. */
export interface DeletionJob {
  readonly row: ManifestRow
  /** Worker that made the archive: another one validates it. */
  readonly madeBy: string
}

export type DeletionQueue = Queue<DeletionJob, DeletionResult, 'deletion'>

/** What a validation before a deletion found, for the ledger. */
export interface DeletionResult {
  readonly source: string
  readonly sourceBytes: number
  readonly archive: string
  readonly sha256: string
  readonly madeBy: string
  readonly validatedBy: string
  /** ISO 8601. */
  readonly deleted: string
}

/** Tries that a slide has; the time between them doubles. */
export const TRIES = 3
export const BACKOFF_MS = 5_000

export const JOB_OPTIONS = {
  attempts: TRIES,
  backoff: { type: 'exponential', delay: BACKOFF_MS },
  removeOnComplete: false,
  removeOnFail: false,
} as const satisfies JobsOptions

/** A connection of a command, which fails where there is no Redis instead of waiting for it. */
export function connect(redis: string): Redis {
  const options = { maxRetriesPerRequest: 1, retryStrategy: () => null, lazyConnect: true }
  const client = redis.startsWith('unix://')
    ? new Redis(redis.slice('unix://'.length), options)
    : new Redis(redis, options)
  // Each command that fails says why; without a listener the same would end the process.
  client.on('error', () => {})
  return client
}

/** A connection of a worker, which waits for a Redis that is away for a while. */
export function connectForEver(redis: string): Redis {
  const options = { maxRetriesPerRequest: null, retryStrategy: (tries: number) => Math.min(200 * tries, 5_000) }
  return redis.startsWith('unix://') ? new Redis(redis.slice('unix://'.length), options) : new Redis(redis, options)
}

/** The id of a slide's job: the same slide is never queued twice for one archive. */
export function jobId(archive: string): string {
  return createHash('sha256').update(archive).digest('hex')
}

/** The queues of a farm, closed with it. */
export class FarmQueues implements AsyncDisposable {
  readonly slides: SlideQueue
  /** Parts of slides that are divided. */
  readonly parts: PartQueue
  readonly deletions: DeletionQueue
  readonly client: Redis

  private constructor(client: Redis, name: string) {
    this.client = client
    const options = { connection: client, prefix: PREFIX }
    this.slides = new Queue(name, options)
    this.parts = new Queue(partsOf(name), options)
    this.deletions = new Queue(deletionsOf(name), options)
    for (const queue of [this.slides, this.parts, this.deletions]) queue.on('error', () => {})
  }

  /** @throws ClericError ERR_NETWORK if there is no Redis */
  static async open({ redis, queue }: Place): Promise<FarmQueues> {
    const client = connect(redis)
    try {
      await client.connect()
      return new FarmQueues(client, queue)
    } catch (cause) {
      client.disconnect()
      throw noRedis(redis, cause as Error)
    }
  }

  /** On a connection that is there; it is closed with them. */
  static on(client: Redis, name: string): FarmQueues {
    return new FarmQueues(client, name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.slides.close(), this.parts.close(), this.deletions.close()])
    this.client.disconnect()
  }
}

/** Name of the queue of deletions that belongs to a queue of slides. */
export function deletionsOf(queue: string): string {
  return `${queue}-deletions`
}

/** Name of the queue of parts of its slides. */
export function partsOf(queue: string): string {
  return `${queue}-parts`
}

/** The reason that a failed job has. */
export function failureReason({ code, message }: { readonly code: string; readonly message: string }): string {
  return `${code}: ${message}`
}

/** The error that a job's reason was made of. */
export function errorIn(reason: string): { readonly code: string; readonly message: string } {
  const [, code = 'ERR_INTERNAL', message = reason] = /^(ERR_\w+|E[A-Z]+): (.*)$/s.exec(reason) ?? []
  return { code, message }
}

function noRedis(redis: string, cause: Error): ClericError {
  // An address may hold a password.
  const shown = redis.replace(/\/\/[^@/]*@/, '//')
  const message = `No Redis answers at ${shown} (${cause.message}); start one, or give its address with --redis`
  return new ClericError('ERR_NETWORK', message, { cause })
}

/**
 * Sums over the slides that are done, which Redis keeps as they are finished: however many there are, nobody has to look
 * at each of them.
 */
import type { ManifestRow } from 'cleric/internal'
import type { Redis } from 'ioredis'
import type { SlideQueue } from './queue.js'

export interface Totals {
  readonly slides: number
  /** The slides' files. */
  readonly sourceBytes: number
  /** Their archives. */
  readonly bytes: number
  readonly tiles: number
}

/** A slide that was finished. */
export interface Finished {
  /** Milliseconds since 1970, by the clock of Redis. */
  readonly at: number
  readonly sourceBytes: number
}

/** Slides of which it is kept when they were finished: enough to tell how fast the farm is. */
const MOST_RECENT = 1000

/**
 * Counts a slide, unless it was: the job itself notes that, so that one that is done twice counts once. One script, as a
 * worker may be killed between any two commands.
 */
const COUNT = `
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HSETNX', KEYS[1], 'counted', '1') == 0 then return 0 end
redis.call('HINCRBY', KEYS[2], 'slides', 1)
redis.call('HINCRBY', KEYS[2], 'sourceBytes', ARGV[1])
redis.call('HINCRBY', KEYS[2], 'bytes', ARGV[2])
redis.call('HINCRBY', KEYS[2], 'tiles', ARGV[3])
local now = redis.call('TIME')
redis.call('LPUSH', KEYS[3], now[1] * 1000 + math.floor(now[2] / 1000) .. ' ' .. ARGV[1])
redis.call('LTRIM', KEYS[3], 0, ARGV[4] - 1)
return 1`

type Keys = Pick<SlideQueue, 'toKey'>

/** Takes a slide into the sums; false if it was in them already. */
export async function countSlide(client: Redis, queue: Keys, job: string, row: ManifestRow): Promise<boolean> {
  const { sourceBytes, result } = row
  const keys = [job, 'totals', 'recent'].map((name) => queue.toKey(name))
  const sums = [sourceBytes, result?.bytes ?? 0, result?.tiles ?? 0]
  return (await client.eval(COUNT, keys.length, ...keys, ...sums, MOST_RECENT)) === 1
}

export async function totalsOf(client: Redis, queue: Keys): Promise<Totals> {
  const { slides, sourceBytes, bytes, tiles } = await client.hgetall(queue.toKey('totals'))
  const number = (text: string | undefined) => Number(text ?? 0)
  return {
    slides: number(slides),
    sourceBytes: number(sourceBytes),
    bytes: number(bytes),
    tiles: number(tiles),
  }
}

/** The slides that were finished last, the latest first. */
export async function recentlyFinished(client: Redis, queue: Keys): Promise<Finished[]> {
  const lines = await client.lrange(queue.toKey('recent'), 0, MOST_RECENT - 1)
  return lines.map((line) => {
    const [at, sourceBytes] = line.split(' ').map(Number) as [number, number]
    return { at, sourceBytes }
  })
}

/**
 * How long a farm takes for a collection, by a discrete-event simulation: slides are taken one by one by workers, and all
 * that are at work share the storage's bandwidth and Redis. `docs/farm.md` has what it gives.
 *
 *     node --import tsx scripts/farm-simulation.ts
 *
 * A worker reads, encodes and writes at the same time, so that a slide goes on at the pace of the slowest of these. If the
 * storage can't give what all want at once, everybody goes on more slowly by the same factor: what is left of a slide is
 * counted in seconds of undisturbed work, and time runs by that factor. All events are then known beforehand but for the
 * factor, and the next one is the smallest of a heap.
 */

import { pathToFileURL } from 'node:url'
import { seededRandom } from '../test/seeded-random.js'

export interface Farm {
  readonly workers: number
  /** Tiles that a worker encodes a second. */
  readonly tilesPerSecond: number
  /** Bytes a second that the storage reads and writes, for all workers together. */
  readonly storageBandwidth: number
  /** Seconds that Redis is busy with a slide: it has one thread. */
  readonly redisSecondsPerSlide: number
  /** Seconds of a slide that don't depend on its size: opening, hashing, the queue. */
  readonly secondsPerSlide: number
  /** Mean time between two failures of a worker; infinite: none. What is lost is the lease, and then the slide goes on. */
  readonly failureSeconds: number
  readonly leaseSeconds: number
}

export interface Collection {
  readonly slides: number
  /** A slide's mean size; sizes are spread log-normally, by `spread` (0: all alike), the standard deviation of the logarithm. */
  readonly meanBytes: number
  readonly spread: number
  readonly bytesPerTile: number
  /** Bytes of archives over those of slides. */
  readonly ratio: number
}

export interface Outcome {
  readonly seconds: number
  /** Mean share of the time that workers encoded, that storage and Redis were busy. 0 to 1. */
  readonly encoding: number
  readonly storage: number
  readonly redis: number
  /** Time from the moment at which no slide was left to begin to the end. */
  readonly tailSeconds: number
}

/** The least of numbers that are put in, again and again. */
class Heap {
  readonly #values: number[] = []

  get size(): number {
    return this.#values.length
  }

  push(value: number): void {
    const values = this.#values
    let at = values.push(value) - 1
    for (let up = (at - 1) >> 1; at > 0 && (values[up] as number) > value; up = (at - 1) >> 1) {
      values[at] = values[up] as number
      at = up
    }
    values[at] = value
  }

  /** Infinite if there is none. */
  pop(): number {
    const values = this.#values
    const least = values[0] ?? Number.POSITIVE_INFINITY
    const last = values.pop()
    if (last === undefined || values.length === 0) return least
    let at = 0
    for (let down = 1; down < values.length; down = 2 * at + 1) {
      if (down + 1 < values.length && (values[down + 1] as number) < (values[down] as number)) down++
      if ((values[down] as number) >= last) break
      values[at] = values[down] as number
      at = down
    }
    values[at] = last
    return least
  }
}

/** @param seed of sizes and failures */
export function simulate(farm: Farm, collection: Collection, seed = 1): Outcome {
  const { workers, tilesPerSecond, storageBandwidth, redisSecondsPerSlide, secondsPerSlide } = farm
  const { slides, meanBytes, spread, bytesPerTile, ratio } = collection
  const random = seededRandom(seed)
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  // Undisturbed, a worker moves so many bytes a second of storage while it encodes.
  const wanted = tilesPerSecond * bytesPerTile * (1 + ratio)
  const running = new Heap()
  let [begun, clock, progress, redisFree, tailFrom] = [0, 0, 0, 0, 0]
  let [encoded, moved] = [0, 0]
  const begin = () => {
    const bytes = meanBytes * Math.exp(spread * normal() - spread ** 2 / 2)
    const encoding = bytes / bytesPerTile / tilesPerSecond
    // Redis takes one slide after the other; who has to wait begins later.
    redisFree = Math.max(redisFree, clock) + redisSecondsPerSlide
    const failures = Math.floor((encoding + secondsPerSlide) / farm.failureSeconds + random())
    const lost = Number.isFinite(farm.failureSeconds) ? failures * farm.leaseSeconds : 0
    begun++
    encoded += encoding
    moved += bytes * (1 + ratio)
    running.push(progress + (redisFree - clock) + encoding + secondsPerSlide + lost)
    if (begun === slides) tailFrom = clock
  }
  while (begun < Math.min(workers, slides)) begin()
  while (running.size > 0) {
    const factor = Math.min(1, storageBandwidth / (running.size * wanted))
    const next = running.pop()
    clock += (next - progress) / factor
    progress = next
    if (begun < slides) begin()
  }
  return {
    seconds: clock,
    encoding: encoded / (workers * clock),
    storage: moved / (storageBandwidth * clock),
    redis: (slides * redisSecondsPerSlide) / clock,
    tailSeconds: clock - tailFrom,
  }
}

/**
 * A petabyte in slides of a gigabyte, of mixed sizes, stored as CMU-1-Small-Region.svs is: JPEG of 2.35 bits a pixel,
 * so that a tile of 512 x 512 pixels takes 77 KB; its archive has 0.57 times its bytes (1.34 bits a pixel). How many
 * there are and how much they differ is assumed.
 */
const PETABYTE: Collection = { slides: 1_000_000, meanBytes: 1e9, spread: 0.7, bytesPerTile: 77_000, ratio: 0.57 }

/** Tiles of 512 x 512 a second, as README has them measured: 6.59 megapixels in 7.5 s, and 17.5 megapixels a second. */
const TILES_PER_SECOND = { 'two cores, no check': 3.35, 'one H100': 66.8 } as const

/** Processor time of Redis a slide, by `farm-load.ts`. */
const REDIS_SECONDS = 0.0013

function main(): void {
  const lines = [
    '| worker | workers | storage | days | encoding | storage busy | Redis busy |',
    '|---|---|---|---|---|---|---|',
  ]
  for (const [name, tilesPerSecond] of Object.entries(TILES_PER_SECOND)) {
    for (const workers of [10, 100, 1000]) {
      for (const storage of [1e9, 1e10]) {
        // The seconds beside encoding and the failures, one a worker and week, are assumed.
        const farm: Farm = {
          ...{ workers, tilesPerSecond, storageBandwidth: storage, redisSecondsPerSlide: REDIS_SECONDS },
          ...{ secondsPerSlide: 2, failureSeconds: 7 * 86_400, leaseSeconds: 30 },
        }
        const { seconds, encoding, storage: busy, redis } = simulate(farm, PETABYTE)
        const percent = (share: number) => `${Number((100 * share).toPrecision(2))} %`
        const cells = [name, workers, `${storage / 1e9} GB/s`, Number((seconds / 86_400).toPrecision(3))]
        lines.push(`| ${[...cells, percent(encoding), percent(busy), percent(redis)].join(' | ')} |`)
      }
    }
  }
  console.log(lines.join('\n'))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main()

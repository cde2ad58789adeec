/** What every bench does: open codecs and images, sweep, and say what was run on what. */
import { cpus } from 'node:os'
import { type BenchCodec, type CodecFacts, isMissing, type MissingCodec } from './codec.js'
import { type ImageSet, openImageSet } from './image-set.js'
import type { Measure } from './measure.js'
import { ResultCache } from './result-cache.js'
import { type ImageFacts, type Sweep, sweep } from './sweep.js'

export interface BenchOptions {
  readonly data: string
  /** Ascending. */
  readonly levels: readonly number[]
  readonly limit?: number | undefined
  /** File of results of earlier runs; null: none is read or written. */
  readonly cache: string | null
  /** Opens what is to be run, and says what can't be. */
  readonly open: (signal?: AbortSignal) => Promise<readonly (BenchCodec | MissingCodec)[]>
  /** Whether to draw. */
  readonly figures: boolean
  readonly signal?: AbortSignal | undefined
  /** Called once it is known what will be run. */
  readonly onStart?:
    | ((codecs: readonly BenchCodec[], missing: readonly MissingCodec[], images: number) => void)
    | undefined
  readonly onProgress?: ((done: number, total: number, what: string) => void) | undefined
}

/** What stands in every report. */
export interface BenchFacts {
  readonly machine: { readonly processor: string; readonly platform: string; readonly node: string }
  readonly data: string
  readonly levels: readonly number[]
  readonly images: readonly ImageFacts[]
  readonly codecs: readonly (CodecFacts & Pick<BenchCodec, 'version' | 'commands'>)[]
  readonly missing: readonly MissingCodec[]
}

export interface BenchRun<Report> {
  readonly report: Report
  /** SVG by file name. */
  readonly figures: ReadonlyMap<string, string>
}

export interface Swept<T extends object> extends Sweep<T> {
  readonly facts: BenchFacts
  readonly codecs: readonly BenchCodec[]
  readonly cache: ResultCache<T> | null
  readonly set: ImageSet
}

/** Sweeps, and gives what was found to `conclude` while images and codecs are open. */
export async function runBench<T extends object, R>(
  options: BenchOptions,
  measure: Measure<T>,
  conclude: (swept: Swept<T>) => Promise<R>,
): Promise<R> {
  const { data, levels, signal, onProgress } = options
  const opened = await options.open(signal)
  const codecs = opened.filter((codec): codec is BenchCodec => !isMissing(codec))
  const missing = opened.filter(isMissing)
  using set = await openImageSet(data, Math.max(...levels), options.limit)
  options.onStart?.(codecs, missing, set.names.length)
  const cache = options.cache === null ? null : await ResultCache.open(options.cache, measure)
  const { points, images } = await sweep(set, codecs, { levels, measure, cache, signal, onProgress })
  const facts: BenchFacts = {
    machine: {
      processor: cpus()[0]?.model ?? 'unknown',
      platform: `${process.platform} ${process.arch}`,
      node: process.version,
    },
    data,
    levels,
    images,
    codecs: codecs.map(({ id, label, chroma, setting, settings, step, version, commands }) => ({
      ...{ id, label, chroma, setting, settings, step, version, commands },
    })),
    missing,
  }
  // Awaited here: the images are closed when this returns.
  return await conclude({ points, images, facts, codecs, cache, set })
}

/** Runs codecs over images and settings. */
import { throwIfAborted } from 'cleric/internal'
import type { BenchCodec } from './codec.js'
import type { ImageSet, TestImage } from './image-set.js'
import type { Measure } from './measure.js'
import { cacheKey, type Result, type ResultCache } from './result-cache.js'

/** One image through one codec at one setting. */
export type Point<T> = Result<T> & {
  readonly codec: string
  readonly image: string
  readonly level: number
  readonly setting: number
  /** Bits of the whole bitstream a pixel of the image. */
  readonly bpp: number
}

export interface SweepOptions<T extends object> {
  readonly levels: readonly number[]
  readonly measure: Measure<T>
  readonly cache: ResultCache<T> | null
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number, total: number, what: string) => void) | undefined
}

export interface Sweep<T> {
  readonly points: readonly Point<T>[]
  readonly images: readonly ImageFacts[]
}

export interface ImageFacts {
  readonly name: string
  readonly level: number
  readonly width: number
  readonly height: number
  readonly digest: string
}

/** Every codec at all of its settings on every image and level. */
export async function sweep<T extends object>(
  set: ImageSet,
  codecs: readonly BenchCodec[],
  options: SweepOptions<T>,
): Promise<Sweep<T>> {
  const { levels, signal, onProgress } = options
  const settings = codecs.reduce((sum, codec) => sum + codec.settings.length, 0)
  const total = set.names.length * levels.length * settings
  const points: Point<T>[] = []
  const images: ImageFacts[] = []
  for (let i = 0; i < set.names.length; i++) {
    for (const test of await set.read(i, levels, signal)) {
      const { name, level, digest } = test
      const { width, height } = test.image
      images.push({ name, level, width, height, digest })
      const run = runner(test, options)
      for (const codec of codecs) {
        for (const setting of codec.settings) {
          throwIfAborted(signal)
          const result = await run(codec, setting)
          const bpp = (8 * result.bytes) / (width * height)
          points.push({ codec: codec.id, image: name, level, setting, bpp, ...result })
          onProgress?.(points.length, total, `${name} ${codec.id}`)
        }
      }
    }
  }
  return { points, images }
}

/** What codecs make of one image, from the cache where it is known. */
export function runner<T extends object>(
  { image, digest }: TestImage,
  { measure, cache, signal }: Pick<SweepOptions<T>, 'measure' | 'cache' | 'signal'>,
): (codec: BenchCodec, setting: number) => Promise<Result<T>> {
  let compare: ((decoded: TestImage['image']) => T) | undefined
  return async (codec, setting) => {
    const key = codec.cacheable && cache ? cacheKey(codec, setting, digest) : null
    const known = key === null ? undefined : cache?.get(key)
    if (known) return known
    const bytes = await codec.encode(image, setting, signal)
    const decoded = await codec.decode(bytes, image, signal)
    compare ??= measure.against(image)
    const result = { bytes: bytes.length, ...compare(decoded) }
    if (key !== null) cache?.set(key, result)
    return result
  }
}

/** Runs codecs over images and settings. */
import { throwIfAborted } from '../errors.js'
import { msSsim } from '../metrics/ms-ssim.js'
import { psnr } from '../metrics/psnr.js'
import type { BenchCodec } from './codec.js'
import type { ImageSet, TestImage } from './image-set.js'
import { cacheKey, type Result, type ResultCache } from './result-cache.js'

/** One image through one codec at one setting. */
export interface Point extends Result {
  readonly codec: string
  readonly image: string
  readonly level: number
  readonly setting: number
  /** Bits of the whole bitstream a pixel of the image. */
  readonly bpp: number
}

export interface SweepOptions {
  readonly levels: readonly number[]
  readonly cache: ResultCache | null
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((done: number, total: number, what: string) => void) | undefined
}

export interface Sweep {
  readonly points: readonly Point[]
  readonly images: readonly { name: string; level: number; width: number; height: number; digest: string }[]
}

/** Every codec at all of its settings on every image and level. */
export async function sweep(set: ImageSet, codecs: readonly BenchCodec[], options: SweepOptions): Promise<Sweep> {
  const { levels, cache, signal, onProgress } = options
  const settings = codecs.reduce((sum, codec) => sum + codec.settings.length, 0)
  const total = set.names.length * levels.length * settings
  const points: Point[] = []
  const images: Sweep['images'][0][] = []
  for (let i = 0; i < set.names.length; i++) {
    for (const test of await set.read(i, levels, signal)) {
      const { name, level, digest } = test
      const { width, height } = test.image
      images.push({ name, level, width, height, digest })
      for (const codec of codecs) {
        for (const setting of codec.settings) {
          throwIfAborted(signal)
          const result = await measure(codec, setting, test, cache, signal)
          const bpp = (8 * result.bytes) / (width * height)
          points.push({ codec: codec.id, image: name, level, setting, bpp, ...result })
          onProgress?.(points.length, total, `${name} ${codec.id}`)
        }
      }
    }
  }
  return { points, images }
}

/** What one encoding comes to, from the cache if it is known. */
export async function measure(
  codec: BenchCodec,
  setting: number,
  test: TestImage,
  cache: ResultCache | null,
  signal: AbortSignal | undefined,
): Promise<Result> {
  const key = codec.cacheable && cache ? cacheKey(codec, setting, test.digest) : null
  const known = key === null ? undefined : cache?.get(key)
  if (known) return known
  const bytes = await codec.encode(test.image, setting, signal)
  const decoded = await codec.decode(bytes, test.image, signal)
  const result = { bytes: bytes.length, psnr: psnr(test.image, decoded), msSsim: msSsim(test.image, decoded) }
  if (key !== null) cache?.set(key, result)
  return result
}

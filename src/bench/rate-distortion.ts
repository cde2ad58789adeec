/** Rate and distortion of codecs on the same images, from real bitstreams: the run and its report. */
import { cpus } from 'node:os'
import type { PayloadCodec } from '../archive/archive.js'
import { type BenchCodec, type CodecFacts, isMissing, type MissingCodec } from './codec.js'
import { drawCrops } from './crop-figure.js'
import { type BdEntry, bdRates, type Curve, meanCurves } from './curves.js'
import { openImageSet } from './image-set.js'
import { openBenchCodecs } from './open-codecs.js'
import { plotCurves, plotLevels } from './plots.js'
import { ResultCache } from './result-cache.js'
import { type Point, type Sweep, sweep } from './sweep.js'

/** The JSON that is documented in docs/bench.md. */
export interface RdReport {
  readonly format: 'cleric-bench-rd/1'
  readonly machine: { readonly processor: string; readonly platform: string; readonly node: string }
  readonly data: string
  readonly levels: readonly number[]
  readonly images: Sweep['images']
  readonly codecs: readonly (CodecFacts & Pick<BenchCodec, 'version' | 'commands'>)[]
  readonly missing: readonly MissingCodec[]
  readonly curves: readonly Curve[]
  readonly bdRates: readonly BdEntry[]
  readonly points: readonly Point[]
}

export interface RdOptions {
  readonly data: string
  /** Ids of {@link benchCodecs}. */
  readonly codecs: readonly string[]
  /** Ascending. */
  readonly levels: readonly number[]
  readonly limit?: number | undefined
  /** File of results of earlier runs; null: none is read or written. */
  readonly cache: string | null
  /** Opens this project's codec, if it is asked for. */
  readonly cleric: () => Promise<PayloadCodec>
  /** Whether to draw. */
  readonly figures: boolean
  readonly signal?: AbortSignal | undefined
  /** Called once it is known what will be run. */
  readonly onStart?:
    | ((codecs: readonly BenchCodec[], missing: readonly MissingCodec[], images: number) => void)
    | undefined
  readonly onProgress?: ((done: number, total: number, what: string) => void) | undefined
}

export interface RdRun {
  readonly report: RdReport
  /** SVG by file name. */
  readonly figures: ReadonlyMap<string, string>
}

/** What BD-rates are given against. */
const ANCHORS = ['jpeg', 'avif']
/** What the crop shows, if it is there; the first one sets the rate. */
const IN_CROP = ['cleric', 'hevc', 'avif', 'jpeg']

export async function benchRateDistortion(options: RdOptions): Promise<RdRun> {
  const { data, levels, signal } = options
  const opened = await openBenchCodecs(options.codecs, options.cleric, signal)
  const codecs = opened.filter((codec): codec is BenchCodec => !isMissing(codec))
  const missing = opened.filter(isMissing)
  using set = await openImageSet(data, Math.max(...levels), options.limit)
  options.onStart?.(codecs, missing, set.names.length)
  const cache = options.cache === null ? null : new ResultCache(options.cache)
  const { points, images } = await sweep(set, codecs, { levels, cache, signal, onProgress: options.onProgress })
  const curves = meanCurves(points, codecs, levels)
  const report: RdReport = {
    format: 'cleric-bench-rd/1',
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
    curves,
    bdRates: bdRates(curves, points, ANCHORS),
    points,
  }
  const figures = new Map<string, string>()
  if (options.figures) {
    const add = (name: string, svg: string | null) => svg !== null && figures.set(name, svg)
    const finest = levels[0] as number
    add('psnr.svg', await plotCurves(curves, codecs, 'psnr', finest))
    add('ms-ssim.svg', await plotCurves(curves, codecs, 'msSsim', finest))
    if (levels.length > 1) add('levels.svg', await plotLevels(curves, codecs))
    const shown = IN_CROP.flatMap((id) => codecs.find((codec) => codec.id === id) ?? [])
    const [test] = await set.read(0, [finest], signal)
    if (test && shown.length > 0) add('crop.svg', await drawCrops(test, shown, { cache, signal }))
  }
  return { report, figures }
}

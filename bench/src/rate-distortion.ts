/** `bench rd`: rate and distortion of codecs on the same images. */
import { drawCrops } from './crop-figure.js'
import { type BdEntry, bdRates, type Curve, meanCurves } from './curves.js'
import { plotCurves, plotLevels } from './plots.js'
import { type Quality, quality } from './quality.js'
import { type BenchFacts, type BenchOptions, type BenchRun, runBench } from './run.js'
import type { Point } from './sweep.js'

/** The JSON that is documented in docs/bench.md. */
export interface RdReport extends BenchFacts {
  readonly format: 'cleric-bench-rd/1'
  readonly curves: readonly Curve[]
  readonly bdRates: readonly BdEntry[]
  readonly points: readonly Point<Quality>[]
}

/** What BD-rates are given against. */
export const ANCHORS = ['jpeg', 'avif', 'vtm']
/** What the crop shows, if it is there; the first one sets the rate. */
const IN_CROP = ['cleric', 'hevc', 'avif', 'jpeg']

export async function benchRateDistortion(options: BenchOptions): Promise<BenchRun<RdReport>> {
  const { levels, signal } = options
  return runBench(options, quality, async ({ facts, codecs, points, cache, set }) => {
    const curves = meanCurves(points, codecs, levels)
    const entries = bdRates(curves, points, ANCHORS)
    const report: RdReport = { format: 'cleric-bench-rd/1', ...facts, curves, bdRates: entries, points }
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
  })
}

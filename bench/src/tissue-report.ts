/** `bench nuclei`: what codecs do to nuclei and stains, over the rate. */
import { mean } from './curves.js'
import { plotPanels } from './plots.js'
import { type BenchFacts, type BenchOptions, type BenchRun, runBench } from './run.js'
import type { Point } from './sweep.js'
import { type TissueErrors, tissue } from './tissue.js'

/** Means over the images, at one setting; the number of nuclei by its absolute error. */
export interface TissueMeans extends TissueErrors {
  readonly setting: number
  readonly bpp: number
}

/** The JSON that is documented in docs/bench.md. */
export interface TissueReport extends BenchFacts {
  readonly format: 'cleric-bench-nuclei/1'
  readonly curves: readonly {
    readonly codec: string
    readonly level: number
    readonly points: readonly TissueMeans[]
  }[]
  readonly points: readonly Point<TissueErrors>[]
}

const PANELS = [
  ['f1', 'F1 of nuclei'],
  ['countError', 'error of their number'],
  ['haematoxylin', 'error of haematoxylin'],
  ['eosin', 'error of eosin'],
] as const

export async function benchTissue(options: BenchOptions): Promise<BenchRun<TissueReport>> {
  return runBench(options, tissue, async ({ facts, codecs, points }) => {
    const curves = options.levels.flatMap((level) =>
      codecs.map(({ id, settings }) => {
        const measured = points.filter((point) => point.codec === id && point.level === level)
        const at = (setting: number) => measured.filter((point) => point.setting === setting)
        return { codec: id, level, points: settings.map((setting) => means(setting, at(setting))) }
      }),
    )
    const report: TissueReport = { format: 'cleric-bench-nuclei/1', ...facts, curves, points }
    const figures = new Map<string, string>()
    if (options.figures) {
      const finest = curves.filter(({ level }) => level === options.levels[0])
      const panels = PANELS.map(([field, axis]) => ({
        axis,
        series: finest.flatMap(({ codec, points }) => points.map((p) => ({ codec, bpp: p.bpp, value: p[field] }))),
      }))
      const svg = await plotPanels([panels.slice(0, 2), panels.slice(2)], codecs)
      if (svg !== null) figures.set('nuclei.svg', svg)
    }
    return { report, figures }
  })
}

function means(setting: number, points: readonly Point<TissueErrors>[]): TissueMeans {
  return {
    setting,
    bpp: mean(points.map(({ bpp }) => bpp)),
    f1: mean(points.map(({ f1 }) => f1)),
    countError: mean(points.map(({ countError }) => Math.abs(countError))),
    haematoxylin: mean(points.map(({ haematoxylin }) => haematoxylin)),
    eosin: mean(points.map(({ eosin }) => eosin)),
  }
}

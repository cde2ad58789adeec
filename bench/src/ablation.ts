/** `bench ablation`: models that differ in a module, against the first of them, as the paper's Table 2 has it. */
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { type Codec, type CodecChoice, openCodec } from 'cleric'
import { parseModel, readModelFile } from 'cleric/internal'
import { clericCodec } from './cleric-codec.js'
import { type BdEntry, bdRates, type Curve, meanCurves } from './curves.js'
import { plotCurves } from './plots.js'
import { type Quality, quality } from './quality.js'
import { type BenchFacts, type BenchOptions, type BenchRun, runBench } from './run.js'
import type { Point } from './sweep.js'

/** One model and its switches: learned lifting scheme, deformable convolutions, recurrence. */
export interface Variant {
  /** Its id among the codecs: the name of its file. */
  readonly codec: string
  readonly hash: string
  readonly ls: boolean
  readonly drb: boolean
  readonly r2b: boolean
  /** Numbers in the file, but for the tables of the entropy coder. */
  readonly parameters: number
}

/** The JSON that is documented in docs/bench.md. */
export interface AblationReport extends BenchFacts {
  readonly format: 'cleric-bench-ablation/1'
  readonly variants: readonly Variant[]
  readonly curves: readonly Curve[]
  readonly bdRates: readonly BdEntry[]
  readonly points: readonly Point<Quality>[]
}

export interface AblationOptions extends BenchOptions {
  /** Files; the first one is the baseline. */
  readonly models: readonly string[]
  readonly device: Omit<CodecChoice, 'model'>
}

const REFERENCES = ['jpeg', 'avif', 'hevc']

export async function benchAblation(options: AblationOptions): Promise<BenchRun<AblationReport>> {
  const names = distinctNames(options.models)
  const variants = await Promise.all(options.models.map((file, i) => describeModel(file, names[i] as string)))
  const opened: Codec[] = []
  const open = async (signal?: AbortSignal) => {
    for (const model of options.models) opened.push(await openCodec({ ...options.device, model, signal }))
    return [...opened.map((codec, i) => clericCodec(codec, names[i])), ...(await options.open(signal))]
  }
  try {
    return await runBench({ ...options, open }, quality, async ({ facts, codecs, points }) => {
      const curves = meanCurves(points, codecs, options.levels)
      const entries = bdRates(curves, points, [names[0] as string, ...REFERENCES])
      const report: AblationReport = {
        ...{ format: 'cleric-bench-ablation/1', ...facts, variants, curves, bdRates: entries, points },
      }
      const figures = new Map<string, string>()
      const svg = options.figures ? await plotCurves(curves, codecs, 'psnr', options.levels[0] as number) : null
      if (svg !== null) figures.set('ablation.svg', svg)
      return { report, figures }
    })
  } finally {
    for (const codec of opened) codec.close()
  }
}

async function describeModel(file: string, codec: string): Promise<Variant> {
  const bytes = await readFile(file)
  const { hash, config } = await parseModel(bytes)
  let parameters = 0
  for (const [name, { shape }] of (await readModelFile(bytes)).tensors) {
    if (!name.startsWith('cdf.') && name !== 'scales') parameters += shape.reduce((product, side) => product * side, 1)
  }
  return { codec, hash, ls: config.ls, drb: config.drb, r2b: config.iters > 1, parameters }
}

/** Names of files without folder and suffix; with a number where two would be the same. */
function distinctNames(files: readonly string[]): string[] {
  const names: string[] = []
  for (const file of files) {
    const name = basename(file).replace(/\.safetensors$/, '')
    const taken = names.filter((other) => other === name || other.startsWith(`${name} (`)).length
    names.push(taken === 0 ? name : `${name} (${taken + 1})`)
  }
  return names
}

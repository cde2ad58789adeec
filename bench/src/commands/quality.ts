import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Cli,
  type CodecChoice,
  codecOptions,
  integerFrom,
  type Loan,
  lend,
  makeFolder,
  refuseReading,
  type Session,
  table,
} from 'cleric/internal'
import { type Command, InvalidArgumentError } from 'commander'
import { type AblationReport, benchAblation } from '../ablation.js'
import type { BenchCodec, MissingCodec } from '../codec.js'
import { openBenchCodecs } from '../open-codecs.js'
import { benchRateDistortion, type RdReport } from '../rate-distortion.js'
import { defaultCachePath } from '../result-cache.js'
import type { BenchFacts, BenchOptions, BenchRun } from '../run.js'
import { benchTissue, type TissueReport } from '../tissue-report.js'
import { CODEC_IDS, codecList } from './codec-list.js'
import { percent } from './percent.js'
import { sharedData } from './shared-data.js'

interface Options extends CodecChoice {
  readonly data?: string
  readonly output?: string
  readonly codecs: readonly string[]
  readonly levels: readonly number[]
  readonly limit?: number
  /** false: --no-cache. */
  readonly cache: string | false
  /** The models that `bench ablation` compares. */
  readonly models?: readonly string[]
}

/** Real tissue beside the repository, where it is there. */
const EVALUATION_IMAGES = sharedData('eval')
const DRAWN_SLIDE = 'synthetic:8192x8192'
const MAX_LEVEL = 4

/** `bench rd`, `bench nuclei` and `bench ablation`. */
export function addQualityBenches(cli: Cli): void {
  cli.add<Options>(
    'bench rd',
    'Rate and distortion of CLERIC and other codecs on the same images, from real bitstreams',
    (command) => benchOptions(command, 'rd', CODEC_IDS, [0, 1, 2]),
    (session, options) => run(session, options, benchRateDistortion, describeRd),
    'cleric bench rd --codecs cleric,jpeg,avif --output rd',
  )
  cli.add<Options>(
    'bench nuclei',
    'What CLERIC and other codecs do to nuclei and stains',
    (command) => benchOptions(command, 'nuclei', ['cleric', 'jpeg'], [0]),
    (session, options) => run(session, options, benchTissue, describeTissue),
    'cleric bench nuclei --output nuclei',
  )
  cli.add<Options & { models: readonly string[] }>(
    'bench ablation',
    'Models that differ in a module, against the first of them',
    (command) =>
      benchOptions(command, 'rd', ['jpeg'], [0]).requiredOption(
        '--models <files...>',
        'model files, the baseline first',
      ),
    (session, options) => {
      const { device = 'auto', adapter, models } = options
      const choice = { device, ...(adapter === undefined ? {} : { adapter }) }
      const bench = (common: BenchOptions) => benchAblation({ ...common, models, device: choice })
      return run(session, options, bench, describeAblation)
    },
    'cleric bench ablation --models baseline.safetensors full.safetensors',
  )
}

function benchOptions(command: Command, bench: string, codecs: readonly string[], levels: readonly number[]): Command {
  return codecOptions(
    command
      .option('--data <path>', 'folder of images, or a slide (default: ../shared/data/eval, else a drawn slide)')
      .option('-o, --output <dir>', 'folder to write results.json and the plots to')
      .option('--codecs <list>', `some of ${CODEC_IDS.join(',')}`, codecList, codecs)
      .option('--levels <list>', 'halvings of the images, e.g. 0,1,2', levelNumbers, levels)
      .option('--limit <number>', 'most images', integerFrom(1, 100_000))
      .option('--cache <file>', 'results of other codecs from earlier runs', defaultCachePath(bench))
      .option('--no-cache', 'run every codec again'),
  )
}

async function run<Report extends BenchFacts>(
  session: Session,
  options: Options,
  bench: (options: BenchOptions) => Promise<BenchRun<Report>>,
  describe: (report: Report, label: (id: string) => string) => string,
) {
  const data = options.data ?? (existsSync(EVALUATION_IMAGES) ? EVALUATION_IMAGES : DRAWN_SLIDE)
  const { cache, output, model } = options
  // Before the work, which may take hours.
  if (output !== undefined) await makeFolder(output)
  const names = [...(cache === false ? [] : [cache]), ...(output === undefined ? [] : [join(output, 'results.json')])]
  for (const name of names) refuseReading({ names: [name], reads: [data, model, ...(options.models ?? [])] })
  const progress = session.progress('bench')
  let loan: Loan | undefined
  const cleric = async () => {
    loan = await lend({ ...session.codec(options), signal: session.signal })
    return loan.codec
  }
  try {
    const { report, figures } = await bench({
      ...{ data, levels: options.levels, limit: options.limit },
      cache: cache === false ? null : cache,
      open: (signal) => openBenchCodecs(options.codecs, cleric, signal),
      figures: output !== undefined,
      signal: session.signal,
      onStart: (codecs, missing, images) => session.note(introduction(data, images, codecs, missing)),
      onProgress: (done, total, what) => progress.update(done, total, what),
    })
    if (output !== undefined) {
      await writeFile(join(output, 'results.json'), `${JSON.stringify(report, null, 1)}\n`)
      for (const [name, svg] of figures) await writeFile(join(output, name), svg)
    }
    const label = (id: string) => report.codecs.find((codec) => codec.id === id)?.label ?? id
    const gaps = report.missing.map((codec) => `${codec.label} is missing: ${codec.reason}`)
    return { json: report, text: [describe(report, label), ...gaps].join('\n\n') }
  } finally {
    progress.end()
    loan?.[Symbol.dispose]()
  }
}

function introduction(
  data: string,
  images: number,
  codecs: readonly BenchCodec[],
  missing: readonly MissingCodec[],
): string {
  const lines = [`${images} images of ${data}`, '']
  for (const { label, chroma, version, commands } of codecs) {
    lines.push(`${label}, ${chroma}: ${version}`, ...commands.map((command) => `  ${command}`))
  }
  for (const { label, reason } of missing) lines.push(`${label}: MISSING. ${reason}`)
  return `${lines.join('\n')}\n`
}

function describeRd(report: RdReport, label: (id: string) => string): string {
  const parts = report.levels.map((level) => {
    const rows = report.curves
      .filter((curve) => curve.level === level)
      .flatMap(({ codec, points }) =>
        points.map(({ setting, bpp, psnr, msSsim }) => [
          label(codec),
          String(setting),
          bpp.toFixed(3),
          psnr.toFixed(2),
          msSsim?.toFixed(4) ?? '-',
        ]),
      )
    const means = table([['codec', 'setting', 'bpp', 'PSNR', 'MS-SSIM'], ...rows])
    return `Level ${level}, means over the images\n${means}\n\nBD-rate, level ${level}\n${bdTable(report, level, label)}`
  })
  return parts.join('\n\n')
}

function describeTissue(report: TissueReport, label: (id: string) => string): string {
  const rows = report.curves.flatMap(({ codec, level, points }) =>
    points.map(({ setting, bpp, f1, countError, haematoxylin, eosin }) => [
      label(codec),
      String(level),
      String(setting),
      bpp.toFixed(3),
      f1.toFixed(3),
      ...[countError, haematoxylin, eosin].map((value) => percent(value)),
    ]),
  )
  const head = ['codec', 'level', 'setting', 'bpp', 'F1 of nuclei', 'their number', 'haematoxylin', 'eosin']
  return `Errors against the original, means over the images\n${table([head, ...rows])}`
}

function describeAblation(report: AblationReport, label: (id: string) => string): string {
  const [level = 0] = report.levels
  const yes = (on: boolean) => (on ? 'yes' : 'no')
  const rows = report.variants.map(({ codec, ls, drb, r2b, parameters }) => [
    codec,
    ...[ls, drb, r2b].map(yes),
    `${(parameters / 1e6).toFixed(2)} M`,
  ])
  return `${table([['model', 'LS', 'DRB', 'R2B', 'parameters'], ...rows])}\n\nBD-rate\n${bdTable(report, level, label)}`
}

/** Rows: codecs; columns: anchor, metric and method. */
function bdTable(report: Pick<RdReport, 'bdRates' | 'codecs'>, level: number, label: (id: string) => string): string {
  const rates = report.bdRates.filter((entry) => entry.level === level)
  const column = ({ anchor, metric, method }: (typeof rates)[0]) =>
    `${label(anchor)}, ${metric === 'psnr' ? 'PSNR' : 'MS-SSIM'}, ${method}`
  // All against one anchor side by side, in the order of the codecs.
  const place = (entry: (typeof rates)[0]) => report.codecs.findIndex(({ id }) => id === entry.anchor)
  const columns = [...new Set([...rates].sort((a, b) => place(a) - place(b)).map(column))]
  if (columns.length === 0) return 'none: there is nothing to compare with'
  const rows = report.codecs.map(({ id }) => [
    label(id),
    ...columns.map((name) => {
      const entry = rates.find((candidate) => candidate.codec === id && column(candidate) === name)
      return entry?.percent == null ? '-' : `${entry.percent.toFixed(1)} %`
    }),
  ])
  return table([['against', ...columns], ...rows])
}

function levelNumbers(text: string): number[] {
  const levels = [...new Set(text.split(',').map((part) => (/^\d+$/.test(part) ? Number(part) : Number.NaN)))]
  if (!levels.every((level) => level <= MAX_LEVEL)) {
    throw new InvalidArgumentError(`Expected level numbers from 0 to ${MAX_LEVEL}, such as 0,1,2.`)
  }
  return levels.sort((a, b) => a - b)
}

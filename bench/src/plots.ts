/**
 * The curves as SVG, drawn by Vega-Lite: quality over rate as in the paper's Figure 5, and by level as in its Figure 6.
 */
import type { TopLevelSpec } from 'vega-lite'
import type { CodecFacts } from './codec.js'
import { type Curve, decibels, type Metric, metrics } from './curves.js'

const TITLES: Record<Metric, string> = { psnr: 'PSNR, dB (RGB)', msSsim: 'MS-SSIM, -10 log10(1 - MS-SSIM), dB' }
/** A codec keeps its colour whichever others are drawn. CLERIC stands out; the others are Tableau's ten colours. */
const COLOURS: Readonly<Record<string, string>> = {
  cleric: '#000000',
  'cleric-checked': '#b6992d',
  jpeg: '#e15759',
  mozjpeg: '#ff9da7',
  jpeg2000: '#4e79a7',
  htj2k: '#76b7b2',
  'jpeg-xl': '#59a14f',
  avif: '#f28e2c',
  hevc: '#af7aa1',
  webp: '#9c755f',
  vtm: '#7f7f7f',
}

/** Something over the rate, by codec. */
export interface Panel {
  readonly title?: string
  readonly axis: string
  readonly series: readonly { readonly codec: string; readonly bpp: number; readonly value: number }[]
}

/** One large panel: all codecs on one level. null if nothing can be drawn, as with images too small for MS-SSIM. */
export async function plotCurves(
  curves: readonly Curve[],
  codecs: readonly CodecFacts[],
  metric: Metric,
  level: number,
): Promise<string | null> {
  return plotPanels([[qualityPanel(curves, metric, level)]], codecs, { width: 560, height: 420 })
}

/** A panel a metric (row) and level (column). */
export async function plotLevels(curves: readonly Curve[], codecs: readonly CodecFacts[]): Promise<string | null> {
  const levels = [...new Set(curves.map(({ level }) => level))]
  const rows = metrics.map((metric) =>
    levels.map((level) => ({ title: `level ${level}`, ...qualityPanel(curves, metric, level) })),
  )
  return plotPanels(rows, codecs)
}

function qualityPanel(curves: readonly Curve[], metric: Metric, level: number): Panel {
  const series = curves
    .filter((curve) => curve.level === level)
    .flatMap(({ codec, points }) =>
      points.map((point) => ({ codec, bpp: point.bpp, value: decibels(point, metric) ?? Number.NaN })),
    )
  return { axis: TITLES[metric], series }
}

/** Rows of panels, without those that have no finite value; null if none has. */
export async function plotPanels(
  rows: readonly (readonly Panel[])[],
  codecs: readonly CodecFacts[],
  size = { width: 300, height: 260 },
): Promise<string | null> {
  const vconcat = rows.flatMap((row) => {
    const hconcat = row.flatMap(({ title, axis, series }) => {
      const values = series.flatMap(({ codec, bpp, value }) =>
        Number.isFinite(value)
          ? [{ codec: legend(codecs.find(({ id }) => id === codec) as CodecFacts), bpp, value }]
          : [],
      )
      const panel = { ...(title === undefined ? {} : { title }), data: { values }, ...size }
      return values.length === 0 ? [] : [{ ...panel, ...marks(codecs), encoding: encoding(codecs, axis) }]
    })
    return hconcat.length === 0 ? [] : [{ hconcat }]
  })
  return vconcat.length === 0 ? null : draw({ vconcat })
}

/** What isn't 4:4:4 says so. */
function legend({ label, chroma }: CodecFacts): string {
  return chroma === '4:4:4' ? label : `${label} (${chroma})`
}

function marks(codecs: readonly CodecFacts[]) {
  const ours = codecs.find(({ id }) => id === 'cleric')?.label ?? ''
  const width = { condition: { test: `datum.codec === ${JSON.stringify(ours)}`, value: 3 }, value: 1.5 }
  return { layer: [{ mark: { type: 'line', point: { size: 25 } } as const, encoding: { strokeWidth: width } }] }
}

function encoding(codecs: readonly CodecFacts[], title: string) {
  const domain = codecs.map(legend)
  // Models of an ablation take what the codecs beside them leave.
  const free = Object.entries(COLOURS).flatMap(([id, colour]) =>
    codecs.some((codec) => codec.id === id) ? [] : colour,
  )
  const colours = codecs.map(({ id }) => COLOURS[id] ?? free.shift() ?? 'grey')
  return {
    x: { field: 'bpp', type: 'quantitative', scale: { type: 'log', nice: false }, title: 'bits per pixel' },
    y: { field: 'value', type: 'quantitative', scale: { zero: false }, title },
    color: { field: 'codec', type: 'nominal', scale: { domain, range: colours }, title: null },
  } as const
}

/** A figure of Vega-Lite as SVG. */
export async function draw(spec: TopLevelSpec): Promise<string> {
  // Loaded when something is drawn: most commands never need it.
  const [{ compile }, vega] = await Promise.all([import('vega-lite'), import('vega')])
  const config = {
    background: 'white',
    axis: { grid: true, gridOpacity: 0.5 },
    legend: { symbolType: 'stroke' as const },
  }
  const compiled = compile({ ...spec, config }).spec
  const view = new vega.View(vega.parse(compiled), { renderer: 'none', logLevel: vega.Error })
  try {
    return await view.toSVG()
  } finally {
    view.finalize()
  }
}

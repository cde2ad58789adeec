/**
 * MLIC++'s layers as those of this project's network with `ls`, `drb` and `r2b` off, which is the same network
 * (docs/network.md): names, shapes and what is stored otherwise. Source: the state dictionaries that the authors publish
 * (github.com/JiangWeibeta/MLIC, releases of 2023 and 2024), whose layers' names these are.
 */
import { UnsupportedError } from '../errors.js'
import type { Weights } from './checkpoint.js'

/** A layer that every checkpoint of MLIC++ has, and no other. */
const MARK = 'g_a.analysis_transform.0.conv1.weight'

/** Buffers: tables that follow from the weights, and constants. */
const BUFFERS =
  /^gaussian_conditional\.|^entropy_bottleneck\.(_offset|_quantized_cdf|_cdf_length|target|.*\.bound)$|\.relative_position_index$|_reparam\./

/** Whether a state dictionary with these names is MLIC++'s. */
export function isMlicpp(names: Iterable<string>): boolean {
  return [...names].includes(MARK)
}

/** Whether a tensor of that name is of use; others may be of types that are no weights. */
export function isWeight(name: string): boolean {
  return !BUFFERS.test(name)
}

/** The configuration and the weights of this project's network. */
export interface Translated {
  readonly config: Readonly<Record<string, unknown>>
  readonly tensors: ReadonlyMap<string, Weights>
}

/**
 * @param state by MLIC++'s names, without buffers
 * @throws UnsupportedError ERR_MODEL_UNSUPPORTED naming layers that are none of MLIC++'s, or of another shape
 */
export function fromMlicpp(state: ReadonlyMap<string, Weights>): Translated {
  const sizes = sizesOf(state)
  mustFit(state, shapesOf(sizes))
  const tensors = new Map<string, Weights>()
  for (const [name, weights] of state) {
    if (name === QUANTILES) continue
    const [translated, change] = translate(name)
    tensors.set(translated, change(weights))
  }
  const median = medians(state.get(QUANTILES) as Weights)
  // Without a median that is other than zero z_hat is a plain rounding, as here.
  const Z = median.every((value) => value === 0) ? sizes.Z : centreHyperLatents(tensors, sizes, median)
  const { N, M, slices, hyper, chan, ep, lrp, isOf2023 } = sizes
  const config = {
    ...{
      preset: 'mlicpp',
      N,
      M,
      Z,
      slices,
      lift: 1,
      iters: 1,
      drb: false,
      ls: false,
      r2b: false,
      chan,
      ep,
      lrp,
      levels: 0,
    },
    hyper,
    ...(isOf2023 && { narrow: true, taper: true }),
  }
  return { config, tensors }
}

/** What fixes all shapes. */
interface Sizes {
  readonly N: number
  readonly M: number
  readonly Z: number
  readonly slices: number
  /** Inner width of the hyper-decoder. */
  readonly hyper: number
  readonly chan: readonly number[]
  readonly ep: readonly number[]
  readonly lrp: readonly number[]
  /** The release of 2023: the synthesis narrows at once, and latent residual prediction bit by bit. */
  readonly isOf2023: boolean
}

const QUANTILES = 'entropy_bottleneck.quantiles'

function sizesOf(state: ReadonlyMap<string, Weights>): Sizes {
  const outputs = (name: string): number => {
    const [width] = state.get(`${name}.weight`)?.shape ?? []
    if (width === undefined) throw unsupported(`it has no layer ${name}`)
    return width
  }
  const hidden = (name: string, count: number) => Array.from({ length: count }, (_, i) => outputs(`${name}.${2 * i}`))
  const slices = [...state.keys()].filter((name) => /^local_context\.\d+\.proj\.weight$/.test(name)).length
  if (slices < 2) throw unsupported(`its latent has ${slices} slices`)
  const isOf2023 = state.has('lrp_anchor.0.lrp_transform.6.weight')
  return {
    ...{ N: outputs('g_a.analysis_transform.0.conv1'), M: outputs('g_a.analysis_transform.6') },
    ...{ Z: outputs('h_a.reduction.8'), slices, hyper: outputs('h_s.increase.0'), isOf2023 },
    chan: hidden('channel_context.1.fushion', 2),
    ep: hidden('entropy_parameters_anchor.0.fusion', 3),
    lrp: hidden('lrp_anchor.0.lrp_transform', isOf2023 ? 3 : 2),
  }
}

type Shapes = Map<string, readonly number[]>

/** All of MLIC++'s weights, of these sizes. */
function shapesOf({ N, M, Z, slices, hyper, chan, ep, lrp, isOf2023 }: Sizes): Shapes {
  const shapes: Shapes = new Map()
  const set = (name: string, weight: readonly number[]) => {
    shapes.set(`${name}.weight`, weight)
    shapes.set(`${name}.bias`, [weight[0] as number])
  }
  const conv = (name: string, i: number, o: number, kernel = 3) => set(name, [o, i, kernel, kernel])
  const chain = (name: string, widths: readonly number[], kernel = 3) => {
    for (let k = 0; k + 1 < widths.length; k++) {
      conv(`${name}.${2 * k}`, widths[k] as number, widths[k + 1] as number, kernel)
    }
  }
  const gdn = (name: string) => {
    shapes.set(`${name}.beta`, [N])
    shapes.set(`${name}.gamma`, [N, N])
  }
  const residual = (name: string, i: number, o: number) => {
    conv(`${name}.conv1`, i, o)
    conv(`${name}.conv2`, o, o)
    if (i !== o) conv(`${name}.skip`, i, o, 1)
  }
  shapes.set(QUANTILES, [Z, 1, 3])
  for (let k = 0; k < 5; k++) {
    const [i, o] = [k === 0 ? 1 : 3, k === 4 ? 1 : 3]
    shapes.set(`entropy_bottleneck.matrices.${k}`, [Z, o, i])
    shapes.set(`entropy_bottleneck.biases.${k}`, [Z, o, 1])
    if (k < 4) shapes.set(`entropy_bottleneck.factors.${k}`, [Z, o, 1])
  }
  for (const k of [0, 2, 4]) {
    const down = `g_a.analysis_transform.${k}`
    conv(`${down}.conv1`, k === 0 ? 3 : N, N)
    conv(`${down}.conv2`, N, N)
    gdn(`${down}.gdn`)
    conv(`${down}.skip`, k === 0 ? 3 : N, N, 1)
    residual(`g_a.analysis_transform.${k + 1}`, N, N)
    const first = isOf2023 ? N : M
    residual(`g_s.synthesis_transform.${k}`, k === 0 ? M : N, k === 0 ? first : N)
    const up = `g_s.synthesis_transform.${k + 1}`
    for (const name of ['subpel_conv.0', 'upsample.0']) conv(`${up}.${name}`, k === 0 ? first : N, 4 * N)
    conv(`${up}.conv`, N, N)
    gdn(`${up}.igdn`)
  }
  conv('g_a.analysis_transform.6', N, M)
  residual('g_s.synthesis_transform.6', N, N)
  conv('g_s.synthesis_transform.7.0', N, 12)
  chain('h_a.reduction', [M, Z, Z, Z, Z, Z])
  conv('h_s.increase.0', Z, hyper)
  conv('h_s.increase.2.0', hyper, 4 * hyper)
  conv('h_s.increase.4', hyper, Math.floor(hyper * 1.5))
  conv('h_s.increase.6.0', Math.floor(hyper * 1.5), 6 * hyper)
  conv('h_s.increase.8', Math.floor(hyper * 1.5), 2 * M)
  const d = M / slices
  for (let i = 0; i < slices; i++) {
    const local = `local_context.${i}`
    shapes.set(`${local}.relative_position_table`, [81, 2])
    for (const [name, o, p] of [
      ['qkv_proj', 3 * d, d],
      ['proj', 2 * d, 2 * d],
      ['mlp.fc1', 4 * d, 2 * d],
      ['mlp.fc2', 2 * d, 4 * d],
    ] as const) {
      set(`${local}.${name}`, [o, p])
    }
    set(`${local}.norm1`, [d])
    set(`${local}.norm2`, [2 * d])
    conv(`${local}.fusion`, d, 2 * d, 5)
    for (const [half, context] of [
      ['anchor', i > 0 ? 6 * d : 0],
      ['nonanchor', i > 0 ? 10 * d : 2 * d],
    ] as const) {
      chain(`entropy_parameters_${half}.${i}.fusion`, [2 * M + context, ...ep, 2 * d], 1)
      const inputs = M + d * (i + 1)
      const quarters = [1, 2, 3].map((k) => inputs - Math.floor(((inputs - d) * k) / 4))
      chain(`lrp_${half}.${i}.lrp_transform`, [inputs, ...(isOf2023 ? quarters : lrp), d])
    }
    if (i === 0) continue
    chain(`channel_context.${i}.fushion`, [d * i, ...chan, 4 * d])
    for (const [name, inputs, reprojected] of [
      ['global_inter_context', d * i, 3 * d],
      ['global_intra_context', d, 2 * d],
    ] as const) {
      for (const part of ['keys', 'queries', 'values']) {
        conv(`${name}.${i}.${part}.0`, inputs, inputs, 1)
        set(`${name}.${i}.${part}.1`, [inputs, 1, 3, 3])
      }
      conv(`${name}.${i}.reprojection`, inputs, reprojected, 5)
      conv(`${name}.${i}.mlp.0`, reprojected, 4 * d, 1)
      set(`${name}.${i}.mlp.2`, [4 * d, 1, 3, 3])
      conv(`${name}.${i}.mlp.4`, 4 * d, 2 * d, 1)
    }
    conv(`global_inter_context.${i}.skip`, 3 * d, 2 * d, 1)
  }
  return shapes
}

/** @throws UnsupportedError naming what differs */
function mustFit(state: ReadonlyMap<string, Weights>, shapes: Shapes): void {
  const said = (shape: readonly number[]) => shape.join(' x ')
  const names = new Set([...state.keys()].map(ofToday))
  const strange = [...state.keys()].filter((name) => !shapes.has(ofToday(name)))
  const missing = [...shapes.keys()].filter((name) => !names.has(name))
  const differing = [...state].flatMap(([name, { shape }]) => {
    const expected = shapes.get(ofToday(name))
    return expected && said(shape) !== said(expected) ? [`${name} of ${said(shape)}, not ${said(expected)}`] : []
  })
  const [list = [], what] =
    [
      [strange, "has layers that aren't MLIC++'s"] as const,
      [missing, 'lacks layers of MLIC++'] as const,
      [differing, 'has layers of other shapes than MLIC++'] as const,
    ].find(([found]) => found.length > 0) ?? []
  if (what === undefined) return
  const more = list.length > MOST_NAMED ? ` and ${list.length - MOST_NAMED} more` : ''
  throw unsupported(`it ${what}: ${list.slice(0, MOST_NAMED).join(', ')}${more}`)
}

/** Most layers that an error names. */
const MOST_NAMED = 6

/** CompressAI renamed the parameters of its factorised prior after 2023. */
function ofToday(name: string): string {
  return name.replace(/^entropy_bottleneck\._(matri|bias|factor)(?:x?)(\d)$/, (_, stem: string, k: string) => {
    const plural: Readonly<Record<string, string>> = { matri: 'matrices', bias: 'biases', factor: 'factors' }
    return `entropy_bottleneck.${plural[stem]}.${k}`
  })
}

/** Names of MLIC++, without their ends, and of this project. */
const RENAMED: readonly (readonly [RegExp, string])[] = [
  [/^g_a\.analysis_transform\./, 'g_a.net.'],
  [/^g_s\.synthesis_transform\.7\.0\./, 'g_s.net.7.'],
  [/^g_s\.synthesis_transform\.(\d)\.subpel_conv\.0\./, 'g_s.net.$1.up.'],
  [/^g_s\.synthesis_transform\.(\d)\.upsample\.0\./, 'g_s.net.$1.skip.'],
  [/^g_s\.synthesis_transform\./, 'g_s.net.'],
  [/^h_a\.reduction\./, 'h_a.net.'],
  // A convolution and its shuffle are two entries here, one there.
  [/^h_s\.increase\.0\./, 'h_s.net.0.'],
  [/^h_s\.increase\.2\.0\./, 'h_s.net.2.'],
  [/^h_s\.increase\.4\./, 'h_s.net.5.'],
  [/^h_s\.increase\.6\.0\./, 'h_s.net.7.'],
  [/^h_s\.increase\.8\./, 'h_s.net.10.'],
  [/^local_context\.(\d+)\.qkv_proj\./, 'mem.local.$1.qkv.'],
  [/^local_context\.(\d+)\.relative_position_table$/, 'mem.local.$1.bias'],
  [/^local_context\.(\d+)\.mlp\.fc1\./, 'mem.local.$1.mlp.0.'],
  [/^local_context\.(\d+)\.mlp\.fc2\./, 'mem.local.$1.mlp.2.'],
  [/^local_context\./, 'mem.local.'],
  [/^channel_context\.(\d+)\.fushion\./, 'mem.channel.$1.'],
  [/^global_(inter|intra)_context\.(\d+)\.(k)eys\./, 'mem.$1.$2.qkv.$3.'],
  [/^global_(inter|intra)_context\.(\d+)\.(q)ueries\./, 'mem.$1.$2.qkv.$3.'],
  [/^global_(inter|intra)_context\.(\d+)\.(v)alues\./, 'mem.$1.$2.qkv.$3.'],
  [/^global_(inter|intra)_context\.(\d+)\.reprojection\./, 'mem.$1.$2.reproj.'],
  [/^global_(inter|intra)_context\./, 'mem.$1.'],
  [/^entropy_parameters_anchor\.(\d+)\.fusion\./, 'mem.ep_a.$1.'],
  [/^entropy_parameters_nonanchor\.(\d+)\.fusion\./, 'mem.ep_n.$1.'],
  [/^lrp_anchor\.(\d+)\.lrp_transform\./, 'mem.lrp_a.$1.'],
  [/^lrp_nonanchor\.(\d+)\.lrp_transform\./, 'mem.lrp_n.$1.'],
  [/^entropy_bottleneck\.matrices\./, 'z_prior.h'],
  [/^entropy_bottleneck\.biases\./, 'z_prior.b'],
  [/^entropy_bottleneck\.factors\./, 'z_prior.a'],
]

/** The name of a tensor here, and how its values are stored here. */
function translate(name: string): [string, (weights: Weights) => Weights] {
  const today = ofToday(name)
  const [pattern, replacement] = RENAMED.find(([each]) => each.test(today)) as (typeof RENAMED)[number]
  const change = today.includes('.qkv_proj.')
    ? headsFirst
    : /\.i?gdn\.beta$/.test(today)
      ? (weights: Weights) => root(weights, BETA_BOUND)
      : /\.i?gdn\.gamma$/.test(today)
        ? (weights: Weights) => root(weights, PEDESTAL_ROOT)
        : (weights: Weights) => weights
  return [today.replace(pattern, replacement), change]
}

/** CompressAI adds its square to what it stores GDN's parameters as the roots of. */
const PEDESTAL_ROOT = 2 ** -18
const BETA_BOUND = Math.sqrt(1e-6 + PEDESTAL_ROOT ** 2)

/** A parameter of GDN, stored as the root of itself and the pedestal, as the root of itself. */
function root({ shape, data }: Weights, bound: number): Weights {
  return { shape, data: data.map((value) => Math.sqrt(Math.max(0, Math.max(value, bound) ** 2 - PEDESTAL_ROOT ** 2))) }
}

/** Attention heads of the local context. */
const HEADS = 2

/**
 * The rows of q, k and v: a head's rows are one after the other here, and there the heads take turns. (What comes out of the attention
 * has a head's channels together in both.)
 */
function headsFirst({ shape, data }: Weights): Weights {
  const [rows = 0, columns = 1] = shape
  const d = rows / 3
  const out = new Float32Array(data.length)
  for (let row = 0; row < rows; row++) {
    const [part, channel] = [Math.floor(row / d), row % d]
    const [head, i] = [Math.floor(channel / (d / HEADS)), channel % (d / HEADS)]
    const from = part * d + i * HEADS + head
    out.set(data.subarray(from * columns, (from + 1) * columns), row * columns)
  }
  return { shape, data: out }
}

/** The quantile in the middle of each channel's three: MLIC++ rounds z to whole steps from there. */
function medians({ data }: Weights): number[] {
  return Array.from({ length: data.length / 3 }, (_, c) => data[3 * c + 1] as number)
}

/**
 * Moves each channel of z by its median, so that z_hat is whole numbers. What the first layer of h_s must add for that differs at the
 * edges, where it reads zeros: a further channel, which is always 1 and costs no bits, carries it. Three more of zeros make the number a
 * multiple of four.
 *
 * @returns the channels of z
 */
function centreHyperLatents(tensors: Map<string, Weights>, { Z, hyper }: Sizes, median: readonly number[]): number {
  const wide = 4 * Math.ceil((Z + 1) / 4)
  const get = (name: string) => tensors.get(name) as Weights
  for (const k of [0, 2, 4, 6, 8]) {
    const { shape, data } = get(`h_a.net.${k}.weight`)
    const [, inputs = 0] = shape
    const widened = k === 0 ? inputs : wide
    const weight = new Float32Array(wide * widened * 9)
    for (let o = 0; o < Z; o++) weight.set(data.subarray(o * inputs * 9, (o + 1) * inputs * 9), o * widened * 9)
    tensors.set(`h_a.net.${k}.weight`, { shape: [wide, widened, 3, 3], data: weight })
    const bias = new Float32Array(wide)
    bias.set(get(`h_a.net.${k}.bias`).data)
    if (k === 8) {
      for (const [c, value] of median.entries()) bias[c] = (bias[c] as number) - value
      bias[Z] = 1
    }
    tensors.set(`h_a.net.${k}.bias`, { shape: [wide], data: bias })
  }
  const { data } = get('h_s.net.0.weight')
  const weight = new Float32Array(hyper * wide * 9)
  for (let o = 0; o < hyper; o++) {
    weight.set(data.subarray(o * Z * 9, (o + 1) * Z * 9), o * wide * 9)
    for (let tap = 0; tap < 9; tap++) {
      let moved = 0
      for (let c = 0; c < Z; c++) moved += (data[(o * Z + c) * 9 + tap] as number) * (median[c] as number)
      weight[(o * wide + Z) * 9 + tap] = moved
    }
  }
  tensors.set('h_s.net.0.weight', { shape: [hyper, wide, 3, 3], data: weight })
  movePrior(tensors, Z, wide, median)
  return wide
}

/** The prior of the moved channels, and one for each of the others, of next to nothing but its only value. */
function movePrior(tensors: Map<string, Weights>, Z: number, wide: number, median: readonly number[]): void {
  // The cumulative distribution's logit rises by STEEP a step: of five layers of slope v, the hidden ones of three.
  const slope = (STEEP / 3 ** 4) ** (1 / 5)
  for (let k = 0; k < 5; k++) {
    const [h, b, a] = ['h', 'b', 'a'].map((letter) => tensors.get(`z_prior.${letter}${k}`))
    const { shape: [, rows = 1, columns = 1] = [], data: slopes } = h as Weights
    const matrix = new Float32Array(wide * rows * columns).fill(Math.log(Math.expm1(slope)))
    matrix.set(slopes)
    tensors.set(`z_prior.h${k}`, { shape: [wide, rows, columns], data: matrix })
    const bias = new Float32Array(wide * rows)
    bias.set((b as Weights).data)
    if (k === 0) {
      for (let i = 0; i < Z * rows; i++) {
        const softplus = Math.log1p(Math.exp(slopes[i] as number))
        bias[i] = (bias[i] as number) + softplus * (median[Math.floor(i / rows)] as number)
      }
      bias.fill(-slope, Z * rows, (Z + 1) * rows)
    }
    tensors.set(`z_prior.b${k}`, { shape: [wide, rows, 1], data: bias })
    if (!a) continue
    const factor = new Float32Array(wide * rows)
    factor.set(a.data)
    tensors.set(`z_prior.a${k}`, { shape: [wide, rows, 1], data: factor })
  }
}

/** How far the logit rises over half a step at either side: all but 10^-8 of the mass is on one value. */
const STEEP = 40

function unsupported(what: string): UnsupportedError {
  return new UnsupportedError('ERR_MODEL_UNSUPPORTED', `The checkpoint can't be converted: ${what}`)
}

import type { Axis, LiftMergeNode, LiftSplitNode, LiftStepNode, Tensor } from '../../network/graph.js'
import { endsOf } from '../../network/ops/lifting.js'
import {
  type Dispatch,
  groupSize,
  groupsOf,
  type KernelContext,
  type Kernels,
  texelGrid,
  type Weights,
} from '../dispatch.js'

/** Positions that an invocation of lift_hidden makes. */
const HIDDEN_TILE = 4

/** Shapes: input C x H x W, halves C x H / 2 x W or C x H x W / 2. */
function liftSplit({ input, even, odd, axis }: LiftSplitNode): Dispatch[] {
  return [{ shader: 'lift_split', reads: { source: input }, writes: { even, odd }, ...halves(even, axis) }]
}

/** Shapes: halves C x H / 2 x W or C x H x W / 2, output C x H x W. */
function liftMerge({ even, odd, output, axis }: LiftMergeNode): Dispatch[] {
  return [{ shader: 'lift_merge', reads: { even, odd }, writes: { output }, ...halves(even, axis) }]
}

/** What splitting and merging share: an invocation for each texel of a half. */
function halves(half: Tensor, axis: Axis) {
  const { height, width } = half.shape
  return {
    constants: {},
    params: { width, height, columns: axis === 'columns' ? 1 : 0 },
    invocations: texelGrid(half),
    cost: 16 * width * height,
  }
}

/** The net of a lifting step as textures. */
function netWeights({ net, axis }: LiftStepNode, { parameters }: KernelContext) {
  const valuesOf = (name: string) => parameters.get(`${net}.${name}`).data
  const [weight1, bias1] = [valuesOf('conv1.weight'), valuesOf('conv1.bias')]
  const [weight2, bias2] = [valuesOf('conv2.weight'), valuesOf('conv2.bias')]
  const [weight3, bias3] = [valuesOf('conv3.weight'), valuesOf('conv3.bias')]
  const c = bias1.length
  const padded = 8 * Math.ceil(c / 8)
  const columns = axis === 'columns'
  const layout = columns ? 'transposed' : 'upright'
  const tap = (k: number) => (columns ? 3 * (k % 3) + Math.floor(k / 3) : k)
  const first: Weights = {
    key: `${net}|hidden ${layout}`,
    width: 10,
    height: padded / 4,
    layers: 1,
    build: () => {
      const taps = Float32Array.from({ length: 9 * padded }, (_, i) => {
        const o = Math.floor(i / 9)
        return o < c ? (weight1[9 * o + tap(i % 9)] ?? 0) : 0
      })
      const biases = new Float32Array(padded)
      biases.set(bias1)
      return packTaps(taps, biases, 9)
    },
  }
  const second: Weights = {
    key: `${net}|update ${layout}`,
    width: 18,
    height: padded,
    layers: padded / 8,
    build: () => {
      const packed = new Float32Array(padded * padded * 9)
      for (let o = 0; o < c; o++) {
        for (let i = 0; i < c; i++) {
          const row = ((o >> 3) * padded + i) * 72
          for (let k = 0; k < 9; k++) packed[row + 8 * k + (o & 7)] = weight2[(o * c + i) * 9 + tap(k)] ?? 0
        }
      }
      return packed
    },
  }
  const last: Weights = {
    key: `${net}|last`,
    width: 5,
    height: padded / 8,
    layers: 1,
    build: () => {
      const packed = new Float32Array((padded / 8) * 20)
      for (let o = 0; o < c; o++) {
        packed[(o >> 3) * 20 + (o & 7)] = bias2[o] ?? 0
        packed[(o >> 3) * 20 + 8 + (o & 7)] = weight3[o] ?? 0
      }
      packed[16] = bias3[0] ?? 0
      return packed
    },
  }
  return { padded, first, second, last }
}

function checkColours({ source }: LiftStepNode): number {
  const { channels } = source.shape
  if (channels <= 4) return channels
  throw new RangeError(`Expected at most 4 channels for ${source.name} but received ${channels}`)
}

/**
 * One lifting step. A GPU does it in one dispatch, see {@link wholeLiftSteps}; a software adapter, for which a workgroup's memory
 * is slow, in three: the wavelet's part f, the net's first layer, the rest. There hidden activations lie with a layer a
 * channel and the colours in a texel, so that a weight multiplies all colours at once.
 * Shapes: source, target and output C x H x W, C up to 4.
 */
function liftStep(node: LiftStepNode, context: KernelContext): Dispatch[] {
  const { source, target, output } = node
  const colours = checkColours(node)
  if (!context.software) return [wholeLiftSteps([{ node, places: places(node) }], context)]
  const { height, width } = source.shape
  const { padded, first: firstWeights, second, last } = netWeights(node, context)
  const f = context.scratch(`${output.name} f`, source.shape)
  const hidden = context.scratch(`${output.name} hidden`, { channels: 4 * padded, height, width })
  const size = { width, height }
  const predict: Dispatch = {
    shader: 'lift_predict',
    constants: {},
    reads: { source },
    writes: { output: f },
    params: { ...size, ...axisOf(node), ...filterOf(node) },
    invocations: texelGrid(f),
    cost: 16 * width * height,
  }
  const first: Dispatch = {
    shader: 'lift_hidden',
    constants: { TX: HIDDEN_TILE },
    reads: { source: f, weights: firstWeights },
    writes: { output: hidden },
    params: size,
    invocations: [Math.ceil(width / HIDDEN_TILE), height, padded / 4],
    cost: 4 * 16 * padded * width * height,
  }
  const tile = { TX: 4, TY: 2 }
  const rest: Dispatch = {
    shader: 'lift_update',
    constants: { ...tile, GROUP: groupSize(context.software) },
    reads: { source: f, hidden, weights: second, last, base: target },
    writes: { output },
    params: { ...size, ...axisOf(node), ...additionOf(node), hidden: padded, colours },
    invocations: [Math.ceil(width / tile.TX) * Math.ceil(height / tile.TY), 1, 1],
    cost: 9 * padded * padded * 4 * width * height,
  }
  return [predict, first, rest]
}

function axisOf({ axis }: LiftStepNode) {
  return { columns: axis === 'columns' ? 1 : 0 }
}

/** The wavelet's part of a step: how f comes of the source. */
function filterOf(node: LiftStepNode) {
  const { neighbour, factor } = node
  return { neighbour: neighbour === 'next' ? 1 : -1, factor, sourceEnd: endsOf(node).source }
}

/** How what a step adds is weighed. */
function additionOf(node: LiftStepNode) {
  const { first, last } = endsOf(node)
  return { sign: node.sign, firstEnd: first, lastEnd: last }
}

/** Every so many rows and columns of a tensor, from some channel on, times a factor. */
export interface Place {
  readonly tensor: Tensor
  readonly stepX: number
  readonly stepY: number
  readonly x: number
  readonly y: number
  readonly first: number
  readonly scale: number
}

/** Where a step finds what it reads, and where its results go. */
export interface StepPlaces {
  readonly source: Place
  readonly base: Place
  readonly output: Place
  /** A second place of the results. */
  readonly also: Place | null
}

/** All of a tensor. */
export function wholeOf(tensor: Tensor): Place {
  return { tensor, stepX: 1, stepY: 1, x: 0, y: 0, first: 0, scale: 1 }
}

function places({ source, target, output }: LiftStepNode): StepPlaces {
  return { source: wholeOf(source), base: wholeOf(target), output: wholeOf(output), also: null }
}

/** A step, and where it reads and writes. */
export interface PlacedStep {
  readonly node: LiftStepNode
  readonly places: StepPlaces
}

/**
 * One lifting step in one dispatch, or two that differ in their places alone (see {@link areAlike}): in workgroups of their
 * own, so that a GPU has twice as many.
 */
export function wholeLiftSteps(steps: readonly PlacedStep[], context: KernelContext): Dispatch {
  const { node } = steps[0] as PlacedStep
  const { height, width } = node.source.shape
  const colours = checkColours(node)
  const { padded, first, second, last } = netWeights(node, context)
  const reads: Record<string, Dispatch['reads'][string]> = { first, weights: second, last }
  const writes: Record<string, Tensor> = {}
  const params: Record<string, number> = {
    ...{ width, height, ...axisOf(node), ...filterOf(node), ...additionOf(node), hidden: padded, colours },
  }
  for (const [i, { places }] of steps.entries()) {
    for (const name of ['source', 'base', 'output', 'also'] as const) {
      const place = places[name]
      if (!place) continue
      const { tensor, stepX, stepY, x, y, scale } = place
      const isRead = name === 'source' || name === 'base'
      if (isRead) reads[`${name}${i}`] = tensor
      else writes[`${name}${i}`] = tensor
      if (isRead) params[`${name}${i}First`] = place.first
      Object.assign(params, { [`${name}${i}StepX`]: stepX, [`${name}${i}StepY`]: stepY })
      Object.assign(params, { [`${name}${i}X`]: x, [`${name}${i}Y`]: y, [`${name}${i}Scale`]: scale })
    }
  }
  return {
    shader: 'lift_step',
    constants: { STEPS: steps.length, ALSO: steps[0]?.places.also ? 1 : 0 },
    reads,
    writes,
    params,
    invocations: [width, height, steps.length],
    cost: steps.length * 9 * padded * (padded + 2) * 4 * width * height,
  }
}

/** Whether two steps differ in their places alone, and write what neither of them reads nor the other writes. */
export function areAlike(a: PlacedStep, b: PlacedStep): boolean {
  const kind = ({ node, places }: PlacedStep) => {
    const { axis, factor, neighbour, sign, net, source } = node
    const { channels, height, width } = source.shape
    const { source: end, first, last } = endsOf(node)
    const all = [axis, factor, neighbour, sign, end, first, last, net, channels, height, width, places.also !== null]
    return all.join(' ')
  }
  const written = [a, b].flatMap(({ places: { output, also } }) => [output.tensor, ...(also ? [also.tensor] : [])])
  const read = [a, b].flatMap(({ places: { source, base } }) => [source.tensor, base.tensor])
  const isAlone = new Set(written).size === written.length && !written.some((tensor) => read.includes(tensor))
  return kind(a) === kind(b) && isAlone
}

/** Rows of a weights texture: the taps of a group of 4 filters, then their biases. */
function packTaps(weight: Float32Array, bias: Float32Array, taps: number): Float32Array<ArrayBuffer> {
  const channels = bias.length
  const packed = new Float32Array(groupsOf(channels) * (taps + 1) * 4)
  for (let c = 0; c < channels; c++) {
    const row = (c >> 2) * (taps + 1) * 4 + (c & 3)
    for (let k = 0; k < taps; k++) packed[row + 4 * k] = weight[c * taps + k] ?? 0
    packed[row + 4 * taps] = bias[c] ?? 0
  }
  return packed
}

export const liftingKernels: Kernels<'liftSplit' | 'liftMerge' | 'liftStep'> = { liftSplit, liftMerge, liftStep }

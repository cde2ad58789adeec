import type { Half, IntegerConvNode, IntegerDepthwiseNode, SliceNode, Tensor } from '../../network/graph.js'
import { channelsOf } from '../../network/ops/op.js'
import { halfNumber } from '../../network/tensor.js'
import {
  type Action,
  type Dispatch,
  groupsOf,
  type KernelContext,
  type Kernels,
  texelDispatch,
  type Weights,
} from '../dispatch.js'
import { joined, tapsAsChannels, tapsFirst, unfold } from './conv-inputs.js'
import { blockValues, convGrid, convProduct, convWeights, type Product, tileDispatch } from './conv-tiles.js'

/**
 * Sums of |weight| below this, times an activation's 2048, stay below 2^24: f32 sums such products exactly, in any
 * order.
 */
const EXACT = 2 ** 24 / 2048

/** The shift that tells a shader that there is no such channel; those of layers are at most 30. */
const NO_CHANNEL = 31

/** In how many runs the taps of an input group may be summed; few, as each is a pipeline to compile. */
const PARTS = [1, 2, 3, 5]

/** How many input groups may be summed in one run. */
const GROUPS = [256, 192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2]

interface ExactRun {
  readonly taps: number
  readonly groups: number
}

/** The runs found so far, by weights: to find them anew would be half of the time to compile a graph. */
const exactRuns = new WeakMap<Int32Array, ExactRun>()

/**
 * How many products f32 may sum: `taps` of one input group of 4, for a kernel of 1 also over several `groups`. Computed
 * from the weights, outputs x inputs x taps, for every output.
 */
export function exactRun(weight: Int32Array, product: Pick<Product, 'inputs' | 'kernel'>): ExactRun {
  const known = exactRuns.get(weight)
  if (known) return known
  const run = findExactRun(weight, product)
  exactRuns.set(weight, run)
  return run
}

function findExactRun(weight: Int32Array, { inputs, kernel }: Pick<Product, 'inputs' | 'kernel'>): ExactRun {
  const all = kernel * kernel
  const groups = groupsOf(inputs)
  const outputs = weight.length / inputs / all
  /** For each output, the sums of |weight| over the first taps of all groups. */
  const sums = new Float64Array(outputs * (groups * all + 1))
  for (let o = 0; o < outputs; o++) {
    const row = sums.subarray(o * (groups * all + 1), (o + 1) * (groups * all + 1))
    for (let i = 0; i < inputs * all; i++) {
      const at = Math.floor(i / all / 4) * all + (i % all) + 1
      row[at] = (row[at] as number) + Math.abs(weight[o * inputs * all + i] as number)
    }
    for (let i = 1; i < row.length; i++) row[i] = (row[i] as number) + (row[i - 1] as number)
  }
  /** Whether runs of `length` taps, begun anew every `period`, all stay exact. */
  const holds = (length: number, period: number) => {
    for (let first = 0; first < sums.length; first += groups * all + 1) {
      for (let start = 0; start < groups * all; start += period) {
        const end = Math.min(start + period, groups * all)
        for (let i = start; i < end; i += length) {
          const sum = (sums[first + Math.min(i + length, end)] as number) - (sums[first + i] as number)
          if (sum >= EXACT) return false
        }
      }
    }
    return true
  }
  const taps = [...PARTS, all].map((parts) => Math.ceil(all / parts)).find((length) => holds(length, all))
  if (taps === undefined) throw new RangeError('Expected integer weights of at most 2047 in magnitude')
  if (taps < all) return { taps, groups: 1 }
  return { taps, groups: GROUPS.find((count) => holds(count * all, count * all)) ?? 1 }
}

/** The texture of a table of 4096 entries. */
export function tableWeights(name: string, context: KernelContext): Weights {
  const { data } = context.parameters.integers(name)
  const build = () => Int16Array.from(data)
  return { key: `${name}|table`, width: 64, height: 64, layers: 1, format: 'r16sint', build }
}

/** The biases with half of 2^shift added, so that the shift rounds to the nearest. */
export function roundingBias(bias: Int32Array, shift: Int32Array): Int32Array {
  return bias.map((value, i) => value + ((1 << (shift[i] as number)) >> 1))
}

/** What a convolution does beside its own work, in place of dispatches before and after it. */
export interface ConvExtras {
  /**
   * Tensors each of which makes as many of the outputs, by its own rows of the weight, in place of the inputs. Of a
   * kernel of 1, where a part fills whole pairs of blocks.
   */
  readonly parts?: readonly ConvPart[]
  /** The tensor of the result's activations, and the shift that makes them. */
  readonly activation?: { readonly output: Tensor; readonly shift: number }
  /** Outputs that go through the table, whole blocks of them; default: all. */
  readonly tabled?: number
  /** The channel of the residual that is added to the first output, a multiple of 4; default: 0. */
  readonly residualChannel?: number
  /** Whose channels, in place of the first input, are read where they are; of whole groups. */
  readonly slice?: SliceNode
}

/** What makes a part of the outputs: a tensor, and the half on which it counts, being zero elsewhere; null: both. */
export interface ConvPart {
  readonly source: Tensor
  readonly see: Half | null
}

/** Tensors that a convolution may read one after the other. */
export const MOST_SOURCES = 8

/**
 * A GPU reads several inputs where they are; else, and where they don't fill whole texels, they are first joined. Where
 * the taps of positions don't overlap there is nothing to reuse, and they are gathered into channels. Shapes: inputs C_i
 * x H x W, output O / shuffle^2 x shuffle H' x shuffle W'.
 */
export function integerConv(node: IntegerConvNode, context: KernelContext, extras: ConvExtras = {}): Action[] {
  const { inputs, kernel, stride, output } = node
  const product = convProduct(node)
  const weight = { name: node.weight, data: context.parameters.integers(node.weight).data }
  const isWhole = inputs.slice(0, -1).every(({ shape }) => shape.channels % 4 === 0)
  if (extras.parts) {
    return [convolve(node, [], { ...product, parts: extras.parts.length }, weight, context, extras)]
  }
  if (!context.software && kernel !== 5 && inputs.length <= MOST_SOURCES && isWhole) {
    const sources = extras.slice ? [extras.slice.input, ...inputs.slice(1)] : inputs
    return [convolve(node, sources, product, weight, context, extras)]
  }
  const [source, before] = joined(inputs, output, context)
  if (kernel === 1 || kernel !== stride) {
    return [...before, convolve(node, [source], product, weight, context, extras)]
  }
  const [samples, gather] = unfold(source, output, kernel, context)
  return [...before, gather, gatheredConv(node, samples, context)]
}

/** The convolution over taps that have been gathered into channels: those of tap 0, tap 1 ... */
export function gatheredConv(node: IntegerConvNode, samples: Tensor, context: KernelContext): Dispatch {
  const { data } = context.parameters.integers(node.weight)
  const { inputs } = convProduct(node)
  const weight = { name: `${node.weight}|taps first`, data: tapsFirst(data, inputs, node.kernel ** 2) }
  return convolve(node, [samples], tapsAsChannels(samples.shape, node.output, node.shuffle), weight, context, {})
}

function convolve(
  node: IntegerConvNode,
  sources: readonly Tensor[],
  product: Product,
  weight: { readonly name: string; readonly data: Int32Array },
  context: KernelContext,
  { parts, activation, tabled, residualChannel = 0, slice }: ConvExtras,
): Dispatch {
  const { output, residual, table, keep } = node
  const { taps, groups } = exactRun(weight.data, product)
  const grid = convGrid({ ...product, taps }, context.software)
  const { layers } = grid
  const all = parts ? parts.map(({ source }) => source) : sources
  const further = all.slice(1)
  const named = (prefix: string, value: (i: number) => number) =>
    Object.fromEntries(further.map((_, i) => [`${prefix}${i + 1}`, value(i + 1)]))
  const dispatch = tileDispatch(grid, {
    shader: 'integer_conv',
    constants: {
      ...{ T: taps, TABLE: table === null ? 0 : 1 },
      ...(tabled === undefined ? {} : { TABLED: 1 }),
      ...(activation ? { ACTIVATION: 1 } : {}),
      ...(slice ? { FIRST: slice.first / 4 } : {}),
      ...(further.length > 0 && !parts ? { SOURCES: all.length } : {}),
    },
    reads: {
      source: all[0] as Tensor,
      ...Object.fromEntries(further.map((source, i) => [`source${i + 1}`, source])),
      weights: convWeights(weight.name, weight.data, product, grid),
      scalars: scalarTexels(node, product, layers, context),
      ...(table === null ? {} : { table: tableWeights(table, context) }),
    },
    residual,
    output,
    params: {
      exact: groups,
      keep: halfNumber(keep),
      ...rangeOf(node),
      ...{ zero: 0, residualLayer: residualChannel / 4 },
      ...(tabled === undefined ? {} : { tabledBlocks: tabled / 4 }),
      ...(activation ? { activationShift: activation.shift } : {}),
      ...(parts ? seesOf(parts) : named('begin', (i) => channelsOf(node.inputs.slice(0, i)) / 4)),
    },
  })
  return activation ? { ...dispatch, writes: { ...dispatch.writes, activation: activation.output } } : dispatch
}

export function isPointwise({ kernel, stride, shuffle }: IntegerConvNode): boolean {
  return kernel === 1 && stride === 1 && shuffle === 1
}

function seesOf(parts: readonly ConvPart[]): Readonly<Record<string, number>> {
  return Object.fromEntries(parts.map(({ see }, i) => [`see${i}`, halfNumber(see)]))
}

/** Biases and shifts of the outputs of a layer. */
export function scalarTexels(
  node: Pick<IntegerConvNode, 'bias' | 'shift'>,
  product: Pick<Product, 'shuffle'>,
  layers: number,
  { parameters }: KernelContext,
): Weights {
  const bias = parameters.integers(node.bias).data
  const shift = parameters.integers(node.shift).data
  const build = () =>
    Int32Array.from([
      ...blockValues(roundingBias(bias, shift), product, layers, 0),
      ...blockValues(shift, product, layers, NO_CHANNEL),
    ])
  const key = `${node.bias}|scalars ${layers} by ${product.shuffle}`
  return { key, width: layers, height: 2, layers: 1, format: 'rgba32sint', build }
}

/** The least and the most of a layer's results. */
export function rangeOf({ range }: IntegerConvNode): { readonly least: number; readonly most: number } {
  return range === 'wide' ? { least: -(2 ** 20), most: 2 ** 20 } : { least: -2048, most: 2047 }
}

/** 3x3, one filter a channel. Shapes: input of at least C channels, the first of which count, output C x H x W. */
export function integerDepthwise(node: IntegerDepthwiseNode, context: KernelContext): Dispatch[] {
  const { input, output, table } = node
  const { channels } = output.shape
  const weight = context.parameters.integers(node.weight).data
  const bias = context.parameters.integers(node.bias).data
  const shift = context.parameters.integers(node.shift).data
  const rounding = roundingBias(bias, shift)
  const rows = (c: number) =>
    c < channels
      ? [...weight.subarray(9 * c, 9 * c + 9), rounding[c] as number, shift[c] as number]
      : [...new Array<number>(10).fill(0), NO_CHANNEL]
  return [
    texelDispatch({
      shader: 'integer_depthwise',
      constants: { TABLE: table === null ? 0 : 1 },
      reads: {
        source: input,
        weights: { key: `${node.weight}|depthwise`, ...channelRows(channels, rows) },
        ...(table === null ? {} : { table: tableWeights(table, context) }),
      },
      output,
      cost: 4 * 9,
    }),
  ]
}

/** A texture whose row g holds, texel by texel, what `row` gives for channels 4 g .. 4 g + 3. */
export function channelRows(channels: number, row: (channel: number) => number[]): Omit<Weights, 'key'> {
  const width = row(0).length
  const height = groupsOf(channels)
  const build = () => {
    const packed = new Int32Array(4 * width * height)
    for (let c = 0; c < 4 * height; c++) {
      for (const [i, value] of row(c).entries()) packed[((c >> 2) * width + i) * 4 + (c & 3)] = value
    }
    return packed
  }
  return { width, height, layers: 1, format: 'rgba32sint', build }
}

export const integerConvKernels: Kernels<'integerConv' | 'integerDepthwise'> = {
  integerConv: (node, context) => integerConv(node, context),
  integerDepthwise,
}

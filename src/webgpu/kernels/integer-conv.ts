import type { IntegerConvNode, IntegerDepthwiseNode, Tensor } from '../../network/graph.js'
import {
  type Action,
  checkShape,
  type Dispatch,
  groupsOf,
  integerData,
  type KernelContext,
  keepNumber,
  texelGrid,
  type Weights,
} from '../dispatch.js'
import {
  blockValues,
  convGrid,
  convProduct,
  convWeights,
  joined,
  type Product,
  tapsAsChannels,
  tapsFirst,
  unfold,
} from './conv.js'

/** Sums of |weight| below this, times an activation's 2048, stay below 2^24: f32 sums such products exactly, in any order. */
const EXACT = 2 ** 24 / 2048

/** The shift that tells a shader that there is no such channel; those of layers are at most 30. */
const NO_CHANNEL = 31

/**
 * How many products f32 may sum: `taps` of one input group of 4, for a kernel of 1 also over several `groups`. Computed
 * from the weights, outputs x inputs x taps, for every output.
 */
export function exactRun(
  weight: Int32Array,
  { inputs, kernel }: Pick<Product, 'inputs' | 'kernel'>,
): { readonly taps: number; readonly groups: number } {
  const all = kernel * kernel
  const groups = groupsOf(inputs)
  const outputs = weight.length / inputs / all
  /** Largest sum for runs of 1 tap, of a row of taps, of all; then for runs of 2, 4, 8 ... groups. */
  const largest = [1, kernel, all].map(() => 0)
  for (let o = 0; o < outputs; o++) {
    let sums = new Float64Array(groups * all)
    for (let i = 0; i < inputs * all; i++) {
      const at = Math.floor(i / all / 4) * all + (i % all)
      sums[at] = (sums[at] as number) + Math.abs(weight[o * inputs * all + i] as number)
    }
    for (let level = 0; ; level++) {
      largest[level] = sums.reduce((a, b) => Math.max(a, b), largest[level] ?? 0)
      const length = level < 2 ? kernel : 2
      if (level >= 2 && sums.length === 1) break
      const joint = new Float64Array(Math.ceil(sums.length / length))
      for (let i = 0; i < sums.length; i++) {
        const at = Math.floor(i / length)
        joint[at] = (joint[at] as number) + (sums[i] as number)
      }
      sums = joint
    }
  }
  const levels = largest.findIndex((sum) => sum >= EXACT)
  const exact = levels < 0 ? largest.length : levels
  if (exact === 0) throw new RangeError(`Expected weights of at most 2047 but four of them sum to ${largest[0]}`)
  return { taps: [1, kernel, all][Math.min(exact, 3) - 1] as number, groups: exact > 3 ? 2 ** (exact - 3) : 1 }
}

/** A table of 4096 entries, or none. */
export function tableWeights(name: string, context: KernelContext): Weights {
  const data = integerData(context.parameters, name, 4096)
  const build = () => Int16Array.from(data)
  return { key: `${name}|table`, width: 64, height: 64, layers: 1, format: 'r16sint', build }
}

/** A bias that has half of what the shift drops in it, so that the shift rounds. */
export function roundingBias(bias: Int32Array, shift: Int32Array): Int32Array {
  return bias.map((value, i) => value + ((1 << (shift[i] as number)) >> 1))
}

/**
 * Several inputs are first joined; where the taps of positions don't overlap there is nothing to reuse, and they are
 * gathered into channels. Shapes: inputs C_i x H x W, output O / shuffle^2 x shuffle H' x shuffle W'.
 */
export function integerConv(node: IntegerConvNode, context: KernelContext): Action[] {
  const { kernel, stride, output } = node
  const product = convProduct(node)
  const { inputs, outputs } = product
  const weight = integerData(context.parameters, node.weight, outputs * inputs * kernel * kernel)
  const [source, before] = joined(node.inputs, output, context)
  if (kernel === 1 || kernel !== stride) {
    return [...before, convolve(node, source, product, { name: node.weight, data: weight }, context)]
  }
  const [samples, gather] = unfold(source, output, kernel, context)
  const gathered = { name: `${node.weight}|taps first`, data: tapsFirst(weight, inputs, kernel * kernel) }
  const flat = tapsAsChannels(samples, output, node.shuffle)
  return [...before, gather, convolve(node, samples, flat, gathered, context)]
}

function convolve(
  node: IntegerConvNode,
  source: Tensor,
  product: Product,
  weight: { readonly name: string; readonly data: Int32Array },
  context: KernelContext,
): Dispatch {
  const { output, residual, table, range, keep } = node
  const grid = convGrid(product, context.software)
  const { layers } = grid
  const { taps, groups } = exactRun(weight.data, product)
  const bias = integerData(context.parameters, node.bias, product.outputs)
  const shift = integerData(context.parameters, node.shift, product.outputs)
  return {
    shader: 'integer_conv',
    constants: { ...grid.constants, T: taps, TABLE: table === null ? 0 : 1, RES: residual ? 1 : 0 },
    reads: {
      source,
      weights: convWeights(weight.name, weight.data, product, layers),
      scalars: {
        key: `${node.bias}|scalars ${layers} by ${product.shuffle}`,
        width: layers,
        height: 2,
        layers: 1,
        format: 'rgba32sint',
        build: () =>
          Int32Array.from([
            ...blockValues(roundingBias(bias, shift), product, layers, 0),
            ...blockValues(shift, product, layers, NO_CHANNEL),
          ]),
      },
      residual,
      ...(table === null ? {} : { table: tableWeights(table, context) }),
    },
    writes: { output },
    params: {
      ...grid.params,
      exact: groups,
      keep: keepNumber(keep),
      least: range === 'wide' ? -(2 ** 20) : -2048,
      most: range === 'wide' ? 2 ** 20 : 2047,
    },
    invocations: grid.invocations,
    cost: grid.cost,
  }
}

/** 3x3, one filter a channel. Shapes: C x H x W. */
export function integerDepthwise(node: IntegerDepthwiseNode, context: KernelContext): Dispatch[] {
  const { input, output, table } = node
  const { channels, height, width } = input.shape
  checkShape(output, channels, height, width)
  const weight = integerData(context.parameters, node.weight, channels * 9)
  const bias = integerData(context.parameters, node.bias, channels)
  const shift = integerData(context.parameters, node.shift, channels)
  const rounding = roundingBias(bias, shift)
  const rows = (c: number) =>
    c < channels
      ? [...weight.subarray(9 * c, 9 * c + 9), rounding[c] as number, shift[c] as number]
      : [...new Array<number>(10).fill(0), NO_CHANNEL]
  return [
    {
      shader: 'integer_depthwise',
      constants: { TABLE: table === null ? 0 : 1 },
      reads: {
        source: input,
        weights: { key: `${node.weight}|depthwise`, ...channelRows(channels, rows) },
        ...(table === null ? {} : { table: tableWeights(table, context) }),
      },
      writes: { output },
      params: { width, height },
      invocations: texelGrid(output),
      cost: 4 * 9 * channels * height * width,
    },
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

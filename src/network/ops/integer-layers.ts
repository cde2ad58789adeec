/**
 * The layers of the entropy model, in integers: each defined to the bit, so that all devices compute the same.
 *
 * A tensor here holds integral values, every |v| < 2^24, so that float32 storage holds them exactly too.
 * Throughout, rshift(v, s) = (v + 2^(s-1)) >> s, arithmetic (v itself for s = 0), clamp12 clamps to -2048..2047, and
 * divisions are of non-negative numbers, truncating.
 */
import { badParameter } from '../parameters.js'
import { type Half, halfNumber, type Tensor } from '../tensor.js'
import { convolutionShapes } from './convolution.js'
import { atMost } from './limits.js'
import { channelsOf, integers, type Ops, output, type ParameterUse, reads, sameSize } from './op.js'

/**
 * What an integer layer's output is clamped to: `activation`, 12 bits, -2048..2047 (what integer layers read), or
 * `wide`, -2^20..2^20 (scales, means and the latent).
 */
export type Range = 'activation' | 'wide'

/**
 * Convolution of integers: acc = bias[o] + sum of weight * x in 32 bits, over the concatenation of the inputs
 * (activations), zero padding. v = rshift(acc, shift[o]); with a table, v = table[clamp12(v) + 2048], else v is clamped
 * to `range`; with `keep`, v is zero off that half; shuffled; with a residual (in the shuffled shape), v = residual +
 * v, clamped once more if `range` is `activation`.
 *
 * Weight: I16, output channels x sum of input channels x kernel x kernel; bias and shift: I32, [output channels];
 * table: I16 [4096].
 */
export interface IntegerConvNode {
  readonly op: 'integerConv'
  readonly inputs: readonly Tensor[]
  readonly output: Tensor
  readonly weight: string
  readonly bias: string
  readonly shift: string
  readonly table: string | null
  readonly kernel: 1 | 3 | 5
  readonly stride: 1 | 5
  readonly padding: 0 | 1 | 2
  readonly shuffle: 1 | 2
  readonly range: Range
  readonly residual: Tensor | null
  readonly keep: Half | null
}

/**
 * As {@link IntegerConvNode}, 3x3, stride 1, padding 1, one filter a channel, range `activation`. Weight: channels x 1
 * x 3 x 3.
 */
export interface IntegerDepthwiseNode {
  readonly op: 'integerDepthwise'
  readonly input: Tensor
  readonly output: Tensor
  readonly weight: string
  readonly bias: string
  readonly shift: string
  readonly table: string | null
}

/** output = clamp12(rshift(input, shift)). Parameter: shift, I32 [1]. */
export interface RequantiseNode {
  readonly op: 'requantise'
  readonly input: Tensor
  readonly output: Tensor
  readonly shift: string
}

/**
 * Layer norm of integers, over the C <= 512 channels x of a position, any |x| < 2^24:
 *
 *     a = max |x|, n its bit length, e = n - 11; N = 0 where a = 0
 *     x' = rshift(x, e), or x shifted to the left where e is negative
 *     S = sum x'; m = (4 (S + 2048 C) + (C >> 1)) / C - 8192; u = 4 x' - m
 *     V = sum of (u u + 8) >> 4, plus epsilon >> min(k, 31), k = 10 + 2 e, or epsilon shifted to the left where k is
 *         negative; N = 0 where V = 0
 *     t such that W = V 2^(-2t), truncated, is in [2^14, 2^16)
 *     g0 = rsqrt[(W >> 7) - 128]; p = (W ((g0 g0) >> 16)) >> 16; g = (g0 (3 * 2^14 - p)) >> 15, all in u32
 *     N = rshift(u g, t + 11)
 *     output = clamp12(rshift(N weight + bias, shift))
 *
 * Parameters: weight I16 [C], bias and shift I32 [C], epsilon I32 [1]; `rsqrt` I32 [384], for all layer norms of a
 * model.
 */
export interface IntegerLayerNormNode {
  readonly op: 'integerLayerNorm'
  readonly input: Tensor
  readonly output: Tensor
  readonly weight: string
  readonly bias: string
  readonly shift: string
  readonly epsilon: string
}

/**
 * Name of the parameter `rsqrt` of {@link IntegerLayerNormNode}: [j] = min(65535, round(2^23 / sqrt((j + 128.5) 128))).
 */
export const RSQRT_TABLE = 'rsqrt'

const RSQRT_ENTRIES = Int32Array.from({ length: 384 }, (_, j) =>
  Math.min(65535, Math.round(2 ** 23 / Math.sqrt((j + 128.5) * 128))),
)

/** Largest magnitude of an activation. */
const ACTIVATION_LIMIT = 2048
const WEIGHT_LIMIT = 2047
const TABLE_ENTRIES = 4096
export const SHIFT_LIMIT = 30
const ACCUMULATOR_LIMIT = 2 ** 31

const NORM_CHANNELS = 512
const NORM_WEIGHT_LIMIT = 32767
const NORM_BIAS_LIMIT = 2 ** 29 - 1
const EPSILON_LIMIT = 2 ** 20 - 1
/** Above the largest normalised value of a layer norm, 2^14 and the error of its rsqrt. */
const NORMALISED_LIMIT = 2 ** 14 + 64

/** Parameters of a layer that sums products: weight, bias, shift of each output, and its activation's table, if any. */
interface Sums {
  readonly weight: string
  readonly bias: string
  readonly shift: string
  readonly table: string | null
}

function sumParameters({ weight, bias, shift, table }: Sums, shape: readonly number[]): ParameterUse[] {
  const [outputs = 0] = shape
  return [
    integers(weight, shape, -WEIGHT_LIMIT, WEIGHT_LIMIT),
    integers(bias, [outputs]),
    integers(shift, [outputs], 1, SHIFT_LIMIT),
    ...(table === null ? [] : [integers(table, [TABLE_ENTRIES], -ACTIVATION_LIMIT, ACTIVATION_LIMIT - 1)]),
  ]
}

/** Proves that inputLimit sum |weight| + |bias| and the shift's rounding stay below 2^31 for every output. */
function proveSums(node: Omit<Sums, 'table'>, inputLimit: number, valuesOf: (parameter: string) => Int32Array): void {
  const weight = valuesOf(node.weight)
  const bias = valuesOf(node.bias)
  const shift = valuesOf(node.shift)
  const row = weight.length / bias.length
  for (let o = 0; o < bias.length; o++) {
    let sum = 0
    for (let i = o * row; i < (o + 1) * row; i++) sum += Math.abs(weight[i] as number)
    const largest = inputLimit * sum + Math.abs(bias[o] as number) + 2 ** ((shift[o] as number) - 1)
    if (largest >= ACCUMULATOR_LIMIT) throw badParameter(node.weight, `can overflow 32 bits in output ${o}`)
  }
}

export type IntegerLayerNode = IntegerConvNode | IntegerDepthwiseNode | RequantiseNode | IntegerLayerNormNode

export const integerLayers: Ops<IntegerLayerNode> = {
  integerConv: {
    inputs: ({ inputs, residual, kernel, stride, padding, shuffle, keep }) => {
      const pointwise = shuffle === 1 && kernel === 1 && stride === 1 && padding === 0
      return [
        // What is not kept of the convolution is not computed.
        ...reads(inputs, { layout: 'integers', positions: pointwise ? (keep ?? 'output') : 'all' }),
        // The residual shows everywhere, and is of either range.
        ...reads(residual ? [residual] : [], { layout: 'any', positions: shuffle === 1 ? 'output' : 'all' }),
      ]
    },
    outputs: output,
    layout: ({ range }) => (range === 'activation' ? 'integers' : 'interleaved'),
    shapes: convolutionShapes,
    parameters: (node) => {
      const outputs = node.output.shape.channels * node.shuffle ** 2
      const inputs = channelsOf(node.inputs)
      const [weight, ...others] = sumParameters(node, [outputs, inputs, node.kernel, node.kernel])
      // A kernel of 1 may be a linear layer's.
      const linear = node.kernel === 1 ? { orShape: [outputs, inputs] } : {}
      return [{ ...(weight as ParameterUse), ...linear }, ...others]
    },
    integers: ({ kernel, stride, padding, shuffle, range, keep, residual }, { neededHalf }) => [
      kernel,
      stride,
      padding,
      shuffle,
      range === 'wide' ? 1 : 0,
      halfNumber(keep),
      halfNumber(neededHalf),
      residual ? 1 : 0,
    ],
    proof: (node, valuesOf) => proveSums(node, ACTIVATION_LIMIT, valuesOf),
  },
  integerDepthwise: {
    inputs: ({ input }) => reads([input], { layout: 'integers' }),
    outputs: output,
    layout: () => 'integers',
    shapes: sameSize,
    parameters: (node) => sumParameters(node, [node.input.shape.channels, 1, 3, 3]),
    proof: (node, valuesOf) => proveSums(node, ACTIVATION_LIMIT, valuesOf),
  },
  requantise: {
    inputs: ({ input }) => reads([input], { positions: 'output' }),
    outputs: output,
    layout: () => 'integers',
    shapes: sameSize,
    parameters: ({ shift }) => [integers(shift, [1], 0, SHIFT_LIMIT)],
  },
  integerLayerNorm: {
    inputs: ({ input }) => reads([input], { layout: 'any', positions: 'output' }),
    outputs: output,
    layout: () => 'integers',
    shapes: sameSize,
    limits: ({ input, output: { name } }) => atMost(input.shape.channels, NORM_CHANNELS, `${name}: channels`),
    parameters: ({ input: { shape }, weight, bias, shift, epsilon }) => [
      integers(weight, [shape.channels], -NORM_WEIGHT_LIMIT, NORM_WEIGHT_LIMIT),
      integers(bias, [shape.channels], -NORM_BIAS_LIMIT, NORM_BIAS_LIMIT),
      integers(shift, [shape.channels], 1, SHIFT_LIMIT),
      integers(RSQRT_TABLE, [RSQRT_ENTRIES.length], 0, 65535),
      integers(epsilon, [1], 0, EPSILON_LIMIT),
    ],
    proof: (node, valuesOf) => {
      proveSums(node, NORMALISED_LIMIT, valuesOf)
      // Another value could make the sums of the Newton step wrap.
      const rsqrt = valuesOf(RSQRT_TABLE)
      for (const [j, value] of RSQRT_ENTRIES.entries()) {
        if (rsqrt[j] !== value) throw badParameter(RSQRT_TABLE, `holds ${rsqrt[j]} at ${j}, not ${value}`)
      }
    },
  },
}

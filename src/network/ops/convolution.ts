/** Convolutions in floating point, and the normalisation that is computed as one. */
import type { Shape, Tensor } from '../tensor.js'
import { channelsOf, floats, type Ops, output, reads, shapedAs } from './op.js'

/** Activations, as the addon and the shaders number them. */
export const ACTIVATIONS = ['none', 'gelu'] as const

export type Activation = (typeof ACTIVATIONS)[number]

export function activationNumber(activation: Activation): number {
  return ACTIVATIONS.indexOf(activation)
}

/**
 * y = residual + act(conv(concat(inputs)) + bias), zero padding, then pixel-shuffled by `shuffle`.
 * Weight: output channels x sum of input channels x kernel x kernel.
 * The residual has the output's (shuffled) shape.
 */
export interface ConvNode {
  readonly op: 'conv'
  readonly inputs: readonly Tensor[]
  readonly output: Tensor
  readonly weight: string
  readonly bias: string
  readonly kernel: 1 | 3
  readonly stride: 1 | 2
  readonly padding: 0 | 1
  readonly activation: Activation
  readonly shuffle: 1 | 2
  readonly residual: Tensor | null
}

/**
 * DCNv2 3x3 (arXiv 1811.11168): y(p) = bias + sum_k W_k sigmoid(m_k) x(s p + tap_k + (dy_k, dx_k)),
 * bilinear, zero outside the image, then act, then pixel shuffle.
 * `offsets` has 27 channels at the unshuffled output size: 9 dy, 9 dx, 9 logits, taps row-major.
 */
export interface DeformNode {
  readonly op: 'deform'
  readonly input: Tensor
  readonly offsets: Tensor
  readonly output: Tensor
  readonly weight: string
  readonly bias: string
  readonly stride: 1 | 2
  readonly activation: Activation
  readonly shuffle: 1 | 2
}

/**
 * GDN: y_i = x_i / sqrt(b_i + sum_j g_ij x_j^2), b = beta^2, g = gamma^2; inverse multiplies.
 * Plus a residual of the same shape, if any. Parameters: beta [C], gamma [C, C], raw.
 */
export interface GdnNode {
  readonly op: 'gdn'
  readonly input: Tensor
  readonly output: Tensor
  readonly beta: string
  readonly gamma: string
  readonly inverse: boolean
  readonly residual: Tensor | null
}

/** How a convolution goes over its input, and the pixel shuffle of its result. */
export interface ConvGeometry {
  readonly kernel: number
  readonly stride: number
  readonly padding: number
  readonly shuffle: number
}

/** Rows and columns of a convolution's result before the shuffle. */
export function convolvedSize(
  { height, width }: Shape,
  { kernel, stride, padding }: Omit<ConvGeometry, 'shuffle'>,
): Pick<Shape, 'height' | 'width'> {
  const positions = (length: number) => Math.floor((length + 2 * padding - kernel) / stride) + 1
  return { height: positions(height), width: positions(width) }
}

/** The shape of `channels` after a pixel shuffle, which takes factor^2 channels for one. */
export function shuffledShape({ channels, height, width }: Shape, factor: number): Shape {
  return { channels: Math.floor(channels / factor ** 2), height: height * factor, width: width * factor }
}

/** Shapes of a convolution over the concatenation of its inputs, for any number of output channels. */
export function convolutionShapes(
  node: ConvGeometry & {
    readonly inputs: readonly Tensor[]
    readonly output: Tensor
    readonly residual: Tensor | null
  },
): (readonly [Tensor, Shape])[] {
  const { inputs, output: result, residual, shuffle } = node
  const [first] = inputs
  if (!first) throw new RangeError(`Expected an input for ${result.name} but received none`)
  const { height, width } = first.shape
  const size = convolvedSize(first.shape, node)
  return [
    ...inputs.map((input) => [input, { ...input.shape, height, width }] as const),
    [result, { ...result.shape, height: shuffle * size.height, width: shuffle * size.width }],
    ...shapedAs(result, residual),
  ]
}

export type ConvolutionNode = ConvNode | DeformNode | GdnNode

export const convolutions: Ops<ConvolutionNode> = {
  conv: {
    inputs: ({ inputs, residual }) => reads(residual ? [...inputs, residual] : inputs),
    outputs: output,
    shapes: convolutionShapes,
    parameters: ({ inputs, output: { shape }, weight, bias, kernel, shuffle }) => {
      const outputs = shape.channels * shuffle ** 2
      return [floats(weight, [outputs, channelsOf(inputs), kernel, kernel]), floats(bias, [outputs])]
    },
    integers: ({ kernel, stride, padding, activation, shuffle, residual }, { isForPixels }) => [
      kernel,
      stride,
      padding,
      activationNumber(activation),
      shuffle,
      residual ? 1 : 0,
      isForPixels ? 1 : 0,
    ],
  },
  deform: {
    inputs: ({ input, offsets }) => reads([input, offsets]),
    outputs: output,
    shapes: ({ input, offsets, output: result, stride, shuffle }) => {
      const { height, width } = convolvedSize(input.shape, { kernel: 3, stride, padding: 1 })
      return [
        [offsets, { channels: 27, height, width }],
        [result, { ...result.shape, height: shuffle * height, width: shuffle * width }],
      ]
    },
    parameters: ({ input, output: { shape }, weight, bias, shuffle }) => {
      const outputs = shape.channels * shuffle ** 2
      return [floats(weight, [outputs, input.shape.channels, 3, 3]), floats(bias, [outputs])]
    },
    integers: ({ stride, activation, shuffle }) => [stride, activationNumber(activation), shuffle],
  },
  gdn: {
    inputs: ({ input, residual }) => reads(residual ? [input, residual] : [input]),
    outputs: output,
    shapes: ({ input, output: result, residual }) => shapedAs(input, result, residual),
    parameters: ({ input: { shape }, beta, gamma }) => [
      floats(beta, [shape.channels]),
      floats(gamma, [shape.channels, shape.channels]),
    ],
    integers: ({ inverse }) => [inverse ? 1 : 0],
  },
}

import type { ConvNode, Tensor } from '../../network/graph.js'
import { halvesOf } from '../../network/half-precision.js'
import { activationNumber } from '../../network/ops/convolution.js'
import { type Action, type Dispatch, foldsOf, type KernelContext, type Kernels, type Weights } from '../dispatch.js'
import { joined, tapsAsChannels, tapsFirst } from './conv-inputs.js'
import { matrixGrid, matrixWeights } from './conv-matrix.js'
import { blockValues, convGrid, convProduct, convWeights, type Grid, type Product, tileDispatch } from './conv-tiles.js'

/**
 * y = residual + act(conv(inputs) + bias). Several inputs are first joined.
 * Shapes: inputs C_i x H x W, output O / shuffle^2 x shuffle H' x shuffle W'.
 *
 * @param parts see {@link Product}; of one input
 */
export function conv(node: ConvNode, context: KernelContext, parts = 1): Action[] {
  const product = convProduct(node, parts)
  const weight = context.parameters.get(node.weight).data
  const [source, before] = joined(node.inputs, node.output, context)
  return [...before, convolve(node, source, product, { name: node.weight, data: weight, stored: weight }, context)]
}

export interface LaidWeight {
  readonly name: string
  readonly data: Float32Array
  /** The model's array of the same values. */
  readonly stored: Float32Array
}

/** Whether all weights are half floats, found once for each array. */
const halfWeights = new WeakMap<Float32Array, boolean>()

function areHalves(weight: Float32Array): boolean {
  const known = halfWeights.get(weight) ?? halvesOf(weight) !== null
  halfWeights.set(weight, known)
  return known
}

/** Whether a device holds weights as half floats. */
export function isHeldInHalves({ stored }: LaidWeight, { software, halfFloats }: KernelContext): boolean {
  return !software && halfFloats && areHalves(stored)
}

/** Biases in the order of the blocks, a texel each. */
export function biasTexels(
  name: string,
  product: Pick<Product, 'shuffle'>,
  { layers }: Pick<Grid, 'layers'>,
  { parameters }: KernelContext,
): Weights {
  const biases = parameters.get(name).data
  return {
    key: `${name}|blocks ${layers} by ${product.shuffle}`,
    width: layers,
    height: 1,
    layers: 1,
    build: () => Float32Array.from(blockValues(biases, product, layers, 0)),
  }
}

type Epilogue = Pick<ConvNode, 'output' | 'bias' | 'activation' | 'residual'>

function convolve(
  { output, bias, activation, residual }: Epilogue,
  source: Tensor,
  product: Product,
  weight: LaidWeight,
  context: KernelContext,
): Dispatch {
  const inHalves = isHeldInHalves(weight, context)
  const constants = { ACT: activationNumber(activation) }
  const { shuffles, matrices: units } = context.subgroups
  const matrices = units && inHalves && matrixGrid(product, units, context.isHalf(source))
  if (matrices) {
    const weights = matrixWeights(weight.name, weight.data, product, matrices)
    const reads = { source, weights, bias: biasTexels(bias, product, matrices, context) }
    return tileDispatch(matrices, { shader: 'conv_matrix', constants, reads, residual, output, params: {} })
  }
  const grid = convGrid(product, context.software)
  const weights = convWeights(weight.name, weight.data, product, grid, inHalves)
  return tileDispatch(grid, {
    shader: 'conv',
    constants: {
      ...constants,
      ...(inHalves ? { HALF_WEIGHTS: 1 } : {}),
      ...(shuffles && sharesColumns(product, source, context) ? { SHUFFLE: 1 } : {}),
    },
    reads: { source, weights, bias: biasTexels(bias, product, grid, context) },
    residual,
    output,
    params: { inverse: 0 },
  })
}

/** Whether neighbouring tiles of a GPU read the same columns of the source, which isn't folded. */
function sharesColumns({ kernel, stride }: Product, source: Tensor, { software }: KernelContext): boolean {
  return !software && kernel === 3 && stride === 1 && foldsOf(source) === 1
}

/**
 * The matrix product over gathered taps: a 1x1 convolution whose inputs run over taps, then channels.
 * Shapes: samples taps x (channels padded to fours) x H x W, weight outputs x channels x taps.
 *
 * @param channels of a part
 */
export function tapProduct(
  node: Epilogue & Pick<ConvNode, 'weight' | 'shuffle'>,
  samples: Tensor,
  channels: number,
  taps: number,
  context: KernelContext,
  parts = 1,
): Dispatch {
  const product = tapsAsChannels(samples.shape, node.output, node.shuffle, parts)
  return convolve(node, samples, product, tapWeight(node.weight, channels, taps, context), context)
}

/** Weights outputs x channels x taps for inputs that run over taps, then channels. */
export function tapWeight(name: string, channels: number, taps: number, { parameters }: KernelContext): LaidWeight {
  const { data } = parameters.get(name)
  return { name: `${name}|taps first`, data: tapsFirst(data, channels, taps), stored: data }
}

export const convKernels: Kernels<'conv'> = { conv: (node, context) => conv(node, context) }

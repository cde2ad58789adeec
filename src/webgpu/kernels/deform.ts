import type { DeformNode } from '../../network/graph.js'
import { activationNumber } from '../../network/ops/convolution.js'
import {
  type Action,
  type Dispatch,
  groupsOf,
  type KernelContext,
  type Kernels,
  outputFolds,
  wideScratch,
} from '../dispatch.js'
import { biasTexels, isHeldInHalves, tapProduct, tapWeight } from './conv.js'
import { tapsAsChannels } from './conv-inputs.js'
import { matrixWeights, sampledGrid } from './conv-matrix.js'
import { blocksOf, convWeights, tileDispatch } from './conv-tiles.js'

/**
 * DCNv2. On a GPU the convolutions of upsampling blocks are one dispatch ({@link wholeDeform}). Else all samples go into a
 * tensor of nine times the channels, of which a matrix product is taken: for a software adapter, for which a workgroup's
 * memory is slow, and in the encoder, whose samples are half as large, as half floats.
 * Shapes: input C x H x W, offsets at least 27 x H' x W', output O / shuffle^2 x shuffle H' x shuffle W'.
 *
 * @param parts into how many the channels of all tensors are divided, each deformed by itself; see `Product`
 * @param firstOffset the channel where the offsets begin
 */
export function deform(node: DeformNode, context: KernelContext, parts = 1, firstOffset = 0): Action[] {
  const { input, offsets, output, stride } = node
  if (!context.software && stride === 1 && parts === 1) return [wholeDeform(node, context, firstOffset)]
  const channels = input.shape.channels / parts
  const { height, width } = offsets.shape
  const groups = groupsOf(channels)
  const padded = 4 * groups
  const samples = wideScratch(context, `${output.name} samples`, {
    channels: parts * 9 * padded,
    height,
    width,
    half: context.isHalf(input),
  })
  const gather: Dispatch = {
    shader: 'deform_gather',
    constants: outputFolds(samples),
    reads: { source: input, offsets },
    writes: { output: samples },
    params: {
      ...{ width, height, sourceWidth: input.shape.width, sourceHeight: input.shape.height, groups, stride },
      ...{ firstOffset, offsetChannels: offsets.shape.channels / parts },
    },
    invocations: [width, height, 9 * parts],
    cost: 64 * 9 * parts * padded * height * width,
  }
  const product = { ...node, residual: null }
  return [gather, tapProduct(product, samples, channels, 9, context, parts)]
}

/** Positions of a workgroup of deform.wgsl, its invocations, and those that make one block each. */
const TILE = { width: 8, height: 4, invocations: 128, blocks: 16 } as const
/** Workgroups of a tile that leave a large GPU enough to do, as a batch has several times as many. */
const BUSY_WORKGROUPS = 64

/** {@link deform} in one dispatch, whose samples stay in workgroups' memory: by matrix units or by plain sums. */
function wholeDeform(node: DeformNode, context: KernelContext, firstOffset: number): Dispatch {
  const { input, offsets, output, shuffle, stride } = node
  const { channels, height: sourceHeight, width: sourceWidth } = input.shape
  const { height, width } = offsets.shape
  const groups = groupsOf(channels)
  const product = tapsAsChannels({ channels: 36 * groups, height, width }, output, shuffle)
  const weight = tapWeight(node.weight, channels, 9, context)
  const inHalves = isHeldInHalves(weight, context)
  const sampling = { sourceWidth, sourceHeight, stride, firstOffset }
  const constants = { ACT: activationNumber(node.activation) }
  const units = context.subgroups.matrices
  const matrices = units && inHalves && sampledGrid(product, units)
  if (matrices) {
    const weights = matrixWeights(weight.name, weight.data, product, matrices)
    return tileDispatch(matrices, {
      shader: 'conv_matrix',
      constants: { ...constants, DEFORM: 1 },
      reads: { source: input, weights, bias: biasTexels(node.bias, product, matrices, context), offsets },
      ...{ residual: null, output, params: sampling },
    })
  }
  const blocks = blocksOf(product.outputs, shuffle)
  const tiles = Math.ceil(width / TILE.width) * Math.ceil(height / TILE.height)
  // Sums are the same whichever: each is one invocation's, tap after tap.
  const roundsOf = (each: number) => Math.ceil(blocks / (TILE.blocks * each))
  const each = tiles * roundsOf(3) >= BUSY_WORKGROUPS && 3 * roundsOf(3) === roundsOf(1) ? 3 : 1
  const rounds = roundsOf(each)
  const layers = { layers: blocks, constants: { BUFFER: 1 } } as const
  return {
    shader: 'deform',
    constants: { ...constants, ...layers.constants, TO: each, ...(inHalves ? { HALF_WEIGHTS: 1 } : {}) },
    reads: {
      source: input,
      weights: convWeights(weight.name, weight.data, product, layers, inHalves),
      bias: biasTexels(node.bias, product, layers, context),
      offsets,
    },
    writes: { output },
    params: { width, height, blocks, rounds, shuffle, groups, ...sampling },
    invocations: [tiles * rounds * TILE.invocations, 1, 1],
    cost: 9 * channels * product.outputs * height * width,
  }
}

export const deformKernels: Kernels<'deform'> = { deform: (node, context) => deform(node, context) }

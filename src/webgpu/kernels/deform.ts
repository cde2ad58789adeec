import type { DeformNode } from '../../network/graph.js'
import {
  type Action,
  type Dispatch,
  groupsOf,
  type KernelContext,
  type Kernels,
  outputFolds,
  wideScratch,
} from '../dispatch.js'
import { tapProduct } from './conv.js'

/**
 * DCNv2: all samples into a tensor of nine times the channels, then a matrix product.
 * Shapes: input C x H x W, offsets at least 27 x H' x W', output O / shuffle^2 x shuffle H' x shuffle W'.
 *
 * @param parts into how many the channels of all tensors are divided, each deformed by itself; see `Product`
 * @param firstOffset the channel where the offsets begin
 */
export function deform(node: DeformNode, context: KernelContext, parts = 1, firstOffset = 0): Action[] {
  const { input, offsets, output, stride } = node
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

export const deformKernels: Kernels<'deform'> = { deform: (node, context) => deform(node, context) }

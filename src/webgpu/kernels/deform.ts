import type { DeformNode } from '../../network/graph.js'
import { type Action, checkShape, type Dispatch, groupsOf, type KernelContext } from '../dispatch.js'
import { tapProduct } from './conv.js'

/**
 * DCNv2: all samples into a tensor of nine times the channels, then a matrix product.
 * Shapes: input C x H x W, offsets 27 x H' x W', output O / shuffle^2 x shuffle H' x shuffle W'.
 */
export function deform(node: DeformNode, context: KernelContext): Action[] {
  const { input, offsets, output, shuffle, stride } = node
  const { channels } = input.shape
  const height = Math.ceil(input.shape.height / stride)
  const width = Math.ceil(input.shape.width / stride)
  checkShape(offsets, 27, height, width)
  checkShape(output, output.shape.channels, shuffle * height, shuffle * width)
  const groups = groupsOf(channels)
  const padded = 4 * groups
  const samples = context.scratch(`${output.name} samples`, { channels: 9 * padded, height, width })
  const gather: Dispatch = {
    shader: 'deform_gather',
    constants: {},
    reads: { source: input, offsets },
    writes: { output: samples },
    params: { width, height, sourceWidth: input.shape.width, sourceHeight: input.shape.height, groups, stride },
    invocations: [width, height, 9],
    cost: 64 * 9 * padded * height * width,
  }
  const product = { ...node, residual: null }
  return [gather, tapProduct(product, samples, channels, 9, context)]
}

import type { DeformNode } from '../../network/graph.js'
import { type Action, checkShape, type Dispatch, groupsOf, type KernelContext, parameterData } from '../dispatch.js'
import { conv } from './conv.js'

/**
 * DCNv2: all samples into a tensor of nine times the channels, then a matrix product.
 * Shapes: input C x H x W, offsets 27 x H' x W', output O / shuffle^2 x shuffle H' x shuffle W'.
 */
export function deform(node: DeformNode, context: KernelContext): Action[] {
  const { input, offsets, output, shuffle, stride } = node
  const { channels } = input.shape
  const height = Math.ceil(input.shape.height / stride)
  const width = Math.ceil(input.shape.width / stride)
  const outputs = output.shape.channels * shuffle * shuffle
  checkShape(offsets, 27, height, width)
  checkShape(output, output.shape.channels, shuffle * height, shuffle * width)
  const weight = parameterData(context.parameters, node.weight, outputs * channels * 9)
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
  // The product is a 1x1 convolution whose inputs run over taps, then (padded) channels.
  const name = `${node.weight}|taps first`
  const product = conv(
    {
      op: 'conv',
      inputs: [samples],
      output,
      weight: name,
      bias: node.bias,
      kernel: 1,
      stride: 1,
      padding: 0,
      activation: node.activation,
      shuffle,
      scale: 1,
      residual: null,
      keep: null,
    },
    {
      ...context,
      scratch: context.scratch,
      parameters: {
        get: (key) =>
          key === name
            ? { shape: [outputs, 9 * padded], data: tapsFirst(weight, outputs, channels, padded) }
            : context.parameters.get(key),
      },
    },
  )
  return [gather, ...product]
}

function tapsFirst(weight: Float32Array, outputs: number, channels: number, padded: number): Float32Array {
  const data = new Float32Array(outputs * 9 * padded)
  for (let o = 0; o < outputs; o++) {
    for (let c = 0; c < channels; c++) {
      for (let k = 0; k < 9; k++) data[(o * 9 + k) * padded + c] = weight[(o * channels + c) * 9 + k] ?? 0
    }
  }
  return data
}

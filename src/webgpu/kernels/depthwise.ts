import type { DepthwiseNode } from '../../network/graph.js'
import {
  activationNumber,
  checkShape,
  type Dispatch,
  groupsOf,
  type KernelContext,
  parameterData,
  texelGrid,
} from '../dispatch.js'

/** Rows of a weights texture: the taps of a group of 4 filters, then their biases. */
export function packTaps(weight: Float32Array, bias: Float32Array, taps: number): Float32Array<ArrayBuffer> {
  const channels = bias.length
  const packed = new Float32Array(groupsOf(channels) * (taps + 1) * 4)
  for (let c = 0; c < channels; c++) {
    const row = (c >> 2) * (taps + 1) * 4 + (c & 3)
    for (let k = 0; k < taps; k++) packed[row + 4 * k] = weight[c * taps + k] ?? 0
    packed[row + 4 * taps] = bias[c] ?? 0
  }
  return packed
}

/** 3x3, one filter a channel. Shapes: C x H x W. */
export function depthwise(node: DepthwiseNode, context: KernelContext): Dispatch[] {
  const { input, output } = node
  const { channels, height, width } = input.shape
  checkShape(output, channels, height, width)
  const weight = parameterData(context.parameters, node.weight, channels * 9)
  const bias = parameterData(context.parameters, node.bias, channels)
  return [
    {
      shader: 'depthwise',
      constants: { ACT: activationNumber(node.activation) },
      reads: {
        source: input,
        weights: {
          key: `${node.weight}|depthwise`,
          width: 10,
          height: groupsOf(channels),
          layers: 1,
          build: () => packTaps(weight, bias, 9),
        },
      },
      writes: { output },
      params: { width, height },
      invocations: texelGrid(output),
      cost: 4 * 9 * channels * height * width,
    },
  ]
}

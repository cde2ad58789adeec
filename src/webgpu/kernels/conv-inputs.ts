/** The inputs of a convolution as one tensor of channels: several joined, or the taps under each position gathered. */
import type { Shape, Tensor } from '../../network/graph.js'
import { channelsOf } from '../../network/ops/op.js'
import { type Action, type Dispatch, groupsOf, type KernelContext, texelDispatch, wideScratch } from '../dispatch.js'
import { checkLimit } from '../limits.js'
import { concatInto } from './channels.js'
import type { Product } from './conv-tiles.js'

/** The inputs of a convolution as one tensor, and what joins them. */
export function joined(inputs: readonly Tensor[], output: Tensor, context: KernelContext): [Tensor, Action[]] {
  const first = inputs[0] as Tensor
  if (inputs.length === 1) return [first, []]
  const source = wideScratch(context, `${output.name} inputs`, { ...first.shape, channels: channelsOf(inputs) })
  return [source, concatInto(inputs, source, context)]
}

/** The sizes of a product over gathered taps, whose shape is `samples`. */
export function tapsAsChannels(samples: Shape, output: Tensor, shuffle: 1 | 2, parts = 1): Product {
  const { channels, height, width } = samples
  const outputs = output.shape.channels * shuffle * shuffle
  return { kernel: 1, stride: 1, padding: 0, shuffle, inputs: channels / parts, outputs, height, width, parts }
}

/** Weights outputs x channels x taps as outputs x taps x (channels padded to fours). */
export function tapsFirst<T extends Float32Array | Int32Array>(weight: T, channels: number, taps: number): T {
  const outputs = weight.length / channels / taps
  const padded = 4 * groupsOf(channels)
  const data = new (weight.constructor as new (length: number) => T)(outputs * taps * padded)
  for (let o = 0; o < outputs; o++) {
    for (let c = 0; c < channels; c++) {
      for (let k = 0; k < taps; k++) data[(o * taps + k) * padded + c] = weight[(o * channels + c) * taps + k] ?? 0
    }
  }
  return data
}

/** The K x K texels under each position of a convolution of stride K, which share nothing, as channels. */
export function unfold(input: Tensor, output: Tensor, kernel: number, context: KernelContext): [Tensor, Dispatch] {
  const { height, width } = output.shape
  const groups = groupsOf(input.shape.channels)
  // The shader reads layers where they are in tensors that aren't folded.
  checkLimit(input.name, `a number of texture layers of ${groups}`, groups, 'maxTextureArrayLayers', {
    maxTextureArrayLayers: context.maxLayers,
  })
  const samples = wideScratch(context, `${output.name} samples`, {
    channels: kernel * kernel * groups * 4,
    height,
    width,
  })
  const gather = texelDispatch({
    shader: 'unfold',
    reads: { source: input },
    output: samples,
    params: { groups, kernel },
    cost: 64,
  })
  return [samples, gather]
}

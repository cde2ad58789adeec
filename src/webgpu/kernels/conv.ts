import type { ConvNode, Tensor } from '../../network/graph.js'
import {
  activationNumber,
  checkShape,
  type Dispatch,
  groupsOf,
  type KernelContext,
  keepNumber,
  parameterData,
  type Weights,
} from '../dispatch.js'

/** Positions and blocks of 4 channels that one invocation makes. */
export interface Tile {
  readonly TX: number
  readonly TY: number
  readonly TO: number
}

/**
 * Software adapters pay for every texel read and like big tiles; a GPU wants
 * enough invocations to fill it. Few shapes, as each is a pipeline to compile.
 */
export function convTile(software: boolean, kernel: number, stride: number): Tile {
  if (!software) return kernel === 3 && stride === 1 ? { TX: 4, TY: 2, TO: 1 } : { TX: 2, TY: 2, TO: 1 }
  if (kernel === 1) return { TX: 4, TY: 2, TO: 2 }
  if (kernel === 3) return stride === 1 ? { TX: 8, TY: 4, TO: 1 } : { TX: 4, TY: 4, TO: 1 }
  return stride === 1 ? { TX: 4, TY: 4, TO: 1 } : { TX: 2, TY: 1, TO: 1 }
}

/** The output channel that `lane` of `block` holds, or -1: blocks of a shuffled conv hold one sub-position each. */
export function outputChannel(block: number, lane: number, channels: number, shuffle: number): number {
  if (shuffle === 1) {
    const o = 4 * block + lane
    return o < channels ? o : -1
  }
  const c = 4 * (block >> 2) + lane
  return 4 * c < channels ? 4 * c + (block & 3) : -1
}

export function blocksOf(channels: number, shuffle: number): number {
  return shuffle === 1 ? groupsOf(channels) : 4 * groupsOf(channels / 4)
}

/** Weights of input channels [first, first + count) as (taps x 4 inputs) x input groups x output blocks of 4 outputs. */
export function packConv(
  data: Float32Array,
  layout: {
    readonly outputs: number
    readonly inputs: number
    readonly taps: number
    readonly first: number
    readonly count: number
    readonly shuffle: number
    readonly layers: number
  },
): Float32Array<ArrayBuffer> {
  const { outputs, inputs, taps, first, count, shuffle, layers } = layout
  const groups = groupsOf(count)
  const packed = new Float32Array(layers * groups * taps * 16)
  for (let block = 0; block < blocksOf(outputs, shuffle); block++) {
    for (let lane = 0; lane < 4; lane++) {
      const o = outputChannel(block, lane, outputs, shuffle)
      if (o < 0) continue
      for (let i = 0; i < count; i++) {
        const from = (o * inputs + first + i) * taps
        const to = ((block * groups + (i >> 2)) * taps * 4 + (i & 3)) * 4 + lane
        for (let tap = 0; tap < taps; tap++) packed[to + tap * 16] = data[from + tap] ?? 0
      }
    }
  }
  return packed
}

/** A vector over output channels, one texel a block, zero padded. */
export function biasWeights(name: string, data: Float32Array, shuffle: number): Weights {
  const blocks = blocksOf(data.length, shuffle)
  return {
    key: `${name}|blocks ${shuffle}`,
    width: blocks,
    height: 1,
    layers: 1,
    build: () =>
      Float32Array.from(
        { length: 4 * blocks },
        (_, i) => data[outputChannel(i >> 2, i & 3, data.length, shuffle)] ?? 0,
      ),
  }
}

/**
 * y = residual + scale act(conv(inputs) + bias), one dispatch an input, each
 * adding to the sums of those before.
 * Shapes: inputs C_i x H x W, output O / shuffle^2 x shuffle H' x shuffle W'.
 */
export function conv(node: ConvNode, context: KernelContext): Dispatch[] {
  const { kernel, stride, padding, shuffle, output, residual } = node
  const outputs = output.shape.channels * shuffle * shuffle
  const height = output.shape.height / shuffle
  const width = output.shape.width / shuffle
  const taps = kernel * kernel
  const inputs = node.inputs.reduce((sum, { shape }) => sum + shape.channels, 0)
  const first = node.inputs[0]
  if (!first) throw new RangeError(`Expected an input for ${output.name} but received none`)
  const outSize = (size: number) => Math.floor((size + 2 * padding - kernel) / stride) + 1
  checkShape(output, output.shape.channels, shuffle * outSize(first.shape.height), shuffle * outSize(first.shape.width))
  if (residual) checkShape(residual, output.shape.channels, output.shape.height, output.shape.width)
  const weight = parameterData(context.parameters, node.weight, outputs * inputs * taps)
  const bias = parameterData(context.parameters, node.bias, outputs)

  const tile = convTile(context.software, kernel, stride)
  const blocks = blocksOf(outputs, shuffle)
  const layers = Math.ceil(blocks / tile.TO) * tile.TO
  const tiles = Math.ceil(width / tile.TX) * Math.ceil(height / tile.TY)
  let start = 0
  let partial: Tensor | null = null
  return node.inputs.map((source, index) => {
    const { channels } = source.shape
    checkShape(source, channels, first.shape.height, first.shape.width)
    const layout = { outputs, inputs, taps, first: start, count: channels, shuffle, layers }
    start += channels
    const isLast = index === node.inputs.length - 1
    const before = partial
    const target = isLast ? output : context.scratch(`${output.name} sum`, { channels: 4 * blocks, height, width })
    partial = target
    return {
      shader: 'conv',
      constants: { K: kernel, S: stride, ...tile },
      reads: {
        source,
        weights: {
          key: `${node.weight}|conv ${layout.first}+${channels} of ${layers} by ${shuffle}`,
          width: taps * 4,
          height: groupsOf(channels),
          layers,
          build: () => packConv(weight, layout),
        },
        bias: biasWeights(node.bias, bias, shuffle),
        partial: before,
        residual: isLast ? residual : null,
      },
      writes: { output: target },
      params: {
        width,
        height,
        blocks,
        groups: groupsOf(channels),
        origin: 2 - padding,
        hasPartial: before ? 1 : 0,
        isLast: isLast ? 1 : 0,
        hasResidual: isLast && residual ? 1 : 0,
        activation: activationNumber(node.activation),
        scale: node.scale,
        keep: keepNumber(node.keep),
        shuffle,
        inverse: 0,
      },
      invocations: [tiles * (layers / tile.TO), 1, 1],
      cost: width * height * outputs * channels * taps,
    }
  })
}

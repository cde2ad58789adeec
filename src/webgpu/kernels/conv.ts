import type { ConvNode, Parameters, Tensor } from '../../network/graph.js'
import {
  type Action,
  activationNumber,
  checkShape,
  type Dispatch,
  groupSize,
  groupsOf,
  type KernelContext,
  keepNumber,
  parameterData,
  texelGrid,
  type Weights,
} from '../dispatch.js'
import { concatInto } from './channels.js'

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
  if (kernel === 1) return { TX: 4, TY: 4, TO: 4 }
  if (kernel === 3) return stride === 1 ? { TX: 8, TY: 4, TO: 1 } : { TX: 4, TY: 4, TO: 2 }
  return { TX: 4, TY: 4, TO: 1 }
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

/** Weights as (taps x 4 inputs) x input groups x output blocks of 4 outputs. */
export function packConv(
  data: Float32Array,
  layout: {
    readonly outputs: number
    readonly inputs: number
    readonly taps: number
    readonly shuffle: number
    readonly layers: number
  },
): Float32Array<ArrayBuffer> {
  const { outputs, inputs, taps, shuffle, layers } = layout
  const groups = groupsOf(inputs)
  const packed = new Float32Array(layers * groups * taps * 16)
  for (let block = 0; block < blocksOf(outputs, shuffle); block++) {
    for (let lane = 0; lane < 4; lane++) {
      const o = outputChannel(block, lane, outputs, shuffle)
      if (o < 0) continue
      for (let i = 0; i < inputs; i++) {
        const from = (o * inputs + i) * taps
        const to = ((block * groups + (i >> 2)) * taps * 4 + (i & 3)) * 4 + lane
        for (let tap = 0; tap < taps; tap++) packed[to + tap * 16] = data[from + tap] ?? 0
      }
    }
  }
  return packed
}

/** A vector over output channels, one texel a block, zero padded to `layers` blocks. */
export function biasWeights(name: string, data: Float32Array, shuffle: number, layers: number): Weights {
  const channel = (i: number) => outputChannel(i >> 2, i & 3, data.length, shuffle)
  return {
    key: `${name}|blocks ${layers} by ${shuffle}`,
    width: layers,
    height: 1,
    layers: 1,
    build: () => Float32Array.from({ length: 4 * layers }, (_, i) => data[channel(i)] ?? 0),
  }
}

/** Tiles whose input, over all channels, is about what a core's cache holds. */
export function tileRun(tiles: number, tileTexels: number, groups: number): number {
  const fit = 2 ** 18 / (16 * tileTexels * groups)
  return Math.min(tiles, 8 * Math.max(1, Math.round(fit / 8)))
}

/** Invocations for `tiles` in runs of `run`, `rounds` times over. */
export function runInvocations(tiles: number, run: number, rounds: number): number {
  return Math.ceil(tiles / run) * run * rounds
}

/**
 * y = residual + scale act(conv(inputs) + bias). Several inputs are first joined; where the taps of positions don't
 * overlap there is nothing to reuse, and they are gathered into channels.
 * Shapes: inputs C_i x H x W, output O / shuffle^2 x shuffle H' x shuffle W'.
 */
export function conv(node: ConvNode, context: KernelContext): Action[] {
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

  if (kernel === stride && kernel > 1 && padding === 0 && node.inputs.length === 1) {
    const groups = groupsOf(inputs)
    const samples = context.scratch(`${output.name} samples`, { channels: taps * groups * 4, height, width })
    const gather: Dispatch = {
      shader: 'unfold',
      constants: {},
      reads: { source: first },
      writes: { output: samples },
      params: { width, height, groups, kernel },
      invocations: texelGrid(samples),
      cost: 64 * samples.shape.channels * height * width,
    }
    return [gather, ...tapProduct(node, samples, inputs, taps, context)]
  }
  const before: Action[] = []
  let source = first
  if (node.inputs.length > 1) {
    source = context.scratch(`${output.name} inputs`, { ...first.shape, channels: inputs })
    before.push(...concatInto(node.inputs, source, context))
  }
  const tile = convTile(context.software, kernel, stride)
  const blocks = blocksOf(outputs, shuffle)
  const rounds = Math.ceil(blocks / tile.TO)
  const layers = rounds * tile.TO
  const groups = groupsOf(inputs)
  const tiles = Math.ceil(width / tile.TX) * Math.ceil(height / tile.TY)
  const run = tileRun(tiles, tile.TX * tile.TY * stride * stride, groups)
  return [
    ...before,
    {
      shader: 'conv',
      constants: {
        K: kernel,
        S: stride,
        ...tile,
        GROUP: groupSize(context.software),
        ACT: activationNumber(node.activation),
        RES: residual ? 1 : 0,
      },
      reads: {
        source,
        weights: {
          key: `${node.weight}|conv ${layers} by ${shuffle}`,
          width: taps * 4,
          height: groups,
          layers,
          build: () => packConv(weight, { outputs, inputs, taps, shuffle, layers }),
        },
        bias: biasWeights(node.bias, bias, shuffle, layers),
        residual,
      },
      writes: { output },
      params: {
        width,
        height,
        blocks,
        groups,
        origin: 2 - padding,
        run,
        scale: node.scale,
        keep: keepNumber(node.keep),
        shuffle,
        inverse: 0,
      },
      invocations: [runInvocations(tiles, run, rounds), 1, 1],
      cost: width * height * outputs * inputs * taps,
    },
  ]
}

/** What a product of gathered taps has in common with a convolution. */
type Product = Pick<ConvNode, 'output' | 'weight' | 'bias' | 'activation' | 'shuffle' | 'scale' | 'residual' | 'keep'>

/**
 * The matrix product over gathered taps: a 1x1 convolution whose inputs run over taps, then channels.
 * Shapes: samples taps x (channels padded to fours) x H x W, weight outputs x channels x taps.
 */
export function tapProduct(
  node: Product,
  samples: Tensor,
  channels: number,
  taps: number,
  context: KernelContext,
): Action[] {
  const { output, weight, bias, activation, shuffle, scale, residual, keep } = node
  const outputs = output.shape.channels * shuffle * shuffle
  const data = parameterData(context.parameters, weight, outputs * channels * taps)
  const padded = samples.shape.channels / taps
  const name = `${weight}|taps first`
  const parameters: Parameters = {
    get(key) {
      if (key !== name) return context.parameters.get(key)
      return { shape: [outputs, taps * padded], data: tapsFirst(data, outputs, channels, taps, padded) }
    },
  }
  const product = { output, bias, activation, shuffle, scale, residual, keep }
  return conv(
    { op: 'conv', inputs: [samples], weight: name, kernel: 1, stride: 1, padding: 0, ...product },
    { parameters, software: context.software, scratch: context.scratch },
  )
}

function tapsFirst(
  weight: Float32Array,
  outputs: number,
  channels: number,
  taps: number,
  padded: number,
): Float32Array {
  const data = new Float32Array(outputs * taps * padded)
  for (let o = 0; o < outputs; o++) {
    for (let c = 0; c < channels; c++) {
      for (let k = 0; k < taps; k++) data[(o * taps + k) * padded + c] = weight[(o * channels + c) * taps + k] ?? 0
    }
  }
  return data
}

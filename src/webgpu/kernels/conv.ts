import type { ConvNode, Tensor } from '../../network/graph.js'
import {
  type Action,
  activationNumber,
  checkShape,
  type Dispatch,
  groupSize,
  groupsOf,
  type KernelContext,
  parameterData,
  texelGrid,
  type Weights,
} from '../dispatch.js'
import { concatInto } from './channels.js'

/** What a kernel of register tiles computes: the sizes that its grid and its weights follow from. */
export interface Product {
  readonly kernel: number
  readonly stride: number
  readonly padding: number
  readonly shuffle: 1 | 2
  readonly inputs: number
  readonly outputs: number
  /** Of the result before the shuffle. */
  readonly height: number
  readonly width: number
}

/** How conv_tile.wgsl divides a product, as constants of the shaders. */
interface Tile {
  /** Positions and blocks of 4 channels of a tile. */
  readonly TX: number
  readonly TY: number
  readonly TO: number
  /** Invocations that share a tile, each with its part of the input channels. */
  readonly SPLIT: number
  /** Invocations of a workgroup. */
  readonly GROUP: number
  /** 1: weights come from a storage buffer, which a GPU reads once for all invocations that want the same; 0: from a texture. */
  readonly BUFFER: 0 | 1
}

/** Invocations of a workgroup whose sums of eight texels fit in the memory that every device has, 16 KiB. */
const sharingGroup = 128
/** Invocations that keep a large GPU busy. */
const busy = 2 ** 15
/** Input groups from which on it pays to share them even so. */
const manyGroups = 64

/**
 * Software adapters pay for every texel read and like big tiles; a GPU wants enough invocations to fill it, whatever the
 * size of the latent, so that several share a tile. Few shapes, as each is a pipeline to compile. Those for a GPU were the
 * best, or nearly, of 15 for each of 27 layers of preset `s` on an H100.
 */
function convTile(software: boolean, { kernel, stride, height, width, inputs, outputs }: Product): Tile {
  if (software) {
    const tile = (TX: number, TY: number, TO: number) =>
      ({ TX, TY, TO, SPLIT: 1, GROUP: groupSize(software), BUFFER: 0 }) as const
    if (kernel === 1) return tile(4, 4, 4)
    if (kernel === 3) return stride === 1 ? tile(8, 4, 1) : tile(4, 4, 2)
    return tile(4, 4, 1)
  }
  const shared = (TO: number) => ({ TX: 2, TY: 2, TO, SPLIT: 8, GROUP: sharingGroup, BUFFER: 1 }) as const
  if (kernel !== 1 && stride === 1) return shared(1)
  const alone = Math.ceil(width / 2) * Math.ceil(height / 2) * Math.ceil(outputs / 8)
  const share = alone < busy || groupsOf(inputs) >= manyGroups
  return share ? shared(2) : { ...shared(2), SPLIT: 1, GROUP: groupSize(software) }
}

/** How conv_tile.wgsl divides a product among invocations. */
export function convGrid(product: Product, software: boolean) {
  const { kernel, stride, padding, shuffle, inputs, outputs, height, width } = product
  const tile = convTile(software, product)
  const { TX, TY, TO, SPLIT } = tile
  const blocks = blocksOf(outputs, shuffle)
  const rounds = Math.ceil(blocks / TO)
  const groups = groupsOf(inputs)
  const tiles = Math.ceil(width / TX) * Math.ceil(height / TY)
  const run = tileRun(tiles, TX * TY * stride * stride, groups)
  return {
    constants: { K: kernel, S: stride, ...tile },
    /** Output blocks that weights are padded to. */
    layers: rounds * TO,
    params: { width, height, blocks, groups, origin: 2 - padding, run, shuffle },
    invocations: [Math.ceil(tiles / run) * run * rounds * SPLIT, 1, 1] as const,
    cost: width * height * outputs * inputs * kernel * kernel,
  }
}

type ConvGrid = ReturnType<typeof convGrid>

/** The output channel that `lane` of `block` holds, or -1: blocks of a shuffled conv hold one sub-position each. */
function outputChannel(block: number, lane: number, channels: number, shuffle: number): number {
  if (shuffle === 1) {
    const o = 4 * block + lane
    return o < channels ? o : -1
  }
  const c = 4 * (block >> 2) + lane
  return 4 * c < channels ? 4 * c + (block & 3) : -1
}

function blocksOf(channels: number, shuffle: number): number {
  return shuffle === 1 ? groupsOf(channels) : 4 * groupsOf(channels / 4)
}

/** Weights as (taps x 4 inputs) x input groups x output blocks of 4 outputs, for a grid. `data`: outputs x inputs x taps. */
export function convWeights(
  name: string,
  data: Float32Array | Int32Array,
  { kernel, shuffle, inputs, outputs }: Product,
  { layers, constants }: Pick<ConvGrid, 'layers' | 'constants'>,
): Weights {
  const groups = groupsOf(inputs)
  const taps = kernel * kernel
  const build = () => {
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
  return {
    key: `${name}|conv ${layers} by ${shuffle}`,
    width: taps * 4,
    height: groups,
    layers,
    build,
    inBuffer: constants.BUFFER === 1,
  }
}

/** Values of each output channel in the order of the blocks, `none` where there is no channel. */
export function blockValues(
  data: Float32Array | Int32Array,
  { shuffle }: Pick<Product, 'shuffle'>,
  layers: number,
  none: number,
): number[] {
  return Array.from({ length: 4 * layers }, (_, i) => data[outputChannel(i >> 2, i & 3, data.length, shuffle)] ?? none)
}

/** Tiles whose input, over all channels, is about what a core's cache holds. */
function tileRun(tiles: number, tileTexels: number, groups: number): number {
  const fit = 2 ** 18 / (16 * tileTexels * groups)
  return Math.min(tiles, 8 * Math.max(1, Math.round(fit / 8)))
}

/** The sizes of a convolution, after a check of its shapes against each other. */
export function convProduct(node: {
  readonly inputs: readonly Tensor[]
  readonly output: Tensor
  readonly residual: Tensor | null
  readonly kernel: number
  readonly stride: number
  readonly padding: number
  readonly shuffle: 1 | 2
}): Product {
  const { kernel, stride, padding, shuffle, output, residual } = node
  const first = node.inputs[0]
  if (!first) throw new RangeError(`Expected an input for ${output.name} but received none`)
  const outSize = (size: number) => Math.floor((size + 2 * padding - kernel) / stride) + 1
  const [height, width] = [outSize(first.shape.height), outSize(first.shape.width)]
  const { channels } = output.shape
  checkShape(output, channels, shuffle * height, shuffle * width)
  if (residual) checkShape(residual, channels, shuffle * height, shuffle * width)
  const inputs = node.inputs.reduce((sum, { shape }) => sum + shape.channels, 0)
  return { kernel, stride, padding, shuffle, inputs, outputs: channels * shuffle * shuffle, height, width }
}

/** The inputs of a convolution as one tensor, and what joins them. */
export function joined(inputs: readonly Tensor[], output: Tensor, context: KernelContext): [Tensor, Action[]] {
  const first = inputs[0] as Tensor
  if (inputs.length === 1) return [first, []]
  const channels = inputs.reduce((sum, { shape }) => sum + shape.channels, 0)
  const source = context.scratch(`${output.name} inputs`, { ...first.shape, channels })
  return [source, concatInto(inputs, source, context)]
}

/**
 * y = residual + act(conv(inputs) + bias). Several inputs are first joined.
 * Shapes: inputs C_i x H x W, output O / shuffle^2 x shuffle H' x shuffle W'.
 */
export function conv(node: ConvNode, context: KernelContext): Action[] {
  const product = convProduct(node)
  const { inputs, outputs, kernel } = product
  const weight = parameterData(context.parameters, node.weight, outputs * inputs * kernel * kernel)
  const [source, before] = joined(node.inputs, node.output, context)
  return [...before, convolve(node, source, product, { name: node.weight, data: weight }, context)]
}

type Epilogue = Pick<ConvNode, 'output' | 'bias' | 'activation' | 'residual'>

function convolve(
  { output, bias, activation, residual }: Epilogue,
  source: Tensor,
  product: Product,
  weight: { readonly name: string; readonly data: Float32Array },
  context: KernelContext,
): Dispatch {
  const grid = convGrid(product, context.software)
  const { layers } = grid
  const biases = parameterData(context.parameters, bias, product.outputs)
  return {
    shader: 'conv',
    constants: { ...grid.constants, ACT: activationNumber(activation), RES: residual ? 1 : 0 },
    reads: {
      source,
      weights: convWeights(weight.name, weight.data, product, grid),
      bias: {
        key: `${bias}|blocks ${layers} by ${product.shuffle}`,
        width: layers,
        height: 1,
        layers: 1,
        build: () => Float32Array.from(blockValues(biases, product, layers, 0)),
      },
      residual,
    },
    writes: { output },
    params: { ...grid.params, inverse: 0 },
    invocations: grid.invocations,
    cost: grid.cost,
  }
}

/**
 * The matrix product over gathered taps: a 1x1 convolution whose inputs run over taps, then channels.
 * Shapes: samples taps x (channels padded to fours) x H x W, weight outputs x channels x taps.
 */
export function tapProduct(
  node: Epilogue & Pick<ConvNode, 'weight' | 'shuffle'>,
  samples: Tensor,
  channels: number,
  taps: number,
  context: KernelContext,
): Dispatch {
  const product = tapsAsChannels(samples, node.output, node.shuffle)
  const data = parameterData(context.parameters, node.weight, product.outputs * channels * taps)
  const weight = { name: `${node.weight}|taps first`, data: tapsFirst(data, channels, taps) }
  return convolve(node, samples, product, weight, context)
}

/** The sizes of a product over gathered taps. */
export function tapsAsChannels(samples: Tensor, output: Tensor, shuffle: 1 | 2): Product {
  const { channels: inputs, height, width } = samples.shape
  const outputs = output.shape.channels * shuffle * shuffle
  return { kernel: 1, stride: 1, padding: 0, shuffle, inputs, outputs, height, width }
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
  const samples = context.scratch(`${output.name} samples`, { channels: kernel * kernel * groups * 4, height, width })
  const gather: Dispatch = {
    shader: 'unfold',
    constants: {},
    reads: { source: input },
    writes: { output: samples },
    params: { width, height, groups, kernel },
    invocations: texelGrid(samples),
    cost: 64 * samples.shape.channels * height * width,
  }
  return [samples, gather]
}

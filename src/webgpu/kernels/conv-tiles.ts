/** How the convolutions in register tiles (conv_tile.wgsl) divide their work, and the layout of what they read. */
import type { Tensor } from '../../network/graph.js'
import { type ConvGeometry, convolvedSize } from '../../network/ops/convolution.js'
import { channelsOf } from '../../network/ops/op.js'
import { type Dispatch, foldsOf, groupSize, groupsOf, isTensor, type Weights } from '../dispatch.js'
import { WORKGROUP_BYTES } from '../limits.js'

/** What a kernel of register tiles computes: the sizes that its grid and its weights follow from. */
export interface Product {
  readonly kernel: number
  readonly stride: number
  readonly padding: number
  readonly shuffle: 1 | 2
  readonly inputs: number
  readonly outputs: number
  /** Rows and columns of the result before the shuffle. */
  readonly height: number
  readonly width: number
  /**
   * Into how many the channels are divided, each part's outputs being made of its own inputs; default: 1. Then `inputs`
   * are those of a part, and the outputs of each fill whole pairs of blocks.
   */
  readonly parts?: number
  /** Taps of a group of inputs that are summed before their sum is added to the others; default: all. */
  readonly taps?: number
}

/** Outputs that a part is a multiple of: those of the blocks of an invocation, which all are of one part. */
export const PART_UNIT = 8

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
  /**
   * 1: weights come from a storage buffer, which a GPU reads once for all invocations that want the same; 0: from a
   * texture.
   */
  readonly BUFFER: 0 | 1
}

/** Invocations of a workgroup whose sums of eight texels, of 16 bytes each, fit in its memory on every device. */
const SHARING_GROUP = WORKGROUP_BYTES / (8 * 16)
/** Invocations that keep a large GPU busy. */
const BUSY_INVOCATIONS = 2 ** 15
/** With so many input groups it pays to share a tile even where a GPU is busy without. */
const MANY_GROUPS = 64

/**
 * Software adapters pay for every texel read and like big tiles; a GPU wants enough invocations to fill it, whatever
 * the size of the latent, so that several share a tile. Few shapes, as each is a pipeline to compile. Those for a GPU
 * were the best, or nearly, of 15 for each of 27 layers of preset `s` on an H100.
 */
function convTile(software: boolean, { kernel, stride, height, width, inputs, outputs, taps }: Product): Tile {
  if (software) {
    const tile = (TX: number, TY: number, TO: number) =>
      ({ TX, TY, TO, SPLIT: 1, GROUP: groupSize(software), BUFFER: 0 }) as const
    if (kernel === 1) return tile(4, 4, 4)
    if (kernel === 3) return stride === 1 ? tile(8, 4, 1) : tile(4, 4, 2)
    // Sixteen positions of twenty-five sums each are more than SwiftShader compiles: it crashes.
    return taps === 1 ? tile(2, 2, 1) : tile(4, 4, 1)
  }
  const shared = (TO: number) => ({ TX: 2, TY: 2, TO, SPLIT: 8, GROUP: SHARING_GROUP, BUFFER: 1 }) as const
  if (kernel !== 1 && stride === 1) return shared(1)
  const alone = Math.ceil(width / 2) * Math.ceil(height / 2) * Math.ceil(outputs / 8)
  const share = alone < BUSY_INVOCATIONS || groupsOf(inputs) >= MANY_GROUPS
  return share ? shared(2) : { ...shared(2), SPLIT: 1, GROUP: groupSize(software) }
}

/** How conv_tile.wgsl divides a product among invocations. */
export function convGrid(product: Product, software: boolean) {
  const { kernel, stride, padding, shuffle, inputs, outputs, height, width, parts = 1 } = product
  const tile = convTile(software, product)
  const { TX, TY, TO, SPLIT } = tile
  const blocks = blocksOf(outputs, shuffle)
  const rounds = Math.ceil(blocks / TO)
  const groups = groupsOf(inputs)
  const tiles = Math.ceil(width / TX) * Math.ceil(height / TY)
  const run = tileRun(tiles, TX * TY * stride * stride, groups)
  return {
    constants: { K: kernel, S: stride, ...tile, ...(parts > 1 ? { PARTS: parts } : {}) },
    /** Output blocks that weights are padded to. */
    layers: rounds * TO,
    params: {
      ...{ width, height, blocks, groups, origin: 2 - padding, run, shuffle },
      ...(parts > 1 ? { partBlocks: blocks / parts } : {}),
    },
    invocations: [Math.ceil(tiles / run) * run * rounds * SPLIT, 1, 1] as const,
    cost: width * height * outputs * inputs * kernel * kernel,
  }
}

/** What a dispatch over tiles of a convolution takes from how they are divided. */
export interface Grid {
  readonly constants: Readonly<Record<string, number>>
  /** Output blocks that biases, and mostly weights, are padded to. */
  readonly layers: number
  readonly params: Readonly<Record<string, number>>
  readonly invocations: readonly [number, number, number]
  readonly cost: number
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

/**
 * Weights as (taps x 4 inputs) x input groups x output blocks of 4 outputs, for a grid. `data`: outputs x inputs x
 * taps.
 *
 * @param inHalves whether they are in a buffer as half floats, which all of them must be
 */
export function convWeights(
  name: string,
  data: Float32Array | Int32Array,
  { kernel, shuffle, inputs, outputs }: Product,
  { layers, constants }: { readonly layers: number; readonly constants: Pick<Tile, 'BUFFER'> },
  inHalves = false,
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
    key: `${name}|conv ${layers} by ${shuffle}${inHalves ? ' in halves' : ''}`,
    width: taps * 4,
    height: groups,
    layers,
    build,
    inBuffer: constants.BUFFER === 1,
    inHalves,
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

/**
 * How many tiles come before the next block of outputs: their input, over all channels, is about what a core's cache
 * holds.
 */
function tileRun(tiles: number, tileTexels: number, groups: number): number {
  const fit = 2 ** 18 / (16 * tileTexels * groups)
  return Math.min(tiles, 8 * Math.max(1, Math.round(fit / 8)))
}

/** The sizes of a convolution. */
export function convProduct(
  {
    inputs,
    output,
    kernel,
    stride,
    padding,
    shuffle,
  }: ConvGeometry & {
    readonly inputs: readonly Tensor[]
    readonly output: Tensor
    readonly shuffle: 1 | 2
  },
  parts = 1,
): Product {
  return {
    kernel,
    stride,
    padding,
    shuffle,
    parts,
    inputs: channelsOf(inputs) / parts,
    outputs: output.shape.channels * shuffle ** 2,
    ...convolvedSize((inputs[0] as Tensor).shape, { kernel, stride, padding }),
  }
}

function sourceFolds(source: Dispatch['reads'][string] | undefined): Readonly<Record<string, number>> {
  const folds = source && isTensor(source) ? foldsOf(source) : 1
  return folds > 1 ? { SOURCE_FOLDS: folds } : {}
}

/** A dispatch over a grid of tiles. */
export function tileDispatch(
  grid: Grid,
  {
    shader,
    constants,
    reads,
    residual,
    output,
    params,
  }: Pick<Dispatch, 'shader' | 'constants' | 'reads' | 'params'> & {
    readonly residual: Tensor | null
    readonly output: Tensor
  },
): Dispatch {
  return {
    shader,
    constants: { ...grid.constants, ...constants, ...sourceFolds(reads.source), RES: residual ? 1 : 0 },
    reads: { ...reads, residual },
    writes: { output },
    params: { ...grid.params, ...params },
    invocations: grid.invocations,
    cost: grid.cost,
  }
}

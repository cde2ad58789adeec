/** Integer layers with kernels of 1 after each other, in one dispatch: see pointwise_chain.wgsl. */
import type { IntegerConvNode, Tensor } from '../../network/graph.js'
import { channelsOf } from '../../network/ops/op.js'
import { halfNumber } from '../../network/tensor.js'
import { type Dispatch, groupsOf, type KernelContext } from '../dispatch.js'
import { convProduct, convWeights } from './conv-tiles.js'
import { type ConvExtras, exactRun, rangeOf, scalarTexels, tableWeights } from './integer-conv.js'

/** Layers of a chain, and tensors that its first one reads: what a stage may bind is limited. */
export const MOST_LAYERS = 4
export const MOST_CHAIN_SOURCES = 6
/** Channels between two layers. */
const MOST_CHANNELS = 256
/** Positions that a workgroup may take: the more, the more use is made of each weight that is read. */
const POSITIONS = [16, 8] as const
/** Of a workgroup. */
const INVOCATIONS = 128
/** Bytes of a workgroup's memory on every device. */
const MEMORY = 16384

/** Whether what lies between the layers fits into a workgroup's memory. */
export function fitsWorkgroup(layers: readonly IntegerConvNode[]): boolean {
  const isNarrow = layers.slice(0, -1).every(({ output }) => output.shape.channels <= MOST_CHANNELS)
  return isNarrow && positionsOf(layers) !== undefined
}

/** The most positions whose values between the layers fit into a workgroup's memory. */
function positionsOf(layers: readonly IntegerConvNode[]): number | undefined {
  const [even, odd] = between(layers)
  return POSITIONS.find((positions) => (even + odd) * positions * 16 <= MEMORY)
}

/** Groups of channels after the layers 0, 2 ... and after 1, 3 ..., but for the last. */
function between(layers: readonly IntegerConvNode[]): readonly [even: number, odd: number] {
  const most = (parity: number) =>
    layers
      .slice(0, -1)
      .filter((_, i) => i % 2 === parity)
      .reduce((groups, { output }) => Math.max(groups, groupsOf(output.shape.channels)), 0)
  return [most(0), most(1)]
}

/** Shapes: the first layer's inputs C_i x H x W, each other's input the output of the one before, O x H x W. */
export function pointwiseChain(
  layers: readonly IntegerConvNode[],
  context: KernelContext,
  { activation }: Pick<ConvExtras, 'activation'>,
): Dispatch {
  const [first, last] = [layers[0] as IntegerConvNode, layers.at(-1) as IntegerConvNode]
  const { height, width } = last.output.shape
  const [even, odd] = between(layers)
  const positions = positionsOf(layers)
  if (positions === undefined)
    throw new RangeError('Expected layers of a chain that fit into the memory of a workgroup')
  const counts = { LAYERS: layers.length, SOURCES: first.inputs.length }
  const constants: Record<string, number> = { ...counts, EVEN: even, P: positions }
  if (odd > 0) constants.ODD = odd
  const reads: Record<string, Dispatch['reads'][string]> = { residual: last.residual }
  const params: Record<string, number> = { width, height, keep: halfNumber(last.keep), ...rangeOf(last), zero: 0 }
  let cost = 0
  for (const [i, node] of layers.entries()) {
    const product = convProduct(node)
    const data = context.parameters.integers(node.weight).data
    const blocks = groupsOf(product.outputs)
    const grid = { layers: blocks, constants: { BUFFER: 1 } } as const
    constants[`TABLE${i}`] = node.table === null ? 0 : 1
    if (node.table !== null) reads[`table${i}`] = tableWeights(node.table, context)
    reads[`weights${i}`] = convWeights(node.weight, data, product, grid)
    reads[`scalars${i}`] = scalarTexels(node, product, blocks, context)
    params[`groups${i}`] = groupsOf(product.inputs)
    params[`blocks${i}`] = blocks
    params[`exact${i}`] = exactRun(data, product).groups
    cost += product.inputs * product.outputs * height * width
  }
  for (const [i, source] of first.inputs.entries()) {
    reads[`source${i}`] = source
    if (i > 0) params[`begin${i}`] = channelsOf(first.inputs.slice(0, i)) / 4
  }
  const writes: Record<string, Tensor> = { output: last.output }
  if (activation) {
    constants.ACTIVATION = 1
    params.activationShift = activation.shift
    writes.activation = activation.output
  }
  return {
    shader: 'pointwise_chain',
    constants: { ...constants, RES: last.residual ? 1 : 0 },
    reads,
    writes,
    params,
    invocations: [Math.ceil((height * width) / positions) * INVOCATIONS, 1, 1],
    cost,
  }
}

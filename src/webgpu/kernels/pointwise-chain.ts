/** Integer layers with kernels of 1 after each other, in one dispatch: see pointwise_chain.wgsl. */
import type { ScaleIndexNode, Tensor } from '../../network/graph.js'
import { channelsOf } from '../../network/ops/op.js'
import { halfNumber } from '../../network/tensor.js'
import { type Dispatch, groupsOf, type KernelContext, type PortBuffer } from '../dispatch.js'
import { addsRaw, CHAIN_INVOCATIONS, type Chain, chainMemory } from './chain-memory.js'
import type { CodedPort } from './code-half.js'
import { convProduct, convWeights } from './conv-tiles.js'
import { thresholdTexels } from './entropy.js'
import { type ConvExtras, exactRun, rangeOf, scalarTexels, tableWeights } from './integer-conv.js'
import { epsilonOf, normTexels } from './layer-norm.js'
import { portBuffer } from './ports.js'

/** Layers of a chain, and tensors that its first one reads: what a stage may bind is limited. */
export const MOST_LAYERS = 4
export const MOST_CHAIN_SOURCES = 6
/** Textures that a stage may read on every device. */
const MOST_TEXTURES = 16
/** The constant that tells the shader that no layer's input is normed. */
const NO_NORM = 4

/** What a chain does beside its own work. */
export interface ChainExtras extends Pick<ConvExtras, 'activation'> {
  /** The indexes of the scales that the result begins with, rows being of whole fours of columns. */
  readonly coded?: { readonly index: ScaleIndexNode; readonly indexes: CodedPort }
}

/** Whether a device can run a chain: what lies between the layers is in the memory of a workgroup. */
export function canRun(chain: Chain): boolean {
  const { layers, norm } = chain
  const tables = layers.filter(({ table }) => table !== null).length
  const sources = layers[0]?.inputs.length ?? 0
  // Beside sources, scalars and tables there are a residual and thresholds; a norm has two.
  const textures = sources + layers.length + tables + 2 + (norm ? 2 : 0)
  return textures <= MOST_TEXTURES && chainMemory(chain) !== null
}

/**
 * Shapes: the first layer's inputs C_i x H x W, each other's input the output of the one before, O x H x W.
 *
 * A norm among the layers is no slower than by itself, where one invocation goes through all channels of a position: here
 * sixteen or eight share them, in the workgroup's memory. Nor are indexes, which are made by those that have the scales.
 */
export function pointwiseChain(
  chain: Chain,
  context: KernelContext,
  { activation, coded }: ChainExtras = {},
): Dispatch {
  const { layers, norm } = chain
  const [first, last] = [layers[0] as Chain['layers'][number], layers.at(-1) as Chain['layers'][number]]
  const { height, width } = last.output.shape
  const memory = chainMemory(chain)
  if (!memory) throw new RangeError('Expected layers of a chain that fit into the memory of a workgroup')
  const { positions } = memory
  const sources = norm?.before === 0 ? [norm.node.input] : first.inputs
  const isRaw = addsRaw(chain)
  const constants: Record<string, number> = {
    ...{ LAYERS: layers.length, SOURCES: sources.length, P: positions, GROUPS: memory.groups },
    NORM: norm?.before ?? NO_NORM,
    RES: isRaw ? 2 : last.residual ? 1 : 0,
  }
  const reads: Record<string, Dispatch['reads'][string]> = { residual: isRaw ? null : last.residual }
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
    params[`from${i}`] = positions * (memory.from[i] ?? 0)
    params[`into${i}`] = positions * (memory.into[i] ?? 0)
    cost += product.inputs * product.outputs * height * width
  }
  for (const [i, source] of sources.entries()) {
    reads[`source${i}`] = source
    if (i > 0) params[`begin${i}`] = channelsOf(sources.slice(0, i)) / 4
  }
  const writes: Record<string, Tensor | PortBuffer> = { output: last.output }
  if (norm) {
    const { channels } = norm.node.input.shape
    Object.assign(reads, normTexels(norm.node, context))
    Object.assign(params, { channels, epsilon: epsilonOf(norm.node, context) })
    Object.assign(params, { raw: positions * memory.raw, shares: positions * memory.shares })
    cost += 64 * channels * height * width
  }
  if (coded) {
    const { index, indexes } = coded
    const thresholds = context.parameters.integers(index.table).data.length
    constants.INDEX = 1
    reads.thresholds = thresholdTexels(index, context.parameters)
    writes.indexes = portBuffer(indexes.port)
    Object.assign(params, { indexBlocks: index.output.shape.channels / 4, half: halfNumber(index.keep) })
    Object.assign(params, { texels: Math.ceil(thresholds / 4), last: thresholds - 1, start: indexes.first / 2 })
  }
  if (activation) {
    constants.ACTIVATION = 1
    params.activationShift = activation.shift
    writes.activation = activation.output
  }
  return {
    shader: 'pointwise_chain',
    constants,
    reads,
    writes,
    params,
    invocations: [Math.ceil((height * width) / positions) * CHAIN_INVOCATIONS, 1, 1],
    cost,
  }
}

/** Integer layers with kernels of 1 after each other, in one dispatch: see pointwise_chain.wgsl. */
import type { Tensor } from '../../network/graph.js'
import { channelsOf } from '../../network/ops/op.js'
import { halfNumber } from '../../network/tensor.js'
import { type Dispatch, groupsOf, type KernelContext, type PortBuffer } from '../dispatch.js'
import { MOST_TEXTURES } from '../limits.js'
import { addsRaw, CHAIN_INVOCATIONS, type Chain, chainMemory } from './chain-memory.js'
import { halfWork } from './code-half.js'
import { convProduct, convWeights } from './conv-tiles.js'
import { type ConvExtras, exactRun, rangeOf, scalarTexels, tableWeights } from './integer-conv.js'
import { epsilonOf, normTexels } from './layer-norm.js'

/** Layers of a chain, and tensors that its first one reads: what a stage may bind is limited. */
export const MOST_LAYERS = 4
export const MOST_CHAIN_SOURCES = 6
/** The constant that tells the shader that no layer's input is normed. */
const NO_NORM = 4

/** Whether a device can run a chain: what lies between the layers is in the memory of a workgroup. */
export function canRun(chain: Chain): boolean {
  const { layers, norm, half } = chain
  const tables = layers.filter(({ table }) => table !== null).length
  const sources = layers[0]?.inputs.length ?? 0
  // Beside sources, scalars and tables there may be a residual, what a norm reads, and what a half does.
  const residual = layers.at(-1)?.residual ? 1 : 0
  const ofHalf = half ? 1 + (half.quantise ? 2 : 0) + (half.dequantise ? 1 : 0) : 0
  const textures = sources + layers.length + tables + residual + (norm ? 2 : 0) + ofHalf
  return textures <= MOST_TEXTURES && chainMemory(chain) !== null
}

/**
 * Shapes: the first layer's inputs C_i x H x W, each other's input the output of the one before, O x H x W.
 *
 * A norm among the layers is no slower than by itself, where one invocation goes through all channels of a position: here
 * sixteen or eight share them, in the workgroup's memory. Nor is what is made of a half, whose parameters are there.
 *
 * @param isStored whether anybody else reads the result
 */
export function pointwiseChain(
  chain: Chain,
  context: KernelContext,
  { activation }: Pick<ConvExtras, 'activation'> = {},
  isStored = true,
): Dispatch {
  const { layers, norm, half } = chain
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
    STORED: isStored ? 1 : 0,
  }
  const reads: Record<string, Dispatch['reads'][string]> = last.residual && !isRaw ? { residual: last.residual } : {}
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
  const writes: Record<string, Tensor | PortBuffer> = isStored ? { output: last.output } : {}
  if (norm) {
    const { channels } = norm.node.input.shape
    Object.assign(reads, normTexels(norm.node, context))
    Object.assign(params, { channels, epsilon: epsilonOf(norm.node, context) })
    Object.assign(params, { raw: positions * memory.raw, shares: positions * memory.shares })
    cost += 64 * channels * height * width
  }
  if (half) {
    const work = halfWork(half, context)
    Object.assign(constants, work.constants)
    Object.assign(reads, work.reads)
    Object.assign(writes, work.writes)
    Object.assign(params, work.params)
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

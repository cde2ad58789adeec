/**
 * How much a network computes: parameters and multiply-adds, as the paper's Table 3 counts them and as a device runs
 * them.
 */
import {
  decoderGraph,
  encoderGraph,
  type Graph,
  type ModelConfig,
  type Node,
  neededHalves,
  nodeOutputs,
  type Parameters,
  type Tensor,
} from 'cleric/internal'

/**
 * Multiply-adds of a node's products, over all of its output, as its definition has them: a device that gets by with
 * fewer (Winograd's convolutions) may seem to do more than it can.
 */
export function multiplyAdds(node: Node, parameters: Parameters): number {
  const out = nodeOutputs(node)[0] as Tensor
  const area = out.shape.height * out.shape.width
  switch (node.op) {
    case 'conv':
    case 'deform':
      return (parameters.get(node.weight).data.length * area) / node.shuffle ** 2
    case 'integerConv':
      return (parameters.integers(node.weight).data.length * area) / node.shuffle ** 2
    case 'gdn':
      return out.shape.channels ** 2 * area
    case 'integerDepthwise':
      return 9 * out.shape.channels * area
    case 'liftStep': {
      const hidden = parameters.get(`${node.net}.conv1.bias`).data.length
      return (9 * hidden * (hidden + 1) + hidden) * out.shape.channels * area
    }
    case 'integerLinearAttention':
      return 2 * (out.shape.channels / node.heads) * out.shape.channels * area
    case 'integerWindowAttention':
      return 25 * out.shape.channels * area
    default:
      return 0
  }
}

/**
 * Multiply-adds that a graph can't do without: where only half of a checkerboard is read of a layer, half of its own.
 * So that what a backend leaves out is not counted as speed.
 */
export function necessaryMultiplyAdds(graph: Graph, parameters: Parameters): number {
  const halves = neededHalves(graph)
  let sum = 0
  for (const node of graph.stages.flatMap(({ nodes }) => nodes)) {
    const isHalf = halves.has(nodeOutputs(node)[0] as Tensor) || ('keep' in node && node.keep !== null)
    sum += multiplyAdds(node, parameters) * (isHalf ? 0.5 : 1)
  }
  return sum
}

/**
 * Multiply-adds as in Table 3 ("GFLOPs"): convolutions and linear layers of g_a, h_a, h_s, the entropy model and g_s,
 * each once; not the products of attentions nor the main product of a deformable convolution, whose offsets'
 * convolution counts; the two-tap filter of a lifting step as a 3x3 convolution.
 *
 * @param side of the square image, a multiple of 64
 * @example
 * paperMultiplyAdds(presets.paper, parameters, 256) / 1e9 // 74.722
 */
export function paperMultiplyAdds(config: ModelConfig, parameters: Parameters, side: number): number {
  const count = (node: Node): number => {
    if (node.op === 'deform' || node.op === 'integerLinearAttention' || node.op === 'integerWindowAttention') return 0
    const { channels, height, width } = (nodeOutputs(node)[0] as Tensor).shape
    return multiplyAdds(node, parameters) + (node.op === 'liftStep' ? 9 * channels * height * width : 0)
  }
  const sum = (nodes: readonly Node[]) => nodes.reduce((total, node) => total + count(node), 0)
  // The entropy model is in both graphs, in the decoder's with its last layers.
  const encoder = nodesOf(encoderGraph(config, parameters, side, side).graph)
  const decoder = nodesOf(decoderGraph(config, parameters, side, side).graph)
  return sum(encoder.filter(({ op }) => !op.startsWith('integer'))) + sum(decoder)
}

/**
 * Parameters of the density of a channel of z: four hidden layers of three, and the three quantiles that CompressAI trains with it.
 */
const PRIOR_PARAMETERS = 58 + 3

/**
 * Trainable numbers: all that the two graphs read but for the tables and shifts of the integer layers, gains, and the
 * density of z.
 */
export function parameterCount(config: ModelConfig, parameters: Parameters): number {
  const sizes = new Map<string, number>()
  const note = <T extends { readonly data: { readonly length: number } }>(name: string, parameter: T): T => {
    if (/\.(weight|bias|beta|gamma)$/.test(name)) sizes.set(name, parameter.data.length)
    return parameter
  }
  const noting: Parameters = {
    get: (name) => note(name, parameters.get(name)),
    integers: (name) => note(name, parameters.integers(name)),
  }
  encoderGraph(config, noting, 64, 64)
  decoderGraph(config, noting, 64, 64)
  let sum = PRIOR_PARAMETERS * config.Z + 2 * config.levels * config.M
  for (const size of sizes.values()) sum += size
  return sum
}

function nodesOf(graph: Graph): Node[] {
  return graph.stages.flatMap(({ nodes }) => nodes)
}

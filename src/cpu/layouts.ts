/**
 * How the CPU backend lays out each tensor (`native/cpu/kernels/tensor.h`): the three-channel tensors of the lifting are
 * planar, the activations of the entropy model int16, all others interleaved floats.
 */
import type { Graph, Node, Tensor } from '../network/graph.js'
import { nodeInputs, nodeOutputs } from '../network/graph.js'

export type Layout = 'interleaved' | 'planar' | 'integers'

/** Layouts of a graph's tensors; those it doesn't name are interleaved. */
export function layouts(graph: Graph): Map<Tensor, Layout> {
  const found = new Map<Tensor, Layout>()
  for (const tensor of planarTensors(graph)) found.set(tensor, 'planar')
  for (const { nodes } of graph.stages) {
    for (const node of nodes) {
      const [output] = nodeOutputs(node)
      if (output && holdsActivations(node, found)) found.set(output, 'integers')
    }
  }
  return found
}

/** What a port, which the host knows as floats, can be. */
export function portLayout(layout: Layout): Layout {
  return layout === 'integers' ? 'interleaved' : layout
}

/** The layouts a node reads its inputs in; 'any' where it takes them as they are. */
export function wantedLayouts(node: Node, known: ReadonlyMap<Tensor, Layout>): (Layout | 'any')[] {
  const inputs = nodeInputs(node)
  const layoutOf = (tensor: Tensor) => known.get(tensor) ?? 'interleaved'
  switch (node.op) {
    case 'liftSplit':
    case 'liftMerge':
    case 'liftStep':
      return inputs.map(() => 'planar')
    case 'integerConv':
      // The residual is of either range.
      return inputs.map((_, i) => (i < node.inputs.length ? 'integers' : 'any'))
    case 'integerDepthwise':
    case 'integerWindowAttention':
    case 'integerLinearAttention':
      return inputs.map(() => 'integers')
    case 'integerLayerNorm':
      return ['any']
    case 'mask':
      return [layoutOf(node.output)]
    case 'slice':
    case 'concat':
      return inputs.map((tensor) => (layoutOf(node.output) === 'integers' ? 'integers' : portLayout(layoutOf(tensor))))
    case 'scale':
    case 'pool':
      // Element by element, input and output only have to agree.
      return inputs.map((tensor) => portLayout(layoutOf(tensor)))
    default:
      return inputs.map(() => 'interleaved')
  }
}

function holdsActivations(node: Node, known: ReadonlyMap<Tensor, Layout>): boolean {
  switch (node.op) {
    case 'integerConv':
      return node.range === 'activation'
    case 'integerDepthwise':
    case 'requantise':
    case 'integerLayerNorm':
    case 'integerWindowAttention':
    case 'integerLinearAttention':
      return true
    // These move values as they are.
    case 'mask':
    case 'slice':
    case 'concat':
      return nodeInputs(node).every((tensor) => known.get(tensor) === 'integers')
    default:
      return false
  }
}

/** The tensors of the lifting, and what is only scaled on the way to or from it. */
function planarTensors(graph: Graph): Set<Tensor> {
  const planar = new Set<Tensor>()
  const nodes = graph.stages.flatMap((stage) => stage.nodes)
  const lifting = nodes.filter((node) => node.op === 'liftSplit' || node.op === 'liftMerge' || node.op === 'liftStep')
  for (const node of lifting) for (const tensor of nodeOutputs(node)) planar.add(tensor)
  // Inputs of the lifting that something free of a layout makes.
  const ports = new Set(graph.stages.flatMap((stage) => stage.inputs.map(({ tensor }) => tensor)))
  const makers = new Map(nodes.flatMap((node) => nodeOutputs(node).map((tensor) => [tensor, node] as const)))
  const becomePlanar = (tensor: Tensor): void => {
    if (planar.has(tensor)) return
    const maker = makers.get(tensor)
    if (maker ? maker.op !== 'scale' && maker.op !== 'slice' : !ports.has(tensor)) return
    planar.add(tensor)
    if (maker?.op === 'scale') becomePlanar(maker.input)
  }
  for (const node of lifting) for (const tensor of nodeInputs(node)) becomePlanar(tensor)
  // A scaled tensor has the layout of what it was made from.
  for (const node of nodes) {
    if (node.op === 'scale' || node.op === 'pool') {
      if (planar.has(node.input)) planar.add(node.output)
      else planar.delete(node.output)
    }
  }
  return planar
}

/**
 * How the CPU backend lays out each tensor (`native/cpu/kernels/tensor.h`): the three-channel tensors of the lifting
 * are planar, the activations of the entropy model int16, all others interleaved floats. The table of ops says what
 * each op reads and writes.
 */
import type { Graph, Tensor } from '../network/graph.js'
import { type Description, describe } from '../network/ops/index.js'
import type { Input, Layout } from '../network/ops/op.js'

/** Layouts of a graph's tensors. */
export class Layouts {
  readonly #layouts = new Map<Tensor, Layout>()

  constructor(graph: Graph) {
    const nodes = graph.stages.flatMap((stage) => stage.nodes).map(describe)
    const ports = new Set(graph.stages.flatMap((stage) => stage.inputs.map(({ tensor }) => tensor)))
    for (const tensor of planarTensors(nodes, ports)) this.#layouts.set(tensor, 'planar')
    for (const node of nodes) {
      if (this.#makesIntegers(node)) for (const tensor of node.outputs) this.#layouts.set(tensor, 'integers')
    }
  }

  of(tensor: Tensor): Layout {
    return this.#layouts.get(tensor) ?? 'interleaved'
  }

  /** The tensor's own layout, or what it becomes for those who read floats. */
  floatsOf(tensor: Tensor): Layout {
    const layout = this.of(tensor)
    return layout === 'integers' ? 'interleaved' : layout
  }

  /** The layout in which a node with this output reads an input. */
  read({ tensor, layout }: Input, output: Tensor): Layout {
    switch (layout) {
      case 'any':
        return this.of(tensor)
      case 'output':
        return this.of(output)
      case 'elements':
        return this.of(output) === 'integers' ? 'integers' : this.floatsOf(tensor)
      default:
        return layout
    }
  }

  #makesIntegers({ layout, inputs }: Description): boolean {
    if (layout !== 'elements' && layout !== 'free') return layout === 'integers'
    return inputs.every(({ tensor }) => this.of(tensor) === 'integers')
  }
}

/** The tensors of the lifting, and what is only scaled on the way to or from it. */
function planarTensors(nodes: readonly Description[], ports: ReadonlySet<Tensor>): Set<Tensor> {
  const planar = new Set(nodes.flatMap(({ layout, outputs }) => (layout === 'planar' ? outputs : [])))
  // Inputs of the lifting that something free of a layout makes.
  const makers = new Map(nodes.flatMap((node) => node.outputs.map((tensor) => [tensor, node] as const)))
  const becomePlanar = (tensor: Tensor): void => {
    if (planar.has(tensor)) return
    const maker = makers.get(tensor)
    if (maker ? maker.layout !== 'input' && maker.layout !== 'free' : !ports.has(tensor)) return
    planar.add(tensor)
    if (maker?.layout === 'input') for (const input of maker.inputs) becomePlanar(input.tensor)
  }
  for (const { inputs } of nodes) {
    for (const { tensor, layout } of inputs) if (layout === 'planar') becomePlanar(tensor)
  }
  // A scaled tensor has the layout of what it was made from.
  for (const { layout, inputs, outputs } of nodes) {
    if (layout !== 'input') continue
    const follows = inputs.every(({ tensor }) => planar.has(tensor))
    for (const tensor of outputs) {
      if (follows) planar.add(tensor)
      else planar.delete(tensor)
    }
  }
  return planar
}

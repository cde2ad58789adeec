/** Who makes and who reads the tensors of a graph, and nodes that are computed together. */
import type { Graph, Node, Port, Stage, Tensor } from '../network/graph.js'
import { nodeInputs, nodeOutputs } from '../network/graph.js'
import type { Action, KernelContext } from './dispatch.js'

/** Who makes the tensors of a graph, and who reads them. */
export class Uses {
  readonly #makers = new Map<Tensor, Node | Port>()
  readonly #readers = new Map<Tensor, (Node | Port)[]>()

  constructor(graph: Graph) {
    const read = (tensor: Tensor, reader: Node | Port) => {
      const readers = this.#readers.get(tensor) ?? []
      readers.push(reader)
      this.#readers.set(tensor, readers)
    }
    for (const { inputs, nodes, outputs } of graph.stages) {
      for (const port of inputs) this.#makers.set(port.tensor, port)
      for (const node of nodes) {
        for (const tensor of nodeInputs(node)) read(tensor, node)
        for (const tensor of nodeOutputs(node)) this.#makers.set(tensor, node)
      }
      for (const port of outputs) read(port.tensor, port)
    }
  }

  makerOf(tensor: Tensor): Node | Port | undefined {
    return this.#makers.get(tensor)
  }

  /** The maker of a tensor, if that is an op of this name. */
  madeBy<Name extends Node['op']>(tensor: Tensor, name: Name): Extract<Node, { op: Name }> | null {
    const maker = this.makerOf(tensor)
    return maker && isOp(maker, name) ? maker : null
  }

  /** Whether a tensor is there before a node of the stage. */
  isMadeBefore(tensor: Tensor, node: Node, { nodes }: Stage): boolean {
    const maker = this.makerOf(tensor)
    return !maker || !('op' in maker) || nodes.indexOf(maker) < nodes.indexOf(node)
  }

  readersOf(tensor: Tensor): readonly (Node | Port)[] {
    return this.#readers.get(tensor) ?? []
  }

  /** The only reader of a tensor, if that is an op of this name. */
  onlyReader<Name extends Node['op']>(tensor: Tensor, name: Name): Extract<Node, { op: Name }> | null {
    const [reader, ...others] = this.readersOf(tensor)
    return others.length === 0 && reader && isOp(reader, name) ? reader : null
  }
}

/** Whether what uses a tensor is an op of this name. */
export function isOp<Name extends Node['op']>(use: Node | Port, name: Name): use is Extract<Node, { op: Name }> {
  return 'op' in use && use.op === name
}

/** Nodes and ports that are computed together, by the dispatches that stand in place of the first. */
export interface Group {
  readonly members: readonly (Node | Port)[]
  readonly actions: (context: KernelContext) => Action[]
}

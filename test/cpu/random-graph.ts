/** Random numbers, parameters and one-node graphs to compare the CPU backend with the interpreter on. */
import type {
  Graph,
  IntegerParameter,
  LiftStepNode,
  Node,
  Parameter,
  Parameters,
  Port,
  PortData,
  Shape,
  Tensor,
} from '../../src/network/graph.js'
import { nodeInputs, nodeOutputs } from '../../src/network/graph.js'

/** Uniform in [-scale, scale), the same for the same seed. */
export function noise(length: number, scale: number, seed = 1): Float32Array {
  let state = seed * 2654435761 + 1
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state / 0x80000000 - 1) * scale
  })
}

export class Fixture implements Parameters {
  readonly #parameters = new Map<string, Parameter>()
  readonly #integers = new Map<string, IntegerParameter>()
  readonly tensors: Tensor[] = []

  get(name: string): Parameter {
    const parameter = this.#parameters.get(name)
    if (!parameter) throw new Error(`no parameter ${name}`)
    return parameter
  }

  /** Adds a random parameter and gives its name. */
  parameter(name: string, shape: readonly number[], scale = 0.3): string {
    const length = shape.reduce((a, b) => a * b, 1)
    return this.values(name, shape, noise(length, scale, name.length + length))
  }

  values(name: string, shape: readonly number[], data: Float32Array): string {
    this.#parameters.set(name, { shape, data })
    return name
  }

  integers(name: string): IntegerParameter {
    const parameter = this.#integers.get(name)
    if (!parameter) throw new Error(`no integer parameter ${name}`)
    return parameter
  }

  integerValues(name: string, shape: readonly number[], data: Int32Array): string {
    this.#integers.set(name, { shape, data })
    return name
  }

  tensor(channels: number, height: number, width: number): Tensor {
    const tensor = { id: this.tensors.length, name: `t${this.tensors.length}`, shape: { channels, height, width } }
    this.tensors.push(tensor)
    return tensor
  }

  /** Nodes in one stage; what none of them makes is an input, what none of them reads an output. */
  graph(nodes: readonly Node[], format: Port['format'] = 'float'): Graph {
    const made = new Set(nodes.flatMap(nodeOutputs))
    const read = new Set(nodes.flatMap(nodeInputs))
    const ports = (tensors: Iterable<Tensor>) => [...tensors].map((tensor) => ({ tensor, format }))
    return {
      tensors: this.tensors,
      stages: [
        {
          name: 'all',
          inputs: ports([...read].filter((tensor) => !made.has(tensor))),
          nodes,
          outputs: ports([...made].filter((tensor) => !read.has(tensor))),
        },
      ],
    }
  }
}

/** A step of the lifting, whose net is called n. */
export function liftStep(
  f: Fixture,
  hidden: number,
  [height, width]: [number, number],
  { axis, neighbour, ...ends }: Pick<LiftStepNode, 'axis' | 'neighbour' | 'ends'>,
): LiftStepNode {
  for (const [layer, outputs, inputs, k] of [
    ['conv1', hidden, 1, 3],
    ['conv2', hidden, hidden, 3],
    ['conv3', 1, hidden, 1],
  ] as const) {
    f.parameter(`n.${layer}.weight`, [outputs, inputs, k, k])
    f.parameter(`n.${layer}.bias`, [outputs])
  }
  const [source, target, output] = [0, 1, 2].map(() => f.tensor(3, height, width)) as [Tensor, Tensor, Tensor]
  const sign = neighbour === 'next' ? 1 : -1
  return { op: 'liftStep', source, target, output, axis, factor: -1.58, neighbour, sign, net: 'n', ...ends }
}

/** Inputs of a stage; `scales` are the magnitudes of its tensors, 1 where it says nothing. */
export function randomInputs(graph: Graph, scales: ReadonlyMap<Tensor, number> = new Map()): Map<Tensor, PortData> {
  const inputs = (graph.stages[0] as Graph['stages'][0]).inputs
  return new Map(
    inputs.map(({ tensor }) => [tensor, noise(size(tensor.shape), scales.get(tensor) ?? 1, tensor.id + 7)]),
  )
}

export function size({ channels, height, width }: Shape): number {
  return channels * height * width
}

/** 3x3 convolutions in a row. */
export function tower(depth: number, side: number): { fixture: Fixture; graph: Graph } {
  const fixture = new Fixture()
  const weight = fixture.parameter('w', [32, 32, 3, 3], 0.05)
  const bias = fixture.parameter('b', [32])
  const nodes: Node[] = []
  let input = fixture.tensor(32, side, side)
  for (let i = 0; i < depth; i++) {
    const output = fixture.tensor(32, side, side)
    nodes.push({
      op: 'conv',
      inputs: [input],
      output,
      weight,
      bias,
      kernel: 3,
      stride: 1,
      padding: 1,
      activation: 'gelu',
      shuffle: 1,
      residual: null,
    })
    input = output
  }
  return { fixture, graph: fixture.graph(nodes) }
}

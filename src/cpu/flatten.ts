/**
 * A graph as plain numbers, for the addon: `native/cpu/graph/plan.h` is the other side.
 *
 * Two things are decided on the way: the layout of every tensor (`layouts.ts`), where a node that wants another one
 * has a `convert` node put before it; and which half of the checkerboard an integer convolution's result is looked at
 * (`needed.ts`): the other half is not computed.
 */
import type { CpuNumbering } from '../native/addon.js'
import type { Graph, Half, LiftStepNode, Node, Parameters, Port, Stage, Tensor } from '../network/graph.js'
import { nodeInputs, nodeOutputs, rsqrtTable } from '../network/graph.js'
import { type Layout, layouts, portLayout, wantedLayouts } from './layouts.js'
import { neededHalves } from './needed.js'

/** What `CpuBackend.compile` takes. */
export interface FlatPlan {
  /** Four integers a tensor: channels, height, width, layout. */
  readonly tensors: Int32Array
  /**
   * Number of stages; for each: input ports, number of nodes, nodes, output ports. Ports: count, then tensor and
   * format of each. A node: operation, then inputs, outputs, parameters, integers, each as count and values, then
   * the number of reals it takes.
   */
  readonly program: Int32Array
  readonly reals: Float32Array
  /** Names of the parameters, and their values. */
  readonly names: readonly string[]
  readonly values: readonly (Float32Array | Int32Array)[]
  /** The graph's node behind each node of the plan, by stage; null for a conversion. */
  readonly nodes: readonly (readonly (Node | null)[])[]
}

const operations: readonly (Node['op'] | 'convert')[] = [
  'conv',
  'deform',
  'gdn',
  'liftSplit',
  'liftMerge',
  'liftStep',
  'scale',
  'gain',
  'pool',
  'mask',
  'add',
  'round',
  'scaleIndex',
  'quantise',
  'dequantise',
  'slice',
  'concat',
  'integerConv',
  'integerDepthwise',
  'requantise',
  'integerLayerNorm',
  'integerWindowAttention',
  'integerLinearAttention',
  'convert',
]
const formats: readonly Port['format'][] = ['float', 'rgb8', 'int16']
const layoutNames: readonly Layout[] = ['interleaved', 'planar', 'integers']
const activations = ['none', 'gelu'] as const
const halves: readonly (Half | null)[] = [null, 'anchor', 'nonAnchor']

/** What stands in plans as a number, in the addon's order (`native/cpu/steps/node.h`). */
export const numbering: CpuNumbering = {
  operations,
  layouts: layoutNames,
  formats,
  activations,
  halves: halves.map((half) => half ?? 'all'),
}

/** What a node needs besides its tensors. */
interface Attributes {
  readonly parameters?: readonly string[]
  readonly integerParameters?: readonly string[]
  readonly integers?: readonly number[]
  readonly reals?: readonly number[]
}

/** Flattens a graph. */
export function flatten(graph: Graph, parameters: Parameters): FlatPlan {
  return new Flattener(graph, parameters).run()
}

class Flattener {
  readonly #graph: Graph
  readonly #parameters: Parameters
  readonly #layouts: ReadonlyMap<Tensor, Layout>
  readonly #needed: ReadonlyMap<Tensor, Half>
  /** Tensors of the plan: the graph's, then converted ones. */
  readonly #tensors: { shape: Tensor['shape']; layout: Layout }[]
  readonly #converted = new Map<string, number>()
  readonly #program: number[] = []
  readonly #reals: number[] = []
  readonly #names = new Map<string, number>()
  readonly #values: (Float32Array | Int32Array)[] = []

  constructor(graph: Graph, parameters: Parameters) {
    this.#graph = graph
    this.#parameters = parameters
    this.#layouts = layouts(graph)
    this.#needed = neededHalves(graph)
    this.#tensors = graph.tensors.map((tensor) => ({ shape: tensor.shape, layout: this.#layoutOf(tensor) }))
  }

  run(): FlatPlan {
    this.#program.push(this.#graph.stages.length)
    const nodes = this.#graph.stages.map((stage) => this.#stage(stage))
    return {
      tensors: Int32Array.from(
        this.#tensors.flatMap(({ shape, layout }) => [
          shape.channels,
          shape.height,
          shape.width,
          layoutNames.indexOf(layout),
        ]),
      ),
      program: Int32Array.from(this.#program),
      reals: Float32Array.from(this.#reals),
      names: [...this.#names.keys()],
      values: this.#values,
      nodes,
    }
  }

  #layoutOf(tensor: Tensor): Layout {
    return this.#layouts.get(tensor) ?? 'interleaved'
  }

  #stage(stage: Stage): (Node | null)[] {
    this.#ports(stage.inputs.map(({ tensor, format }) => [tensor.id, format]))
    const nodes: (Node | null)[] = []
    const countAt = this.#program.push(0) - 1
    for (const node of stage.nodes) {
      const wanted = wantedLayouts(node, this.#layouts)
      const inputs = nodeInputs(node).map((tensor, i) => this.#as(tensor, wanted[i] ?? 'any', nodes))
      const outputs = nodeOutputs(node).map((tensor) => tensor.id)
      this.#node(node.op, inputs, outputs, this.#attributes(node))
      nodes.push(node)
    }
    const outputs = stage.outputs.map(
      ({ tensor, format }) => [this.#as(tensor, portLayout(this.#layoutOf(tensor)), nodes), format] as const,
    )
    this.#program[countAt] = nodes.length
    this.#ports(outputs)
    return nodes
  }

  /** The tensor in another layout, if need be: by a node that is put in here. */
  #as(tensor: Tensor, wanted: Layout | 'any', nodes: (Node | null)[]): number {
    if (wanted === 'any' || wanted === this.#layoutOf(tensor)) return tensor.id
    const key = `${tensor.id} ${wanted}`
    let id = this.#converted.get(key)
    if (id === undefined) {
      id = this.#tensors.push({ shape: tensor.shape, layout: wanted }) - 1
      this.#converted.set(key, id)
      this.#node('convert', [tensor.id], [id], {})
      nodes.push(null)
    }
    return id
  }

  #ports(ports: readonly (readonly [id: number, format: Port['format']])[]): void {
    this.#program.push(ports.length)
    for (const [id, format] of ports) this.#program.push(id, formats.indexOf(format))
  }

  #node(op: Node['op'] | 'convert', inputs: readonly number[], outputs: readonly number[], more: Attributes): void {
    const { parameters = [], integerParameters = [], integers = [], reals = [] } = more
    this.#program.push(operations.indexOf(op))
    const indexes = [
      ...parameters.map((name) => this.#parameter(name, () => this.#parameters.get(name).data)),
      ...integerParameters.map((name) => this.#parameter(name, () => this.#parameters.integers(name).data)),
    ]
    for (const list of [inputs, outputs, indexes, integers]) this.#program.push(list.length, ...list)
    this.#program.push(reals.length)
    this.#reals.push(...reals)
  }

  #parameter(name: string, values: () => Float32Array | Int32Array): number {
    let index = this.#names.get(name)
    if (index === undefined) {
      index = this.#values.push(values()) - 1
      this.#names.set(name, index)
    }
    return index
  }

  #attributes(node: Node): Attributes {
    switch (node.op) {
      case 'conv':
        return {
          parameters: [node.weight, node.bias],
          integers: [
            node.kernel,
            node.stride,
            node.padding,
            activations.indexOf(node.activation),
            node.shuffle,
            node.residual ? 1 : 0,
          ],
        }
      case 'deform':
        return {
          parameters: [node.weight, node.bias],
          integers: [node.stride, activations.indexOf(node.activation), node.shuffle],
        }
      case 'gdn':
        return { parameters: [node.beta, node.gamma], integers: [node.inverse ? 1 : 0] }
      case 'liftSplit':
      case 'liftMerge':
        return { integers: [node.axis === 'rows' ? 1 : 0] }
      case 'liftStep':
        return this.#liftStep(node)
      case 'scale':
        return { reals: [node.factor] }
      case 'integerConv':
        return {
          integerParameters: [node.weight, node.bias, node.shift, ...(node.table === null ? [] : [node.table])],
          integers: [
            node.kernel,
            node.stride,
            node.padding,
            node.shuffle,
            node.range === 'wide' ? 1 : 0,
            halves.indexOf(node.keep),
            halves.indexOf(this.#needed.get(node.output) ?? null),
            node.residual ? 1 : 0,
          ],
        }
      case 'integerDepthwise':
        return { integerParameters: [node.weight, node.bias, node.shift, ...(node.table === null ? [] : [node.table])] }
      case 'requantise':
        return { integerParameters: [node.shift] }
      case 'integerLayerNorm':
        return { integerParameters: [node.weight, node.bias, node.shift, rsqrtTable, node.epsilon] }
      case 'integerWindowAttention':
        return { integerParameters: [node.bias, node.shift, node.exp], integers: [node.heads] }
      case 'integerLinearAttention':
        return { integerParameters: [node.shift, node.exp], integers: [node.heads, node.split ? 1 : 0] }
      case 'mask':
      case 'dequantise':
        return { integers: [halves.indexOf(node.keep)] }
      case 'scaleIndex':
        return { integerParameters: [node.table], integers: [halves.indexOf(node.keep)] }
      case 'quantise':
        return { parameters: [node.deadZones], integers: [halves.indexOf(node.keep), node.first] }
      case 'slice':
        return { integers: [node.first] }
      default:
        return {}
    }
  }

  #liftStep(node: LiftStepNode): Attributes {
    const layers = ['conv1', 'conv2', 'conv3'].flatMap((layer) => [
      `${node.net}.${layer}.weight`,
      `${node.net}.${layer}.bias`,
    ])
    const hidden = this.#parameters.get(layers[1] as string).data.length
    return {
      parameters: layers,
      integers: [node.axis === 'rows' ? 1 : 0, node.neighbour === 'next' ? 1 : 0, node.sign === 1 ? 1 : 0, hidden],
      reals: [node.factor],
    }
  }
}

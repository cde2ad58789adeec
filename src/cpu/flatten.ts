/**
 * A graph as plain numbers, for the addon: `native/cpu/plan.h` is the other side.
 *
 * Two things are decided here. Layout: the three-channel tensors of the lifting are planar, all others
 * interleaved; where a node wants the other one, a `convert` node is put before it. And which half of the
 * checkerboard a 1x1 convolution's result is looked at: the other half is not computed.
 */
import type { Graph, Half, LiftStepNode, Node, Parameters, Port, Stage, Tensor } from '../network/graph.js'
import { nodeInputs, nodeOutputs } from '../network/graph.js'
import { neededHalves } from './needed.js'

/** What `CpuBackend.compile` takes. */
export interface FlatPlan {
  /** Four integers a tensor: channels, height, width, 1 if planar. */
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
  readonly values: readonly Float32Array[]
  /** The graph's node behind each node of the plan, by stage; null for a conversion. */
  readonly nodes: readonly (readonly (Node | null)[])[]
}

const operations: readonly (Node['op'] | 'convert')[] = [
  'conv',
  'depthwise',
  'deform',
  'gdn',
  'liftSplit',
  'liftMerge',
  'liftStep',
  'scale',
  'gain',
  'pool',
  'layerNorm',
  'windowAttention',
  'linearAttention',
  'mask',
  'add',
  'round',
  'scaleIndex',
  'quantise',
  'dequantise',
  'slice',
  'concat',
  'convert',
]
const formats: readonly Port['format'][] = ['float', 'rgb8', 'int16']
const activations = ['none', 'gelu', 'tanh'] as const
const halves: readonly (Half | null)[] = [null, 'anchor', 'nonAnchor']

/** What a node needs besides its tensors. */
interface Attributes {
  readonly parameters?: readonly string[]
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
  readonly #planar: Set<Tensor>
  readonly #needed: ReadonlyMap<Tensor, Half>
  /** Tensors of the plan: the graph's, then converted ones. */
  readonly #tensors: { shape: Tensor['shape']; planar: boolean }[]
  readonly #converted = new Map<string, number>()
  readonly #program: number[] = []
  readonly #reals: number[] = []
  readonly #names = new Map<string, number>()
  readonly #values: Float32Array[] = []

  constructor(graph: Graph, parameters: Parameters) {
    this.#graph = graph
    this.#parameters = parameters
    this.#planar = planarTensors(graph)
    this.#needed = neededHalves(graph)
    this.#tensors = graph.tensors.map((tensor) => ({ shape: tensor.shape, planar: this.#planar.has(tensor) }))
  }

  run(): FlatPlan {
    this.#program.push(this.#graph.stages.length)
    const nodes = this.#graph.stages.map((stage) => this.#stage(stage))
    return {
      tensors: Int32Array.from(
        this.#tensors.flatMap(({ shape, planar }) => [shape.channels, shape.height, shape.width, planar ? 1 : 0]),
      ),
      program: Int32Array.from(this.#program),
      reals: Float32Array.from(this.#reals),
      names: [...this.#names.keys()],
      values: this.#values,
      nodes,
    }
  }

  #stage(stage: Stage): (Node | null)[] {
    this.#ports(stage.inputs)
    const nodes: (Node | null)[] = []
    const countAt = this.#program.push(0) - 1
    for (const node of stage.nodes) {
      const wanted = wantedLayout(node)
      const inputs = nodeInputs(node).map((tensor) => {
        if (wanted === 'any' || (wanted === 'planar') === this.#planar.has(tensor)) return tensor.id
        const key = `${tensor.id} ${wanted}`
        let id = this.#converted.get(key)
        if (id === undefined) {
          id = this.#tensors.push({ shape: tensor.shape, planar: wanted === 'planar' }) - 1
          this.#converted.set(key, id)
          this.#node('convert', [tensor.id], [id], {})
          nodes.push(null)
        }
        return id
      })
      const outputs = nodeOutputs(node).map((tensor) => tensor.id)
      this.#node(node.op, inputs, outputs, this.#attributes(node))
      nodes.push(node)
    }
    this.#program[countAt] = nodes.length
    this.#ports(stage.outputs)
    return nodes
  }

  #ports(ports: readonly Port[]): void {
    this.#program.push(ports.length)
    for (const { tensor, format } of ports) this.#program.push(tensor.id, formats.indexOf(format))
  }

  #node(op: Node['op'] | 'convert', inputs: readonly number[], outputs: readonly number[], more: Attributes): void {
    const { parameters = [], integers = [], reals = [] } = more
    this.#program.push(operations.indexOf(op))
    const indexes = parameters.map((name) => this.#parameter(name))
    for (const list of [inputs, outputs, indexes, integers]) this.#program.push(list.length, ...list)
    this.#program.push(reals.length)
    this.#reals.push(...reals)
  }

  #parameter(name: string): number {
    let index = this.#names.get(name)
    if (index === undefined) {
      index = this.#values.push(this.#parameters.get(name).data) - 1
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
            halves.indexOf(node.keep),
            halves.indexOf(this.#needed.get(node.output) ?? null),
            node.residual ? 1 : 0,
          ],
          reals: [node.scale],
        }
      case 'depthwise':
        return { parameters: [node.weight, node.bias], integers: [activations.indexOf(node.activation)] }
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
      case 'layerNorm':
        return { parameters: [node.weight, node.bias] }
      case 'windowAttention':
        return { parameters: [node.bias], integers: [node.heads] }
      case 'linearAttention':
        return { integers: [node.heads, node.split ? 1 : 0] }
      case 'mask':
      case 'dequantise':
        return { integers: [halves.indexOf(node.keep)] }
      case 'scaleIndex':
        return { parameters: [node.table], integers: [halves.indexOf(node.keep)] }
      case 'quantise':
        return { integers: [halves.indexOf(node.keep), node.first] }
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

/** The layout a node reads its inputs in. Element by element, input and output only have to agree. */
function wantedLayout(node: Node): 'planar' | 'interleaved' | 'any' {
  switch (node.op) {
    case 'liftSplit':
    case 'liftMerge':
    case 'liftStep':
      return 'planar'
    case 'scale':
    case 'pool':
    case 'slice':
    case 'concat':
      return 'any'
    default:
      return 'interleaved'
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

/**
 * A graph as plain numbers, for the addon: `native/cpu/graph/plan.h` is the other side.
 *
 * Three things are decided on the way: the layout of every tensor (`layouts.ts`), where a node that wants another one
 * has a `convert` node put before it; and, both in `needed.ts`, which half of the checkerboard an integer convolution's
 * result is looked at, as the other half is not computed, and whether nothing but pixels follows from a convolution's
 * result, as that may be computed in a quicker way whose last bits differ.
 */
import type { CpuNumbering } from '../native/addon.js'
import type { Graph, Half, Node, Parameters, Port, Stage, Tensor } from '../network/graph.js'
import { ACTIVATIONS } from '../network/ops/convolution.js'
import { describe, type OpName, ops } from '../network/ops/index.js'
import type { Layout, ParameterUse } from '../network/ops/op.js'
import { HALVES } from '../network/tensor.js'
import { Layouts } from './layouts.js'
import { neededHalves, pixelTensors } from './needed.js'

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

const OPERATIONS: readonly string[] = [...Object.keys(ops), 'convert']
const FORMATS = ['float', 'rgb8', 'int16'] as const satisfies readonly Port['format'][]
const LAYOUTS: readonly Layout[] = ['interleaved', 'planar', 'integers']

/** What stands in plans as a number, in the addon's order (`native/cpu/steps/node.h`). */
export const NUMBERING: CpuNumbering = {
  operations: OPERATIONS,
  layouts: LAYOUTS,
  formats: FORMATS,
  activations: ACTIVATIONS,
  halves: HALVES,
}

/** The coder's order is made on this side, see `CpuExecutable`. */
function addonFormat(format: Port['format']): (typeof FORMATS)[number] {
  return format === 'float' || format === 'rgb8' ? format : 'int16'
}

/** A node of the plan: positions of tensors and parameters, and the numbers that say what to do with them. */
interface FlatNode {
  readonly op: OpName | 'convert'
  readonly inputs: readonly number[]
  readonly outputs: readonly number[]
  readonly parameters?: readonly number[]
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
  readonly #layouts: Layouts
  readonly #needed: ReadonlyMap<Tensor, Half>
  readonly #pixels: ReadonlySet<Tensor>
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
    this.#layouts = new Layouts(graph)
    this.#needed = neededHalves(graph)
    this.#pixels = pixelTensors(graph)
    this.#tensors = graph.tensors.map((tensor) => ({ shape: tensor.shape, layout: this.#layouts.of(tensor) }))
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
          LAYOUTS.indexOf(layout),
        ]),
      ),
      program: Int32Array.from(this.#program),
      reals: Float32Array.from(this.#reals),
      names: [...this.#names.keys()],
      values: this.#values,
      nodes,
    }
  }

  #stage(stage: Stage): (Node | null)[] {
    this.#ports(stage.inputs.map(({ tensor, format }) => [tensor.id, format]))
    const nodes: (Node | null)[] = []
    const countAt = this.#program.push(0) - 1
    for (const node of stage.nodes) {
      const description = describe(node)
      const { inputs, outputs, reals } = description
      const output = outputs[0] as Tensor
      const shapeOf = (name: string) => this.#parameters.get(name).shape
      this.#node({
        op: node.op,
        inputs: inputs.map((input) => this.#inLayout(input.tensor, this.#layouts.read(input, output), nodes)),
        outputs: outputs.map(({ id }) => id),
        parameters: description.parameters(shapeOf).map((use) => this.#parameter(use)),
        integers: description.integers({
          neededHalf: this.#needed.get(output) ?? null,
          isForPixels: outputs.every((tensor) => this.#pixels.has(tensor)),
          shapeOf,
        }),
        reals,
      })
      nodes.push(node)
    }
    const outputs = stage.outputs.map(
      ({ tensor, format }) => [this.#inLayout(tensor, this.#layouts.floatsOf(tensor), nodes), format] as const,
    )
    this.#program[countAt] = nodes.length
    this.#ports(outputs)
    return nodes
  }

  /** The tensor in that layout: if need be one that a node makes which is put in here. */
  #inLayout(tensor: Tensor, layout: Layout, nodes: (Node | null)[]): number {
    if (layout === this.#layouts.of(tensor)) return tensor.id
    const key = `${tensor.id} ${layout}`
    let id = this.#converted.get(key)
    if (id === undefined) {
      id = this.#tensors.push({ shape: tensor.shape, layout }) - 1
      this.#converted.set(key, id)
      this.#node({ op: 'convert', inputs: [tensor.id], outputs: [id] })
      nodes.push(null)
    }
    return id
  }

  #ports(ports: readonly (readonly [id: number, format: Port['format']])[]): void {
    this.#program.push(ports.length)
    for (const [id, format] of ports) this.#program.push(id, FORMATS.indexOf(addonFormat(format)))
  }

  #node({ op, inputs, outputs, parameters = [], integers = [], reals = [] }: FlatNode): void {
    this.#program.push(OPERATIONS.indexOf(op))
    for (const list of [inputs, outputs, parameters, integers]) this.#program.push(list.length, ...list)
    this.#program.push(reals.length)
    this.#reals.push(...reals)
  }

  /** Position of a parameter in the plan. */
  #parameter({ name, integers }: ParameterUse): number {
    let index = this.#names.get(name)
    if (index === undefined) {
      const { data } = integers ? this.#parameters.integers(name) : this.#parameters.get(name)
      index = this.#values.push(data) - 1
      this.#names.set(name, index)
    }
    return index
  }
}

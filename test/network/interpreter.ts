/**
 * The oracle: every op of the graph in plain, slow, obvious loops (float-ops.ts, integer-ops.ts). Backends are
 * compared with it, and it with the training code's golden vectors.
 */
import type {
  Backend,
  Executable,
  Graph,
  Half,
  Node,
  NodeOf,
  OpName,
  Parameters,
  PortData,
  Shape,
  Tensor,
} from '../../src/network/graph.js'
import { nodeOutputs } from '../../src/network/graph.js'
import { halvesOf } from '../../src/network/ports.js'
import { type Evaluators, kept, read, type Sources, type ValueAt } from './evaluators.js'
import { floatOps, roundEven } from './float-ops.js'
import { integerOps } from './integer-ops.js'

const evaluators: Evaluators<OpName> = { ...floatOps, ...integerOps }

/** A backend that interprets graphs; also keeps every tensor for a test to look at. */
export function interpreter(): Backend {
  return {
    kind: 'cpu',
    name: 'interpreter',
    tilesInFlight: 1,
    isLost: false,
    compile: async (graph, parameters) => new Interpreter(graph, parameters),
    close() {},
  }
}

export class Interpreter implements Executable {
  readonly #graph: Graph
  readonly #values = new Map<Tensor, Float64Array>()
  readonly #sources: Sources

  constructor(graph: Graph, parameters: Parameters) {
    this.#graph = graph
    this.#sources = {
      values: (tensor) => this.value(tensor),
      at: (tensor, c, y, x) => read(this.value(tensor), tensor.shape, c, y, x),
      floats: (name) => parameters.get(name).data,
      integers: (name) => parameters.integers(name).data,
    }
  }

  async run(index: number, inputs: ReadonlyMap<Tensor, PortData>): Promise<Map<Tensor, PortData>> {
    const stage = this.#graph.stages[index]
    if (!stage) throw new RangeError(`no stage ${index}`)
    for (const port of stage.inputs) {
      const { tensor, format } = port
      const data = inputs.get(tensor)
      if (!data) throw new Error(`input ${tensor.name} is missing`)
      const halves = halvesOf(port)
      if (halves) this.#values.set(tensor, fromHalves(data, tensor.shape, halves))
      else this.#values.set(tensor, format === 'rgb8' ? planar(data, tensor.shape) : Float64Array.from(data))
    }
    for (const node of stage.nodes) this.#run(node)
    const outputs = new Map<Tensor, PortData>()
    for (const port of stage.outputs) {
      const { tensor, format } = port
      const values = this.value(tensor)
      const halves = halvesOf(port)
      if (halves)
        outputs.set(
          tensor,
          Int16Array.from(inHalves(tensor.shape, halves), (i) => values[i] as number),
        )
      else if (format === 'rgb8') outputs.set(tensor, interleaved(values, tensor.shape))
      else outputs.set(tensor, format === 'int16' ? Int16Array.from(values) : Float32Array.from(values))
    }
    return outputs
  }

  close(): void {
    this.#values.clear()
  }

  /** Values of any tensor computed so far, channels x height x width. */
  value(tensor: Tensor): Float64Array {
    const values = this.#values.get(tensor)
    if (!values) throw new Error(`tensor ${tensor.name} was not computed`)
    return values
  }

  #run(node: Node): void {
    const results = [evaluate(node.op, node, this.#sources)].flat()
    for (const [i, tensor] of nodeOutputs(node).entries()) this.#set(tensor, results[i] as ValueAt)
  }

  #set(tensor: Tensor, value: ValueAt): void {
    const { channels, height, width } = tensor.shape
    const values = new Float64Array(channels * height * width)
    let p = 0
    for (let c = 0; c < channels; c++) {
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) values[p++] = value(c, y, x)
    }
    this.#values.set(tensor, values)
  }
}

function evaluate<Name extends OpName>(name: Name, node: NodeOf<Name>, sources: Sources): ValueAt | ValueAt[] {
  return evaluators[name](node, sources)
}

/** Offsets of the values of these halves of the checkerboard, one half after the other, channel by channel. */
function inHalves({ channels, height, width }: Shape, halves: readonly Half[]): number[] {
  const offsets: number[] = []
  for (const half of halves) {
    for (let c = 0; c < channels; c++) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) if (kept(half, y, x)) offsets.push((c * height + y) * width + x)
      }
    }
  }
  return offsets
}

function fromHalves(data: PortData, shape: Shape, halves: readonly Half[]): Float64Array {
  const values = new Float64Array(shape.channels * shape.height * shape.width)
  for (const [i, offset] of inHalves(shape, halves).entries()) values[offset] = data[i] as number
  return values
}

function planar(data: PortData, { channels, height, width }: Shape): Float64Array {
  const values = new Float64Array(channels * height * width)
  for (let p = 0; p < height * width; p++) {
    for (let c = 0; c < channels; c++) values[c * height * width + p] = (data[p * channels + c] as number) / 255
  }
  return values
}

function interleaved(values: Float64Array, { channels, height, width }: Shape): Uint8Array {
  const data = new Uint8Array(channels * height * width)
  for (let p = 0; p < height * width; p++) {
    for (let c = 0; c < channels; c++) {
      const v = Math.max(0, Math.min(1, values[c * height * width + p] as number))
      data[p * channels + c] = roundEven(v * 255)
    }
  }
  return data
}

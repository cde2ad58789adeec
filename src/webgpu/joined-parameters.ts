/** Parameters of layers that are computed side by side, as those of one layer with all their outputs. */
import type {
  IntegerConvNode,
  IntegerDepthwiseNode,
  IntegerParameter,
  Parameter,
  Parameters,
  Tensor,
} from '../network/graph.js'

const known = new WeakMap<Parameters, JoinedParameters>()

/** The parameters of a model, and after each other those that were joined, under a name of their own. */
export class JoinedParameters implements Parameters {
  readonly #parameters: Parameters
  readonly #joined = new Map<string, IntegerParameter>()
  readonly #stacked = new Map<string, Parameter>()

  private constructor(parameters: Parameters) {
    this.#parameters = parameters
  }

  /** One for each model: what is found out from weights is kept by the arrays that hold them. */
  static of(parameters: Parameters): JoinedParameters {
    const found = known.get(parameters) ?? new JoinedParameters(parameters)
    known.set(parameters, found)
    return found
  }

  get(name: string): Parameter {
    return this.#stacked.get(name) ?? this.#parameters.get(name)
  }

  integers(name: string): IntegerParameter {
    return this.#joined.get(name) ?? this.#parameters.integers(name)
  }

  /** The name of integer parameters joined along their first dimension; the others are the same of all. */
  join(names: readonly string[]): string {
    const joined = names.join(' + ')
    if (!this.#joined.has(joined)) {
      const parts = names.map((name) => this.#parameters.integers(name))
      const first = parts.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0)
      const data = Int32Array.from(parts.flatMap((part) => [...part.data]))
      this.#joined.set(joined, { shape: [first, ...(parts[0]?.shape.slice(1) ?? [])], data })
    }
    return joined
  }

  /** The layer with the outputs of all layers after each other in one tensor; the rest is as the first has it. */
  merge<T extends IntegerConvNode | IntegerDepthwiseNode>(nodes: readonly T[], output: Tensor): T {
    const join = (name: 'weight' | 'bias' | 'shift') => this.join(nodes.map((each) => each[name]))
    return { ...(nodes[0] as T), output, weight: join('weight'), bias: join('bias'), shift: join('shift') }
  }

  /**
   * The name of parameters of floats joined along their first dimension, the first two of each padded.
   *
   * @param outputs what the first dimension of each is padded to
   * @param inputs and the second, if they have one
   * @param none what they are padded with
   */
  stack(names: readonly string[], outputs: number, inputs: number, none = 0): string {
    const stacked = `${names.join(' / ')} by ${outputs}`
    if (!this.#stacked.has(stacked)) {
      const parts = names.map((name) => this.#parameters.get(name))
      const [, , ...kernel] = parts[0]?.shape ?? []
      const taps = kernel.reduce((product, size) => product * size, 1)
      const columns = (parts[0]?.shape.length ?? 0) > 1 ? inputs : 1
      const data = new Float32Array(names.length * outputs * columns * taps).fill(none)
      for (const [i, part] of parts.entries()) {
        const row = (part.shape.length > 1 ? (part.shape[1] as number) : 1) * taps
        for (let o = 0; o < (part.shape[0] as number); o++) {
          data.set(part.data.subarray(o * row, (o + 1) * row), (i * outputs + o) * columns * taps)
        }
      }
      this.#stacked.set(stacked, { shape: [names.length * outputs, columns, ...kernel], data })
    }
    return stacked
  }
}

/** Parameters of layers that are computed side by side, as those of one layer with all their outputs. */
import type { IntegerParameter, Parameter, Parameters } from '../network/graph.js'

const known = new WeakMap<Parameters, JoinedParameters>()

/** The parameters of a model, and after each other those that were joined, under a name of their own. */
export class JoinedParameters implements Parameters {
  readonly #parameters: Parameters
  readonly #joined = new Map<string, IntegerParameter>()

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
    return this.#parameters.get(name)
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
}

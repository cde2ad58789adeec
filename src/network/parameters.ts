/** The parameters of a model, as the graph and the backends read them. */
import { CorruptDataError } from '../errors.js'

/** One parameter of a model, as float32 whatever the file holds. */
export interface Parameter {
  readonly shape: readonly number[]
  readonly data: Float32Array
}

/** One parameter of an integer layer, as int32 whatever the file holds. */
export interface IntegerParameter {
  readonly shape: readonly number[]
  readonly data: Int32Array
}

/** The parameters of a model by name; throws ERR_MODEL_CORRUPT for a name that isn't there or is of the other kind. */
export interface Parameters {
  get(name: string): Parameter
  integers(name: string): IntegerParameter
}

/** What is thrown for a parameter whose shape or values no layer can use; `what` goes on from its name. */
export function badParameter(name: string, what: string): CorruptDataError {
  return new CorruptDataError('ERR_MODEL_CORRUPT', `Parameter ${name} ${what}`)
}

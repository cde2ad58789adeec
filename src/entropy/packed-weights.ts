/**
 * The packed weights of a model file: many rANS streams of one sequence of values, which C++ decodes on several threads
 * (`native/entropy/packed_weights.h`; docs/model-format.md specifies them).
 */
import { addon, translatedLater } from '../native/addon.js'
import type { RansTables } from './rans.js'

export interface PackedWeights {
  /** Rows, columns and values of a row and column, of each tensor by turns. */
  readonly shapes: Int32Array
  /** Levels of all tensors' rows, and of all their columns: a value's table is the sum of the two. */
  readonly rows: Uint8Array
  readonly columns: Uint8Array
  /** The streams end to end, and their lengths in bytes. */
  readonly streams: Uint8Array
  readonly lengths: Int32Array
  /** Values in each stream, but for the last. */
  readonly valuesAStream: number
  readonly tables: RansTables
}

/**
 * All values, tensor after tensor. The arrays are copied before the call returns.
 *
 * @param mostValues more are refused before memory is taken for them
 * @throws CorruptDataError ERR_CORRUPT_TILE where anything doesn't agree with the rest
 */
export async function decodeWeights(weights: PackedWeights, mostValues: number): Promise<Int16Array> {
  const { streams, lengths, valuesAStream, shapes, rows, columns, tables } = weights
  return translatedLater(() =>
    addon().decodeWeights(streams, lengths, valuesAStream, shapes, rows, columns, tables.native, mostValues),
  )
}

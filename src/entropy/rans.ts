/**
 * rANS entropy coding of integer symbols under tables of 16-bit cumulative
 * frequencies. The coder is C++ and runs off the main thread; `native/entropy/rans.h`
 * specifies the stream.
 *
 * One stream may hold runs under different sets of tables (hyper-latents under
 * one table a channel, latents under the Gaussian tables): the encoder is pushed
 * the runs in decoding order, the decoder asked for them in the same order, in
 * calls of whatever size.
 */
import { sentence } from '../arguments.js'
import { ClericError } from '../errors.js'
import {
  addon,
  type NativeRansDecoder,
  type NativeRansEncoder,
  type NativeTables,
  translated,
  translatedLater,
} from '../native/addon.js'

/**
 * A set of cumulative tables, as the model file has them. Table t:
 * `values[offset[t]] .. values[offset[t] + size[t]]` rises strictly from 0 to 65536;
 * its symbols stand for the values `min[t] .. min[t] + size[t] - 2`, and the last
 * one is the escape for every value outside those.
 */
export interface CdfTables {
  readonly values: Int32Array
  readonly offset: Int32Array
  /** Number of symbols of each table, the escape included: >= 1. */
  readonly size: Int32Array
  readonly min: Int32Array
}

/** The index of a table for each symbol. */
export type TableIndexes = Uint8Array | Uint16Array

function checkArray<T extends Int32Array | Int16Array>(value: T, type: new () => T, name: string): T {
  if (!(value instanceof type)) throw new TypeError(sentence(`an ${type.name}`, name, value))
  return value
}

function checkIndexes(value: TableIndexes): TableIndexes {
  if (!(value instanceof Uint8Array || value instanceof Uint16Array)) {
    throw new TypeError(sentence('a Uint8Array or Uint16Array', 'tableIndexes', value))
  }
  return value
}

function checkTables(value: RansTables): RansTables {
  if (!(value instanceof RansTables)) throw new TypeError(sentence('a RansTables', 'tables', value))
  return value
}

/**
 * Tables checked once and laid out for coding. Immutable; may be used by any number
 * of encoders and decoders.
 *
 * @throws RangeError if a table doesn't rise strictly from 0 to 65536, lies outside
 *   `values`, shares values with others, or codes values outside int16
 * @example
 * // One table: 0 with probability 1/2, 1 with 1/4, anything else escaped with 1/4.
 * const tables = new RansTables({
 *   values: Int32Array.of(0, 32768, 49152, 65536),
 *   offset: Int32Array.of(0), size: Int32Array.of(3), min: Int32Array.of(0),
 * })
 */
export class RansTables {
  /** How many tables there are: indexes run from 0 to count - 1. */
  readonly count: number
  /** @internal */
  readonly native: NativeTables

  constructor({ values, offset, size, min }: CdfTables) {
    checkArray(values, Int32Array, 'values')
    checkArray(offset, Int32Array, 'offset')
    checkArray(size, Int32Array, 'size')
    checkArray(min, Int32Array, 'min')
    this.count = offset.length
    const { RansTables: Native } = addon()
    this.native = translated(() => new Native(values, offset, size, min))
  }
}

/**
 * Codes runs of symbols into one stream.
 *
 * @example
 * const encoder = new RansEncoder()
 * encoder.push(zSymbols, zIndexes, zTables)
 * encoder.push(ySymbols, yIndexes, yTables)
 * const bytes = await encoder.finish()
 */
export class RansEncoder {
  #native: NativeRansEncoder | undefined = new (addon().RansEncoder)()

  #open(): NativeRansEncoder {
    if (this.#native === undefined) throw new ClericError('ERR_CLOSED', 'The encoder is finished')
    return this.#native
  }

  /**
   * Appends symbols; symbol i is coded under table `tableIndexes[i]`. The arrays
   * are copied before the call returns. Any int16 is codable under any table.
   *
   * @throws RangeError if the lengths differ; nothing is appended then
   */
  push(symbols: Int16Array, tableIndexes: TableIndexes, tables: RansTables): void {
    checkArray(symbols, Int16Array, 'symbols')
    checkIndexes(tableIndexes)
    if (tableIndexes.length !== symbols.length) {
      throw new RangeError(sentence(`${symbols.length} indexes`, 'tableIndexes', tableIndexes))
    }
    const { native } = checkTables(tables)
    translated(() => this.#open().push(symbols, tableIndexes, native))
  }

  /**
   * The stream, at least 4 bytes. The encoder takes nothing more afterwards.
   *
   * @throws RangeError if an index has no table
   */
  async finish(): Promise<Uint8Array> {
    const native = this.#open()
    this.#native = undefined
    return translatedLater(() => native.finish())
  }
}

/**
 * Decodes a stream, front to back, in as many calls as the caller needs.
 *
 * Safe on any bytes: a stream that was not written by {@link RansEncoder} with the same
 * tables in the same order either throws or gives some symbols (the caller's CRC
 * tells), in time proportional to the number of symbols.
 *
 * @example
 * using decoder = new RansDecoder(bytes)
 * const z = await decoder.decode(zIndexes, zTables)
 * const y = await decoder.decode(indexesFrom(z), yTables)
 * decoder.finish()
 */
export class RansDecoder {
  #native: NativeRansDecoder

  /**
   * @param bytes copied: the caller may reuse the array
   * @throws CorruptDataError ERR_CORRUPT_TILE if they can't be a stream
   */
  constructor(bytes: Uint8Array) {
    if (!(bytes instanceof Uint8Array)) throw new TypeError(sentence('a Uint8Array', 'bytes', bytes))
    const { RansDecoder: Native } = addon()
    this.#native = translated(() => new Native(bytes))
  }

  /**
   * The next `tableIndexes.length` symbols; symbol i is read under table `tableIndexes[i]`.
   * The indexes are copied before the call returns. Calls must not overlap.
   *
   * @throws CorruptDataError ERR_CORRUPT_TILE if the stream ends too early, an index
   *   has no table, or an escaped value is outside int16; so does every later call.
   *   ERR_CLOSED, also for a decoder that is closed meanwhile
   */
  async decode(tableIndexes: TableIndexes, tables: RansTables): Promise<Int16Array> {
    checkIndexes(tableIndexes)
    const { native } = checkTables(tables)
    return translatedLater(() => this.#native.decode(tableIndexes, native))
  }

  /**
   * Checks that the stream ends exactly here.
   *
   * @throws CorruptDataError ERR_CORRUPT_TILE if bytes are left over or the coder's
   *   last state is not its first
   */
  finish(): void {
    translated(() => this.#native.finish())
  }

  /** Frees the copy of the bytes at once instead of at the next collection. */
  close(): void {
    this.#native.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

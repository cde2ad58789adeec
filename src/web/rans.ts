/**
 * The entropy decoder in TypeScript: the one of `native/entropy/rans.h`, which specifies the stream, with the same symbols
 * and the same errors for any bytes. States are below 2^32, and so is every product here: numbers hold them exactly.
 */
import { ClericError, CorruptDataError, UnsupportedError } from '../errors.js'
import type { NativeRansDecoder, NativeRansEncoder, NativeTables } from '../native/addon.js'

const STATE_BYTES = 4
const SLOTS = 2 ** 16
/** The least state, and the one that an encoder starts at. */
const LOWER_BOUND = 2 ** 24
const SYMBOL_MIN = -(2 ** 15)
const SYMBOL_MAX = 2 ** 15 - 1
const MAX_SUFFIX_BITS = 16
/** A table's slots are cut into this many buckets, of each of which the first slot's symbol is known. */
const BUCKETS = 256
const BUCKET_SLOTS = SLOTS / BUCKETS

function badTable(table: number, what: string): RangeError {
  return new RangeError(`CDF table ${table}: ${what}`)
}

/** Checked cumulative tables; see `CdfTables` in `src/entropy/rans.ts`. */
export class PortableTables implements NativeTables {
  declare readonly __nativeTables: never
  readonly count: number
  /** The cumulative frequencies of all tables, end to end. */
  readonly cumulative: Int32Array
  /** Where each table begins there. */
  readonly first: Int32Array
  /** Symbol of each table that escapes: its last. */
  readonly escape: Int32Array
  /** Value of each table's symbol 0. */
  readonly min: Int32Array
  /** Symbols that own the first slots of each table's buckets, and its last symbol. */
  readonly owners: Uint16Array

  /** @throws RangeError for tables that the coder can't use */
  constructor(values: Int32Array, offset: Int32Array, size: Int32Array, min: Int32Array) {
    const count = offset.length
    if (count !== size.length || count !== min.length) throw new RangeError('offset, size and min differ in length')
    if (count === 0 || count > SLOTS) throw new RangeError(`Expected 1 to 65536 CDF tables but there are ${count}`)
    this.count = count
    // Tables share no values, so that there are no more than these.
    this.cumulative = new Int32Array(values.length)
    this.first = new Int32Array(count)
    this.escape = new Int32Array(count)
    this.min = new Int32Array(min)
    this.owners = new Uint16Array(count * (BUCKETS + 1))
    let first = 0
    for (let t = 0; t < count; t++) {
      const symbols = size[t] as number
      const cumulative = checkTable(values, first, t, offset[t] as number, symbols, min[t] as number)
      this.cumulative.set(cumulative, first)
      this.first[t] = first
      this.escape[t] = symbols - 1
      first += symbols + 1
      let owner = 0
      for (let bucket = 0; bucket < BUCKETS; bucket++) {
        while ((cumulative[owner + 1] as number) <= bucket * BUCKET_SLOTS) owner++
        this.owners[t * (BUCKETS + 1) + bucket] = owner
      }
      this.owners[t * (BUCKETS + 1) + BUCKETS] = symbols - 1
    }
  }

  /** The symbol of a table that owns `slot`, which is below 65536. */
  find(table: number, slot: number): number {
    const bucket = table * (BUCKETS + 1) + (slot >> 8)
    const first = this.first[table] as number
    let low = this.owners[bucket] as number
    let high = this.owners[bucket + 1] as number
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.cumulative[first + middle] as number) <= slot) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** The cumulative frequencies of table `t`, once they are found sound. `taken` of the values are other tables'. */
function checkTable(values: Int32Array, taken: number, t: number, offset: number, size: number, min: number) {
  if (size < 1 || size > SLOTS) throw badTable(t, `size ${size} is not in 1 .. 65536`)
  if (offset < 0 || offset + size + 1 > values.length) throw badTable(t, 'its values lie outside the array of values')
  if (min < SYMBOL_MIN || min > SYMBOL_MAX - size + 2) throw badTable(t, 'it codes values outside int16')
  const cumulative = values.subarray(offset, offset + size + 1)
  if (cumulative[0] !== 0 || cumulative[size] !== SLOTS) throw badTable(t, 'it does not run from 0 to 65536')
  if (taken + size + 1 > values.length) throw badTable(t, 'it shares values with others')
  for (let s = 0; s < size; s++) {
    const [from, to] = [cumulative[s] as number, cumulative[s + 1] as number]
    if (from < 0 || to > SLOTS || to <= from) throw badTable(t, `symbol ${s} has no frequency of at least 1`)
  }
  return cumulative
}

/** Reads one stream front to back. It runs in the thread that calls it, and is done when the call returns. */
export class PortableDecoder implements NativeRansDecoder {
  #bytes: Uint8Array | null
  #next = STATE_BYTES
  #state = 0
  #failed = false

  constructor(bytes: Uint8Array) {
    if (bytes.length < STATE_BYTES) throw corrupt("it is shorter than the coder's state")
    this.#bytes = new Uint8Array(bytes)
    for (let i = STATE_BYTES - 1; i >= 0; i--) this.#state = this.#state * 256 + (bytes[i] as number)
    if (this.#state < LOWER_BOUND) throw corrupt('its first state is out of range')
  }

  async decode(tableIndexes: Uint8Array | Uint16Array, tables: NativeTables): Promise<Int16Array> {
    return this.decodeNow(tableIndexes, tables)
  }

  /** {@link decode} without a promise. */
  decodeNow(tableIndexes: Uint8Array | Uint16Array, tables: NativeTables): Int16Array {
    const bytes = this.#open()
    this.#mustBeSound()
    if (!(tables instanceof PortableTables)) throw new TypeError('tables are not those of this decoder')
    const symbols = new Int16Array(tableIndexes.length)
    for (let i = 0; i < symbols.length; i++) {
      const table = tableIndexes[i] as number
      if (table >= tables.count) throw this.#failure('a table index is out of range')
      const slot = this.#state % SLOTS
      const symbol = tables.find(table, slot)
      const at = (tables.first[table] as number) + symbol
      const start = tables.cumulative[at] as number
      this.#advance(bytes, start, (tables.cumulative[at + 1] as number) - start, slot)
      const [min, last] = [tables.min[table] as number, tables.escape[table] as number]
      symbols[i] = symbol < last ? min + symbol : this.#outlier(bytes, min, last)
    }
    return symbols
  }

  finish(): void {
    const bytes = this.#open()
    this.#mustBeSound()
    if (this.#next !== bytes.length) throw corrupt('bytes are left over')
    if (this.#state !== LOWER_BOUND) throw corrupt('its last state is wrong')
  }

  close(): void {
    this.#bytes = null
  }

  #open(): Uint8Array {
    if (this.#bytes === null) throw new ClericError('ERR_CLOSED', 'The decoder is closed')
    return this.#bytes
  }

  #mustBeSound(): void {
    if (this.#failed) throw corrupt('an earlier part of it was corrupt')
  }

  #failure(reason: string): CorruptDataError {
    this.#failed = true
    return corrupt(reason)
  }

  #advance(bytes: Uint8Array, start: number, frequency: number, slot: number): void {
    let state = frequency * Math.floor(this.#state / SLOTS) + slot - start
    while (state < LOWER_BOUND) {
      if (this.#next === bytes.length) throw this.#failure('it ends too early')
      state = state * 256 + (bytes[this.#next++] as number)
    }
    this.#state = state
  }

  /** A bypass bit: a symbol of frequency 2^15. */
  #bit(bytes: Uint8Array): number {
    const slot = this.#state % SLOTS
    const bit = slot < SLOTS / 2 ? 0 : 1
    this.#advance(bytes, (bit * SLOTS) / 2, SLOTS / 2, slot)
    return bit
  }

  /** A value outside the table, after its escape symbol. */
  #outlier(bytes: Uint8Array, min: number, last: number): number {
    const isBelow = this.#bit(bytes) === 1
    let suffixBits = 0
    while (this.#bit(bytes) === 0) {
      if (++suffixBits > MAX_SUFFIX_BITS) throw this.#failure('an escape code is too long')
    }
    let code = 1
    for (let i = 0; i < suffixBits; i++) code = 2 * code + this.#bit(bytes)
    const beyond = code - 1
    const value = isBelow ? min - 1 - beyond : min + last + beyond
    if (value < SYMBOL_MIN || value > SYMBOL_MAX) throw this.#failure('an escaped value is outside int16')
    return value
  }
}

/** The error of a stream that is not what an encoder wrote. */
export function corrupt(reason: string): CorruptDataError {
  return new CorruptDataError('ERR_CORRUPT_TILE', `The entropy-coded stream is corrupt: ${reason}`)
}

/**
 * Browsers only decode: what a GPU encodes that was not tried against a processor might decode nowhere else
 * (`src/codec/exactness.ts`).
 */
export class NoEncoder implements NativeRansEncoder {
  constructor() {
    throw new UnsupportedError(
      'ERR_IMAGE_UNSUPPORTED',
      'Browsers decode tiles but encode none; encode them with Node.js',
    )
  }

  declare push: NativeRansEncoder['push']
  declare finish: NativeRansEncoder['finish']
}

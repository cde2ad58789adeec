/**
 * Packed weights of a model file: entropy-coded integers (docs/model-format.md). Few bytes may claim to be many weights, so
 * every count is checked against what the file really holds before memory is taken for it.
 */
import { decodeWeights } from '../entropy/packed-weights.js'
import { type CdfTables, RansTables } from '../entropy/rans.js'
import { ClericError, CorruptDataError } from '../errors.js'
import { halvesOf, LEAST_HALF_EXPONENT, MOST_HALF_EXPONENT } from '../network/half-precision.js'
import type { Safetensors, StoredTensor } from './safetensors.js'

/** Values in a stream, but for the last. */
const VALUES_A_STREAM = 2 ** 14
/** A value takes about a bit at least. This leaves room for what a stream's first state is good for. */
const MOST_VALUES_A_BYTE = 16
const MOST_VALUES = 2 ** 30
const MOST_DIMENSIONS = 8
const PREFIX = 'packed.'

/** A packed tensor: what its values are to become. */
interface Packed {
  readonly name: string
  readonly dtype: 'F16' | 'I16'
  readonly shape: readonly [rows: number, columns: number, ...rest: number[]]
  readonly count: number
}

function corrupt(what: string, cause?: unknown): CorruptDataError {
  return new CorruptDataError('ERR_MODEL_CORRUPT', `The model's packed weights are damaged: ${what}`, { cause })
}

/**
 * The tensors of a file whose weights are packed: those that are not, and the packed ones as if the file held them plainly.
 *
 * @throws CorruptDataError ERR_MODEL_CORRUPT
 */
export async function unpack(file: Safetensors): Promise<Safetensors> {
  const streams = part(file, 'streams', Uint8Array)
  const most = Math.min(streams.length * MOST_VALUES_A_BYTE, MOST_VALUES)
  const packed = readList(file, most)
  const exponents = part(file, 'exponents', Int32Array)
  const halfRows = packed.reduce((sum, { dtype, shape: [rows] }) => sum + (dtype === 'F16' ? rows : 0), 0)
  if (halfRows !== exponents.length) throw corrupt(`it has ${exponents.length} exponents for ${halfRows} rows`)
  const weights = {
    ...{ streams, valuesAStream: VALUES_A_STREAM, lengths: part(file, 'lengths', Int32Array) },
    ...{ rows: part(file, 'rows', Uint8Array), columns: part(file, 'columns', Uint8Array) },
    shapes: Int32Array.from(packed.flatMap(({ shape: [rows, columns, ...rest] }) => [rows, columns, product(rest)])),
    tables: readTables(file),
  }
  const values = await decodeWeights(weights, most).catch((error: unknown) => {
    if (error instanceof ClericError && error.code === 'ERR_CORRUPT_TILE') throw corrupt(error.message, error)
    throw error
  })
  const isPlain = ([name]: [string, unknown]) => !name.startsWith(PREFIX)
  const tensors = new Map([...file.tensors].filter(isPlain))
  const raw = new Map([...file.raw].filter(isPlain))
  let [at, row] = [0, 0]
  for (const { name, dtype, shape, count } of packed) {
    const whole = values.subarray(at, at + count)
    at += count
    if (dtype === 'I16') {
      tensors.set(name, { dtype, shape, data: new Int32Array(whole) })
      raw.set(name, bytesOf(whole))
      continue
    }
    const data = scaled(name, whole, exponents.subarray(row, row + shape[0]))
    row += shape[0]
    const halves = halvesOf(data)
    if (!halves) throw corrupt(`${JSON.stringify(name)} has a value that half precision hasn't`)
    tensors.set(name, { dtype, shape, data })
    raw.set(name, bytesOf(halves))
  }
  return { metadata: file.metadata, tensors, raw }
}

/** A tensor that holds part of the packing, whatever its shape. */
function part<T extends StoredTensor['data']>(file: Safetensors, name: string, type: abstract new () => T): T {
  const data = file.tensors.get(`${PREFIX}${name}`)?.data
  if (!(data instanceof type)) throw corrupt(`it has no ${PREFIX}${name}`)
  return data
}

function readTables(file: Safetensors): RansTables {
  const column = (name: string) => part(file, `tables.${name}`, Int32Array)
  const tables: CdfTables = {
    ...{ values: column('values'), offset: column('offset'), size: column('size'), min: column('min') },
  }
  try {
    return new RansTables(tables)
  } catch (error) {
    if (error instanceof RangeError) throw corrupt(error.message, error)
    throw error
  }
}

/** The metadata `packed`: [[name, type, shape], ...]. */
function readList({ metadata, tensors }: Safetensors, most: number): Packed[] {
  let list: unknown
  try {
    list = JSON.parse(metadata.packed ?? '')
  } catch (error) {
    throw corrupt('their list is not JSON', error)
  }
  if (!Array.isArray(list)) throw corrupt('their list is none')
  const names = new Set<string>()
  let room = most
  return list.map((entry: unknown) => {
    const [name, dtype, shape] = Array.isArray(entry) ? (entry as unknown[]) : []
    if (typeof name !== 'string' || (dtype !== 'F16' && dtype !== 'I16') || !isShape(shape)) {
      throw corrupt('an entry of their list is not name, type and shape')
    }
    const shown = JSON.stringify(name)
    if (names.has(name) || tensors.has(name)) throw corrupt(`${shown} is there twice`)
    names.add(name)
    const count = product(shape)
    room -= count
    if (room < 0) throw corrupt(`with ${shown} they are more than the file has room for`)
    return { name, dtype, shape, count }
  })
}

/** Inexact where it is beyond 2^53, which is more than any file has room for. */
function product(sides: readonly number[]): number {
  return sides.reduce((so, side) => so * side, 1)
}

function isShape(shape: unknown): shape is [number, number, ...number[]] {
  const isLength = (side: unknown) => typeof side === 'number' && Number.isInteger(side) && side >= 0 && side < 2 ** 31
  return Array.isArray(shape) && shape.length >= 2 && shape.length <= MOST_DIMENSIONS && shape.every(isLength)
}

/** Values [rows, ...], each row times its power of two; float32 has them all. */
function scaled(name: string, values: Int16Array, exponents: Int32Array): Float32Array {
  const data = new Float32Array(values.length)
  const length = values.length / Math.max(1, exponents.length)
  for (const [row, exponent] of exponents.entries()) {
    if (exponent < LEAST_HALF_EXPONENT || exponent > MOST_HALF_EXPONENT) {
      throw corrupt(`${JSON.stringify(name)} has a row of exponent ${exponent}`)
    }
    const unit = 2 ** exponent
    for (let i = row * length; i < (row + 1) * length; i++) data[i] = (values[i] as number) * unit
  }
  return data
}

function bytesOf({ buffer, byteOffset, byteLength }: Int16Array | Uint16Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

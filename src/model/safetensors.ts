/**
 * Reader of the safetensors container: an 8-byte little-endian header length, a JSON header, raw tensors.
 *
 * A model file comes from the network as often as from us, so every number in it is checked against the
 * file's size before it is used; nothing is allocated on the header's word alone.
 *
 * @see https://huggingface.co/docs/safetensors (format)
 */
import { CorruptDataError, UnsupportedError } from '../errors.js'
import { widenHalves } from '../network/half-precision.js'

/** Element types that models use; F16 is widened to float32 and I16 to int32 on reading. */
export type TensorType = 'F32' | 'F16' | 'I32' | 'I16' | 'U8'

export interface StoredTensor {
  readonly dtype: TensorType
  /** Lengths of the dimensions, outermost first; [] for a scalar. */
  readonly shape: readonly number[]
  /** F32 and F16 as Float32Array, I32 and I16 as Int32Array, U8 as Uint8Array. */
  readonly data: Float32Array | Int32Array | Uint8Array
}

export interface Safetensors {
  /** The header's `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** The bytes of each tensor, views of the file. */
  readonly raw: ReadonlyMap<string, Uint8Array>
}

/** Headers of our models are about 30 KB; the reference implementation allows 100 MB. */
const MAX_HEADER_BYTES = 16 << 20

const BYTES_PER_ELEMENT: Record<TensorType, number> = { F32: 4, F16: 2, I32: 4, I16: 2, U8: 1 }

function corrupt(what: string): CorruptDataError {
  return new CorruptDataError('ERR_MODEL_CORRUPT', `Not a sound safetensors file: ${what}`)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Parses a whole safetensors file.
 *
 * @param bytes the file; not kept except for the views in `raw`
 * @throws CorruptDataError ERR_MODEL_CORRUPT for anything that does not add up
 * @throws UnsupportedError ERR_MODEL_UNSUPPORTED for an element type that models don't use
 * @example
 * const { metadata, tensors } = readSafetensors(await readFile('models/cleric-s.safetensors'))
 */
export function readSafetensors(bytes: Uint8Array): Safetensors {
  if (bytes.byteLength < 8) throw corrupt(`${bytes.byteLength} bytes are too few`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = view.getBigUint64(0, true)
  if (length > BigInt(Math.min(MAX_HEADER_BYTES, bytes.byteLength - 8))) throw corrupt(`header of ${length} bytes`)
  const start = 8 + Number(length)
  const body = bytes.subarray(start)

  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, start)))
  } catch (error) {
    throw new CorruptDataError('ERR_MODEL_CORRUPT', 'Not a sound safetensors file: header is not JSON', {
      cause: error,
    })
  }
  if (!isRecord(header)) throw corrupt('header is not an object')

  const metadata: Record<string, string> = {}
  const tensors = new Map<string, StoredTensor>()
  const raw = new Map<string, Uint8Array>()
  let room = body.byteLength
  for (const [name, entry] of Object.entries(header)) {
    if (!isRecord(entry)) throw corrupt(`entry ${JSON.stringify(name)} is not an object`)
    if (name !== '__metadata__') {
      const [dtype, shape, bytes] = checkTensor(name, entry, body)
      // Else a small file could name the same bytes thousands of times, and each copy takes memory.
      room -= bytes.byteLength
      if (room < 0) throw corrupt(`tensor ${JSON.stringify(name)} shares bytes with others`)
      tensors.set(name, { dtype, shape, data: decode(dtype, bytes) })
      raw.set(name, bytes)
      continue
    }
    for (const [key, value] of Object.entries(entry)) {
      if (typeof value !== 'string') throw corrupt(`metadata ${JSON.stringify(key)} is not a string`)
      metadata[key] = value
    }
  }
  return { metadata, tensors, raw }
}

/** Type, shape and bytes of an entry, each checked. */
function checkTensor(
  name: string,
  entry: Record<string, unknown>,
  body: Uint8Array,
): [dtype: TensorType, shape: number[], raw: Uint8Array] {
  const { dtype, shape, data_offsets: offsets } = entry
  const at = `tensor ${JSON.stringify(name)}`
  if (typeof dtype !== 'string' || !Array.isArray(shape) || !Array.isArray(offsets) || offsets.length !== 2) {
    throw corrupt(`${at} lacks dtype, shape or data_offsets`)
  }
  if (!Object.hasOwn(BYTES_PER_ELEMENT, dtype)) {
    throw new UnsupportedError('ERR_MODEL_UNSUPPORTED', `${at} has element type ${dtype}, which models don't use`)
  }
  const type = dtype as TensorType
  let count = 1
  const lengths: number[] = []
  for (const value of shape as unknown[]) {
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) throw corrupt(`${at} has a bad shape`)
    count *= value
    lengths.push(value)
    if (count > body.byteLength) throw corrupt(`${at} is larger than the file`)
  }
  const [from, to] = offsets as unknown[]
  if (typeof from !== 'number' || typeof to !== 'number' || !Number.isInteger(from) || !Number.isInteger(to)) {
    throw corrupt(`${at} has bad offsets`)
  }
  if (from < 0 || to < from || to > body.byteLength) throw corrupt(`${at} lies outside the file`)
  if (to - from !== count * BYTES_PER_ELEMENT[type]) throw corrupt(`${at} has ${to - from} bytes for its shape`)
  return [type, lengths, body.subarray(from, to)]
}

function decode(type: TensorType, raw: Uint8Array): Float32Array | Int32Array | Uint8Array {
  // A copy, as the offsets need not be aligned and the file should not stay in memory for one tensor (Buffer.slice
  // makes none).
  const copy = new Uint8Array(raw)
  switch (type) {
    case 'U8':
      return copy
    case 'I32':
      return new Int32Array(copy.buffer)
    case 'I16':
      return Int32Array.from(new Int16Array(copy.buffer))
    case 'F32':
      return new Float32Array(copy.buffer)
    case 'F16':
      return widenHalves(new Uint16Array(copy.buffer))
  }
}

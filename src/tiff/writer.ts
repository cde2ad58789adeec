/**
 * The structure of a BigTIFF, little-endian: header, directories (IFDs), and the values that don't fit into them, in
 * one piece that stands at the start of the file. Image data come after it; who knows where says so in the values.
 *
 * All directories come first, then short values, then long ones, so that a reader that fetches the start of the file
 * has them all. Source: TIFF 6.0, and the BigTIFF proposal of Aware Systems.
 */
import { TAGS, type Tag, TYPES, type TypeName } from './tags.js'

export const TIFF_HEADER_BYTES = 16
const ENTRY_BYTES = 20
const INLINE_BYTES = 8
const ALIGNMENT = 8
/** Values from this size on come last. */
const LONG_VALUE_BYTES = 1024

/** Values of one tag. One that several directories share, the same object, is stored once. */
export interface Field {
  readonly type: TypeName
  readonly count: number
  /** As in the file. */
  readonly bytes: Uint8Array
}

export interface Directory {
  readonly fields: ReadonlyMap<Tag, Field>
  /** Directories outside the chain, that tag 330 points to. */
  readonly children?: readonly Directory[]
}

/** Text; a NUL is added, and those within are left out. */
export function ascii(text: string): Field {
  const bytes = new TextEncoder().encode(`${text.replaceAll('\0', '')}\0`)
  return { type: 'ASCII', count: bytes.length, bytes }
}

/** Bytes that no program but the one they are for understands. */
export function undefinedBytes(bytes: Uint8Array): Field {
  return { type: 'UNDEFINED', count: bytes.length, bytes }
}

export function byteField(bytes: Uint8Array): Field {
  return { type: 'BYTE', count: bytes.length, bytes }
}

export function short(...values: readonly number[]): Field {
  const bytes = new Uint8Array(2 * values.length)
  const view = new DataView(bytes.buffer)
  for (const [i, value] of values.entries()) view.setUint16(2 * i, value, true)
  return { type: 'SHORT', count: values.length, bytes }
}

export function long(values: ArrayLike<number>): Field {
  const bytes = new Uint8Array(4 * values.length)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < values.length; i++) view.setUint32(4 * i, values[i] as number, true)
  return { type: 'LONG', count: values.length, bytes }
}

export function long8(values: ArrayLike<number>, type: 'LONG8' | 'IFD8' = 'LONG8'): Field {
  const bytes = new Uint8Array(8 * values.length)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < values.length; i++) view.setBigUint64(8 * i, BigInt(values[i] as number), true)
  return { type, count: values.length, bytes }
}

/** Positive numbers below 2^32, each as a fraction with all of the precision that 32 bits give. */
export function rational(...values: readonly number[]): Field {
  const parts = values.flatMap((value) => {
    let denominator = 1
    // Powers of 2, so that the multiplication is exact.
    while (!Number.isInteger(value * denominator) && denominator < 2 ** 31 && value * denominator < 2 ** 30) {
      denominator *= 2
    }
    return [Math.round(value * denominator), denominator]
  })
  return { type: 'RATIONAL', count: values.length, bytes: long(parts).bytes }
}

export interface EncodedTiff {
  readonly bytes: Uint8Array
  /** Where a field's values are in the bytes. Only for fields longer than 8 bytes. */
  offsetOf(field: Field): number
}

/**
 * Encodes a chain of directories and what hangs off them. The length depends on the fields' sizes only, not on their
 * values.
 */
export function encodeTiff(chain: readonly Directory[]): EncodedTiff {
  const all = chain.flatMap((directory) => [directory, ...(directory.children ?? [])])
  let at = TIFF_HEADER_BYTES
  const place = (size: number) => {
    const offset = at
    at += Math.ceil(size / ALIGNMENT) * ALIGNMENT
    return offset
  }
  const entryCount = ({ fields, children }: Directory) => fields.size + (children ? 1 : 0)
  const directoryAt = new Map(all.map((one) => [one, place(8 + ENTRY_BYTES * entryCount(one) + 8)]))
  const offsetOf = (directory: Directory) => directoryAt.get(directory) as number
  const entries = new Map(
    all.map((one) => {
      const fields: [number, Field][] = [...one.fields]
      if (one.children) fields.push([TAGS.SubIFDs, long8(one.children.map(offsetOf), 'IFD8')])
      return [one, fields.sort(([a], [b]) => a - b)]
    }),
  )
  const outside = new Set([...entries.values()].flat().map(([, field]) => field))
  for (const field of outside) if (field.bytes.length <= INLINE_BYTES) outside.delete(field)
  const isLong = ({ bytes }: Field) => bytes.length >= LONG_VALUE_BYTES
  const ordered = [...[...outside].filter((field) => !isLong(field)), ...[...outside].filter(isLong)]
  const fieldAt = new Map(ordered.map((field) => [field, place(field.bytes.length)]))

  const bytes = new Uint8Array(at)
  const view = new DataView(bytes.buffer)
  const u64 = (offset: number, value: number) => view.setBigUint64(offset, BigInt(value), true)
  bytes.set([0x49, 0x49, 43, 0, 8, 0, 0, 0]) // "II", version, bytes of an offset
  u64(8, offsetOf(chain[0] as Directory))
  for (const [directory, fields] of entries) {
    let offset = offsetOf(directory)
    u64(offset, fields.length)
    offset += 8
    for (const [tag, field] of fields) {
      view.setUint16(offset, tag, true)
      view.setUint16(offset + 2, TYPES[field.type].code, true)
      u64(offset + 4, field.count)
      const elsewhere = fieldAt.get(field)
      if (elsewhere === undefined) bytes.set(field.bytes, offset + 12)
      else u64(offset + 12, elsewhere)
      offset += ENTRY_BYTES
    }
    const next = chain[chain.indexOf(directory) + 1]
    u64(offset, chain.includes(directory) && next ? offsetOf(next) : 0)
  }
  for (const [field, offset] of fieldAt) bytes.set(field.bytes, offset)
  return { bytes, offsetOf: (field) => fieldAt.get(field) as number }
}

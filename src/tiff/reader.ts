/**
 * Reads the structure of a BigTIFF from the bytes of its head. Nothing in them is believed: every offset and count is
 * checked against the length of the head before it is followed or memory is taken for it.
 */
import { CorruptDataError } from '../errors.js'
import { TAGS, type Tag, TYPES } from './tags.js'
import { TIFF_HEADER_BYTES } from './writer.js'

const MAX_ENTRIES = 256
const MAX_DIRECTORIES = 256
const ENTRY_BYTES = 20
const SIZES = new Map<number, number>(Object.values(TYPES).map(({ code, size }) => [code, size]))

interface Entry {
  readonly type: number
  readonly count: number
  /** Where the values are. */
  readonly offset: number
}

/** True for bytes that start as a little-endian BigTIFF with 8-byte offsets does. */
export function isBigTiff(bytes: Uint8Array): boolean {
  return bytes.length >= TIFF_HEADER_BYTES && [0x49, 0x49, 43, 0, 8, 0, 0, 0].every((byte, i) => bytes[i] === byte)
}

/** The bytes of a file from its beginning on, up to the end of its head. */
export class TiffHead {
  /** Name of the file, for messages. */
  readonly name: string
  readonly #bytes: Uint8Array
  readonly #view: DataView

  /** Before anything is read from them, `bytes` must be {@link isBigTiff}. */
  constructor(bytes: Uint8Array, name: string) {
    this.name = name
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** The first directory. @throws CorruptDataError ERR_ARCHIVE_CORRUPT */
  first(): TiffDirectory {
    return this.directory(this.u64(8)).directory
  }

  /** The tags in the first directory, whatever their values. @throws CorruptDataError ERR_ARCHIVE_CORRUPT */
  firstTags(): number[] {
    const offset = this.u64(8)
    const count = this.#entryCount(offset)
    this.check(offset, 8 + count * ENTRY_BYTES)
    return Array.from({ length: count }, (_, i) => this.#view.getUint16(offset + 8 + i * ENTRY_BYTES, true))
  }

  /** The directories of the main chain. @throws CorruptDataError ERR_ARCHIVE_CORRUPT */
  chain(): TiffDirectory[] {
    const chain: TiffDirectory[] = []
    for (let offset = this.u64(8); offset !== 0; ) {
      // Also ends a chain that bites its own tail.
      if (chain.length === MAX_DIRECTORIES) throw this.corrupt(`it has more than ${MAX_DIRECTORIES} directories`)
      const { directory, next } = this.directory(offset)
      chain.push(directory)
      offset = next
    }
    return chain
  }

  directory(offset: number): { directory: TiffDirectory; next: number } {
    const count = this.#entryCount(offset)
    const entries = new Map<number, Entry>()
    for (let i = 0; i < count; i++) {
      const at = offset + 8 + i * ENTRY_BYTES
      this.check(at, ENTRY_BYTES)
      const type = this.#view.getUint16(at + 2, true)
      const values = this.u64(at + 4)
      const isInline = values * (SIZES.get(type) ?? 1) <= 8
      const entry = { type, count: values, offset: isInline ? at + 12 : this.u64(at + 12) }
      entries.set(this.#view.getUint16(at, true), entry)
    }
    return { directory: new TiffDirectory(this, entries), next: this.u64(offset + 8 + count * ENTRY_BYTES) }
  }

  #entryCount(offset: number): number {
    const count = this.u64(offset)
    if (count > MAX_ENTRIES) throw this.corrupt(`a directory has ${count} entries`)
    return count
  }

  u64(offset: number): number {
    this.check(offset, 8)
    // By halves, as there may be millions: a BigInt takes ten times as long.
    const value = this.#view.getUint32(offset, true) + 2 ** 32 * this.#view.getUint32(offset + 4, true)
    if (value > Number.MAX_SAFE_INTEGER) throw this.corrupt(`it has the number ${value} at byte ${offset}`)
    return value
  }

  /** An unsigned number of one of the integral types. */
  integer(offset: number, type: number): number {
    if (type === TYPES.SHORT.code) return this.#view.getUint16(offset, true)
    if (type === TYPES.LONG.code) return this.#view.getUint32(offset, true)
    return this.u64(offset)
  }

  slice(offset: number, length: number): Uint8Array {
    this.check(offset, length)
    return this.#bytes.subarray(offset, offset + length)
  }

  check(offset: number, length: number): void {
    if (!(offset >= 0 && length >= 0 && offset + length <= this.#bytes.length)) {
      throw this.corrupt(`bytes ${offset} to ${offset + length} should be in its head, which has ${this.#bytes.length}`)
    }
  }

  corrupt(what: string): CorruptDataError {
    return new CorruptDataError('ERR_ARCHIVE_CORRUPT', `${this.name} is damaged: ${what}`)
  }
}

const TAG_NAMES = new Map<number, string>(Object.entries(TAGS).map(([name, tag]) => [tag, name]))
const INTEGRAL: readonly number[] = [TYPES.SHORT.code, TYPES.LONG.code, TYPES.LONG8.code, TYPES.IFD8.code]
const BYTES: readonly number[] = [TYPES.BYTE.code, TYPES.ASCII.code, TYPES.UNDEFINED.code]

export class TiffDirectory {
  readonly #head: TiffHead
  readonly #entries: ReadonlyMap<number, Entry>

  constructor(head: TiffHead, entries: ReadonlyMap<number, Entry>) {
    this.#head = head
    this.#entries = entries
  }

  has(tag: Tag): boolean {
    return this.#entries.has(tag)
  }

  /** `count` unsigned integers (default: however many there are), of one type or of any. All are in the head. */
  integers(tag: Tag, count?: number, wanted?: { readonly code: number }): Float64Array {
    const { type, count: present, offset } = this.#entry(tag, wanted ? [wanted.code] : INTEGRAL)
    if (count !== undefined && present !== count) throw this.#wrong(tag, `has ${present} values, not ${count}`)
    const size = SIZES.get(type) as number
    this.#head.check(offset, present * size)
    const values = new Float64Array(present)
    for (let i = 0; i < present; i++) values[i] = this.#head.integer(offset + i * size, type)
    return values
  }

  /** `count` integers of 32 bits. All are in the head. */
  longs(tag: Tag, count: number): Uint32Array {
    const { count: present, offset } = this.#entry(tag, [TYPES.LONG.code])
    if (present !== count) throw this.#wrong(tag, `has ${present} values, not ${count}`)
    this.#head.check(offset, present * TYPES.LONG.size)
    const values = new Uint32Array(present)
    for (let i = 0; i < present; i++) values[i] = this.#head.integer(offset + i * TYPES.LONG.size, TYPES.LONG.code)
    return values
  }

  /** One unsigned integer from `min` to `max`. */
  integer(tag: Tag, min = 0, max = Number.MAX_SAFE_INTEGER): number {
    const value = this.integers(tag, 1)[0] as number
    if (value < min || value > max) throw this.#wrong(tag, `is ${value}, which is not from ${min} to ${max}`)
    return value
  }

  /** Bytes of any content; not copied. */
  bytes(tag: Tag, count?: number): Uint8Array {
    const { count: present, offset } = this.#entry(tag, BYTES)
    if (count !== undefined && present !== count) throw this.#wrong(tag, `has ${present} bytes, not ${count}`)
    return this.#head.slice(offset, present)
  }

  /** Where a tag's values are in the file. */
  offset(tag: Tag): number {
    return this.placeOf(tag).offset
  }

  /** Where a tag's values are in the file, and how many bytes they take. */
  placeOf(tag: Tag): { readonly offset: number; readonly length: number } {
    const { type, count, offset } = this.#entry(tag, [...BYTES, ...INTEGRAL])
    return { offset, length: count * (SIZES.get(type) as number) }
  }

  /** The text of an ASCII value, without the NUL that ends it. */
  text(tag: Tag): string {
    const bytes = this.bytes(tag)
    return new TextDecoder().decode(bytes.at(-1) === 0 ? bytes.subarray(0, -1) : bytes)
  }

  #entry(tag: Tag, types: readonly number[]): Entry {
    const entry = this.#entries.get(tag)
    if (!entry) throw this.#wrong(tag, 'is missing')
    if (!types.includes(entry.type)) throw this.#wrong(tag, `has the type ${entry.type}`)
    return entry
  }

  #wrong(tag: Tag, what: string): CorruptDataError {
    return this.#head.corrupt(`its tag ${TAG_NAMES.get(tag)} (${tag}) ${what}`)
  }
}

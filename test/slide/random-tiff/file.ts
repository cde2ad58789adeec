/** Writes TIFFs of either byte order, with offsets of four or eight bytes. Knows nothing of src/tiff. */
/** Types of fields by their names in TIFF 6 and BigTIFF: code and bytes of a value. */
const TYPES = {
  BYTE: [1, 1],
  ASCII: [2, 1],
  SHORT: [3, 2],
  LONG: [4, 4],
  RATIONAL: [5, 8],
  UNDEFINED: [7, 1],
  LONG8: [16, 8],
  IFD8: [18, 8],
} as const

export interface Field {
  readonly tag: number
  readonly type: keyof typeof TYPES
  /** A RATIONAL has numerators and denominators in turn. */
  readonly values: readonly number[]
}

export interface Page {
  readonly fields: readonly Field[]
  readonly chunks: readonly Uint8Array[]
  readonly isTiled: boolean
  /** Directories that tag 330 points to. */
  readonly children: readonly Page[]
}

export function ascii(tag: number, text: string): Field {
  return { tag, type: 'ASCII', values: [...Buffer.from(text, 'latin1'), 0] }
}

export class TiffFile {
  readonly #littleEndian: boolean
  readonly #isBig: boolean
  readonly #parts: Uint8Array[] = []
  #length = 0

  constructor(littleEndian: boolean, isBig: boolean) {
    this.#littleEndian = littleEndian
    this.#isBig = isBig
  }

  /** The file with these pages in its main chain. */
  encode(pages: readonly Page[]): Uint8Array {
    const header = new Uint8Array(this.#isBig ? 16 : 8)
    this.#append(header)
    // Backwards, so that each directory knows where the next one is.
    let next = 0
    for (const page of pages.toReversed()) next = this.#directory(page, next)
    const view = new DataView(header.buffer)
    view.setUint16(0, this.#littleEndian ? 0x4949 : 0x4d4d)
    view.setUint16(2, this.#isBig ? 43 : 42, this.#littleEndian)
    if (this.#isBig) view.setUint16(4, 8, this.#littleEndian)
    if (this.#isBig) view.setBigUint64(8, BigInt(next), this.#littleEndian)
    else view.setUint32(4, next, this.#littleEndian)
    return new Uint8Array(Buffer.concat(this.#parts))
  }

  /** Writes a page; returns where its directory is. */
  #directory({ fields, chunks, isTiled, children }: Page, next: number): number {
    const offsets = chunks.map((bytes) => (bytes.length > 0 ? this.#append(bytes) : 0))
    const below = children.map((child) => this.#directory(child, 0))
    const type: Field['type'] = this.#isBig ? 'LONG8' : 'LONG'
    const all: Field[] = [
      ...fields,
      { tag: isTiled ? 324 : 273, type, values: offsets },
      { tag: isTiled ? 325 : 279, type: 'LONG', values: chunks.map(({ length }) => length) },
    ]
    if (below.length > 0) all.push({ tag: 330, type: this.#isBig ? 'IFD8' : type, values: below })
    all.sort((a, b) => a.tag - b.tag)
    const [countBytes, room, entryBytes] = this.#isBig ? [8, 8, 20] : [2, 4, 12]
    const outside = new Map<Field, number>()
    for (const field of all) {
      const bytes = this.#valueBytes(field)
      if (bytes.length > room) outside.set(field, this.#append(bytes))
    }
    const directory = new Uint8Array(countBytes + all.length * entryBytes + room)
    const view = new DataView(directory.buffer)
    if (this.#isBig) view.setBigUint64(0, BigInt(all.length), this.#littleEndian)
    else view.setUint16(0, all.length, this.#littleEndian)
    for (const [i, field] of all.entries()) {
      const at = countBytes + i * entryBytes
      const count = field.values.length / (field.type === 'RATIONAL' ? 2 : 1)
      view.setUint16(at, field.tag, this.#littleEndian)
      view.setUint16(at + 2, TYPES[field.type][0], this.#littleEndian)
      this.#offset(view, at + 4, count)
      const place = outside.get(field)
      if (place === undefined) directory.set(this.#valueBytes(field), at + 4 + room)
      else this.#offset(view, at + 4 + room, place)
    }
    this.#offset(view, directory.length - room, next)
    return this.#append(directory)
  }

  #offset(view: DataView, at: number, value: number): void {
    if (this.#isBig) view.setBigUint64(at, BigInt(value), this.#littleEndian)
    else view.setUint32(at, value, this.#littleEndian)
  }

  #valueBytes({ type, values }: Field): Uint8Array {
    const size = type === 'RATIONAL' ? 4 : TYPES[type][1]
    const bytes = new Uint8Array(size * values.length)
    const view = new DataView(bytes.buffer)
    for (const [i, value] of values.entries()) {
      if (size === 1) bytes[i] = value
      else if (size === 2) view.setUint16(2 * i, value, this.#littleEndian)
      else if (size === 4) view.setUint32(4 * i, value, this.#littleEndian)
      else view.setBigUint64(8 * i, BigInt(value), this.#littleEndian)
    }
    return bytes
  }

  /** Everything begins at an even byte, as TIFF wants it. */
  #append(bytes: Uint8Array): number {
    const offset = this.#length
    this.#parts.push(bytes)
    if (bytes.length % 2 === 1) this.#parts.push(new Uint8Array(1))
    this.#length += bytes.length + (bytes.length % 2)
    return offset
  }
}

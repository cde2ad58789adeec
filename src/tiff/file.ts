/**
 * The structure of any TIFF, whoever wrote it: classic or BigTIFF, of either byte order, with all directories of the
 * main chain and the SubIFDs that hang off them. Nothing in the file is believed: each offset and count is checked
 * before it is followed or memory is taken for it, and a chain that bites its own tail ends.
 *
 * What is wrong with the chain doesn't throw but is kept as `fault`: whoever opens the file may want to say more about
 * it than that it is broken. Sources: TIFF 6.0, and the BigTIFF proposal of Aware Systems.
 */
import type { ByteSource } from '../files/byte-source.js'
import { TAGS } from './tags.js'

/** Bytes of a value of each field type of TIFF 6 and BigTIFF, by its code. */
const SIZES: Readonly<Record<number, number>> = {
  ...{ 1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8 },
  ...{ 13: 4, 16: 8, 17: 8, 18: 8 },
}
const MOST_DIRECTORIES = 10_000
/** Entries of all directories together; directories may lie over each other, so the file's size is no bound. */
const MOST_ENTRIES = 500_000
const MOST_SUB_DIRECTORIES = 1024
/** Longer values are read only by those who need them. */
const MOST_VALUE_BYTES = 2 ** 20
const MOST_ALL_VALUE_BYTES = 2 ** 27
const BLOCK = 4096
const MOST_BLOCKS = 1024

/** Tags whose values are read with the directory. The places of tiles aren't among them: there may be millions. */
const READ_AT_ONCE: ReadonlySet<number> = new Set([
  ...[TAGS.NewSubfileType, TAGS.SubfileType, TAGS.ImageWidth, TAGS.ImageLength, TAGS.BitsPerSample, TAGS.Compression],
  ...[TAGS.PhotometricInterpretation, TAGS.FillOrder, TAGS.ImageDescription, TAGS.Orientation, TAGS.SamplesPerPixel],
  ...[TAGS.RowsPerStrip, TAGS.XResolution, TAGS.YResolution, TAGS.PlanarConfiguration, TAGS.PageName, TAGS.T4Options],
  ...[TAGS.T6Options, TAGS.ResolutionUnit, TAGS.Software, TAGS.Predictor, TAGS.ColorMap, TAGS.TileWidth],
  ...[TAGS.TileLength, TAGS.SubIFDs, TAGS.InkSet, TAGS.ExtraSamples, TAGS.SampleFormat, TAGS.JPEGTables, TAGS.XMP],
  ...[TAGS.YCbCrCoefficients, TAGS.YCbCrSubSampling, TAGS.ReferenceBlackWhite, TAGS.ImageDepth, TAGS.NdpiFormat],
  ...[TAGS.NdpiFocalOffset],
])

/** Where the values of a tag are. */
interface Entry {
  readonly type: number
  readonly count: number
  readonly offset: number
}

/** A directory (IFD), with the values of the tags that say how its image is stored. */
export class FileDirectory {
  /** In the file. */
  readonly offset: number
  readonly #entries: ReadonlyMap<number, Entry>
  readonly #values = new Map<number, readonly number[] | Uint8Array>()

  constructor(offset: number, entries: ReadonlyMap<number, Entry>) {
    this.offset = offset
    this.#entries = entries
  }

  has(tag: number): boolean {
    return this.#entries.has(tag)
  }

  /** @internal */
  entry(tag: number): Entry | undefined {
    return this.#entries.get(tag)
  }

  /** @internal */
  keep(tag: number, values: readonly number[] | Uint8Array): void {
    this.#values.set(tag, values)
  }

  /** The numbers of a tag; of bytes, each one. Empty if the directory doesn't have it, or more than it makes sense. */
  numbers(tag: number): readonly number[] {
    const values = this.#values.get(tag)
    return values instanceof Uint8Array ? Array.from(values) : (values ?? [])
  }

  /** The first number of a tag. */
  number(tag: number): number | undefined {
    return this.numbers(tag)[0]
  }

  bytes(tag: number): Uint8Array | undefined {
    const values = this.#values.get(tag)
    return values instanceof Uint8Array ? values : undefined
  }

  /** The text of a tag up to the first NUL; empty if there is none. */
  text(tag: number): string {
    const bytes = this.bytes(tag) ?? new Uint8Array(0)
    const end = bytes.indexOf(0)
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))
  }
}

/** A directory of the main chain, with those that hang off it. */
export interface FilePage {
  readonly directory: FileDirectory
  readonly children: readonly FileDirectory[]
}

/** Why a directory can't be read, in words that follow the file's name and a colon. */
class Fault extends Error {}

/** "II" or "MM", and 42 or 43. */
export function isTiff(bytes: Uint8Array): boolean {
  if (bytes.length < 8) return false
  const isLittle = bytes[0] === 0x49 && bytes[1] === 0x49
  const isBig = bytes[0] === 0x4d && bytes[1] === 0x4d
  const magic = isLittle ? [bytes[2], bytes[3]] : [bytes[3], bytes[2]]
  return (isLittle || isBig) && (magic[0] === 42 || magic[0] === 43) && magic[1] === 0
}

export class TiffFile {
  readonly isLittleEndian: boolean
  /** The main chain, as far as it can be read. */
  readonly pages: readonly FilePage[]
  /** Why the main chain or a directory can't be read; null if all can. */
  readonly fault: string | null
  readonly #source: ByteSource

  private constructor(source: ByteSource, isLittleEndian: boolean, pages: readonly FilePage[], fault: string | null) {
    this.#source = source
    this.isLittleEndian = isLittleEndian
    this.pages = pages
    this.fault = fault
  }

  get size(): number {
    return this.#source.size
  }

  /** `source` must begin as a TIFF does ({@link isTiff}). It stays the caller's to close. */
  static async open(source: ByteSource, signal?: AbortSignal): Promise<TiffFile> {
    const reader = new DirectoryReader(source, signal)
    const pages: FilePage[] = []
    let fault: string | null = null
    try {
      for (let offset = await reader.start(); offset !== 0; ) {
        const { directory, next } = await reader.directory(offset, `directory ${pages.length}`)
        pages.push({ directory, children: await reader.children(directory, pages.length) })
        offset = next
      }
      if (pages.length === 0) throw new Fault('it has no directory')
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      fault = error.message
    }
    return new TiffFile(source, reader.isLittleEndian, pages, fault)
  }

  /** All numbers of a tag of the integral types, such as places of tiles; null where there are none, or it can't be. */
  async integers(
    directory: FileDirectory,
    tag: number,
    most: number,
    signal?: AbortSignal,
  ): Promise<Float64Array | null> {
    const entry = directory.entry(tag)
    const size = SIZES[entry?.type ?? 0] ?? 0
    if (!entry || entry.count > most || entry.offset + entry.count * size > this.size) return null
    const bytes = await this.read(entry.offset, entry.count * size, signal)
    const values = numbersOf(bytes, entry.type, entry.count, this.isLittleEndian)
    return values && Float64Array.from(values)
  }

  /** The bytes of a tag of any length up to `most`; null where it has none or more. */
  async bytes(directory: FileDirectory, tag: number, most: number, signal?: AbortSignal): Promise<Uint8Array | null> {
    const entry = directory.entry(tag)
    if (!entry || SIZES[entry.type] !== 1 || entry.count > most || entry.offset + entry.count > this.size) return null
    return this.read(entry.offset, entry.count, signal)
  }

  /** @throws what {@link ByteSource.read} throws */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    return this.#source.read(offset, length, signal)
  }
}

/** Reads directories, each once, within bounds for all of them. */
class DirectoryReader {
  isLittleEndian = true
  #isBig = false
  #entries = 0
  #valueBytes = 0
  readonly #source: ByteSource
  readonly #signal: AbortSignal | undefined
  readonly #seen = new Set<number>()
  readonly #blocks = new Map<number, Uint8Array>()

  constructor(source: ByteSource, signal: AbortSignal | undefined) {
    this.#source = source
    this.#signal = signal
  }

  /** Where the first directory is. */
  async start(): Promise<number> {
    const head = await this.#read(0, 8, 'its header')
    this.isLittleEndian = head[0] === 0x49
    this.#isBig = this.#view(head).getUint16(2, this.isLittleEndian) === 43
    if (!this.#isBig) return this.#view(head).getUint32(4, this.isLittleEndian)
    if (this.#view(head).getUint16(4, this.isLittleEndian) !== 8) throw new Fault('its offsets have not 8 bytes')
    return this.#u64(this.#view(await this.#read(8, 8, 'its header')), 0)
  }

  async directory(offset: number, name: string): Promise<{ directory: FileDirectory; next: number }> {
    const where = `${name}, at byte ${offset},`
    if (this.#seen.has(offset)) throw new Fault(`${where} is in it twice: its directories run in a circle`)
    if (this.#seen.size >= MOST_DIRECTORIES) throw new Fault(`it has more than ${MOST_DIRECTORIES} directories`)
    this.#seen.add(offset)
    const [countBytes, entryBytes, linkBytes] = this.#isBig ? [8, 20, 8] : [2, 12, 4]
    const countView = this.#view(await this.#read(offset, countBytes, where))
    const count = this.#isBig ? this.#u64(countView, 0) : countView.getUint16(0, this.isLittleEndian)
    this.#entries += count
    if (count === 0 || this.#entries > MOST_ENTRIES) throw new Fault(`${where} has ${count} entries`)
    const view = this.#view(await this.#read(offset + countBytes, count * entryBytes + linkBytes, where))
    const entries = new Map<number, Entry>()
    for (let i = 0; i < count; i++) {
      const at = i * entryBytes
      const tag = view.getUint16(at, this.isLittleEndian)
      const type = view.getUint16(at + 2, this.isLittleEndian)
      const values = this.#isBig ? this.#u64(view, at + 4) : view.getUint32(at + 4, this.isLittleEndian)
      const place = at + entryBytes - linkBytes
      const isInline = values * (SIZES[type] ?? 1) <= linkBytes
      const elsewhere = () => (this.#isBig ? this.#u64(view, place) : view.getUint32(place, this.isLittleEndian))
      const entry = { type, count: values, offset: isInline ? offset + countBytes + place : elsewhere() }
      // libtiff takes the first of several, too.
      if (!entries.has(tag)) entries.set(tag, entry)
    }
    const directory = new FileDirectory(offset, entries)
    for (const [tag, entry] of entries) if (READ_AT_ONCE.has(tag)) await this.#readValues(directory, tag, entry, where)
    const end = count * entryBytes
    const next = this.#isBig ? this.#u64(view, end) : view.getUint32(end, this.isLittleEndian)
    return { directory, next }
  }

  /** The SubIFDs of a directory; each may begin a chain of its own. */
  async children(parent: FileDirectory, page: number): Promise<FileDirectory[]> {
    const children: FileDirectory[] = []
    for (const start of parent.numbers(TAGS.SubIFDs)) {
      for (let offset = start; offset !== 0; ) {
        const name = `SubIFD ${children.length} of directory ${page}`
        if (children.length >= MOST_SUB_DIRECTORIES) throw new Fault(`directory ${page} has too many SubIFDs`)
        const { directory, next } = await this.directory(offset, name)
        children.push(directory)
        offset = next
      }
    }
    return children
  }

  async #readValues(directory: FileDirectory, tag: number, entry: Entry, where: string): Promise<void> {
    const { type, count, offset } = entry
    const length = count * (SIZES[type] ?? 0)
    if (length === 0 || length > MOST_VALUE_BYTES) return
    this.#valueBytes += length
    if (this.#valueBytes > MOST_ALL_VALUE_BYTES) throw new Fault('its tags hold too many bytes')
    const bytes = await this.#read(offset, length, `tag ${tag} of ${where}`)
    const isBytes = type === 1 || type === 2 || type === 7
    const values = isBytes ? bytes : numbersOf(bytes, type, count, this.isLittleEndian)
    if (values) directory.keep(tag, values)
  }

  /** Bytes of the file, by way of blocks: directories and their values lie near each other. */
  async #read(offset: number, length: number, what: string): Promise<Uint8Array> {
    if (!(offset + length <= this.#source.size)) {
      throw new Fault(`${what} lies beyond its end at byte ${this.#source.size}: it is cut short or damaged`)
    }
    if (length > BLOCK) return this.#source.read(offset, length, this.#signal)
    const first = Math.floor(offset / BLOCK)
    const last = Math.floor((offset + length - 1) / BLOCK)
    const out = new Uint8Array(length)
    for (let number = first; number <= last; number++) {
      const start = number * BLOCK
      const block = await this.#block(number)
      const from = Math.max(offset, start)
      out.set(block.subarray(from - start, Math.min(offset + length, start + BLOCK) - start), from - offset)
    }
    return out
  }

  async #block(number: number): Promise<Uint8Array> {
    const known = this.#blocks.get(number)
    if (known) return known
    const start = number * BLOCK
    const length = Math.min(BLOCK, this.#source.size - start)
    const block = await this.#source.read(start, length, this.#signal)
    if (this.#blocks.size >= MOST_BLOCKS) this.#blocks.clear()
    this.#blocks.set(number, block)
    return block
  }

  #view(bytes: Uint8Array): DataView {
    return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Numbers that a double can't hold lie beyond the end of every file. */
  #u64(view: DataView, offset: number): number {
    return Number(view.getBigUint64(offset, this.isLittleEndian))
  }
}

/** Numbers of a type other than text; rationals as quotients. Null for a type that has none. */
function numbersOf(bytes: Uint8Array, type: number, count: number, isLittle: boolean): number[] | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const read = {
    1: (at: number) => view.getUint8(at),
    3: (at: number) => view.getUint16(at, isLittle),
    4: (at: number) => view.getUint32(at, isLittle),
    5: (at: number) => view.getUint32(at, isLittle) / view.getUint32(at + 4, isLittle),
    6: (at: number) => view.getInt8(at),
    8: (at: number) => view.getInt16(at, isLittle),
    9: (at: number) => view.getInt32(at, isLittle),
    10: (at: number) => view.getInt32(at, isLittle) / view.getInt32(at + 4, isLittle),
    11: (at: number) => view.getFloat32(at, isLittle),
    12: (at: number) => view.getFloat64(at, isLittle),
    13: (at: number) => view.getUint32(at, isLittle),
    16: (at: number) => Number(view.getBigUint64(at, isLittle)),
    17: (at: number) => Number(view.getBigInt64(at, isLittle)),
    18: (at: number) => Number(view.getBigUint64(at, isLittle)),
  }[type]
  const size = SIZES[type]
  if (!read || !size) return null
  return Array.from({ length: count }, (_, i) => read(i * size))
}

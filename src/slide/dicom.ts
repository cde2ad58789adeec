/**
 * What DICOM files state of sizes and places, looked at before OpenSlide does: it takes memory for a frame as large as they say,
 * follows a table of frames to where the file has none, and ends the process then. Source: DICOM PS3.5, section 7; PS3.10, section 7.
 */
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type ByteSource, openBytes } from '../files/byte-source.js'
import { firstBytes } from '../files/local-file.js'
import { isDicom } from './vendor.js'

/** Most pixels of a frame, which OpenSlide decodes at once, of four bytes each; those of scanners have about a million. */
const MAX_FRAME_PIXELS = 2 ** 26
/** Most elements of a file that are looked at: enough for a million frames with a place of their own each. */
const MAX_ELEMENTS = 2 ** 24
/** Most that sequences are within each other. */
const MAX_DEPTH = 2 ** 6

const PREAMBLE_BYTES = 132
const WINDOW_BYTES = 2 ** 16
const UNDEFINED = 0xffffffff
const ITEM = 0xfffee000
const ITEM_END = 0xfffee00d
const SEQUENCE_END = 0xfffee0dd
const TRANSFER_SYNTAX = 0x00020010
const IMPLICIT = '1.2.840.10008.1.2'
const ROWS = 0x00280010
const COLUMNS = 0x00280011
const EXTENDED_OFFSETS = 0x7fe00001
const PIXELS = 0x7fe00010
const ITEM_HEAD_BYTES = 8
const TABLE_BYTES = 2 ** 20
/** VRs whose length has four bytes, after two that mean nothing. */
const LONG = ['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']

/**
 * What is absurd about the sizes that a DICOM file states, or another one of its folder, all of which OpenSlide opens, in words
 * that follow the file's name and a colon; null if nothing, or it is none.
 */
export async function absurdDicom(path: string, signal?: AbortSignal): Promise<string | null> {
  if (!isDicom(await firstBytes(path))) return null
  const folder = dirname(path)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const file = join(folder, entry.name)
    if (!isDicom(await firstBytes(file))) continue
    const source = await openBytes(file)
    try {
      const what = await absurdInstance(source, signal)
      if (what !== null) return `${entry.name} ${what}`
    } finally {
      source.close()
    }
  }
  return null
}

interface Element {
  readonly tag: number
  /** Empty in implicit encoding, and of items. */
  readonly vr: string
  readonly length: number
  /** Where the value begins. */
  readonly start: number
}

/** What is absurd about one file, in words that follow its name. */
export async function absurdInstance(source: ByteSource, signal?: AbortSignal): Promise<string | null> {
  const elements = new Elements(source, signal)
  let [rows, columns] = [0, 0]
  let extended: Element | null = null
  let pixels: Element | null = null
  while (pixels === null) {
    const element = await elements.next()
    if (elements.count > MAX_ELEMENTS) return `has more than ${MAX_ELEMENTS} elements`
    if (element === null) break
    if (element.tag === PIXELS && elements.depth === 0) pixels = element
    const { tag, length, start } = element
    if (tag === EXTENDED_OFFSETS) {
      if (length === UNDEFINED) return 'has a table of frames without a length'
      extended = element
    }
    if (length !== UNDEFINED && start + length > source.size) {
      return `states ${length} bytes for its element ${nameOf(tag)}, which it hasn't`
    }
    if (elements.depth > MAX_DEPTH) return `has more than ${MAX_DEPTH} sequences within each other`
    // An icon has them too, and which ones OpenSlide finds in a file that has more is not to be relied on.
    if (tag === ROWS) rows = Math.max(rows, await elements.short(element))
    if (tag === COLUMNS) columns = Math.max(columns, await elements.short(element))
  }
  if (rows * columns > MAX_FRAME_PIXELS) return `has frames of ${columns} x ${rows} pixels, expected at most 2^26`
  if (pixels?.length !== UNDEFINED) return null
  const basic = await elements.itemAt(pixels.start)
  if (basic === null) return null
  const first = basic.start + basic.length
  if (first > source.size) return `states ${basic.length} bytes for its offset table, which it hasn't`
  for (const [table, size] of [[basic, 4] as const, ...(extended ? [[extended, 8] as const] : [])]) {
    const most = await largest(source, table, size, signal)
    // OpenSlide 4.0.1 reads what isn't there, and the process ends.
    if (first + most + ITEM_HEAD_BYTES > source.size) return `has a frame beyond its end, at byte ${first + most}`
  }
  return null
}

/** The largest number of a table. */
async function largest(
  source: ByteSource,
  { start, length }: Element,
  size: 4 | 8,
  signal?: AbortSignal,
): Promise<number> {
  let most = 0
  for (let done = 0; done + size <= length; done += TABLE_BYTES) {
    const bytes = await source.read(start + done, Math.min(TABLE_BYTES, length - done), signal)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let at = 0; at + size <= bytes.length; at += size) {
      most = Math.max(most, size === 4 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true)))
    }
  }
  return most
}

function nameOf(tag: number): string {
  const digits = tag.toString(16).padStart(8, '0')
  return `(${digits.slice(0, 4)},${digits.slice(4)})`
}

/** The elements of a file in their order, those within sequences after the sequence, up to the pixels. */
class Elements {
  readonly #source: ByteSource
  readonly #signal: AbortSignal | undefined
  /** Ends of the sequences and items that the next element is in; infinite where a delimiter tells. */
  readonly #ends: number[] = []
  /** Elements and fragments that were looked at. */
  count = 0
  #at = PREAMBLE_BYTES
  #isImplicit = false
  #window: DataView = new DataView(new ArrayBuffer(0))
  #windowStart = 0

  constructor(source: ByteSource, signal: AbortSignal | undefined) {
    this.#source = source
    this.#signal = signal
  }

  get depth(): number {
    return this.#ends.length
  }

  /** Null at the end, or where no further element can be. Nothing comes after the pixels. */
  async next(): Promise<Element | null> {
    while (this.#at >= (this.#ends.at(-1) ?? Number.POSITIVE_INFINITY)) this.#ends.pop()
    this.count++
    const element = await this.#head()
    if (!element || (element.tag === PIXELS && this.depth === 0)) return element
    const { tag, length, start } = element
    this.#at = start
    if (tag === ITEM_END || tag === SEQUENCE_END) this.#ends.pop()
    else if (tag === ITEM || (await this.#isSequence(element))) {
      this.#ends.push(length === UNDEFINED ? Number.POSITIVE_INFINITY : start + length)
    } else if (length === UNDEFINED) {
      await this.#skipFragments()
    } else {
      if (tag === TRANSFER_SYNTAX) this.#transferSyntax = await this.#text(element)
      this.#at = start + length
    }
    // The meta information is explicit, whatever comes after it is.
    if (tag >>> 16 === 2) this.#isImplicit = false
    return element
  }

  /** The item whose head is at a place; null if there is none. */
  async itemAt(offset: number): Promise<Element | null> {
    const view = await this.#view(offset, ITEM_HEAD_BYTES)
    if (!view || view.getUint16(0, true) * 2 ** 16 + view.getUint16(2, true) !== ITEM) return null
    return { tag: ITEM, vr: '', length: view.getUint32(4, true), start: offset + ITEM_HEAD_BYTES }
  }

  /** An unsigned value of 16 bits; 0 if it has another length. */
  async short({ start, length }: Element): Promise<number> {
    const view = length === 2 ? await this.#view(start, 2) : null
    return view?.getUint16(0, true) ?? 0
  }

  #transferSyntax = ''

  async #head(): Promise<Element | null> {
    const view = await this.#view(this.#at, 8)
    if (!view) return null
    const tag = view.getUint16(0, true) * 2 ** 16 + view.getUint16(2, true)
    const short = { tag, vr: '', length: view.getUint32(4, true), start: this.#at + 8 }
    if (tag >>> 16 === 0xfffe) return short
    if (tag >>> 16 > 2) this.#isImplicit = this.#transferSyntax === IMPLICIT
    if (this.#isImplicit) return short
    const vr = String.fromCharCode(view.getUint8(4), view.getUint8(5))
    if (!LONG.includes(vr)) return { tag, vr, length: view.getUint16(6, true), start: this.#at + 8 }
    const long = await this.#view(this.#at + 8, 4)
    return long && { tag, vr, length: long.getUint32(0, true), start: this.#at + 12 }
  }

  /** In implicit encoding a sequence is what begins with an item. */
  async #isSequence({ vr, length, start }: Element): Promise<boolean> {
    if (vr === 'SQ') return true
    if (!(this.#isImplicit || vr === 'UN') || length < 8) return false
    const view = await this.#view(start, 4)
    return view !== null && view.getUint16(0, true) * 2 ** 16 + view.getUint16(2, true) === ITEM
  }

  /** Pixels of an icon: items that hold no elements. */
  async #skipFragments(): Promise<void> {
    while (this.count++ <= MAX_ELEMENTS) {
      const view = await this.#view(this.#at, 8)
      if (!view) return
      const tag = view.getUint16(0, true) * 2 ** 16 + view.getUint16(2, true)
      this.#at += 8
      if (tag !== ITEM) return
      this.#at += view.getUint32(4, true)
    }
  }

  async #text({ start, length }: Element): Promise<string> {
    const view = await this.#view(start, Math.min(length, 64))
    if (!view) return ''
    return String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset, view.byteLength)).replace(/[\0 ]+$/, '')
  }

  /** Some bytes of the file; null where it ends before. */
  async #view(offset: number, length: number): Promise<DataView | null> {
    if (offset + length > this.#source.size) return null
    const isIn = offset >= this.#windowStart && offset + length <= this.#windowStart + this.#window.byteLength
    if (!isIn) {
      const bytes = await this.#source.read(offset, Math.min(WINDOW_BYTES, this.#source.size - offset), this.#signal)
      this.#window = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      this.#windowStart = offset
    }
    return new DataView(this.#window.buffer, this.#window.byteOffset + offset - this.#windowStart, length)
  }
}

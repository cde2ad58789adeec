/**
 * Reads ZIP files as PyTorch writes them: entries are stored, not deflated, and may need the ZIP64 fields. Nothing in
 * the file is believed: every offset and size is checked before it is followed or memory is taken for it.
 *
 * Source: APPNOTE.TXT of PKWARE, sections 4.3 and 4.5.
 */
import type { FileHandle } from 'node:fs/promises'
import { CorruptDataError, UnsupportedError } from '../errors.js'

const END = 0x06054b50
const END_BYTES = 22
const MAX_COMMENT = 0xffff
const END_64 = 0x06064b50
const END_64_BYTES = 56
const LOCATOR_64 = 0x07064b50
const LOCATOR_64_BYTES = 20
const ENTRY = 0x02014b50
const ENTRY_BYTES = 46
const LOCAL = 0x04034b50
const LOCAL_BYTES = 30
const ZIP64_FIELD = 1
const LATER = 0xffffffff
const MAX_DIRECTORY_BYTES = 2 ** 26

export interface ZipEntry {
  readonly size: number
  /** Where its local header is. */
  readonly offset: number
}

export class ZipFile {
  readonly entries: ReadonlyMap<string, ZipEntry>
  readonly #handle: FileHandle
  readonly #size: number

  private constructor(handle: FileHandle, size: number, entries: ReadonlyMap<string, ZipEntry>) {
    this.#handle = handle
    this.#size = size
    this.entries = entries
  }

  /** @throws UnsupportedError, CorruptDataError */
  static async open(handle: FileHandle): Promise<ZipFile> {
    const { size } = await handle.stat()
    const { offset, length } = await findDirectory(handle, size)
    if (length > MAX_DIRECTORY_BYTES) throw corrupt(`its directory has ${length} bytes`)
    return new ZipFile(handle, size, readDirectory(await readAt(handle, size, offset, length)))
  }

  /** The bytes of an entry, or `length` of them from `start` on. */
  async read({ offset, size }: ZipEntry, start = 0, length = size - start): Promise<Uint8Array> {
    if (start < 0 || length < 0 || start + length > size) {
      throw corrupt(`bytes ${start} to ${start + length} of an entry of ${size} are asked for`)
    }
    const local = viewOf(await readAt(this.#handle, this.#size, offset, LOCAL_BYTES))
    if (local.getUint32(0, true) !== LOCAL) throw corrupt(`no entry begins at byte ${offset}`)
    const data = offset + LOCAL_BYTES + local.getUint16(26, true) + local.getUint16(28, true)
    return readAt(this.#handle, this.#size, data + start, length)
  }
}

/** Where the list of entries is: the end of the file tells, or what stands before that. */
async function findDirectory(handle: FileHandle, size: number): Promise<{ offset: number; length: number }> {
  const tailLength = Math.min(size, END_BYTES + MAX_COMMENT)
  const tail = await readAt(handle, size, size - tailLength, tailLength)
  const view = viewOf(tail)
  let at = tail.length - END_BYTES
  while (at >= 0 && view.getUint32(at, true) !== END) at--
  if (at < 0) {
    const remedy = 'PyTorch 1.6 and later write such files'
    throw new UnsupportedError('ERR_MODEL_UNSUPPORTED', `The checkpoint is no ZIP file; ${remedy}`)
  }
  const found = { offset: view.getUint32(at + 16, true), length: view.getUint32(at + 12, true) }
  if (found.offset !== LATER && found.length !== LATER) return found
  const locatorAt = size - tailLength + at - LOCATOR_64_BYTES
  const locator = viewOf(await readAt(handle, size, locatorAt, LOCATOR_64_BYTES))
  if (locator.getUint32(0, true) !== LOCATOR_64) throw corrupt('its ZIP64 locator is missing')
  const end = viewOf(await readAt(handle, size, u64(locator, 8), END_64_BYTES))
  if (end.getUint32(0, true) !== END_64) throw corrupt('its ZIP64 end is missing')
  return { offset: u64(end, 48), length: u64(end, 40) }
}

function readDirectory(bytes: Uint8Array): Map<string, ZipEntry> {
  const view = viewOf(bytes)
  const entries = new Map<string, ZipEntry>()
  for (let at = 0; at < bytes.length; ) {
    if (at + ENTRY_BYTES > bytes.length || view.getUint32(at, true) !== ENTRY) throw corrupt('its directory is broken')
    const flags = view.getUint16(at + 8, true)
    const method = view.getUint16(at + 10, true)
    const [nameLength, extraLength] = [view.getUint16(at + 28, true), view.getUint16(at + 30, true)]
    const extraAt = at + ENTRY_BYTES + nameLength
    const next = extraAt + extraLength + view.getUint16(at + 32, true)
    if (next > bytes.length) throw corrupt('its directory is broken')
    const name = new TextDecoder().decode(bytes.subarray(at + ENTRY_BYTES, extraAt))
    if ((flags & 1) !== 0 || method !== 0) {
      throw new UnsupportedError(
        'ERR_MODEL_UNSUPPORTED',
        `The entry ${name} of the checkpoint is encrypted or compressed`,
      )
    }
    const large = zip64Field(bytes.subarray(extraAt, extraAt + extraLength))
    // Only those of the three that don't fit are in the field, in this order.
    const sizes = [24, 20, 42].map((place) => {
      const value = view.getUint32(at + place, true)
      if (value !== LATER) return value
      const later = large.shift()
      if (later === undefined) throw corrupt(`the size of its entry ${name} is missing`)
      return later
    })
    entries.set(name, { size: sizes[0] as number, offset: sizes[2] as number })
    at = next
  }
  return entries
}

/** The numbers in the ZIP64 extra field, if there is one. */
function zip64Field(extra: Uint8Array): number[] {
  const view = viewOf(extra)
  for (let at = 0; at + 4 <= extra.length; ) {
    const [id, length] = [view.getUint16(at, true), view.getUint16(at + 2, true)]
    if (at + 4 + length > extra.length) break
    if (id === ZIP64_FIELD) {
      return Array.from({ length: Math.floor(length / 8) }, (_, i) => u64(view, at + 4 + 8 * i))
    }
    at += 4 + length
  }
  return []
}

function u64(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true)
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw corrupt(`it has the size ${value}`)
  return Number(value)
}

async function readAt(handle: FileHandle, size: number, offset: number, length: number): Promise<Uint8Array> {
  if (offset < 0 || offset + length > size) throw corrupt(`it ends before byte ${offset + length}`)
  const bytes = new Uint8Array(length)
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, length - done, offset + done)
    if (bytesRead === 0) throw corrupt('it got shorter while it was read')
    done += bytesRead
  }
  return bytes
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function corrupt(what: string): CorruptDataError {
  return new CorruptDataError('ERR_MODEL_CORRUPT', `The checkpoint is damaged: ${what}`)
}

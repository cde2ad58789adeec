/**
 * What a run that writes an archive into a store of objects leaves for one that goes on, as an object beside it. All
 * numbers little-endian.
 *
 *     "CLERICO" 1, u32 length of the JSON, JSON ({@link UploadState}), the journal as it is beside a file
 *     (`compress/journal.ts`), the bytes after the last part, u32 CRC-32C of all before
 *
 * An object can't be added to, so that it is written anew every few seconds.
 */
import { crc32c } from 'cleric/internal'

export interface UploadedPart {
  readonly number: number
  readonly size: number
  readonly tag: string
}

interface UploadState {
  readonly uploadId: string
  /** Bytes of each part but the last. */
  readonly partBytes: number
  /** Parts behind those that the head reaches into. */
  readonly parts: readonly UploadedPart[]
  /** Bytes behind the head in the parts that it reaches into, which are an object of their own. */
  readonly front: { readonly length: number; readonly checksum: number }
  /** Bytes of the two that follow. */
  readonly journal: number
  readonly tail: number
}

export interface ObjectJournal extends Omit<UploadState, 'journal' | 'tail'> {
  readonly journal: Uint8Array
  readonly tail: Uint8Array
}

const MAGIC = Uint8Array.from([...'CLERICO'].map((letter) => letter.charCodeAt(0)).concat(1))
const HEAD_BYTES = MAGIC.length + 4
const CHECKSUM_BYTES = 4

export function encodeObjectJournal({ journal, tail, ...state }: ObjectJournal): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify({ ...state, journal: journal.length, tail: tail.length }))
  const bytes = new Uint8Array(HEAD_BYTES + json.length + journal.length + tail.length + CHECKSUM_BYTES)
  const view = new DataView(bytes.buffer)
  bytes.set(MAGIC)
  view.setUint32(MAGIC.length, json.length, true)
  let at = HEAD_BYTES
  for (const part of [json, journal, tail]) {
    bytes.set(part, at)
    at += part.length
  }
  view.setUint32(at, crc32c(bytes.subarray(0, at)), true)
  return bytes
}

/** Null for what isn't whole, or no such journal. */
export function decodeObjectJournal(bytes: Uint8Array): ObjectJournal | null {
  const end = bytes.length - CHECKSUM_BYTES
  if (end < HEAD_BYTES || !MAGIC.every((byte, i) => bytes[i] === byte)) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (view.getUint32(end, true) !== crc32c(bytes.subarray(0, end))) return null
  const start = HEAD_BYTES + view.getUint32(MAGIC.length, true)
  if (start > end) return null
  const state = JSON.parse(new TextDecoder().decode(bytes.subarray(HEAD_BYTES, start))) as UploadState
  if (start + state.journal + state.tail !== end) return null
  return {
    ...state,
    journal: bytes.slice(start, start + state.journal),
    tail: bytes.slice(start + state.journal, end),
  }
}

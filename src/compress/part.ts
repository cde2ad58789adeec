/**
 * A part of an archive: the tiles of some segments, encoded apart, so that several machines make one archive. All numbers
 * little-endian.
 *
 *     head (64 bytes): "CLERICP" 1, u8[32] fingerprint of the archive's contents, u32 first tile, u32 tiles, u64 where the
 *       records begin, u32 0, u32 CRC-32C of the bytes before
 *     the tiles' bytes, one after the other
 *     a record a tile, as in a journal, with tiles counted from the first and places in this file
 */
import { crc32c } from '../entropy/crc32c.js'
import { CorruptDataError } from '../errors.js'
import type { ByteSource } from '../files/byte-source.js'
import { openFile } from '../files/local-file.js'
import {
  encodeJournalHead,
  encodeRecord,
  FINGERPRINT_BYTES,
  recordPosition,
  recordsIn,
  type TileRecord,
} from './journal.js'

const MAGIC = new TextEncoder().encode('CLERICP\u0001')
export const PART_HEAD_BYTES = 64

/** Tiles that are a whole number of segments, but for the last of a slide. */
export interface Share {
  readonly first: number
  readonly count: number
}

/** How a slide is divided. */
export interface Division {
  /** Tiles that were encoded apart. */
  readonly parts?: readonly Part[] | undefined
  /** Tiles of a segment, the same for all parts and the whole; default `SEGMENT_TILES`. */
  readonly segmentTiles?: number | undefined
}

/** What a part has of a tile. */
export interface PartTile {
  readonly bytes: Uint8Array
  readonly facts: Pick<TileRecord, 'colour' | 'check' | 'seen'>
}

export function encodePartHead(fingerprint: Uint8Array, { first, count }: Share, records: number): Uint8Array {
  const head = new Uint8Array(PART_HEAD_BYTES)
  const view = new DataView(head.buffer)
  head.set(MAGIC)
  head.set(fingerprint, 8)
  view.setUint32(40, first, true)
  view.setUint32(44, count, true)
  view.setBigUint64(48, BigInt(records), true)
  view.setUint32(60, crc32c(head.subarray(0, 60)), true)
  return head
}

/** The records of all tiles of a part, as they stand at its end. */
export function encodePartRecords(records: readonly TileRecord[]): Uint8Array {
  const bytes = new Uint8Array(recordPosition(records.length) - recordPosition(0))
  for (const [i, record] of records.entries()) bytes.set(encodeRecord(i, record), recordPosition(i) - recordPosition(0))
  return bytes
}

export class Part implements Share {
  readonly first: number
  readonly count: number
  readonly fingerprint: Uint8Array
  readonly #source: ByteSource
  readonly #records: readonly TileRecord[]

  private constructor(source: ByteSource, share: Share, fingerprint: Uint8Array, records: readonly TileRecord[]) {
    this.#source = source
    this.first = share.first
    this.count = share.count
    this.fingerprint = fingerprint
    this.#records = records
  }

  /** Null for what is no part, or isn't whole; the bytes are closed with the part, or else here. */
  static async open(source: ByteSource, signal?: AbortSignal): Promise<Part | null> {
    let part: Part | null = null
    try {
      part = await Part.#read(source, signal)
      return part
    } finally {
      if (!part) source.close()
    }
  }

  static async #read(source: ByteSource, signal?: AbortSignal): Promise<Part | null> {
    if (source.size < PART_HEAD_BYTES) return null
    const head = await source.read(0, PART_HEAD_BYTES, signal)
    const view = new DataView(head.buffer, head.byteOffset, head.length)
    if (!MAGIC.every((byte, i) => head[i] === byte) || view.getUint32(60, true) !== crc32c(head.subarray(0, 60))) {
      return null
    }
    const share = { first: view.getUint32(40, true), count: view.getUint32(44, true) }
    const start = Number(view.getBigUint64(48, true))
    const length = recordPosition(share.count) - recordPosition(0)
    if (start < PART_HEAD_BYTES || start + length !== source.size) return null
    const journal = new Uint8Array(recordPosition(share.count))
    journal.set(encodeJournalHead(new Uint8Array(FINGERPRINT_BYTES), share.count))
    journal.set(await source.read(start, length, signal), recordPosition(0))
    const records = recordsIn(journal)
    if (records.length !== share.count || records.some(({ offset, length }) => offset + length > start)) return null
    return new Part(source, share, head.slice(8, 8 + FINGERPRINT_BYTES), records)
  }

  /** A tile by its number in the slide; null if its bytes aren't what they were. */
  async tile(number: number, signal?: AbortSignal): Promise<PartTile | null> {
    const record = this.#records[number - this.first]
    if (!record) return null
    const { offset, length, crc, colour, check, seen } = record
    try {
      const bytes = length > 0 ? await this.#source.read(offset, length, signal) : new Uint8Array(0)
      return crc32c(bytes) === crc ? { bytes, facts: { colour, check, seen } } : null
    } catch (error) {
      if (error instanceof CorruptDataError) return null
      throw error
    }
  }

  close(): void {
    this.#source.close()
  }
}

/** A part that is there and whole; null if it isn't. */
export async function openPart(path: string, signal?: AbortSignal): Promise<Part | null> {
  let source: ByteSource
  try {
    source = await openFile(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  return Part.open(source, signal)
}

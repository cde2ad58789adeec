/**
 * The journal beside a file that is being written: which tiles are in it already, so that an interrupted run can go on.
 * All numbers little-endian.
 *
 *     head (48 bytes): "CLERICJ" 3, u8[32] fingerprint of the run, u32 tiles in all, u32 CRC-32C of the bytes before
 *     a record (40 bytes) a tile, in the order written: u32 number of the tile, u32 length, u64 offset in the file,
 *       u8[4] colour and kind, u32 CRC-32C of the tile's bytes, u8[2] PSNR and codec, u8[10] what was learnt of it
 *       (`codec/seen-tiles.ts`), u32 CRC-32C of the bytes before
 *
 * Nothing is synced: a record counts only if the tile's bytes in the file agree with its checksum, whatever reached the
 * disk first. Each record has its place, so that two runs that go on from the same journal write the same bytes to it.
 */
import { crc32c } from '../entropy/crc32c.js'
import { isStoredKind, TILE } from '../tiff/tile-index.js'

const MAGIC = new TextEncoder().encode('CLERICJ\u0003')
export const FINGERPRINT_BYTES = 32
const HEAD_BYTES = 48
const RECORD_BYTES = 40
/** Where the checksum of a record is. */
const CRC_AT = RECORD_BYTES - 4
const BATCH = 4096

/** A journal that is a file: Node.js's FileHandle, or what reads likewise. */
interface JournalFile {
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>
}

/** One tile that is written. */
export interface TileRecord {
  readonly offset: number
  /** 0 for a tile that is not stored. */
  readonly length: number
  /** Red, green, blue and kind, as in the archive's index. */
  readonly colour: Uint8Array
  readonly crc: number
  /** PSNR and what stores it, as in the archive's index. */
  readonly check: Uint8Array
  /** What was learnt of it, for the tiles after it: ten bytes, zeros for nothing. */
  readonly seen: Uint8Array
}

export function encodeJournalHead(fingerprint: Uint8Array, tiles: number): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES)
  const view = new DataView(bytes.buffer)
  bytes.set(MAGIC)
  bytes.set(fingerprint, 8)
  view.setUint32(40, tiles, true)
  view.setUint32(44, crc32c(bytes.subarray(0, 44)), true)
  return bytes
}

/** Where the record of a tile is in the journal. */
export function recordPosition(number: number): number {
  return HEAD_BYTES + RECORD_BYTES * number
}

export function encodeRecord(number: number, { offset, length, colour, crc, check, seen }: TileRecord): Uint8Array {
  const bytes = new Uint8Array(RECORD_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, number, true)
  view.setUint32(4, length, true)
  view.setBigUint64(8, BigInt(offset), true)
  bytes.set(colour, 16)
  view.setUint32(20, crc, true)
  bytes.set(check, 24)
  bytes.set(seen, 26)
  view.setUint32(CRC_AT, crc32c(bytes.subarray(0, CRC_AT)), true)
  return bytes
}

function decodeRecord(bytes: Uint8Array, number: number): TileRecord | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const isWhole = view.getUint32(CRC_AT, true) === crc32c(bytes.subarray(0, CRC_AT))
  if (view.getUint32(0, true) !== number || !isWhole) return null
  const record = {
    length: view.getUint32(4, true),
    offset: Number(view.getBigUint64(8, true)),
    colour: bytes.slice(16, 20),
    crc: view.getUint32(20, true),
    check: bytes.slice(24, 26),
    seen: bytes.slice(26, CRC_AT),
  }
  return isSound(record) ? record : null
}

/** Whether a reader of the archive would take what the record says: its checksum guards against accidents alone. */
function isSound({ length, colour, crc, check }: TileRecord): boolean {
  const kind = colour[3] as number
  if (!(Object.values(TILE) as number[]).includes(kind) || isStoredKind(kind) !== length > 0) return false
  if (isStoredKind(kind)) return colour.subarray(0, 3).every((value) => value === 0)
  return crc === 0 && check.every((value) => value === 0)
}

/** The fingerprint in a journal's head, or null if the head is not whole. */
export async function readFingerprint(journal: JournalFile): Promise<Uint8Array | null> {
  const head = new Uint8Array(HEAD_BYTES)
  const { bytesRead } = await journal.read(head, 0, HEAD_BYTES, 0)
  return fingerprintIn(head.subarray(0, bytesRead))
}

/** The fingerprint in the first bytes of a journal, or null if its head is not whole. */
export function fingerprintIn(bytes: Uint8Array): Uint8Array | null {
  if (bytes.length < HEAD_BYTES) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const isWhole =
    MAGIC.every((byte, i) => bytes[i] === byte) && view.getUint32(44, true) === crc32c(bytes.subarray(0, 44))
  return isWhole ? bytes.slice(8, 8 + FINGERPRINT_BYTES) : null
}

/** The records in a journal that is in memory, up to the first that is not whole. */
export function recordsIn(journal: Uint8Array): TileRecord[] {
  const tiles: TileRecord[] = []
  for (let at = HEAD_BYTES; at + RECORD_BYTES <= journal.length; at += RECORD_BYTES) {
    const record = decodeRecord(journal.subarray(at, at + RECORD_BYTES), tiles.length)
    if (!record) break
    tiles.push(record)
  }
  return tiles
}

/** The records up to the first that is not whole. */
export async function* readRecords(journal: JournalFile): AsyncGenerator<TileRecord> {
  const batch = new Uint8Array(BATCH * RECORD_BYTES)
  for (let number = 0; ; ) {
    const { bytesRead } = await journal.read(batch, 0, batch.length, recordPosition(number))
    const records = Math.floor(bytesRead / RECORD_BYTES)
    for (let i = 0; i < records; i++, number++) {
      const record = decodeRecord(batch.subarray(i * RECORD_BYTES, (i + 1) * RECORD_BYTES), number)
      if (!record) return
      yield record
    }
    if (records < BATCH) return
  }
}

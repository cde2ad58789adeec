/**
 * Bytes of one tile. All numbers little-endian.
 *
 * Payload (what an archive stores a tile as):
 *
 *     u8  kind (1 to 6)
 *     u8  255 - kind, which tells a later kind from damage
 *     u32 CRC-32C: kind 1 of the symbols, int16 each, in coding order; others of the stream
 *     u32 n, length of the stream in bytes
 *     u8[n] stream; kind 1: rANS, z_hat channel by channel, then for every slice the anchors and the non-anchors
 *
 * A tile by itself (`encodeTile`) has a head in front, which an archive stores once for all its tiles:
 *
 *     "CLRT", u8 version (1), u8 255 - version, u16 width, u16 height, f32 quality, u8[8] first bytes of the model's hash
 *     u32 CRC-32C of the bytes before it: another size or quality would give another picture from the same symbols
 */
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import { crc32c } from '../entropy/crc32c.js'
import { CorruptDataError, UnsupportedError } from '../errors.js'

/** Longest side of a tile in pixels; bounds what a hostile head can make a decoder allocate. */
export const MAX_TILE_SIDE = 1024

/** What the stream of a payload is, by the number that begins it. Readers that don't know a number refuse the tile. */
export const PAYLOAD_KINDS = { cleric: 1, avif: 2, webp: 3, jpeg: 4, palette: 5, source: 6 } as const
export type PayloadKind = keyof typeof PAYLOAD_KINDS

const HEAD_VERSION = 1
const LAST_KIND = Math.max(...Object.values(PAYLOAD_KINDS))
/** Bytes before the stream of a payload. */
export const PAYLOAD_HEAD_BYTES = 10
const TILE_MAGIC = 0x54524c43 // "CLRT"
const TILE_HEAD_BYTES = 26
const TILE_CRC_AT = 22
const MODEL_ID_BYTES = 8

export interface TileHead {
  readonly width: number
  readonly height: number
  /** 0..100. */
  readonly quality: number
  /** First 16 hex digits of the model's hash. */
  readonly modelId: string
}

export interface Payload {
  readonly kind: PayloadKind
  readonly crc: number
  readonly stream: Uint8Array
}

/** The part of a model's hash that a tile carries. */
export function modelId(hash: string): string {
  return hash.slice(0, 2 * MODEL_ID_BYTES)
}

export function corruptTile(what: string, cause?: Error): CorruptDataError {
  return new CorruptDataError('ERR_CORRUPT_TILE', `The tile is damaged: ${what}`, cause && { cause })
}

function writeVersion(view: DataView, at: number, version: number): void {
  view.setUint8(at, version)
  view.setUint8(at + 1, 255 - version)
}

function readVersion(view: DataView, at: number, last: number): number {
  const version = view.getUint8(at)
  if (version < 1 || view.getUint8(at + 1) !== 255 - version) throw corruptTile('its head makes no sense')
  if (version <= last) return version
  throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `Tile version ${version}; this version reads up to ${last}`)
}

/** @param crc of the symbols that the network's stream codes */
export function writePayload({ kind, crc, stream }: Payload): Uint8Array {
  const bytes = new Uint8Array(PAYLOAD_HEAD_BYTES + stream.length)
  const view = new DataView(bytes.buffer)
  writeVersion(view, 0, PAYLOAD_KINDS[kind])
  view.setUint32(2, crc, true)
  view.setUint32(6, stream.length, true)
  bytes.set(stream, PAYLOAD_HEAD_BYTES)
  return bytes
}

/** The kind of a payload that this program wrote. */
export function kindOfPayload(payload: Uint8Array): PayloadKind {
  return kindOfNumber(payload[0] as number) as PayloadKind
}

/** The kind of a number; undefined for one that isn't known. */
export function kindOfNumber(number: number): PayloadKind | undefined {
  return (Object.keys(PAYLOAD_KINDS) as PayloadKind[]).find((kind) => PAYLOAD_KINDS[kind] === number)
}

/**
 * Takes a payload apart, and checks the checksum of what isn't the network's: of that only the symbols have one.
 *
 * @throws CorruptDataError ERR_CORRUPT_TILE; UnsupportedError ERR_ARCHIVE_UNSUPPORTED for a later kind
 */
export function readPayload(bytes: Uint8Array): Payload {
  if (bytes.length < PAYLOAD_HEAD_BYTES) throw corruptTile(`${bytes.length} bytes are too few`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const kind = kindOfNumber(readVersion(view, 0, LAST_KIND)) as PayloadKind
  const [crc, length] = [view.getUint32(2, true), view.getUint32(6, true)]
  const stream = bytes.subarray(PAYLOAD_HEAD_BYTES)
  if (length !== stream.length) {
    throw corruptTile(`its head promises ${length} bytes of data, ${stream.length} are there`)
  }
  if (kind !== 'cleric' && crc32c(stream) !== crc) throw corruptTile('its checksum does not agree')
  return { kind, crc, stream }
}

/**
 * Bytes in memory of their own, which isn't shared: Blobs, `fetch` and WebCrypto take no others. Compilers before
 * TypeScript 5.7, which knows `Uint8Array<ArrayBuffer>`, read it as Uint8Array.
 */
export type OwnBytes = ReturnType<Uint8ArrayConstructor['from']>

export function writeTile(head: TileHead, payload: Uint8Array): OwnBytes {
  const bytes = new Uint8Array(TILE_HEAD_BYTES + payload.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, TILE_MAGIC, true)
  writeVersion(view, 4, HEAD_VERSION)
  view.setUint16(6, head.width, true)
  view.setUint16(8, head.height, true)
  view.setFloat32(10, head.quality, true)
  bytes.set(hexToBytes(head.modelId), 14)
  view.setUint32(TILE_CRC_AT, crc32c(bytes.subarray(0, TILE_CRC_AT)), true)
  bytes.set(payload, TILE_HEAD_BYTES)
  return bytes
}

/** @throws CorruptDataError ERR_CORRUPT_TILE; UnsupportedError ERR_ARCHIVE_UNSUPPORTED for a later version */
export function readTile(bytes: Uint8Array): { head: TileHead; payload: Uint8Array } {
  if (bytes.length < TILE_HEAD_BYTES) throw corruptTile(`${bytes.length} bytes are too few`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0, true) !== TILE_MAGIC) throw corruptTile('it does not begin with "CLRT"')
  readVersion(view, 4, HEAD_VERSION)
  if (view.getUint32(TILE_CRC_AT, true) !== crc32c(bytes.subarray(0, TILE_CRC_AT))) {
    throw corruptTile('the checksum of its head does not agree')
  }
  const head: TileHead = {
    width: view.getUint16(6, true),
    height: view.getUint16(8, true),
    quality: view.getFloat32(10, true),
    modelId: bytesToHex(bytes.subarray(14, 14 + MODEL_ID_BYTES)),
  }
  if (head.width < 1 || head.height < 1 || head.width > MAX_TILE_SIDE || head.height > MAX_TILE_SIDE) {
    throw corruptTile(`${head.width} x ${head.height} pixels`)
  }
  if (!(head.quality >= 0 && head.quality <= 100)) throw corruptTile(`quality ${head.quality}`)
  return { head, payload: bytes.subarray(TILE_HEAD_BYTES) }
}

/**
 * Bytes of one tile. All numbers little-endian.
 *
 * Payload (what an archive stores a tile as):
 *
 *     u8  stream version (1)
 *     u8  255 - version, which tells a later version from damage
 *     u32 CRC-32C of the symbols, int16 each, in coding order
 *     u32 n, length of the entropy-coded data in bytes
 *     u8[n] rANS stream: z_hat channel by channel, then for every slice the anchors and the non-anchors
 *
 * A tile by itself (`encodeTile`) has a head in front, which an archive stores once for all its tiles:
 *
 *     "CLRT", u8 version (1), u8 255 - version, u16 width, u16 height, f32 quality, u8[8] first bytes of the model's hash
 *     u32 CRC-32C of the bytes before it: another size or quality would give another picture from the same symbols
 */
import { crc32c } from '../entropy/crc32c.js'
import { CorruptDataError, UnsupportedError } from '../errors.js'

/** Longest side of a tile in pixels; bounds what a hostile head can make a decoder allocate. */
export const MAX_TILE_SIDE = 1024

const STREAM_VERSION = 1
const PAYLOAD_HEAD_BYTES = 10
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
  readonly crc: number
  readonly stream: Uint8Array
}

/** The part of a model's hash that a tile carries. */
export function modelId(hash: string): string {
  return hash.slice(0, 2 * MODEL_ID_BYTES)
}

function corrupt(what: string): CorruptDataError {
  return new CorruptDataError('ERR_CORRUPT_TILE', `The tile is damaged: ${what}`)
}

function writeVersion(view: DataView, at: number): void {
  view.setUint8(at, STREAM_VERSION)
  view.setUint8(at + 1, 255 - STREAM_VERSION)
}

function checkVersion(view: DataView, at: number): void {
  const version = view.getUint8(at)
  if (version < 1 || view.getUint8(at + 1) !== 255 - version) throw corrupt('its head makes no sense')
  if (version > STREAM_VERSION) {
    throw new UnsupportedError(
      'ERR_ARCHIVE_UNSUPPORTED',
      `Tile version ${version}; this version reads up to ${STREAM_VERSION}`,
    )
  }
}

export function writePayload({ crc, stream }: Payload): Uint8Array {
  const bytes = new Uint8Array(PAYLOAD_HEAD_BYTES + stream.length)
  const view = new DataView(bytes.buffer)
  writeVersion(view, 0)
  view.setUint32(2, crc, true)
  view.setUint32(6, stream.length, true)
  bytes.set(stream, PAYLOAD_HEAD_BYTES)
  return bytes
}

/** @throws CorruptDataError ERR_CORRUPT_TILE; UnsupportedError ERR_ARCHIVE_UNSUPPORTED for a later stream version */
export function readPayload(bytes: Uint8Array): Payload {
  if (bytes.length < PAYLOAD_HEAD_BYTES) throw corrupt(`${bytes.length} bytes are too few`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  checkVersion(view, 0)
  const length = view.getUint32(6, true)
  if (length !== bytes.length - PAYLOAD_HEAD_BYTES) {
    throw corrupt(`its head promises ${length} bytes of data, ${bytes.length - PAYLOAD_HEAD_BYTES} are there`)
  }
  return { crc: view.getUint32(2, true), stream: bytes.subarray(PAYLOAD_HEAD_BYTES) }
}

export function writeTile(head: TileHead, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(TILE_HEAD_BYTES + payload.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, TILE_MAGIC, true)
  writeVersion(view, 4)
  view.setUint16(6, head.width, true)
  view.setUint16(8, head.height, true)
  view.setFloat32(10, head.quality, true)
  bytes.set(hexBytes(head.modelId), 14)
  view.setUint32(TILE_CRC_AT, crc32c(bytes.subarray(0, TILE_CRC_AT)), true)
  bytes.set(payload, TILE_HEAD_BYTES)
  return bytes
}

/** @throws CorruptDataError ERR_CORRUPT_TILE; UnsupportedError ERR_ARCHIVE_UNSUPPORTED for a later version */
export function readTile(bytes: Uint8Array): { head: TileHead; payload: Uint8Array } {
  if (bytes.length < TILE_HEAD_BYTES) throw corrupt(`${bytes.length} bytes are too few`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0, true) !== TILE_MAGIC) throw corrupt('it does not begin with "CLRT"')
  checkVersion(view, 4)
  if (view.getUint32(TILE_CRC_AT, true) !== crc32c(bytes.subarray(0, TILE_CRC_AT))) {
    throw corrupt('the checksum of its head does not agree')
  }
  const head: TileHead = {
    width: view.getUint16(6, true),
    height: view.getUint16(8, true),
    quality: view.getFloat32(10, true),
    modelId: hexOf(bytes.subarray(14, 14 + MODEL_ID_BYTES)),
  }
  if (head.width < 1 || head.height < 1 || head.width > MAX_TILE_SIDE || head.height > MAX_TILE_SIDE) {
    throw corrupt(`${head.width} x ${head.height} pixels`)
  }
  if (!(head.quality >= 0 && head.quality <= 100)) throw corrupt(`quality ${head.quality}`)
  return { head, payload: bytes.subarray(TILE_HEAD_BYTES) }
}

function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function hexBytes(digits: string): Uint8Array {
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

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
export const maxTileSide = 1024

const streamVersion = 1
const payloadHeadBytes = 10
const tileMagic = 0x54524c43 // "CLRT"
const tileHeadBytes = 26
const tileCrcAt = 22
const modelIdBytes = 8

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
  return hash.slice(0, 2 * modelIdBytes)
}

function corrupt(what: string): CorruptDataError {
  return new CorruptDataError('ERR_CORRUPT_TILE', `The tile is damaged: ${what}`)
}

function writeVersion(view: DataView, at: number): void {
  view.setUint8(at, streamVersion)
  view.setUint8(at + 1, 255 - streamVersion)
}

function checkVersion(view: DataView, at: number): void {
  const version = view.getUint8(at)
  if (version < 1 || view.getUint8(at + 1) !== 255 - version) throw corrupt('its head makes no sense')
  if (version > streamVersion) {
    throw new UnsupportedError(
      'ERR_ARCHIVE_UNSUPPORTED',
      `Tile version ${version}; this version reads up to ${streamVersion}`,
    )
  }
}

export function writePayload({ crc, stream }: Payload): Uint8Array {
  const bytes = new Uint8Array(payloadHeadBytes + stream.length)
  const view = new DataView(bytes.buffer)
  writeVersion(view, 0)
  view.setUint32(2, crc, true)
  view.setUint32(6, stream.length, true)
  bytes.set(stream, payloadHeadBytes)
  return bytes
}

/** @throws CorruptDataError ERR_CORRUPT_TILE; UnsupportedError ERR_ARCHIVE_UNSUPPORTED for a later stream version */
export function readPayload(bytes: Uint8Array): Payload {
  if (bytes.length < payloadHeadBytes) throw corrupt(`${bytes.length} bytes are too few`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  checkVersion(view, 0)
  const length = view.getUint32(6, true)
  if (length !== bytes.length - payloadHeadBytes) {
    throw corrupt(`its head promises ${length} bytes of data, ${bytes.length - payloadHeadBytes} are there`)
  }
  return { crc: view.getUint32(2, true), stream: bytes.subarray(payloadHeadBytes) }
}

export function writeTile(head: TileHead, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(tileHeadBytes + payload.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, tileMagic, true)
  writeVersion(view, 4)
  view.setUint16(6, head.width, true)
  view.setUint16(8, head.height, true)
  view.setFloat32(10, head.quality, true)
  bytes.set(Buffer.from(head.modelId, 'hex'), 14)
  view.setUint32(tileCrcAt, crc32c(bytes.subarray(0, tileCrcAt)), true)
  bytes.set(payload, tileHeadBytes)
  return bytes
}

/** @throws CorruptDataError ERR_CORRUPT_TILE; UnsupportedError ERR_ARCHIVE_UNSUPPORTED for a later version */
export function readTile(bytes: Uint8Array): { head: TileHead; payload: Uint8Array } {
  if (bytes.length < tileHeadBytes) throw corrupt(`${bytes.length} bytes are too few`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0, true) !== tileMagic) throw corrupt('it does not begin with "CLRT"')
  checkVersion(view, 4)
  if (view.getUint32(tileCrcAt, true) !== crc32c(bytes.subarray(0, tileCrcAt))) {
    throw corrupt('the checksum of its head does not agree')
  }
  const head: TileHead = {
    width: view.getUint16(6, true),
    height: view.getUint16(8, true),
    quality: view.getFloat32(10, true),
    modelId: Buffer.from(bytes.subarray(14, 14 + modelIdBytes)).toString('hex'),
  }
  if (head.width < 1 || head.height < 1 || head.width > maxTileSide || head.height > maxTileSide) {
    throw corrupt(`${head.width} x ${head.height} pixels`)
  }
  if (!(head.quality >= 0 && head.quality <= 100)) throw corrupt(`quality ${head.quality}`)
  return { head, payload: bytes.subarray(tileHeadBytes) }
}

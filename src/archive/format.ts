/**
 * The bytes of an archive, format 1. docs/archive.md describes them.
 *
 * head (64 bytes) | tiles and associated images, in the order written | directory (JSON, then the tile index)
 *
 * Nothing in a file is believed: every count, offset and length is checked against the file's size before
 * memory is taken for it.
 */
import { crc32 } from 'node:zlib'
import { maxTileSide } from '../codec/bitstream.js'
import { CorruptDataError, UnsupportedError } from '../errors.js'
import type { Colour, Level, Resolution } from '../slide/source.js'

export const FORMAT_VERSION = 1
export const HEAD_BYTES = 64
/** Smallest side of a tile; below it an index would outgrow its tiles. */
export const MIN_TILE = 16
const HEAD_CRC_AT = 60
const ENTRY_BYTES = 16
const MAX_DIRECTORY_BYTES = 2 ** 30
const MAX_JSON_BYTES = 2 ** 26
const MAX_LEVELS = 64
const MAX_ASSOCIATED_IMAGES = 64
const MAX_SIDE = 2 ** 31
const MAGIC = Uint8Array.of(0x43, 0x4c, 0x45, 0x52, 0x49, 0x43, 0x1a, 0x0a) // "CLERIC", ^Z, newline

export interface Head {
  readonly directoryOffset: number
  readonly directoryLength: number
  readonly directoryCrc: number
  readonly fileLength: number
}

export interface StoredImage {
  readonly name: string
  readonly offset: number
  readonly length: number
}

/** What an archive says of itself and its slide. */
export interface Description {
  readonly model: { readonly name: string; readonly hash: string }
  /** 0 to 100. */
  readonly quality: number
  /** Side of a tile in pixels; tiles of the last column and row are cut. */
  readonly tile: number
  readonly levels: readonly Level[]
  readonly mpp: Resolution | null
  readonly objectivePower: number | null
  readonly background: Colour
  readonly properties: Readonly<Record<string, string>>
  /** Of the slide that was compressed: what read it, and its size in bytes (0 if drawn). */
  readonly source: { readonly format: string; readonly bytes: number }
  readonly associatedImages: readonly StoredImage[]
}

/** Where a level's tiles are, row by row. A tile of length 0 is blank and has the colour. */
export interface TileIndex {
  readonly columns: number
  readonly rows: number
  readonly offset: Float64Array
  readonly length: Uint32Array
  /** 0xRRGGBB. */
  readonly colour: Uint32Array
}

export function emptyIndex(level: { width: number; height: number }, tile: number): TileIndex {
  const columns = Math.ceil(level.width / tile)
  const rows = Math.ceil(level.height / tile)
  const count = columns * rows
  return {
    columns,
    rows,
    offset: new Float64Array(count),
    length: new Uint32Array(count),
    colour: new Uint32Array(count),
  }
}

/** True for bytes that start as an archive does. */
export function isArchive(start: Uint8Array): boolean {
  return start.length >= MAGIC.length && MAGIC.every((byte, i) => start[i] === byte)
}

export function encodeHead(head: Head): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES)
  const view = new DataView(bytes.buffer)
  bytes.set(MAGIC)
  view.setUint32(8, FORMAT_VERSION, true)
  view.setUint32(12, head.directoryCrc, true)
  view.setBigUint64(16, BigInt(head.directoryOffset), true)
  view.setBigUint64(24, BigInt(head.directoryLength), true)
  view.setBigUint64(32, BigInt(head.fileLength), true)
  view.setUint32(HEAD_CRC_AT, crc32(bytes.subarray(0, HEAD_CRC_AT)), true)
  return bytes
}

/** @throws CorruptDataError ERR_ARCHIVE_CORRUPT, UnsupportedError ERR_ARCHIVE_UNSUPPORTED */
export function decodeHead(bytes: Uint8Array, fileSize: number, name: string): Head {
  const corrupt = (what: string) => new CorruptDataError('ERR_ARCHIVE_CORRUPT', `${name}: ${what}`)
  if (!isArchive(bytes)) throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${name} is no cleric archive`)
  if (bytes.length < HEAD_BYTES) throw corrupt('is cut short within its head')
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEAD_BYTES)
  if (view.getUint32(HEAD_CRC_AT, true) !== crc32(bytes.subarray(0, HEAD_CRC_AT))) {
    throw corrupt('the checksum of its head is wrong')
  }
  const version = view.getUint32(8, true)
  if (version !== FORMAT_VERSION) {
    const what = `has archive format ${version}, and this version of cleric reads format ${FORMAT_VERSION}`
    throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${name} ${what}`)
  }
  const head = {
    directoryCrc: view.getUint32(12, true),
    directoryOffset: Number(view.getBigUint64(16, true)),
    directoryLength: Number(view.getBigUint64(24, true)),
    fileLength: Number(view.getBigUint64(32, true)),
  }
  if (head.fileLength !== fileSize) throw corrupt(`should have ${head.fileLength} bytes but has ${fileSize}`)
  if (head.directoryOffset < HEAD_BYTES || head.directoryOffset + head.directoryLength !== fileSize) {
    throw corrupt('its directory lies outside the file')
  }
  if (head.directoryLength > MAX_DIRECTORY_BYTES) throw corrupt('its directory is larger than 1 GiB')
  return head
}

export function encodeDirectory(description: Description, indexes: readonly TileIndex[]): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(description))
  const entries = indexes.reduce((sum, index) => sum + index.length.length, 0)
  const bytes = new Uint8Array(4 + json.length + entries * ENTRY_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, json.length, true)
  bytes.set(json, 4)
  let at = 4 + json.length
  for (const { offset, length, colour } of indexes) {
    for (let i = 0; i < length.length; i++, at += ENTRY_BYTES) {
      view.setBigUint64(at, BigInt(offset[i] as number), true)
      view.setUint32(at + 8, length[i] as number, true)
      view.setUint32(at + 12, colour[i] as number, true)
    }
  }
  return bytes
}

/** @throws CorruptDataError ERR_ARCHIVE_CORRUPT */
export function decodeDirectory(
  bytes: Uint8Array,
  head: Head,
  name: string,
): { description: Description; indexes: TileIndex[] } {
  const corrupt = (what: string) => new CorruptDataError('ERR_ARCHIVE_CORRUPT', `${name}: ${what}`)
  if (crc32(bytes) !== head.directoryCrc) throw corrupt('the checksum of its directory is wrong')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const jsonLength = bytes.length < 4 ? 0 : view.getUint32(0, true)
  if (jsonLength === 0 || jsonLength > MAX_JSON_BYTES || 4 + jsonLength > bytes.length) {
    throw corrupt('its directory has no description')
  }
  let description: Description
  try {
    description = checkDescription(
      JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(4, 4 + jsonLength))),
      head,
    )
  } catch (cause) {
    throw new CorruptDataError(
      'ERR_ARCHIVE_CORRUPT',
      `${name}: its description is wrong: ${(cause as Error).message}`,
      { cause },
    )
  }
  const { tile } = description
  const tiles = description.levels.reduce(
    (sum, level) => sum + Math.ceil(level.width / tile) * Math.ceil(level.height / tile),
    0,
  )
  if (4 + jsonLength + tiles * ENTRY_BYTES !== bytes.length) throw corrupt(`its index doesn't hold ${tiles} tiles`)
  let at = 4 + jsonLength
  const indexes = description.levels.map((level, number) => {
    const index = emptyIndex(level, tile)
    for (let i = 0; i < index.length.length; i++, at += ENTRY_BYTES) {
      const offset = Number(view.getBigUint64(at, true))
      const length = view.getUint32(at + 8, true)
      const place = `tile at level ${number}, column ${i % index.columns}, row ${Math.floor(i / index.columns)}`
      if (!isInside(offset, length, head)) throw corrupt(`the ${place} lies outside the file`)
      if (length > maxPayload(tile)) throw corrupt(`the ${place} is too long: ${length} bytes`)
      index.offset[i] = offset
      index.length[i] = length
      index.colour[i] = view.getUint32(at + 12, true) & 0xffffff
    }
    return index
  })
  return { description, indexes }
}

/** More than any sound tile needs: a pixel costs one symbol or less, and a symbol, escaped, less than 8 bytes. */
function maxPayload(tile: number): number {
  const padded = 64 * Math.ceil(tile / 64)
  return 4096 + 10 * padded * padded
}

function isInside(offset: number, length: number, head: Head): boolean {
  return length === 0 || (offset >= HEAD_BYTES && offset + length <= head.directoryOffset)
}

type Json = Record<string, unknown>

/** The description with every field checked; throws an Error that says which is wrong. */
function checkDescription(value: unknown, head: Head): Description {
  const root = object(value, 'description')
  const model = object(root.model, 'model')
  const source = object(root.source, 'source')
  const background = object(root.background, 'background')
  const levels = list(root.levels, 'levels', MAX_LEVELS).map((entry, i) => {
    const level = object(entry, `levels[${i}]`)
    return {
      width: number(level.width, 'width', 1, MAX_SIDE, true),
      height: number(level.height, 'height', 1, MAX_SIDE, true),
      downsample: number(level.downsample, 'downsample', 1, MAX_SIDE),
    }
  })
  if (levels.length === 0) throw new Error('no levels')
  if (levels[0]?.downsample !== 1) throw new Error('the downsample of level 0 is not 1')
  const properties = Object.entries(object(root.properties, 'properties'))
  const mpp = root.mpp === null ? null : object(root.mpp, 'mpp')
  return {
    model: { name: string(model.name, 'model.name'), hash: string(model.hash, 'model.hash') },
    quality: number(root.quality, 'quality', 0, 100),
    tile: number(root.tile, 'tile', MIN_TILE, maxTileSide, true),
    levels,
    mpp: mpp && { x: number(mpp.x, 'mpp.x', 0, 1e9), y: number(mpp.y, 'mpp.y', 0, 1e9) },
    objectivePower: root.objectivePower === null ? null : number(root.objectivePower, 'objectivePower', 0, 1e6),
    background: {
      red: number(background.red, 'red', 0, 255, true),
      green: number(background.green, 'green', 0, 255, true),
      blue: number(background.blue, 'blue', 0, 255, true),
    },
    properties: Object.fromEntries(properties.map(([key, entry]) => [key, string(entry, `properties.${key}`)])),
    source: {
      format: string(source.format, 'source.format'),
      bytes: number(source.bytes, 'source.bytes', 0, Number.MAX_SAFE_INTEGER, true),
    },
    associatedImages: list(root.associatedImages, 'associatedImages', MAX_ASSOCIATED_IMAGES).map((entry) => {
      const image = object(entry, 'an associated image')
      const stored = {
        name: string(image.name, 'name'),
        offset: number(image.offset, 'offset', 0, Number.MAX_SAFE_INTEGER, true),
        length: number(image.length, 'length', 1, 2 ** 31, true),
      }
      if (!isInside(stored.offset, stored.length, head)) throw new Error(`${stored.name} lies outside the file`)
      return stored
    }),
  }
}

function object(value: unknown, name: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${name} is no object`)
  return value as Json
}

function list(value: unknown, name: string, most: number): unknown[] {
  if (!Array.isArray(value) || value.length > most) throw new Error(`${name} is no list of up to ${most}`)
  return value
}

function string(value: unknown, name: string): string {
  if (typeof value !== 'string') throw new Error(`${name} is no string`)
  return value
}

function number(value: unknown, name: string, min: number, max: number, integral = false): number {
  if (typeof value !== 'number' || !(value >= min && value <= max) || (integral && !Number.isInteger(value))) {
    throw new Error(`${name} is no ${integral ? 'integer' : 'number'} from ${min} to ${max}`)
  }
  return value
}

/**
 * The facts in an archive's head, apart from pixels: two pieces of JSON, about the tiles and about the slide
 * (docs/format.md).
 */

import { MAX_TILE_SIDE } from '../codec/bitstream.js'
import type { Colour } from '../image/draw.js'
import type { Level, Resolution } from '../slide/source.js'
import { TILE_MULTIPLE } from '../tiff/tile-index.js'

/** Version of the format; a reader refuses later ones. */
export const FORMAT_VERSION = 1
/** Version of the tiles' bytes (src/codec/bitstream.ts). */
export const STREAM_VERSION = 1

/** Facts that all tiles have in common. */
export interface TileHead {
  readonly model: { readonly name: string; readonly hash: string }
  /** 0 to 100. */
  readonly quality: number
}

/** Facts about the slide. */
export interface SlideFacts {
  /** Side of a tile in pixels, where the level is larger: a multiple of 16 from 16 to 1024. */
  readonly tile: number
  /** Level-0 pixels a pixel, of each level. */
  readonly downsamples: readonly number[]
  readonly mpp: Resolution | null
  readonly objectivePower: number | null
  readonly background: Colour
  readonly properties: Readonly<Record<string, string>>
  /** The slide that was compressed: what read it, and its size in bytes (0 if drawn). */
  readonly source: { readonly format: string; readonly bytes: number }
}

export interface Description extends TileHead, SlideFacts {
  readonly levels: readonly Level[]
}

export const MAX_LEVELS = 64
/** Parsed, JSON takes a multiple of its size. */
const MAX_JSON_LENGTH = 2 ** 24
/** Properties of a slide: those of scanners are some thousand at most. */
const MAX_PROPERTIES = 2 ** 16

/** A format or stream that is later than this program. */
export class LaterVersion extends Error {}

export function writeTileHead({ model, quality }: TileHead): string {
  return json({
    format: FORMAT_VERSION,
    stream: STREAM_VERSION,
    quality,
    model: { name: model.name, hash: model.hash },
  })
}

export function writeSlideFacts(facts: SlideFacts): string {
  const { tile, downsamples, mpp, objectivePower, background, properties, source } = facts
  return json({ tile, downsamples, mpp, objectivePower, background, properties, source })
}

/** @throws Error that says what is wrong, or {@link LaterVersion} */
export function readTileHead(text: string): TileHead {
  const root = parse(text, 'the tile head')
  const model = object(root.model, 'model')
  for (const [name, known] of [
    ['format', FORMAT_VERSION],
    ['stream', STREAM_VERSION],
  ] as const) {
    const version = number(root[name], name, 1, 1e9, true)
    if (version > known) throw new LaterVersion(`has ${name} version ${version}; this program reads up to ${known}`)
  }
  return {
    model: { name: string(model.name, 'model.name'), hash: string(model.hash, 'model.hash') },
    quality: number(root.quality, 'quality', 0, 100),
  }
}

/** @throws Error that says what is wrong */
export function readSlideFacts(text: string): SlideFacts {
  const root = parse(text, 'the description')
  const source = object(root.source, 'source')
  const background = object(root.background, 'background')
  const downsamples = list(root.downsamples, 'downsamples', MAX_LEVELS).map((value, i) =>
    number(value, `downsamples[${i}]`, 1, 2 ** 31),
  )
  if (downsamples[0] !== 1) throw new Error('the downsample of level 0 is not 1')
  const mpp = root.mpp === null ? null : object(root.mpp, 'mpp')
  const properties = Object.entries(object(root.properties, 'properties'))
  if (properties.length > MAX_PROPERTIES) {
    throw new Error(`it has ${properties.length} properties, expected up to ${MAX_PROPERTIES}`)
  }
  return {
    tile: side(root.tile),
    downsamples,
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
  }
}

/** A side that tiles of a TIFF, and of the network, can have. */
function side(value: unknown): number {
  const tile = number(value, 'tile', TILE_MULTIPLE, MAX_TILE_SIDE, true)
  if (tile % TILE_MULTIPLE !== 0) throw new Error(`tile is ${tile}, which is no multiple of ${TILE_MULTIPLE}`)
  return tile
}

/** JSON in ASCII, as TIFF wants its text. */
function json(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

type Json = Record<string, unknown>

function parse(text: string, name: string): Json {
  if (text.length > MAX_JSON_LENGTH) throw new Error(`${name} has ${text.length} bytes`)
  return object(JSON.parse(text), name)
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

/**
 * The arguments of codecs and their checks. They stand apart from the code that opens a codec, so that a bad argument
 * is refused before a model or a device is opened, or a WebGPU implementation even loaded.
 */
import {
  checkBytes,
  checkFlag,
  checkInteger,
  checkNumber,
  checkOneOf,
  checkPositive,
  checkSignal,
  checkString,
  type OptionChecks,
  outOfRange,
  wrongType,
} from '../arguments.js'
import type { Image, Size } from '../image/image.js'
import { MAX_TILE_SIDE } from './bitstream.js'
import { DEVICE_KINDS, type DeviceKind } from './device-kinds.js'
import type { SeenTile } from './seen-tiles.js'

export type { DeviceKind } from './device-kinds.js'

/** Which model, on which device. */
export interface CodecChoice {
  /** Name of a published model, "s" or "m", or path of a model file; default: "s". */
  readonly model?: string | undefined
  /** Default "auto": a GPU if there is one whose limits the model fits in, else the processor. */
  readonly device?: DeviceKind | undefined
  /** Part of the name of the WebGPU adapter to use, as `cleric devices` lists them; not with device "cpu". */
  readonly adapter?: string | undefined
}

export interface CodecOptions extends CodecChoice {
  /** Ends the opening, while the model is read or the device is opened. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Pixels as callers have them: RGB or RGBA (alpha is ignored), 8 bit, interleaved. Not copied: leave `data` as it is
 * until the call that was given it is done. Shared memory is copied before it is looked at, as other threads may
 * write to it at any time; so are the bytes of a tile.
 */
export interface ImageInput {
  readonly data: Uint8Array | Uint8ClampedArray
  readonly width: number
  readonly height: number
  /** Default: from the length of `data`. */
  readonly channels?: 3 | 4 | undefined
}

export interface EncodeOptions {
  /** 0 (smallest) .. 100 (best), any real number; default 60. */
  readonly quality?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** What must hold of a tile that is checked while it is encoded. */
export interface TileFloor {
  /** PSNR in dB, above 0 and up to 100, that the tile has at least: by another codec, and where need be without loss. */
  readonly minPsnr?: number | undefined
  /** Whether the tile is stored without any loss; then `quality` and `minPsnr` are of no meaning. */
  readonly lossless?: boolean | undefined
}

export interface CheckedEncodeOptions extends EncodeOptions, TileFloor {}

/** How a payload is checked. */
export interface PayloadCheck extends TileFloor {
  /** The part, from the top left, that is ever shown, and that the error is of; default all. */
  readonly shown?: Size | undefined
  /** Whether the payload is also decoded from its bytes alone, as a reader does it, and compared. */
  readonly verify?: boolean | undefined
  /**
   * The JPEGs that the slide stores in the tile's place, as a stream (`source-tiles.ts`). They are one more way to store
   * it if they decode to the very pixels of what is shown.
   */
  readonly source?: Uint8Array | undefined
  /** Whether these are kept whatever they cost. */
  readonly keepSource?: boolean | undefined
  /**
   * What was learnt of tiles of the same slide: where those that look alike were all stored one way, the other isn't
   * tried.
   */
  readonly seen?: readonly SeenTile[] | undefined
  readonly signal?: AbortSignal | undefined
}

export interface DecodeOptions {
  readonly signal?: AbortSignal | undefined
}

/** What becomes of the places of which a file has no latents, as they are stored by a classic codec, or not at all. */
export const MISSING_LATENTS = ['analyse', 'nan'] as const
export type MissingLatents = (typeof MISSING_LATENTS)[number]

export interface LatentOptions {
  /**
   * "analyse" (default): they are those that the network would have stored of the pixels, at the file's quality. "nan":
   * they are NaN, and nothing is computed for them.
   */
  readonly missing?: MissingLatents | undefined
  readonly signal?: AbortSignal | undefined
}

/** Facts of a tile that its payload doesn't hold. */
export interface PayloadTile {
  readonly width: number
  readonly height: number
  readonly quality: number
}

const CHOICE_CHECKS: OptionChecks<CodecChoice> = {
  model: checkString,
  device: (value, name) => checkOneOf(value, name, DEVICE_KINDS),
  adapter: (value, name, { device }) => {
    checkString(value, name)
    if (device === 'cpu') throw outOfRange('no adapter with device "cpu"', name, value)
  },
}

/** The options of `openCodec`. */
export const CODEC_CHECKS: OptionChecks<CodecOptions> = { ...CHOICE_CHECKS, signal: checkSignal }

/** The options of `decodeTile`. */
export const DECODE_CHECKS: OptionChecks<DecodeOptions> = { signal: checkSignal }

/** The options of `decodeLatents`. */
export const LATENT_CHECKS: OptionChecks<LatentOptions> = {
  missing: (value, name) => checkOneOf(value, name, MISSING_LATENTS),
  signal: checkSignal,
}

/** The options of `encodeTile`. */
export const ENCODE_CHECKS: OptionChecks<EncodeOptions> = {
  ...DECODE_CHECKS,
  quality: (value, name) => checkNumber(value, name, 0, 100),
}

/** The options of a floor. */
export const FLOOR_CHECKS: OptionChecks<TileFloor> = {
  minPsnr: (value, name, { lossless }) => {
    checkPositive(value, name, 100)
    if (lossless === true) throw outOfRange('no minPsnr with lossless', name, value)
  },
  lossless: checkFlag,
}

/** The options of `encodeCheckedTile`. */
export const CHECKED_ENCODE_CHECKS: OptionChecks<CheckedEncodeOptions> = { ...ENCODE_CHECKS, ...FLOOR_CHECKS }

/** The options of a codec's `encodeCheckedPayload`. */
export function payloadChecks({ width, height }: Size): OptionChecks<PayloadCheck> {
  return {
    ...FLOOR_CHECKS,
    shown: (value, name) => {
      if (typeof value !== 'object' || value === null) throw wrongType('{ width, height }', name, value)
      const shown = value as Readonly<Record<string, unknown>>
      checkInteger(shown.width, `${name}.width`, 1, width)
      checkInteger(shown.height, `${name}.height`, 1, height)
    },
    verify: checkFlag,
    source: checkBytes,
    keepSource: checkFlag,
    seen: (value, name) => {
      if (!Array.isArray(value)) throw wrongType('a list of what was learnt', name, value)
    },
    signal: checkSignal,
  }
}

/**
 * The checks of options that choose a codec: one to be opened, or an open one. Both at once are refused, as one of them
 * would be ignored.
 *
 * @param calls methods that an open codec must have
 */
export function codecUseChecks(
  calls: readonly string[] = ['encodePayload', 'decodePayload'],
): OptionChecks<CodecChoice & { readonly codec?: unknown }> {
  return {
    codec: (value, name, options) => {
      const codec = value as Readonly<Record<string, unknown>> | null
      if (typeof codec !== 'object' || codec === null || calls.some((call) => typeof codec[call] !== 'function')) {
        throw wrongType('an open codec', name, value)
      }
      checkInteger(codec.tilesInFlight, `${name}.tilesInFlight`, 1, Number.MAX_SAFE_INTEGER)
      const chosen = Object.keys(CHOICE_CHECKS).find((key) => options[key] !== undefined)
      if (chosen !== undefined) throw outOfRange(`no ${chosen} with a codec`, chosen, options[chosen])
    },
    ...CHOICE_CHECKS,
  }
}

/** Checks the bytes of a tile or of its payload; a copy of those that other threads could change. */
export function checkTileBytes(bytes: unknown, name: string): Uint8Array {
  return unshared(checkBytes(bytes, name))
}

/** Checks the facts of a tile that is to be decoded. */
export function checkPayloadTile(tile: PayloadTile): void {
  if (typeof tile !== 'object' || tile === null) throw wrongType('{ width, height, quality }', 'tile', tile)
  checkInteger(tile.width, 'width', 1, MAX_TILE_SIDE)
  checkInteger(tile.height, 'height', 1, MAX_TILE_SIDE)
  checkNumber(tile.quality, 'quality', 0, 100)
}

/** Checks an image that is to be encoded; RGB pixels that no other thread can change. */
export function checkImage(input: ImageInput): Image {
  if (typeof input !== 'object' || input === null) throw wrongType('an image { data, width, height }', 'image', input)
  const width = checkInteger(input.width, 'image.width', 1, MAX_TILE_SIDE)
  const height = checkInteger(input.height, 'image.height', 1, MAX_TILE_SIDE)
  const { data } = input
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw wrongType('a Uint8Array or Uint8ClampedArray', 'image.data', data)
  }
  const pixels = width * height
  const { channels = data.length === pixels * 4 ? 4 : 3 } = input
  if (channels !== 3 && channels !== 4) throw outOfRange('3 or 4', 'image.channels', channels)
  if (data.length !== pixels * channels) {
    throw outOfRange(`${pixels * channels} bytes for ${width} x ${height} x ${channels}`, 'image.data', data)
  }
  if (channels === 3) {
    const rgb = unshared(new Uint8Array(data.buffer, data.byteOffset, data.length))
    return { data: rgb, width, height, channels: 3 }
  }
  const rgb = new Uint8Array(pixels * 3)
  for (let from = 0, to = 0; to < rgb.length; from += 4, to += 3) {
    rgb[to] = data[from] as number
    rgb[to + 1] = data[from + 1] as number
    rgb[to + 2] = data[from + 2] as number
  }
  return { data: rgb, width, height, channels: 3 }
}

/** The bytes, or a copy if other threads could change them after they are checked. */
function unshared(bytes: Uint8Array): Uint8Array {
  // Browsers have no shared memory unless the page asks for it.
  const isShared = typeof SharedArrayBuffer !== 'undefined' && bytes.buffer instanceof SharedArrayBuffer
  return isShared ? new Uint8Array(bytes) : bytes
}

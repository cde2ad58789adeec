/**
 * The codec that applications use: a model and a device, opened once, for any number of tiles.
 */
import {
  checkBytes,
  checkInteger,
  checkNumber,
  checkOneOf,
  checkSignal,
  checkString,
  outOfRange,
  wrongType,
} from '../arguments.js'
import { Turns } from '../concurrency/turns.js'
import { ClericError, throwIfAborted, UnsupportedError, untilAborted } from '../errors.js'
import type { Image } from '../image/image.js'
import { loadModel } from '../model/model.js'
import type { Backend } from '../network/graph.js'
import { maxTileSide, modelId, readTile, writeTile } from './bitstream.js'
import { type DeviceKind, deviceKinds, openBackend } from './devices.js'
import { defaultQuality } from './gain.js'
import { TileCodec } from './tile-codec.js'

export interface CodecOptions {
  /** Path of a model file; default: the model that ships with cleric. */
  readonly model?: string
  /** Default "auto": a GPU if there is one whose limits the model fits in, else the processor. */
  readonly device?: DeviceKind
  /** Part of the name of the WebGPU adapter to use, as `cleric devices` lists them; not with device "cpu". */
  readonly adapter?: string
  readonly signal?: AbortSignal
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
  readonly channels?: 3 | 4
}

export interface EncodeOptions {
  /** 0 (smallest) .. 100 (best), any real number; default 60. */
  readonly quality?: number
  readonly signal?: AbortSignal
}

export interface DecodeOptions {
  readonly signal?: AbortSignal
}

/**
 * Encodes and decodes tiles. Calls may overlap: a few run at a time, the others wait for their turn. The results
 * don't depend on it.
 *
 * @example
 * using codec = await openCodec()
 * const bytes = await codec.encodeTile({ data, width: 512, height: 512 }, { quality: 60 })
 * const image = await codec.decodeTile(bytes)
 */
export interface Codec extends Disposable {
  readonly model: { readonly name: string; readonly hash: string }
  readonly device: { readonly kind: Backend['kind']; readonly name: string }
  /** Calls that run at a time. Who keeps so many under way keeps the device busy; more only wait. */
  readonly tilesInFlight: number
  /**
   * @param image 1 x 1 to 1024 x 1024 pixels
   * @returns self-contained bytes
   * @throws TypeError, RangeError for bad arguments; ERR_ABORTED, ERR_CLOSED, ERR_DEVICE_FAILED
   */
  encodeTile(image: ImageInput, options?: EncodeOptions): Promise<Uint8Array>
  /** @throws ERR_CORRUPT_TILE, ERR_MODEL_MISMATCH, ERR_ARCHIVE_UNSUPPORTED, ERR_ABORTED, ERR_CLOSED, ERR_DEVICE_FAILED */
  decodeTile(bytes: Uint8Array, options?: DecodeOptions): Promise<Image>
  /** A tile without its head, for containers that store model and quality once. */
  encodePayload(image: ImageInput, quality: number, signal?: AbortSignal): Promise<Uint8Array>
  /** The inverse of {@link encodePayload}. */
  decodePayload(
    payload: Uint8Array,
    tile: { readonly width: number; readonly height: number; readonly quality: number },
    signal?: AbortSignal,
  ): Promise<Image>
  /** Frees the device; calls that run or wait reject with ERR_CLOSED. */
  close(): void
}

/**
 * Opens a model on a device.
 *
 * @throws ERR_NO_DEVICE, ERR_MODEL_CORRUPT, ERR_MODEL_UNSUPPORTED, ERR_ADDON_MISSING
 * @example
 * using codec = await openCodec({ device: 'webgpu' })
 */
export async function openCodec(options: CodecOptions = {}): Promise<Codec> {
  if (typeof options !== 'object' || options === null) throw wrongType('an object', 'options', options)
  const { model: file, adapter, device = 'auto' } = options
  if (file !== undefined) checkString(file, 'model')
  if (adapter !== undefined) checkString(adapter, 'adapter')
  checkOneOf(device, 'device', deviceKinds)
  if (device === 'cpu' && adapter !== undefined) throw outOfRange('no adapter with device "cpu"', 'adapter', adapter)
  const signal = checkSignal(options.signal)
  throwIfAborted(signal)

  const model = await loadModel(file)
  const backend = await openBackend(device, model, adapter)
  try {
    throwIfAborted(signal)
    return new QueuedCodec(model.name, model.hash, backend, new TileCodec(model, backend))
  } catch (error) {
    backend.close()
    throw error
  }
}

class QueuedCodec implements Codec {
  readonly model: Codec['model']
  readonly device: Codec['device']
  readonly tilesInFlight: number
  readonly #backend: Backend
  readonly #tiles: TileCodec
  readonly #turns: Turns
  #closed = false

  constructor(name: string, hash: string, backend: Backend, tiles: TileCodec) {
    this.model = { name, hash }
    this.device = { kind: backend.kind, name: backend.name }
    this.tilesInFlight = backend.tilesInFlight
    this.#backend = backend
    this.#tiles = tiles
    this.#turns = new Turns(this.tilesInFlight)
  }

  async encodeTile(input: ImageInput, options: EncodeOptions = {}): Promise<Uint8Array> {
    const { quality = defaultQuality, signal } = options
    const payload = await this.encodePayload(input, quality, signal)
    const { width, height } = input
    return writeTile({ width, height, quality, modelId: modelId(this.model.hash) }, payload)
  }

  async decodeTile(bytes: Uint8Array, options: DecodeOptions = {}): Promise<Image> {
    const { head, payload } = readTile(unshared(checkBytes(bytes, 'bytes')))
    if (head.modelId !== modelId(this.model.hash)) {
      throw new UnsupportedError(
        'ERR_MODEL_MISMATCH',
        `The tile was made with model ${head.modelId}, open is ${this.model.name} (${modelId(this.model.hash)})`,
      )
    }
    return this.decodePayload(payload, head, options.signal)
  }

  async encodePayload(input: ImageInput, quality: number, signal?: AbortSignal): Promise<Uint8Array> {
    const image = checkImage(input)
    // As a tile's head stores it, so that both sides interpolate the same gains.
    const stored = Math.fround(checkNumber(quality, 'quality', 0, 100))
    checkSignal(signal)
    return this.#queue(() => this.#tiles.encode(image, stored, signal), signal)
  }

  async decodePayload(
    payload: Uint8Array,
    tile: { readonly width: number; readonly height: number; readonly quality: number },
    signal?: AbortSignal,
  ): Promise<Image> {
    const bytes = unshared(checkBytes(payload, 'payload'))
    checkInteger(tile.width, 'width', 1, maxTileSide)
    checkInteger(tile.height, 'height', 1, maxTileSide)
    const stored = Math.fround(checkNumber(tile.quality, 'quality', 0, 100))
    checkSignal(signal)
    return this.#queue(() => this.#tiles.decode(bytes, tile, stored, signal), signal)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#tiles.close()
    this.#backend.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #queue<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    throwIfAborted(signal)
    const result = this.#turns.run(async () => {
      this.#mustBeOpen()
      throwIfAborted(signal)
      const done = await work()
      // What the device had finished when it was closed.
      this.#mustBeOpen()
      return done
    })
    // A call that waits hears the signal at once, not when the calls before it are done.
    return untilAborted(result, signal)
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new ClericError('ERR_CLOSED', 'The codec is closed')
  }
}

function checkImage(input: ImageInput): Image {
  if (typeof input !== 'object' || input === null) throw wrongType('an image { data, width, height }', 'image', input)
  const width = checkInteger(input.width, 'image.width', 1, maxTileSide)
  const height = checkInteger(input.height, 'image.height', 1, maxTileSide)
  const { data } = input
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw wrongType('a Uint8Array or Uint8ClampedArray', 'image.data', data)
  }
  const pixels = width * height
  const channels = input.channels ?? (data.length === pixels * 4 ? 4 : 3)
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
  return bytes.buffer instanceof SharedArrayBuffer ? new Uint8Array(bytes) : bytes
}

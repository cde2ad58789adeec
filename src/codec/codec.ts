/**
 * The codec that applications use: a model and a device, opened once, for any number of tiles.
 */
import { checkNumber, checkOptions, checkSignal } from '../arguments.js'
import { untilAborted } from '../concurrency/abort.js'
import { Turns } from '../concurrency/turns.js'
import { ClericError, throwIfAborted } from '../errors.js'
import type { Image } from '../image/image.js'
import { loadModel } from '../model/model.js'
import type { Backend } from '../network/graph.js'
import {
  CODEC_CHECKS,
  type CodecOptions,
  checkImage,
  checkPayloadTile,
  checkTileBytes,
  DECODE_CHECKS,
  type DecodeOptions,
  ENCODE_CHECKS,
  type EncodeOptions,
  type ImageInput,
  type PayloadTile,
} from './arguments.js'
import { modelId, readTile, writeTile } from './bitstream.js'
import { openBackend } from './devices.js'
import { DEFAULT_QUALITY } from './gain.js'
import { modelMismatch } from './model-mismatch.js'
import { TileCodec } from './tile-codec.js'

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
  /** Calls that run at a time. That many under way keep the device busy; more only wait. */
  readonly tilesInFlight: number
  /**
   * Whether every call rejects from now on, as the device is lost or the codec closed: then another is to be opened.
   */
  readonly isLost: boolean
  /**
   * @param image 1 x 1 to 1024 x 1024 pixels
   * @returns self-contained bytes
   * @throws TypeError, RangeError for bad arguments; ERR_ABORTED, ERR_CLOSED, ERR_DEVICE_FAILED
   */
  encodeTile(image: ImageInput, options?: EncodeOptions): Promise<Uint8Array>
  /**
   * @throws ERR_CORRUPT_TILE, ERR_MODEL_MISMATCH, ERR_ARCHIVE_UNSUPPORTED, ERR_ABORTED, ERR_CLOSED, ERR_DEVICE_FAILED
   */
  decodeTile(bytes: Uint8Array, options?: DecodeOptions): Promise<Image>
  /** A tile without its head, for containers that store model and quality once. */
  encodePayload(image: ImageInput, quality: number, signal?: AbortSignal): Promise<Uint8Array>
  /** The inverse of {@link encodePayload}. */
  decodePayload(payload: Uint8Array, tile: PayloadTile, signal?: AbortSignal): Promise<Image>
  /** Frees the device; calls that run or wait reject with ERR_CLOSED. */
  close(): void
}

/** The part of a codec that archives use. */
export type PayloadCodec = Pick<Codec, 'model' | 'device' | 'tilesInFlight' | 'encodePayload' | 'decodePayload'>

/**
 * Opens a model on a device.
 *
 * @throws ERR_NO_DEVICE, ERR_MODEL_CORRUPT, ERR_MODEL_UNSUPPORTED, ERR_ADDON_MISSING, ERR_ABORTED
 * @example
 * using codec = await openCodec({ device: 'webgpu' })
 */
export async function openCodec(options: CodecOptions = {}): Promise<Codec> {
  checkOptions(options, CODEC_CHECKS)
  const { signal } = options
  throwIfAborted(signal)
  const opening = open(options)
  // Neither reading a file nor starting a driver can be stopped: a codec that opens too late is closed.
  return untilAborted(opening, signal, () => opening.then((codec) => codec.close()).catch(() => {}))
}

async function open({ model: file, device = 'auto', adapter, signal }: CodecOptions): Promise<Codec> {
  const model = await loadModel(file)
  throwIfAborted(signal)
  const backend = await openBackend(device, model, { adapter, signal })
  try {
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

  get isLost(): boolean {
    return this.#closed || this.#backend.isLost
  }

  async encodeTile(input: ImageInput, options: EncodeOptions = {}): Promise<Uint8Array> {
    const image = checkImage(input)
    const { quality = DEFAULT_QUALITY, signal } = checkOptions(options, ENCODE_CHECKS)
    const payload = await this.#encode(image, quality, signal)
    const { width, height } = image
    return writeTile({ width, height, quality, modelId: modelId(this.model.hash) }, payload)
  }

  async decodeTile(bytes: Uint8Array, options: DecodeOptions = {}): Promise<Image> {
    const checked = checkTileBytes(bytes, 'bytes')
    const { signal } = checkOptions(options, DECODE_CHECKS)
    const { head, payload } = readTile(checked)
    if (head.modelId !== modelId(this.model.hash)) {
      throw modelMismatch('The tile', { id: head.modelId }, this.model)
    }
    return this.#decode(payload, head, signal)
  }

  async encodePayload(input: ImageInput, quality: number, signal?: AbortSignal): Promise<Uint8Array> {
    const image = checkImage(input)
    checkNumber(quality, 'quality', 0, 100)
    return this.#encode(image, quality, checkSignal(signal))
  }

  async decodePayload(payload: Uint8Array, tile: PayloadTile, signal?: AbortSignal): Promise<Image> {
    const bytes = checkTileBytes(payload, 'payload')
    checkPayloadTile(tile)
    return this.#decode(bytes, tile, checkSignal(signal))
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

  #encode(image: Image, quality: number, signal: AbortSignal | undefined): Promise<Uint8Array> {
    // A tile's head stores a float32: both sides must interpolate the same gains.
    const stored = Math.fround(quality)
    return this.#queue(() => this.#tiles.encode(image, stored, signal), signal)
  }

  #decode(payload: Uint8Array, tile: PayloadTile, signal: AbortSignal | undefined): Promise<Image> {
    const stored = Math.fround(tile.quality)
    return this.#queue(() => this.#tiles.decode(payload, tile, stored, signal), signal)
  }

  #queue<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    throwIfAborted(signal)
    const result = this.#turns.run(async () => {
      this.#mustBeOpen()
      throwIfAborted(signal)
      const done = await work()
      // The device may have finished it while the codec was being closed.
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

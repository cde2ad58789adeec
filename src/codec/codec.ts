/**
 * The codec that applications use: a model and a device, opened once, for any number of tiles.
 */
import { checkNumber, checkOptions, checkSignal } from '../arguments.js'
import { untilAborted } from '../concurrency/abort.js'
import { Turns } from '../concurrency/turns.js'
import { ClericError, CorruptDataError, DeviceError, throwIfAborted } from '../errors.js'
import type { Image } from '../image/image.js'
import { mseAt, psnrAt } from '../metrics/psnr.js'
import { loadModel, type Model } from '../model/model.js'
import { promisedError, type TissueErrors } from '../model/promise.js'
import type { Backend } from '../network/graph.js'
import {
  CHECKED_ENCODE_CHECKS,
  type CheckedEncodeOptions,
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
  LATENT_CHECKS,
  type LatentOptions,
  type PayloadCheck,
  type PayloadTile,
  payloadChecks,
} from './arguments.js'
import { modelId, type OwnBytes, type PayloadKind, readTile, writeTile } from './bitstream.js'
import type { Candidate } from './candidate.js'
import { bestLossless, choose, networkCandidate } from './choice.js'
import { openBackend } from './devices.js'
import { DEFAULT_QUALITY } from './gain.js'
import { type Latents, noLatents } from './latents.js'
import { modelMismatch } from './model-mismatch.js'
import type { SeenTile } from './seen-tiles.js'
import { type EncodedTile, TileCodec } from './tile-codec.js'

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
  encodeTile(image: ImageInput, options?: EncodeOptions): Promise<OwnBytes>
  /**
   * @throws ERR_CORRUPT_TILE, ERR_MODEL_MISMATCH, ERR_ARCHIVE_UNSUPPORTED, ERR_ABORTED, ERR_CLOSED, ERR_DEVICE_FAILED
   */
  decodeTile(bytes: Uint8Array, options?: DecodeOptions): Promise<Image>
  /** A tile without its head, for containers that store model and quality once. */
  encodePayload(image: ImageInput, quality: number, signal?: AbortSignal): Promise<Uint8Array>
  /**
   * {@link encodeTile} that knows how near the tile comes to the image, for the price of decoding its pixels: and that
   * stores what the network does badly by a classic codec, so that text, pen, fluorescence and the like come back as
   * well as tissue does.
   */
  encodeCheckedTile(image: ImageInput, options?: CheckedEncodeOptions): Promise<CheckedTile>
  /**
   * {@link encodePayload}, likewise.
   *
   * @throws ERR_DEVICE_INEXACT if it is to be verified, and the bytes don't decode to what was encoded
   */
  encodeCheckedPayload(image: ImageInput, quality: number, check?: PayloadCheck): Promise<CheckedPayload>
  /** The inverse of {@link encodePayload} and {@link encodeCheckedPayload}. */
  decodePayload(payload: Uint8Array, tile: PayloadTile, signal?: AbortSignal): Promise<Image>
  /** Channels M of its latents. */
  readonly latentChannels: number
  /**
   * The latents of a tile, without the synthesis of its pixels (docs/latents.md).
   *
   * @throws as {@link decodeTile}
   */
  decodeLatents(bytes: Uint8Array, options?: LatentOptions): Promise<Latents>
  /** The latents of what {@link encodePayload} and {@link encodeCheckedPayload} made. */
  decodePayloadLatents(payload: Uint8Array, tile: PayloadTile, options?: LatentOptions): Promise<Latents>
  /**
   * The latents that the network would store an image as: what {@link decodeLatents} gives of the bytes of
   * {@link encodeTile}. g_a is floating point, so that another device may round a value the other way.
   */
  encodeLatents(image: ImageInput, options?: EncodeOptions): Promise<Latents>
  /** Frees the device; calls that run or wait reject with ERR_CLOSED. */
  close(): void
}

/** How near a tile comes to its image, and by which codec. */
interface Checked {
  /** dB over what is shown; Infinity if it comes back unchanged. Another device's pixels may be off by 1 of 255. */
  readonly psnr: number
  readonly codec: PayloadKind
}

export interface CheckedTile extends Checked {
  /** Self-contained, as from `encodeTile`. */
  readonly bytes: OwnBytes
}

export interface CheckedPayload extends Checked {
  readonly payload: Uint8Array
  /** What was learnt of the tile for others of the same slide, see {@link PayloadCheck.seen}; null or absent if nothing. */
  readonly seen?: SeenTile | null
}

/** The part of a codec that archives use. */
export type PayloadCodec = Pick<
  Codec,
  'model' | 'device' | 'tilesInFlight' | 'encodePayload' | 'encodeCheckedPayload' | 'decodePayload'
>

/** The part of a codec by which archives give latents. */
export type LatentCodec = Pick<Codec, 'latentChannels' | 'decodePayloadLatents' | 'encodeLatents'>

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
  return codecOn(model, await openBackend(device, model, { adapter, signal }))
}

/** A model on a backend that is open, which closes with the codec. */
export function codecOn(model: Model, backend: Backend): Codec {
  try {
    return new QueuedCodec(model, backend, new TileCodec(model, backend))
  } catch (error) {
    backend.close()
    throw error
  }
}

function checkOf({ payload, kind, mse }: Candidate, seen: SeenTile | null): CheckedPayload {
  return { payload, psnr: psnrAt(mse), codec: kind, seen }
}

class QueuedCodec implements Codec {
  readonly model: Codec['model']
  readonly device: Codec['device']
  readonly tilesInFlight: number
  readonly latentChannels: number
  readonly #tissueErrors: TissueErrors
  readonly #backend: Backend
  readonly #tiles: TileCodec
  readonly #turns: Turns
  #closed = false

  constructor({ name, hash, config, tissueErrors }: Model, backend: Backend, tiles: TileCodec) {
    this.model = { name, hash }
    this.#tissueErrors = tissueErrors
    this.device = { kind: backend.kind, name: backend.name }
    this.tilesInFlight = backend.tilesInFlight * (backend.tilesTogether ?? 1)
    this.latentChannels = config.M
    this.#backend = backend
    this.#tiles = tiles
    this.#turns = new Turns(this.tilesInFlight)
  }

  get isLost(): boolean {
    return this.#closed || this.#backend.isLost
  }

  async encodeTile(input: ImageInput, options: EncodeOptions = {}): Promise<OwnBytes> {
    const image = checkImage(input)
    const { quality = DEFAULT_QUALITY, signal } = checkOptions(options, ENCODE_CHECKS)
    const payload = await this.#encode(image, quality, signal)
    const { width, height } = image
    return writeTile({ width, height, quality, modelId: modelId(this.model.hash) }, payload)
  }

  async encodeCheckedTile(input: ImageInput, options: CheckedEncodeOptions = {}): Promise<CheckedTile> {
    const image = checkImage(input)
    const { quality = DEFAULT_QUALITY, ...check } = checkOptions(options, CHECKED_ENCODE_CHECKS)
    const { payload, psnr, codec } = await this.#encodeChecked(image, quality, check)
    const { width, height } = image
    const bytes = writeTile({ width, height, quality, modelId: modelId(this.model.hash) }, payload)
    return { bytes, psnr, codec }
  }

  async decodeTile(bytes: Uint8Array, options: DecodeOptions = {}): Promise<Image> {
    const checked = checkTileBytes(bytes, 'bytes')
    const { signal } = checkOptions(options, DECODE_CHECKS)
    const { head, payload } = this.#readTile(checked)
    return this.#decode(payload, head, signal)
  }

  async decodeLatents(bytes: Uint8Array, options: LatentOptions = {}): Promise<Latents> {
    const checked = checkTileBytes(bytes, 'bytes')
    const reading = checkOptions(options, LATENT_CHECKS)
    const { head, payload } = this.#readTile(checked)
    return this.#decodeLatents(payload, head, reading)
  }

  async decodePayloadLatents(payload: Uint8Array, tile: PayloadTile, options: LatentOptions = {}): Promise<Latents> {
    const bytes = checkTileBytes(payload, 'payload')
    checkPayloadTile(tile)
    return this.#decodeLatents(bytes, tile, checkOptions(options, LATENT_CHECKS))
  }

  async encodeLatents(input: ImageInput, options: EncodeOptions = {}): Promise<Latents> {
    const image = checkImage(input)
    const { quality = DEFAULT_QUALITY, signal } = checkOptions(options, ENCODE_CHECKS)
    return this.#encodeLatents(image, quality, signal)
  }

  async encodePayload(input: ImageInput, quality: number, signal?: AbortSignal): Promise<Uint8Array> {
    const image = checkImage(input)
    checkNumber(quality, 'quality', 0, 100)
    return this.#encode(image, quality, checkSignal(signal))
  }

  async encodeCheckedPayload(input: ImageInput, quality: number, check: PayloadCheck = {}): Promise<CheckedPayload> {
    const image = checkImage(input)
    checkNumber(quality, 'quality', 0, 100)
    return this.#encodeChecked(image, quality, checkOptions(check, payloadChecks(image)))
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

  async #encodeChecked(image: Image, quality: number, check: PayloadCheck): Promise<CheckedPayload> {
    const { shown = image, minPsnr, lossless = false, verify = false, source = null, signal } = check
    const { keepSource, seen } = check
    const stored = Math.fround(quality)
    const mostMse = minPsnr === undefined ? Number.POSITIVE_INFINITY : mseAt(minPsnr)
    const promisedMse = promisedError(this.#tissueErrors, stored)
    const tile = { image, shown, quality: stored, promisedMse, mostMse, source }
    this.#mustBeOpen()
    if (lossless) return checkOf(await bestLossless(tile, signal), null)
    let encoded: EncodedTile | null = null
    // Classic codecs run on threads of their own, so they take no turn.
    const encode = async () => {
      encoded = await this.#queue(() => this.#tiles.encodeChecked(image, stored, signal), signal)
      return networkCandidate(tile, encoded)
    }
    const choice = await choose(tile, encode, { seen, keepSource, signal })
    if (verify && encoded && choice.best.kind === 'cleric') await this.#verify(encoded, { ...image, quality }, signal)
    return checkOf(choice.best, choice.seen)
  }

  /** Decodes the payload from its bytes alone. */
  async #verify({ payload, decoded }: EncodedTile, tile: PayloadTile, signal: AbortSignal | undefined): Promise<void> {
    const fault = (cause?: unknown) =>
      new DeviceError('ERR_DEVICE_INEXACT', 'A tile does not decode to what was encoded: is the device faulty?', {
        cause,
      })
    const read = await this.#decode(payload, tile, signal).catch((error: unknown) => {
      throw error instanceof CorruptDataError ? fault(error) : error
    })
    if (read.data.some((value, i) => value !== decoded.data[i])) throw fault()
  }

  #decode(payload: Uint8Array, tile: PayloadTile, signal: AbortSignal | undefined): Promise<Image> {
    const stored = Math.fround(tile.quality)
    return this.#queue(() => this.#tiles.decode(payload, tile, stored, signal), signal)
  }

  async #decodeLatents(payload: Uint8Array, tile: PayloadTile, options: LatentOptions): Promise<Latents> {
    const { missing = 'analyse', signal } = options
    const stored = Math.fround(tile.quality)
    const latents = await this.#queue(() => this.#tiles.decodeLatents(payload, tile, stored, signal), signal)
    if (latents) return latents
    if (missing === 'nan') return noLatents(this.latentChannels, tile)
    return this.#encodeLatents(await this.#decode(payload, tile, signal), tile.quality, signal)
  }

  #encodeLatents(image: Image, quality: number, signal: AbortSignal | undefined): Promise<Latents> {
    const stored = Math.fround(quality)
    return this.#queue(() => this.#tiles.encodeLatents(image, stored, signal), signal)
  }

  #readTile(bytes: Uint8Array): ReturnType<typeof readTile> {
    const tile = readTile(bytes)
    if (tile.head.modelId === modelId(this.model.hash)) return tile
    throw modelMismatch('The tile', { id: tile.head.modelId }, this.model)
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

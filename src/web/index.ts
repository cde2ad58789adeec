/**
 * cleric/web: archives and tiles decoded in the browser, by the network on WebGPU (docs/web.md). One file without
 * dependencies, for pages and workers alike.
 *
 * @example
 * import { openArchive } from 'cleric/web'
 * using archive = await openArchive('slide.cleric.tif', { model: 'cleric-s.safetensors' })
 * const { data } = await archive.readRegion({ x: 1000, y: 800, level: 0, width: 512, height: 512 })
 */
import './dispose.js'
import { type Archive, type ArchiveOptions, openArchive as openAnyArchive, READING_CHECKS } from '../archive/archive.js'
import { checkOptions, checkSignal, type OptionChecks } from '../arguments.js'
import {
  checkTileBytes,
  codecUseChecks,
  type DecodeOptions,
  LATENT_CHECKS,
  type LatentOptions,
} from '../codec/arguments.js'
import { type Codec, openCodec as openAnyCodec } from '../codec/codec.js'
import { lend } from '../codec/default-codec.js'
import type { Latents } from '../codec/latents.js'
import type { Image } from '../image/image.js'
import { checkSource, located, MODEL_CHECK, type ModelChoice } from './locate.js'
import { WORKER_NAME } from './slide-worker.js'
import { serveInWorker, type WorkerScope } from './worker.js'

export type { Archive } from '../archive/archive.js'
export type { ArchiveLevel } from '../archive/archive-level.js'
export type { RegionLatents } from '../archive/latents.js'
export type { LatentOptions, MissingLatents } from '../codec/arguments.js'
export type { Latents } from '../codec/latents.js'
export {
  AbortedError,
  ClericError,
  CorruptDataError,
  DeviceError,
  type ErrorCode,
  UnsupportedError,
} from '../errors.js'
export type { Colour } from '../image/draw.js'
export type { Image } from '../image/image.js'
export { TileCache } from '../image/tile-cache.js'
export type { Level, Region, Resolution } from '../slide/source.js'
export type { ModelChoice } from './locate.js'
export { SlideWorker, type SlideWorkerOptions, WorkerSlide, type WorkerSlideOptions } from './slide-worker.js'
export type { AdapterFacts, DecodedTile, DecoderFacts, SlideFacts, TileChecks } from './worker-protocol.js'

/** The part of a codec that browsers have: they decode, and encode nothing. */
export type Decoder = Omit<Codec, 'encodeTile' | 'encodePayload' | 'encodeCheckedTile' | 'encodeCheckedPayload'>

export interface DecoderOptions extends ModelChoice {
  readonly signal?: AbortSignal | undefined
}

/** An open decoder, or else the shared one of a model. */
export interface DecoderChoice extends ModelChoice {
  /** An open decoder; it stays open. Default: one that all of the page shares, opened when it is first needed. */
  readonly codec?: Decoder | undefined
}

export type WebArchiveOptions = DecoderChoice & Pick<ArchiveOptions, 'cacheBytes' | 'cache' | 'icc' | 'signal'>

const CODEC_CHECKS: OptionChecks<DecoderOptions> = { ...MODEL_CHECK, signal: checkSignal }
const DECODE_CHECKS: OptionChecks<DecodeOptions & DecoderChoice> = {
  ...CODEC_CHECKS,
  codec: codecUseChecks(['decodeTile']).codec as OptionChecks<DecoderChoice>['codec'],
}
const ARCHIVE_CHECKS: OptionChecks<WebArchiveOptions> = {
  ...MODEL_CHECK,
  ...READING_CHECKS,
  codec: codecUseChecks(['decodePayload']).codec as OptionChecks<DecoderChoice>['codec'],
}
const LATENT_TILE_CHECKS: OptionChecks<LatentOptions & DecoderChoice> = {
  ...MODEL_CHECK,
  ...LATENT_CHECKS,
  codec: codecUseChecks(['decodeLatents']).codec as OptionChecks<DecoderChoice>['codec'],
}

/**
 * Opens an archive: an address, relative to the page, whose server takes ranges; or a Blob, such as a file that was
 * dropped on the page. The model and the device are only opened when the first tile is decoded.
 *
 * @throws CorruptDataError ERR_ARCHIVE_CORRUPT, UnsupportedError ERR_ARCHIVE_UNSUPPORTED, ClericError ERR_NETWORK
 * @example
 * input.onchange = async () => show(await openArchive(input.files[0]))
 */
export async function openArchive(source: string | URL | Blob, options: WebArchiveOptions = {}): Promise<Archive> {
  const place = checkSource(source, 'source')
  const { model, codec, ...others } = checkOptions(options, ARCHIVE_CHECKS)
  const choice = codec === undefined ? located({ model }) : { model, codec: codec as Codec }
  return openAnyArchive(place, { ...others, ...choice } as ArchiveOptions)
}

/**
 * Opens a model on the browser's WebGPU device, for pages that say when it is freed, or want to know early whether it is
 * there.
 *
 * @throws DeviceError ERR_NO_DEVICE where the browser has no WebGPU; ClericError ERR_NETWORK; CorruptDataError
 * ERR_MODEL_CORRUPT; UnsupportedError ERR_MODEL_UNSUPPORTED; AbortedError
 * @example
 * using codec = await openCodec({ model: '/models/cleric-s.safetensors' })
 * const image = await codec.decodeTile(bytes)
 */
export async function openCodec(options: DecoderOptions = {}): Promise<Decoder> {
  return openAnyCodec(located(checkOptions(options, CODEC_CHECKS)))
}

/**
 * The pixels of a tile that `encodeTile` made, in Node.js.
 *
 * @throws CorruptDataError ERR_CORRUPT_TILE; UnsupportedError ERR_MODEL_MISMATCH; TypeError; DeviceError; AbortedError
 * @example
 * const { data, width, height } = await decodeTile(new Uint8Array(await file.arrayBuffer()))
 */
export async function decodeTile(bytes: Uint8Array, options: DecodeOptions & DecoderChoice = {}): Promise<Image> {
  const checked = checkTileBytes(bytes, 'bytes')
  const { codec, signal, model } = checkOptions(options, DECODE_CHECKS)
  if (codec) return codec.decodeTile(checked, { signal })
  using loan = await lend<Codec>({ ...located({ model }), signal })
  return await loan.codec.decodeTile(checked, { signal })
}

/**
 * The latents y_hat of a tile, without the synthesis of its pixels (docs/latents.md): float32, channels x height / 16 x
 * width / 16.
 *
 * @throws as {@link decodeTile}
 * @example
 * const { data, channels, width, height } = await decodeLatents(new Uint8Array(await file.arrayBuffer()))
 */
export async function decodeLatents(bytes: Uint8Array, options: LatentOptions & DecoderChoice = {}): Promise<Latents> {
  const checked = checkTileBytes(bytes, 'bytes')
  const { codec, signal, model, missing } = checkOptions(options, LATENT_TILE_CHECKS)
  if (codec) return codec.decodeLatents(checked, { missing, signal })
  using loan = await lend<Codec>({ ...located({ model }), signal })
  return await loan.codec.decodeLatents(checked, { missing, signal })
}

// A worker that SlideWorker has started runs this same file.
const scope = globalThis as unknown as Partial<WorkerScope>
if (globalThis.document === undefined && scope.name === WORKER_NAME) serveInWorker(scope as WorkerScope)

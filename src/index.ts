/**
 * cleric: learned compression of whole-slide images.
 *
 * @example
 * import { compressSlide, openArchive } from 'cleric'
 * await compressSlide('slide.svs', 'slide.cleric.tif')
 * using archive = await openArchive('slide.cleric.tif')
 * const { data } = await archive.readRegion({ x: 0, y: 0, level: 0, width: 512, height: 512 })
 */
import { checkOptions, type OptionChecks } from './arguments.js'
import {
  CHECKED_ENCODE_CHECKS,
  type CheckedEncodeOptions,
  type CodecChoice,
  type CodecOptions,
  checkImage,
  checkTileBytes,
  codecUseChecks,
  DECODE_CHECKS,
  type DecodeOptions,
  ENCODE_CHECKS,
  type EncodeOptions,
  type ImageInput,
  LATENT_CHECKS,
  type LatentOptions,
} from './codec/arguments.js'
import type { OwnBytes } from './codec/bitstream.js'
import type { CheckedTile, Codec } from './codec/codec.js'
import { lend } from './codec/default-codec.js'
import type { DeviceList } from './codec/device-list.js'
import type { Latents } from './codec/latents.js'
import type { Image } from './image/image.js'

export { type Archive, type ArchiveOptions, openArchive } from './archive/archive.js'
export type { ArchiveLevel } from './archive/archive-level.js'
export { type GeotiffModule, type GeotiffOptions, registerWithGeotiff } from './archive/geotiff.js'
export type { Layout } from './archive/head-writer.js'
export type { RegionLatents } from './archive/latents.js'
export type { CheckSummary, TileCheck } from './archive/tile-checks.js'
export {
  type BadTile,
  type ValidateOptions,
  type Validation,
  validateArchive,
} from './archive/validate.js'
export type {
  CheckedEncodeOptions,
  CodecChoice,
  CodecOptions,
  DecodeOptions,
  DeviceKind,
  EncodeOptions,
  ImageInput,
  LatentOptions,
  MissingLatents,
  PayloadCheck,
} from './codec/arguments.js'
export type { PayloadKind } from './codec/bitstream.js'
export type { CheckedPayload, CheckedTile, Codec, LatentCodec, PayloadCodec } from './codec/codec.js'
export type { DeviceDescription, DeviceList } from './codec/device-list.js'
export type { Latents } from './codec/latents.js'
export {
  type CollectionOptions,
  type CollectionResult,
  compressCollection,
} from './collection/compress-collection.js'
export type { CollectionSlide } from './collection/find-slides.js'
export type { ArchiveFacts, ManifestRow, SlideVersion } from './collection/manifest.js'
export type { BackgroundMode } from './compress/blank.js'
export { type CompressOptions, type CompressResult, compressSlide } from './compress/compress.js'
export type { CompressProgress, UnreadableTile } from './compress/progress.js'
export type { CheckMode } from './compress/run.js'
export type { OnBadTile } from './compress/slide-reader.js'
export type { KeepSourceTiles } from './compress/source-jpegs.js'
export type { SearchProgress } from './compress/target-bpp.js'
export {
  AbortedError,
  ClericError,
  CorruptDataError,
  DeviceError,
  type ErrorCode,
  SlideError,
  UnsupportedError,
} from './errors.js'
export { type ExportOptions, type ExportResult, exportSlide } from './export/export.js'
export type { ExportFormat } from './export/formats.js'
export type { ExportProgress } from './export/progress.js'
export type { ExportCompression } from './export/tile-codec.js'
export type { Colour } from './image/draw.js'
export type { Image } from './image/image.js'
export { TileCache } from './image/tile-cache.js'
export { type CompareOptions, compareSlides, type LevelComparison } from './metrics/compare.js'
export { msSsim } from './metrics/ms-ssim.js'
export { psnr } from './metrics/psnr.js'
export type { SlideChoice } from './slide/choice.js'
export type { IccMode } from './slide/colour.js'
export { type OpenSlideOptions, openSlide } from './slide/open.js'
export type { RangeChoice } from './slide/range.js'
export type { HeldImage, Level, Region, Resolution, SlideSource } from './slide/source.js'
export type { TilePlace } from './tiff/tile-index.js'

/**
 * Opens a model on a device, for callers that choose them or want to say when the device is freed.
 *
 * @throws DeviceError ERR_NO_DEVICE; CorruptDataError ERR_MODEL_CORRUPT; UnsupportedError ERR_MODEL_UNSUPPORTED;
 * AbortedError; TypeError, RangeError
 * @example
 * using codec = await openCodec({ adapter: 'nvidia' })
 */
export async function openCodec(options: CodecOptions = {}): Promise<Codec> {
  const codec = await import('./codec/codec.js')
  return codec.openCodec(options)
}

/**
 * The devices of this machine, and the one that "auto" picks.
 *
 * @throws ERR_ADDON_MISSING
 * @example
 * const { auto } = await listDevices()
 */
export async function listDevices(): Promise<DeviceList> {
  const devices = await import('./codec/devices.js')
  return devices.listDevices()
}

/** Which codec to use for a tile: an open one, or the shared one of a model and device. */
export interface TileCodecChoice extends CodecChoice {
  /** An open codec; it stays open. */
  readonly codec?: Codec | undefined
}

const ENCODE_TILE_CHECKS: OptionChecks<EncodeOptions & TileCodecChoice> = {
  ...codecUseChecks(['encodeTile']),
  ...ENCODE_CHECKS,
}
const CHECKED_TILE_CHECKS: OptionChecks<CheckedEncodeOptions & TileCodecChoice> = {
  ...codecUseChecks(['encodeCheckedTile']),
  ...CHECKED_ENCODE_CHECKS,
}
const DECODE_TILE_CHECKS: OptionChecks<DecodeOptions & TileCodecChoice> = {
  ...codecUseChecks(['decodeTile']),
  ...DECODE_CHECKS,
}
const TILE_LATENT_CHECKS: OptionChecks<LatentOptions & TileCodecChoice> = {
  ...codecUseChecks(['decodeLatents']),
  ...LATENT_CHECKS,
}

/**
 * Compresses one tile, 1 x 1 to 1024 x 1024 pixels, RGB or RGBA (alpha is ignored), 8 bit, interleaved. The codec is
 * opened at the first call and shared; it doesn't keep the program from ending.
 *
 * @throws TypeError, RangeError; DeviceError ERR_NO_DEVICE, ERR_DEVICE_FAILED; AbortedError
 * @example
 * const bytes = await encodeTile({ data, width: 512, height: 512 }, { quality: 60 })
 */
export async function encodeTile(image: ImageInput, options: EncodeOptions & TileCodecChoice = {}): Promise<OwnBytes> {
  // The image is checked before a codec is opened for it, and copied if it is in shared memory, which may change
  // meanwhile.
  const checked = checkImage(image)
  const { quality, signal, ...choice } = checkOptions(options, ENCODE_TILE_CHECKS)
  using loan = await lend({ ...choice, signal })
  return await loan.codec.encodeTile(checked, { quality, signal })
}

/**
 * {@link encodeTile} that knows how near the tile comes to the image, and that stores what the network does badly (text,
 * pen, fluorescence ...) by a classic codec: what costs least in bits + lambda * error, lambda being that of the quality.
 *
 * @returns the bytes, the PSNR in dB of what they decode to (Infinity if unchanged), and the codec that stores the tile
 * @throws as `encodeTile`
 * @example
 * const { bytes, psnr, codec } = await encodeCheckedTile({ data, width: 512, height: 512 }, { minPsnr: 35 })
 */
export async function encodeCheckedTile(
  image: ImageInput,
  options: CheckedEncodeOptions & TileCodecChoice = {},
): Promise<CheckedTile> {
  const checked = checkImage(image)
  const { quality, minPsnr, lossless, signal, ...choice } = checkOptions(options, CHECKED_TILE_CHECKS)
  using loan = await lend({ ...choice, signal })
  return await loan.codec.encodeCheckedTile(checked, { quality, minPsnr, lossless, signal })
}

/**
 * The pixels of a tile that {@link encodeTile} or {@link encodeCheckedTile} made.
 *
 * @throws CorruptDataError ERR_CORRUPT_TILE; UnsupportedError ERR_MODEL_MISMATCH; TypeError; DeviceError; AbortedError
 * @example
 * const { data, width, height } = await decodeTile(bytes)
 */
export async function decodeTile(bytes: Uint8Array, options: DecodeOptions & TileCodecChoice = {}): Promise<Image> {
  const checked = checkTileBytes(bytes, 'bytes')
  const { signal, ...choice } = checkOptions(options, DECODE_TILE_CHECKS)
  using loan = await lend({ ...choice, signal })
  return await loan.codec.decodeTile(checked, { signal })
}

/**
 * The latents y_hat of a tile that {@link encodeTile} or {@link encodeCheckedTile} made, without the synthesis of its
 * pixels (docs/latents.md): float32, channels x height / 16 x width / 16.
 *
 * @throws CorruptDataError ERR_CORRUPT_TILE; UnsupportedError ERR_MODEL_MISMATCH; TypeError; DeviceError; AbortedError
 * @example
 * const { data, channels, width, height } = await decodeLatents(bytes)
 */
export async function decodeLatents(
  bytes: Uint8Array,
  options: LatentOptions & TileCodecChoice = {},
): Promise<Latents> {
  const checked = checkTileBytes(bytes, 'bytes')
  const { missing, signal, ...choice } = checkOptions(options, TILE_LATENT_CHECKS)
  using loan = await lend({ ...choice, signal })
  return await loan.codec.decodeLatents(checked, { missing, signal })
}

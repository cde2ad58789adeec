/**
 * What of cleric its own packages, @cleric/bench and @cleric/farm, use beside the public API, as `cleric/internal`.
 * Unstable: any version may change or remove any of it.
 */
export { Archive, openArchiveOf } from './archive/archive.js'
export { isArchive, readHead } from './archive/head-reader.js'
export { openAny } from './archive/open-any.js'
export { outOfRange } from './arguments.js'
export { type Cli, codecOptions, type Session } from './cli/cli.js'
export { type ArchiveOptionValues, archiveOptions } from './cli/compress.js'
export { byteSize, counted, duration, integerFrom, numberFrom, table } from './cli/quantities.js'
export { tileSide } from './cli/tile-side.js'
export type { CodecChoice } from './codec/arguments.js'
export { MAX_TILE_SIDE, modelId, PAYLOAD_HEAD_BYTES, readTile, writeTile } from './codec/bitstream.js'
export { decodeClassic } from './codec/classic.js'
export { encodeLossless, encodeLossy } from './codec/classic-encoder.js'
export type { PayloadCodec } from './codec/codec.js'
export { type Loan, lend } from './codec/default-codec.js'
export { findGpu } from './codec/devices.js'
export { gainsAt } from './codec/gain.js'
export { costOf } from './codec/rate.js'
export { TileCodec } from './codec/tile-codec.js'
export { type CollectionSlide, type FoundSlide, isSlideName, nameArchives, slidesAt } from './collection/find-slides.js'
export { type ManifestRow, manifestTableHead, manifestTableLine, type SlideVersion } from './collection/manifest.js'
export {
  type ArchivePlace,
  compressOne,
  factsOf,
  failedRow,
  filePlace,
  isSameVersion,
  resuming,
  rowOf,
  settingsOf,
  sha256Of,
  slideVersionOf,
} from './collection/one-slide.js'
export { type ArchiveStore, type ArchiveTarget, otherRun, type StoreOptions } from './compress/archive-store.js'
export { BusyClock } from './compress/busy-clock.js'
export { compressPart, countTiles } from './compress/compress.js'
export { archiveNames } from './compress/file-store.js'
export { fingerprintIn, recordsIn, type TileRecord } from './compress/journal.js'
export { openPart, type Part, type Share } from './compress/part.js'
export { SEGMENT_TILES } from './compress/plan.js'
export { untilAborted } from './concurrency/abort.js'
export { Turns } from './concurrency/turns.js'
export { CpuBackend, CpuExecutable, openCpu } from './cpu/backend.js'
export { neededHalves } from './cpu/needed.js'
export { crc32c } from './entropy/crc32c.js'
export { throwIfAborted } from './errors.js'
export { type ByteSource, openBytes } from './files/byte-source.js'
export { makeFolder } from './files/make-folder.js'
export { refuseReading } from './files/output.js'
export { PartialFile } from './files/partial-file.js'
export { Sha256 } from './files/sha256.js'
export { paste } from './image/draw.js'
export { cropImage } from './image/image.js'
export { fractal, random, smooth } from './image/noise.js'
export { fromImage, toImage } from './image/sharp.js'
export { halve } from './image/shrink.js'
export { EOSIN, HAEMATOXYLIN } from './image/stains.js'
export {
  type BdRate,
  bdRate,
  efficient,
  INTERPOLATIONS,
  type Interpolation,
  type RatePoint,
} from './metrics/bd-rate.js'
export { meanSquaredError } from './metrics/psnr.js'
export { DEFAULT_MODEL_FILE, loadModel, type Model, parseModel, readModelFile } from './model/model.js'
export { DEFAULT_ERRORS } from './model/promise.js'
export { readSafetensors } from './model/safetensors.js'
export { GraphBuilder } from './network/builder.js'
export { decoderGraph, encoderGraph, PAD_MULTIPLE } from './network/cleric.js'
export type { ModelConfig } from './network/config.js'
export {
  type Activation,
  type Backend,
  DEAD_ZONE_TABLE,
  type Executable,
  type Graph,
  type Half,
  type IntegerConvNode,
  type IntegerDepthwiseNode,
  type IntegerLinearAttentionNode,
  type IntegerParameter,
  type IntegerWindowAttentionNode,
  LATENT_STEPS,
  type LiftStepNode,
  type Node,
  nodeInputs,
  nodeOutputs,
  type Parameter,
  type Parameters,
  type PortData,
  RSQRT_TABLE,
  type Shape,
  type Tensor,
} from './network/graph.js'
export { endsOf } from './network/ops/lifting.js'
export { slideFiles } from './slide/mirax.js'
export { openByRanges } from './slide/ranges.js'
export type { SlideSource } from './slide/source.js'
export { SyntheticSlide } from './slide/synthetic.js'
export { findAdapters, pickAdapter } from './webgpu/adapters.js'
export { openWebGpu, WebGpuBackend } from './webgpu/backend.js'
export { HostClock } from './webgpu/host-clock.js'

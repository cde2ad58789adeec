/** The C++ addon, with the types of its exports and its errors as ours. */
import { AbortedError, ClericError, CorruptDataError, DeviceError, type ErrorCode, SlideError } from '../errors.js'
import { howToBuild, loadAddonFile } from './addon-file.js'

/** Checked cumulative tables inside the addon. Opaque here. */
export interface NativeTables {
  readonly __nativeTables: never
}

/** Arrays are copied before a call returns. */
export interface NativeRansEncoder {
  push(symbols: Int16Array, tableIndexes: Uint8Array | Uint16Array, tables: NativeTables): void
  finish(): Promise<Uint8Array>
}

export interface NativeRansDecoder {
  decode(tableIndexes: Uint8Array | Uint16Array, tables: NativeTables): Promise<Int16Array>
  finish(): void
  close(): void
}

/** The result of `Slide.open` in native/node/slide_binding.cc. */
export interface NativeSlideInfo {
  libraryVersion: string
  /** width, height, downsample of each level, flat. */
  levels: number[]
  /** Name and value by turns. */
  properties: string[]
  associatedImages: string[]
  /** Empty: the slide has none, or OpenSlide is older than 4.0. */
  iccProfile: Uint8Array
  /** Why the profile couldn't be read; empty if it could. */
  iccError: string
}

export interface NativePixels {
  data: Uint8Array
  width: number
  height: number
}

/** See native/node/slide_binding.cc. `job` is a number that `cancel` knows the call by; `background` is 0xRRGGBB. */
export interface NativeSlide {
  open(path: string, library: string): Promise<NativeSlideInfo>
  readRegion(
    job: number,
    x: number,
    y: number,
    level: number,
    width: number,
    height: number,
    background: number,
  ): Promise<NativePixels>
  readAssociatedImage(job: number, name: string, background: number): Promise<NativePixels>
  cancel(job: number): void
  close(): void
}

/** The names that a plan refers to by number, of each kind. */
export interface CpuNumbering {
  readonly operations: readonly string[]
  readonly layouts: readonly string[]
  readonly formats: readonly string[]
  readonly activations: readonly string[]
  readonly halves: readonly string[]
}

/** What `native/node/cpu_binding.cc` exports; see there, and `src/cpu/flatten.ts` for the plan. */
export interface NativeCpuBackend {
  readonly threads: number
  readonly isa: string
  compile(
    tensors: Int32Array,
    program: Int32Array,
    reals: Float32Array,
    keys: readonly string[],
    values: readonly (Float32Array | Int32Array)[],
  ): NativeCpuExecutable
  peak(): Promise<number>
  close(): void
}

export interface NativeCpuExecutable {
  readonly bytes: number
  run(stage: number, inputs: readonly PortArray[]): Promise<PortArray[]>
  cancel(): void
  seconds(stage: number): Float64Array
  close(): void
}

type PortArray = Float32Array | Uint8Array | Int16Array

export interface Addon {
  CpuBackend: new (threads: number, isa: string) => NativeCpuBackend
  cpuInstructionSets(): string[]
  /** Older addons lack it. */
  cpuNumbering?(): Partial<CpuNumbering>
  RansTables: new (values: Int32Array, offset: Int32Array, size: Int32Array, min: Int32Array) => NativeTables
  RansEncoder: new () => NativeRansEncoder
  RansDecoder: new (bytes: Uint8Array) => NativeRansDecoder
  decodeWeights(
    streams: Uint8Array,
    lengths: Int32Array,
    valuesAStream: number,
    shapes: Int32Array,
    rows: Uint8Array,
    columns: Uint8Array,
    tables: NativeTables,
    mostValues: number,
  ): Promise<Int16Array>
  Slide: new () => NativeSlide
  crc32c(bytes: Uint8Array, seed: number): number
  crc32cPortable(bytes: Uint8Array, seed: number): number
}

/** What an addon must have, so that one of another version says so before anything is asked of it. */
const NEEDED = ['CpuBackend', 'RansDecoder', 'RansEncoder', 'RansTables', 'Slide', 'crc32c', 'decodeWeights'] as const

let loaded: Addon | undefined

/**
 * The addon, loaded at the first call.
 *
 * @throws ClericError ERR_ADDON_MISSING if there is none that loads here; the message has the causes and the command that
 * builds it. ERR_ADDON_MISMATCH for one of another version
 */
export function addon(): Addon {
  if (loaded === undefined) {
    const { file, exports } = loadAddonFile()
    const found = exports as Addon
    const lacking = NEEDED.filter((name) => typeof found[name] !== 'function')
    if (lacking.length > 0) {
      const what = `The native addon is of another version: ${file} has no ${lacking.join(', ')}`
      throw new ClericError('ERR_ADDON_MISMATCH', `${what}. ${howToBuild('Build it anew')}`)
    }
    loaded = found
  }
  return loaded
}

function codeOf(error: unknown): ErrorCode | undefined {
  return error instanceof Error ? (error as Error & { code?: ErrorCode }).code : undefined
}

/** An error that the addon threw as the ClericError of its code; any other value unchanged. */
export function asClericError(error: unknown): unknown {
  const code = codeOf(error)
  if (!(error instanceof Error) || error instanceof ClericError) return error
  switch (code) {
    case 'ERR_CORRUPT_TILE':
      return new CorruptDataError(code, error.message, { cause: error })
    case 'ERR_OPENSLIDE_MISSING':
    case 'ERR_OPENSLIDE_READ':
    case 'ERR_UNSUPPORTED_SLIDE':
      return new SlideError(code, error.message, { cause: error })
    case 'ERR_ABORTED':
      return new AbortedError(error)
    case 'ERR_CLOSED':
      return new ClericError(code, error.message, { cause: error })
    case 'ERR_DEVICE_FAILED':
    case 'ERR_DEVICE_LIMIT':
      return new DeviceError(code, error.message, { cause: error })
    default:
      return error
  }
}

/** Calls into the addon with its errors translated. */
export function translated<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw asClericError(error)
  }
}

/** {@link translated} for a call that gives a promise. */
export async function translatedLater<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw asClericError(error)
  }
}

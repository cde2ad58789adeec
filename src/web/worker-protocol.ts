/** What a page and its worker say to each other. All of it can be cloned, or is transferred. */
import type { checksOf, checksWindow } from '../archive/checks-window.js'
import type { Hole } from '../archive/holes.js'
import type { CheckSummary } from '../archive/tile-checks.js'
import type { ErrorCode } from '../errors.js'
import type { Colour } from '../image/draw.js'
import type { IccMode } from '../slide/colour.js'
import type { Level, Region, Resolution } from '../slide/source.js'

/** What a slide says of itself, as the archive has it. */
export interface SlideFacts {
  /** Address of the archive; "archive" for a Blob. */
  readonly path: string
  /** Changes when the file does. */
  readonly version: string
  readonly bytes: number
  readonly bpp: number
  readonly quality: number
  readonly model: { readonly name: string; readonly hash: string }
  readonly mpp: Resolution | null
  readonly objectivePower: number | null
  readonly background: Colour
  readonly properties: Readonly<Record<string, string>>
  readonly associatedImages: readonly string[]
  readonly levels: readonly (Level & {
    readonly columns: number
    readonly rows: number
    readonly tileWidth: number
    readonly tileHeight: number
  })[]
  readonly checks: CheckSummary | null
  /** The finest level of `tile()` that needs neither model nor GPU, as the overview gives it; null if there is none. */
  readonly overviewLevel: number | null
  /** What became of the ICC profile: "srgb" unless the slide's is of no use, then "none". */
  readonly icc: IccMode
}

/** A WebGPU adapter of the browser. */
export interface AdapterFacts {
  readonly name: string
  /** Whether it computes on the processor: hundreds of times slower than a GPU. */
  readonly software: boolean
}

/** A model that is open on a device. */
export interface DecoderFacts {
  readonly device: string
  /** Tiles to ask for at a time; more only wait. */
  readonly tilesInFlight: number
}

/** A tile of the pyramid that viewers show. */
export interface DecodedTile {
  /** In sRGB. To be closed by who has it. */
  readonly bitmap: ImageBitmap
  /** What is hatched in it. */
  readonly holes: readonly Hole[]
}

/** The calls that a worker takes: arguments and result of each. */
export interface Calls {
  adapter: { ask: object; answer: AdapterFacts }
  open: { ask: { readonly source: string | Blob; readonly model: string | undefined }; answer: SlideFacts & Opened }
  decoder: { ask: OfSlide; answer: DecoderFacts }
  tile: { ask: OfSlide & TileAddress; answer: DecodedTile | null }
  region: { ask: OfSlide & { readonly region: Region }; answer: ImageBitmap }
  overview: { ask: OfSlide; answer: Blob | null }
  associated: { ask: OfSlide & { readonly name: string }; answer: Blob }
  checks: { ask: OfSlide & { readonly query: Readonly<Record<string, string>> }; answer: TileChecks }
}

export interface Opened {
  readonly slide: number
}
export interface OfSlide {
  readonly slide: number
}
export interface TileAddress {
  readonly level: number
  readonly column: number
  readonly row: number
}

/** What `cleric serve` answers under `/checks/`: of the whole archive, or of a window of tiles. */
export type TileChecks = ReturnType<typeof checksOf> | Exclude<ReturnType<typeof checksWindow>, string>

export type Call = keyof Calls

/** From the page. */
export type Request =
  | { readonly [C in Call]: { readonly id: number; readonly call: C; readonly ask: Calls[C]['ask'] } }[Call]
  | { readonly id: number; readonly call: 'abort' }
  | { readonly id: number; readonly call: 'close'; readonly slide: number }

/** From the worker. */
export type Answer =
  | { readonly id: number; readonly answer: Calls[Call]['answer'] }
  | { readonly id: number; readonly failure: Failure }

/** An error; errors themselves lose their class and code on the way. */
export interface Failure {
  readonly name: string
  readonly message: string
  readonly code: ErrorCode | null
}

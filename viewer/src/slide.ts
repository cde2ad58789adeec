/** What a slide is to the page, wherever it comes from and whoever decodes it. */
import type { TileSource } from 'openseadragon'

export interface Size {
  readonly width: number
  readonly height: number
}

export interface SlideLevel extends Size {
  /** How many pixels of level 0 one of this level stands for, in x and y. */
  readonly downsample: number
}

/** Micrometres that a pixel of level 0 is wide and high. */
export interface Resolution {
  readonly x: number
  readonly y: number
}

export interface SlideFacts {
  readonly name: string
  /** Changes when the file does. */
  readonly version: string
  /** Level 0 is full resolution. */
  readonly levels: readonly SlideLevel[]
  readonly mpp: Resolution | null
  readonly objectivePower: number | null
  readonly bytes: number
  /** Null for what was not compressed by cleric: a source slide. */
  readonly quality: number | null
  /** Bits a pixel of level 0. */
  readonly bpp: number | null
  readonly model: { readonly name: string; readonly hash: string } | null
  readonly associatedImages: readonly string[]
  readonly properties: Readonly<Record<string, string>>
  /** Name of the slide that the archive was made from, if it is there too. */
  readonly source: string | null
}

/** A tile of the archive that can't be shown as it was. */
export interface BadTile {
  readonly level: number
  readonly column: number
  readonly row: number
  readonly code: string
  readonly reason: string
}

/** Who decodes the tiles: nobody where there is neither WebGPU nor a server, and it may take a while to find out. */
export type DecodedBy = 'browser' | 'server' | 'nobody' | 'undecided'

/** A slide that is open in the page. */
export interface OpenSlide {
  readonly facts: SlideFacts
  readonly decodedBy: DecodedBy
  /** Why, in a sentence for the badge. */
  readonly why: string
  /** Set by the page: called when another decodes from now on. */
  onDecodedBy: (() => void) | null
  /** A new source of tiles for OpenSeadragon; every viewer that shows the slide takes one. */
  tileSource(): TileSource
  /** Address of a small picture of the whole slide, painted until tiles come; null if there is none. */
  readonly overview: string | null
  /** Address of a label, macro image or thumbnail, by its name in the facts. */
  associatedImage(name: string): Promise<string>
  /** Set by the page: called when a tile with holes has come; `badTiles` knows which. */
  onHoles: (() => void) | null
  /** The holes that are known by now; tiles show them hatched. */
  badTiles(): Promise<readonly BadTile[]>
  /** How near the tiles came to the slide; null if the archive doesn't say. */
  checks(): Promise<SlideChecks | null>
  /** Stops what is under way and frees what it holds: blob: addresses, a codec, jobs of a worker. */
  close(): void
}

/** Error of a tile in decibels; null where no tile is stored or it wasn't checked. */
export type TilePsnr = number | 'unchanged' | null

export interface SlideChecks {
  readonly summary: ChecksSummary | null
  readonly levels: readonly CheckedLevel[]
  /** Tiles of a level, from (column, row) on, row by row. */
  window(level: number, column: number, row: number, columns: number, rows: number): Promise<CheckedTiles>
}

export interface ChecksSummary {
  readonly tiles: number
  readonly psnr: Readonly<Record<'least' | 'p1' | 'p10' | 'p50', number | 'unchanged'>>
  readonly codecs: Readonly<Record<string, number>>
}

export interface CheckedLevel extends SlideLevel {
  readonly columns: number
  readonly rows: number
  readonly tileWidth: number
  readonly tileHeight: number
}

export interface CheckedTiles {
  readonly psnr: readonly TilePsnr[]
  readonly codec: readonly (string | null)[]
  /** A digit a tile: 0 stored, 1 blank, 2 unreadable in the slide, 3 partly unreadable. */
  readonly state: string
}

export interface SlideEntry {
  readonly name: string
  /** Address of a small picture. */
  readonly thumbnail: string | null
}

/** Where slides come from. */
export interface Shelf {
  list(): Promise<readonly SlideEntry[]>
  /** @throws Error with a message for people */
  open(name: string, signal: AbortSignal): Promise<OpenSlide>
}

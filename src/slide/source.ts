/**
 * The interface of an open slide: levels of pixels and some facts about them. Slides that OpenSlide reads, image files,
 * drawn slides and archives all have it.
 */
import { checkInteger, checkSignal, checkString, wrongType } from '../arguments.js'
import { throwIfAborted } from '../errors.js'
import type { Colour } from '../image/draw.js'
import type { Image, Size } from '../image/image.js'

/** One resolution of a slide; level 0 is the finest. */
export interface Level {
  readonly width: number
  readonly height: number
  /** Level-0 pixels a pixel of this level, 1 for level 0; as the slide states it, so not always integral. */
  readonly downsample: number
}

/** Micrometres a level-0 pixel. */
export interface Resolution {
  readonly x: number
  readonly y: number
}

/** A rectangle: x, y in level-0 pixels; width and height in pixels of the level, as OpenSlide's read_region has it. */
export interface Region {
  readonly x: number
  readonly y: number
  readonly level: number
  readonly width: number
  readonly height: number
}

/** An image that a file holds. */
export interface HeldImage {
  /** Number of its directory in a TIFF's main chain, or of its frame, from 0. */
  readonly page: number
  /** Number among the SubIFDs of that directory, from 0; null for the directory itself, and in other files. */
  readonly subIfd: number | null
  readonly width: number
  readonly height: number
  /** "level 0" ..., or the name of an associated image; null if it isn't taken. */
  readonly role: string | null
}

/** The JPEGs that a level is stored as. */
export interface JpegTiles {
  /** Sides of each, in pixels; those of the last column and row reach beyond the level. */
  readonly tileWidth: number
  readonly tileHeight: number
  readonly columns: number
  readonly rows: number
  /**
   * One of them as a stream that stands for itself (`image/jpeg-stream.ts`), its coefficients the same to the bit. Null
   * if it isn't there, or is of a kind that can't be kept.
   */
  read(column: number, row: number, signal?: AbortSignal): Promise<Uint8Array | null>
}

/** A slide that is open. Several reads at once are safe. */
export interface SlideSource {
  /** The reader or vendor format, e.g. "aperio", "image", "synthetic", "archive". */
  readonly format: string
  /** Path of the file, or the description of a drawn slide. */
  readonly path: string
  /** Size of the source's files, as far as they are known; 0 where there is none. */
  readonly bytes: number
  /** Changes when the file does, where the source knows it though it may be no local file. */
  readonly version?: string
  readonly levels: readonly Level[]
  readonly mpp: Resolution | null
  readonly objectivePower: number | null
  /** Colour of what lies outside the scanned area. */
  readonly background: Colour
  readonly properties: Readonly<Record<string, string>>
  /** Names of the label, macro, thumbnail and so on. */
  readonly associatedImages: readonly string[]
  /** Pixels of a region; what lies outside the slide has the background colour. */
  readRegion(region: Region, signal?: AbortSignal): Promise<Image>
  readAssociatedImage(name: string, signal?: AbortSignal): Promise<Image>
  /** The ICC profile of the colours; null where there is none, or they are sRGB. */
  iccProfile?(): Uint8Array | null
  /** All images that the file holds, and what is taken of them; absent where that is no question. */
  readonly contents?: readonly HeldImage[] | undefined
  /** What a reader should be told: images that aren't taken, values that were converted. */
  readonly warnings?: readonly string[] | undefined
  /** Sides of the tiles that a level is stored in, in its pixels: what is lost where one is damaged. Null: not known. */
  tileSize?(level: number): Size | null
  /** The JPEGs that a level is stored as; null where it isn't, or they can't be had. */
  jpegTiles?(level: number): JpegTiles | null
  close(): void
}

/** What a reader of a slide should be told, in words. */
export function warningsOf(slide: SlideSource): string[] {
  return [...(slide.warnings ?? [])]
}

/** Most pixels a region may have: 768 MiB of RGB. */
const MAX_REGION_PIXELS = 2 ** 28

/** Checks at the public edge that something is a slide that is open. */
export function checkSlide(slide: SlideSource, name: string): void {
  if (typeof slide?.readRegion !== 'function' || !Array.isArray(slide.levels)) {
    throw wrongType('a slide that is open', name, slide)
  }
}

/** Checks a region at the public edge. It may reach outside the slide. */
export function checkRegion(region: Region, levels: number): Region {
  if (typeof region !== 'object' || region === null) throw wrongType('{ x, y, level, width, height }', 'region', region)
  checkInteger(region.x, 'x', -(2 ** 40), 2 ** 40)
  checkInteger(region.y, 'y', -(2 ** 40), 2 ** 40)
  checkInteger(region.level, 'level', 0, levels - 1)
  checkInteger(region.width, 'width', 1, MAX_REGION_PIXELS)
  checkInteger(region.height, 'height', 1, Math.floor(MAX_REGION_PIXELS / region.width))
  return region
}

/** Checks the arguments of `readRegion` at the public edge. @throws AbortedError */
export function checkRead(region: Region, levels: number, signal: AbortSignal | undefined): Region {
  checkRegion(region, levels)
  throwIfAborted(checkSignal(signal))
  return region
}

/** Checks the arguments of `readAssociatedImage` at the public edge. @throws AbortedError */
export function checkImageRead(name: string, signal: AbortSignal | undefined): void {
  checkString(name, 'name')
  throwIfAborted(checkSignal(signal))
}

/** The region that covers a rectangle given in the level's own pixels. */
export function levelRegion(
  source: Pick<SlideSource, 'levels'>,
  level: number,
  column: number,
  row: number,
  width: number,
  height: number,
): Region {
  const downsample = source.levels[level]?.downsample ?? 1
  return { x: Math.round(column * downsample), y: Math.round(row * downsample), level, width, height }
}

/** Column or row of a level that is nearest to a level-0 position; undoes the rounding of {@link levelRegion}. */
export function levelPosition(position: number, downsample: number): number {
  return Math.round(position / downsample)
}

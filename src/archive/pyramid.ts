/**
 * An archive as a pyramid for viewers, with DeepZoom's geometry: levels that double in size up to the full image, tiles of
 * 512 x 512 without overlap. It has nothing of Node.js, as browsers make the same tiles.
 *
 * No tile takes many to be decoded. A level that the archive stores (or nearly) is read; one up to 4 times coarser is
 * made from the four tiles below each of its own; the overview, which is there as JPEG, makes the others.
 */
import { TimeSlice } from '../concurrency/give-way.js'
import { ClericError, throwIfAborted, UnsupportedError } from '../errors.js'
import { type Colour, fill, paste } from '../image/draw.js'
import { hatch } from '../image/hatch.js'
import { cropImage, type Image, type Size } from '../image/image.js'
import { halve, means, type Span } from '../image/shrink.js'
import type { TileCache, TileSpace } from '../image/tile-cache.js'
import type { Level, Region, SlideSource } from '../slide/source.js'
import { type Hole, type HoledImage, NothingButHoles } from './holes.js'
import type { LevelWindow } from './tile-window.js'

export const PYRAMID_TILE = 512
/** How much coarser a stored level may be than what is made of it: scanners round the sizes of their levels. */
const TOLERANCE = 1.01
/** Most that tiles are shrunk from stored ones, so that each takes 16 of them: where there is an overview to make it of. */
const MOST_SHRUNK = 4
/** From this downsample on the overview is as good as stored levels, and needs no network. */
const OVERVIEW_FROM = 16

/** Most tiles of the pyramid that one is made of: an archive without an overview may hold level 0 alone. */
const MOST_FINER = 1024

/** Number of the level with the full image; level 0 is one pixel. */
export function maxLevel({ width, height }: Size): number {
  return Math.ceil(Math.log2(Math.max(width, height)))
}

/** Size of a pyramid level. */
export function levelSize(full: Size, level: number): Size {
  const scale = 2 ** (maxLevel(full) - level)
  return { width: Math.ceil(full.width / scale), height: Math.ceil(full.height / scale) }
}

/** What tiles are made of: an archive, or another slide. */
export interface PyramidSource extends Pick<SlideSource, 'levels' | 'background'> {
  readRegionWithHoles(region: Region, signal?: AbortSignal): Promise<HoledImage>
  /** Sizes of the levels of a small pyramid that is stored as JPEG, the finest first; none where there is no such thing. */
  readonly overviewLevels: readonly Size[]
  /** A tile of it, of 512 x 512 pixels or what the level has there. @throws CorruptDataError ERR_ARCHIVE_CORRUPT */
  readOverviewLevel(level: number, column: number, row: number, signal?: AbortSignal): Promise<Image>
  /** The colour that all of a window of a level has, if that is known without reading it. */
  onlyColour?(level: number, window: LevelWindow): Colour | null
  /** What of a window of a level is not there, though the overview doesn't show it. */
  unreadableWithin?(level: number, window: LevelWindow): readonly Hole[]
  /** Size of the tiles that holes are counted in. */
  readonly tile?: number
}

/** Where a tile is, in pixels of its level. */
interface Place extends Size {
  readonly level: number
  readonly column: number
  readonly row: number
}

export class Pyramid {
  readonly #source: PyramidSource
  readonly #full: Level
  readonly #tiles: TileSpace
  /** What is wrong with tiles that were made, by their keys; sound ones have no entry. */
  readonly #holes = new Map<string, readonly Hole[]>()
  readonly #slice = new TimeSlice()

  /** @param cache where the tiles are kept that are made */
  constructor(source: PyramidSource, cache: TileCache) {
    this.#source = source
    this.#full = source.levels[0] as Level
    this.#tiles = cache.space()
  }

  get maxLevel(): number {
    return maxLevel(this.#full)
  }

  /** The finest level that the overview gives, for which nothing is decoded; null if there is no such level. */
  get overviewLevel(): number | null {
    const finest = this.#source.overviewLevels[0]
    if (!finest || this.#levelOf(finest) < 0) return null
    for (let level = this.maxLevel; level >= 0; level--) {
      const downsample = 2 ** (this.maxLevel - level)
      const stored = this.#source.levels.findLast((each) => each.downsample <= downsample * TOLERANCE) as Level
      const isCheap = downsample / stored.downsample <= MOST_SHRUNK * TOLERANCE
      if (downsample >= OVERVIEW_FROM || !isCheap) return level
    }
    return null
  }

  /**
   * A tile, or null if the pyramid has none there. What can't be had of it is hatched. The work stops when all callers
   * that asked for the tile have given up.
   *
   * @throws CorruptDataError ERR_CORRUPT_TILE if nothing of it can be had
   */
  async tile(level: number, column: number, row: number, signal?: AbortSignal): Promise<HoledImage | null> {
    throwIfAborted(signal)
    const size = this.tileSize(level, column, row)
    if (!size) return null
    const key = `${level}/${column}/${row}`
    const make = async (stop: AbortSignal) => {
      const { image, holes } = await this.#make({ level, column, row, ...size }, stop)
      if (holes.length > 0) this.#holes.set(key, holes)
      return image
    }
    const image = await this.#tiles.get(key, size.width * size.height * 3, make, signal)
    return { image, holes: this.#holes.get(key) ?? [] }
  }

  /** Size of a tile in pixels, or null if the pyramid has none there. */
  tileSize(level: number, column: number, row: number): Size | null {
    if (level > this.maxLevel) return null
    const { width, height } = levelSize(this.#full, level)
    const [left, top] = [column * PYRAMID_TILE, row * PYRAMID_TILE]
    if (left >= width || top >= height) return null
    return { width: Math.min(PYRAMID_TILE, width - left), height: Math.min(PYRAMID_TILE, height - top) }
  }

  /** Drops the tiles; the source stays open. */
  close(): void {
    this.#tiles.clear()
  }

  async #make(place: Place, signal: AbortSignal): Promise<HoledImage> {
    const downsample = 2 ** (this.maxLevel - place.level)
    const near = this.#source.levels.findLastIndex((stored) => stored.downsample <= downsample * TOLERANCE)
    const shrunk = downsample / (this.#source.levels[near] as Level).downsample
    const isCheap = shrunk <= MOST_SHRUNK * TOLERANCE
    if (downsample >= OVERVIEW_FROM || !isCheap) {
      try {
        const image = await this.#fromOverview(place, signal)
        if (image) return this.#withHoles(image, place)
      } catch (error) {
        // A damaged overview hides no level that is there.
        if (!isCheap || !(error instanceof ClericError) || error.code !== 'ERR_ARCHIVE_CORRUPT') throw error
      }
    }
    const colour = this.#source.onlyColour?.(near, windowOf(place, shrunk))
    if (colour) return { image: fill(place.width, place.height, colour), holes: [] }
    if (shrunk < 1.5) return this.#fromStored(place, near, shrunk, signal)
    if (!this.#isFewFiner(place, shrunk)) throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', NO_COARSE_LEVEL)
    return this.#fromFiner(place, signal)
  }

  /** Whether a tile is made of few others: of the overview, or of not too many of the next stored level. */
  #isFewFiner(place: Place, shrunk: number): boolean {
    if (this.#source.overviewLevels.some((size) => this.#levelOf(size) > place.level)) return true
    const { width, height } = place
    const along = (length: number) => Math.ceil((length * shrunk) / PYRAMID_TILE)
    return along(width) * along(height) <= MOST_FINER
  }

  /** The overview shows background where the slide could not be read: glass, for who looks at it. */
  #withHoles(image: Image, place: Place): HoledImage {
    const downsample = 2 ** (this.maxLevel - place.level)
    const holes = this.#source.unreadableWithin?.(0, windowOf(place, downsample)) ?? []
    if (holes.length === 0) return { image, holes }
    const marked = { ...image, data: image.data.slice() }
    const tile = Math.max(1, Math.ceil((this.#source.tile ?? PYRAMID_TILE) / downsample))
    const stripes = hatch(tile, tile)
    const at = (number: number) => Math.floor((number * (this.#source.tile ?? PYRAMID_TILE)) / downsample)
    for (const { column, row } of holes) {
      paste(stripes, marked, at(column) - place.column * PYRAMID_TILE, at(row) - place.row * PYRAMID_TILE)
    }
    return { image: marked, holes }
  }

  /** From a stored level of nearly the same size. */
  async #fromStored(place: Place, level: number, scale: number, signal: AbortSignal): Promise<HoledImage> {
    const { downsample } = this.#source.levels[level] as Level
    const [width, height] = [
      Math.max(1, Math.round(place.width * scale)),
      Math.max(1, Math.round(place.height * scale)),
    ]
    const x = Math.round(place.column * PYRAMID_TILE * scale * downsample)
    const y = Math.round(place.row * PYRAMID_TILE * scale * downsample)
    const { image, holes } = await this.#source.readRegionWithHoles({ x, y, level, width, height }, signal)
    return { image: resample(image, place), holes }
  }

  /** From the four tiles of the next finer level of the pyramid. */
  async #fromFiner({ level, column, row, ...size }: Place, signal: AbortSignal): Promise<HoledImage> {
    const finer = fill(2 * size.width, 2 * size.height, this.#source.background)
    const holes: Hole[] = []
    let sound = 0
    // One after the other, as each may be made from several tiles in turn: memory stays bounded.
    for (const [dx, dy] of [
      [0, 0],
      [1, 0],
      [0, 1],
      [1, 1],
    ] as const) {
      const [left, top] = [dx * PYRAMID_TILE, dy * PYRAMID_TILE]
      // Tiles of one colour are there at once, and nothing else would get a turn.
      if (this.#slice.isOver) await this.#slice.giveWay()
      try {
        const tile = await this.tile(level + 1, 2 * column + dx, 2 * row + dy, signal)
        if (!tile) continue
        sound++
        holes.push(...tile.holes)
        paste(tile.image, finer, left, top)
      } catch (error) {
        if (!(error instanceof NothingButHoles)) throw error
        holes.push(...error.holes)
        paste(hatch(PYRAMID_TILE, PYRAMID_TILE), finer, left, top)
      }
    }
    if (sound === 0) throw new NothingButHoles(holes)
    return { image: halve(finer), holes }
  }

  /**
   * From the overview: its level of that size, or its finest one enlarged. Null if the archive has none, or the tile is
   * coarser than all of it.
   */
  async #fromOverview(place: Place, signal: AbortSignal): Promise<Image | null> {
    const levels = this.#source.overviewLevels.map((size) => this.#levelOf(size))
    const same = levels.indexOf(place.level)
    if (same >= 0) return this.#source.readOverviewLevel(same, place.column, place.row, signal)
    const finest = levels[0] ?? -1
    if (finest < 0 || place.level < finest) return null
    const factor = 2 ** (place.level - finest)
    const [column, row] = [Math.floor(place.column / factor), Math.floor(place.row / factor)]
    const tile = await this.#source.readOverviewLevel(0, column, row, signal)
    const side = PYRAMID_TILE / factor
    const part = fill(Math.ceil(place.width / factor), Math.ceil(place.height / factor), this.#source.background)
    paste(tile, part, -(place.column % factor) * side, -(place.row % factor) * side)
    return cropImage(enlarge(part, factor), place.width, place.height)
  }

  /** The level of this pyramid that has that size; -1 if none has, as overviews of other programs might. */
  #levelOf({ width, height }: Size): number {
    for (let level = this.maxLevel; level >= 0; level--) {
      const size = levelSize(this.#full, level)
      if (size.width === width && size.height === height) return level
    }
    return -1
  }
}

const NO_COARSE_LEVEL = 'There is no coarse level to show so much of the slide; look at a smaller part'

/** What a tile shows of a level of which `scale` pixels make one of its own. */
function windowOf({ column, row, width, height }: Place, scale: number): LevelWindow {
  const along = (start: number, length: number): [number, number] => {
    const first = Math.round(start * scale)
    return [first, Math.max(1, Math.round((start + length) * scale) - first)]
  }
  const [left, across] = along(column * PYRAMID_TILE, width)
  const [top, down] = along(row * PYRAMID_TILE, height)
  return { left, top, width: across, height: down }
}

/** A tile, of stripes where nothing of it can be had, so that it is seen what is missing and where; null if there is none. */
export async function tileOrHatch(
  pyramid: Pyramid,
  level: number,
  column: number,
  row: number,
  signal?: AbortSignal,
): Promise<HoledImage | null> {
  try {
    return await pyramid.tile(level, column, row, signal)
  } catch (error) {
    const size = pyramid.tileSize(level, column, row)
    if (!(error instanceof NothingButHoles) || !size) throw error
    return { image: hatch(size.width, size.height), holes: error.holes }
  }
}

/** The image with another size that differs little, each pixel the mean of those in its place. */
function resample(image: Image, { width, height }: Size): Image {
  if (image.width === width && image.height === height) return image
  const spans = (side: number, of: number): Span[] =>
    Array.from({ length: side }, (_, i) => {
      const start = Math.min(of - 1, Math.round((i * of) / side))
      return [start, Math.max(start + 1, Math.round(((i + 1) * of) / side))]
    })
  return means(image, spans(width, image.width), spans(height, image.height))
}

/** The image with `factor` x `factor` pixels for each of its own. */
function enlarge({ data, width, height }: Image, factor: number): Image {
  const out = new Uint8Array(data.length * factor * factor)
  for (let y = 0, at = 0; y < height * factor; y++) {
    const start = Math.floor(y / factor) * width
    for (let x = 0; x < width * factor; x++) {
      const from = (start + Math.floor(x / factor)) * 3
      for (let channel = 0; channel < 3; channel++) out[at++] = data[from + channel] as number
    }
  }
  return { data: out, width: width * factor, height: height * factor, channels: 3 }
}

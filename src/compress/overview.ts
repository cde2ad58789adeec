/**
 * The overview of a slide: a pyramid of JPEG tiles that programs without a decoder for the slide's own levels can show.
 *
 * Its finest level has a pixel for 16 x 16 of level 0 (fewer for tiny slides), the mean of what the slide has there;
 * every further level is the mean of 2 x 2 of the one before, until it fits into a tile. All in integers, so that the
 * same slide gives the same bytes.
 */
import { TimeSlice } from '../concurrency/give-way.js'
import { fill, paste, WHITE } from '../image/draw.js'
import { growImage, type Image, type Size } from '../image/image.js'
import { JPEG } from '../image/jpeg.js'
import { fromImage } from '../image/sharp.js'
import { halve, means, type Span } from '../image/shrink.js'
import type { Level } from '../slide/source.js'
import { emptyIndex, type TileIndex } from '../tiff/tile-index.js'

const DOWNSAMPLE = 16
const SMALLEST = 64
const TILE_SIDE = 512
/** Side of what is read from the slide at once: a tile of most slides. */
const READ_SIDE = 512
/** How much coarser a level of the slide may be than what is made of it: scanners round the sizes of their levels. */
const TOLERANCE = 1.01

/** Pixels of a rectangle of a level of the slide, in the level's own pixels. */
export type ReadLevel = (level: number, rectangle: Size & { left: number; top: number }) => Promise<Image>

export interface OverviewLevel {
  readonly level: Level
  /** Places for the tiles. */
  readonly index: TileIndex
}

/** The levels of the overview of a slide of that size: at least two. */
export function overviewLevels(full: Size): OverviewLevel[] {
  const levels: OverviewLevel[] = []
  let downsample = DOWNSAMPLE
  while (downsample > 1 && Math.max(full.width, full.height) / downsample < SMALLEST) downsample /= 2
  for (let isLast = false; levels.length < 2 || !isLast; downsample *= 2) {
    const [width, height] = [Math.ceil(full.width / downsample), Math.ceil(full.height / downsample)]
    const level = { width, height, downsample }
    levels.push({ level, index: emptyIndex(level, TILE_SIDE) })
    isLast = Math.max(width, height) <= TILE_SIDE
  }
  return levels
}

/**
 * Makes the overview's tiles. Only a few tiles' pixels are in memory at a time, but all of the JPEGs, which are small.
 */
export class Overview {
  readonly #levels: readonly OverviewLevel[]
  /** JPEGs of each level, row by row. */
  readonly tiles: Uint8Array[][]
  readonly #slide: readonly Level[]
  readonly #read: ReadLevel
  readonly #slice = new TimeSlice()

  /** @param levels of the overview, from {@link overviewLevels} */
  constructor(slide: readonly Level[], levels: readonly OverviewLevel[], read: ReadLevel) {
    this.#slide = slide
    this.#levels = levels
    this.#read = read
    this.tiles = levels.map(() => [])
  }

  async make(): Promise<void> {
    const top = this.#levels.length - 1
    const { columns, rows } = (this.#levels[top] as OverviewLevel).index
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) await this.#tile(top, column, row)
    }
  }

  /** Makes a tile, and before it those of the finer levels that it is made from. */
  async #tile(number: number, column: number, row: number): Promise<Image> {
    const { level, index } = this.#levels[number] as OverviewLevel
    const [left, top] = [column * index.tileWidth, row * index.tileHeight]
    const width = Math.min(index.tileWidth, level.width - left)
    const height = Math.min(index.tileHeight, level.height - top)
    const area = { left, top, width, height }
    const image = number === 0 ? await this.#fromSlide(area) : halve(await this.#finer(number - 1, area))
    const whole = growImage(image, index.tileWidth, index.tileHeight)
    const jpeg = await fromImage(whole).jpeg(JPEG.overview).toBuffer()
    const tiles = this.tiles[number] as Uint8Array[]
    tiles[row * index.columns + column] = jpeg
    return image
  }

  /** The pixels of a finer level from which an area of the next is made. */
  async #finer(number: number, area: Size & { left: number; top: number }): Promise<Image> {
    const { level, index } = this.#levels[number] as OverviewLevel
    const [left, top] = [2 * area.left, 2 * area.top]
    const width = Math.min(2 * area.width, level.width - left)
    const height = Math.min(2 * area.height, level.height - top)
    const image = fill(width, height, WHITE)
    for (let row = top / index.tileHeight; row * index.tileHeight < top + height; row++) {
      for (let column = left / index.tileWidth; column * index.tileWidth < left + width; column++) {
        const tile = await this.#tile(number, column, row)
        paste(tile, image, column * index.tileWidth - left, row * index.tileHeight - top)
      }
    }
    return image
  }

  /** An area of the finest level: each pixel the mean of those that the slide has in its place. */
  async #fromSlide(area: Size & { left: number; top: number }): Promise<Image> {
    const { downsample } = (this.#levels[0] as OverviewLevel).level
    const number = this.#slide.findLastIndex((level) => level.downsample <= downsample * TOLERANCE)
    const source = this.#slide[number] as Level
    const scale = downsample / source.downsample
    // Where the pixels of an overview pixel begin; the next one's beginning is their end.
    const start = (position: number, side: number) => Math.min(side - 1, Math.round(position * scale))
    const end = (position: number, side: number) =>
      Math.max(start(position, side) + 1, Math.min(side, Math.round((position + 1) * scale)))
    const image = fill(area.width, area.height, WHITE)
    const step = Math.max(1, Math.floor(READ_SIDE / scale))
    for (let y = 0; y < area.height; y += step) {
      for (let x = 0; x < area.width; x += step) {
        if (this.#slice.isOver) await this.#slice.giveWay()
        const columns = spans(area.left + x, Math.min(step, area.width - x), source.width, start, end)
        const rows = spans(area.top + y, Math.min(step, area.height - y), source.height, start, end)
        const [left, top] = [columns[0]?.[0] as number, rows[0]?.[0] as number]
        const width = (columns.at(-1)?.[1] as number) - left
        const height = (rows.at(-1)?.[1] as number) - top
        const pixels = await this.#read(number, { left, top, width, height })
        paste(means(pixels, columns, rows, left, top), image, x, y)
      }
    }
    return image
  }
}

type Bound = (position: number, side: number) => number

function spans(first: number, count: number, side: number, start: Bound, end: Bound): Span[] {
  return Array.from({ length: count }, (_, i) => [start(first + i, side), end(first + i, side)])
}

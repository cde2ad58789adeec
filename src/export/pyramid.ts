/**
 * Which levels an export has: the slide's own, and coarser ones where a viewer would otherwise have to read too much at
 * once.
 */
import { UnsupportedError } from '../errors.js'
import type { Size } from '../image/image.js'
import type { Level } from '../slide/source.js'
import { emptyIndex, indexOf, TILE_MULTIPLE, type TileIndex } from '../tiff/tile-index.js'

/** How much coarser a level that is made is than the one before it. A divisor of every tile's side. */
export const STEP = 4
/** Most bytes of pixels to hold for a level that is made: a row of its tiles. Enough for 400,000 pixels and more. */
const MAX_ROW_BYTES = 2 ** 29
/** Most tiles of a file, for whose places memory is taken at once: enough for a square of 4 million pixels a side. */
const MAX_TILES = 2 ** 26
/** A viewer can show a level of this size at once. */
const SMALLEST = 1024

/**
 * How large tiles are where the level is smaller than one. `whole`: as large as all others, as readers of DICOM take levels
 * together by that. `rounded`: the level's size, rounded up to what TIFF allows. `within`: no larger than the level, or
 * strips where it is smaller than any tile, as many releases of libtiff, by which OpenSlide reads what isn't JPEG, scramble the
 * tiles of levels that are narrower or lower than one.
 */
export type TileFit = 'whole' | 'rounded' | 'within'

export interface ExportLevel {
  readonly level: Level
  readonly index: TileIndex
  /** Whether it is stored in strips, as wide as the level, instead of tiles. */
  readonly isStrips: boolean
  /** The slide's number of the level; null if it is made from the level before it. */
  readonly number: number | null
}

/**
 * The levels of the slide in their order, with others in between and after them so that none is 8 times coarser than
 * the one before it, or more, and the last fits on a screen. There are two at least: readers of SVS files take the
 * second image for a thumbnail unless it has tiles.
 *
 * @throws UnsupportedError ERR_IMAGE_UNSUPPORTED for more tiles than can be listed
 */
export function exportLevels(levels: readonly Level[], tile: number, fit: TileFit): ExportLevel[] {
  const tiles = levels.reduce((sum, { width, height }) => sum + (width / tile) * (height / tile), 0)
  if (tiles > MAX_TILES) {
    const what = `${Math.round(tiles)} tiles of ${tile} pixels are more than a TIFF can list, expected up to ${MAX_TILES}`
    throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', what)
  }
  const all: ExportLevel[] = []
  for (const [number, { width, height, downsample }] of levels.entries()) {
    const level = { width, height, downsample }
    const next = levels[number + 1]
    all.push({ level, ...placesOf(level, tile, fit), number })
    for (let last = level; isFarFrom(last, next) || (!next && all.length === 1 && largest(last) > 1); ) {
      last = {
        width: Math.ceil(last.width / STEP),
        height: Math.ceil(last.height / STEP),
        downsample: last.downsample * STEP,
      }
      const places = placesOf(last, tile, fit)
      if (last.width * places.index.tileHeight * 3 > MAX_ROW_BYTES) break
      all.push({ level: last, ...places, number: null })
    }
  }
  return all
}

function placesOf(level: Size, tile: number, fit: TileFit): Pick<ExportLevel, 'index' | 'isStrips'> {
  if (fit === 'whole') return { index: indexOf(level, tile, tile), isStrips: false }
  if (fit === 'rounded') return { index: emptyIndex(level, tile), isStrips: false }
  const within = (side: number) => Math.min(tile, Math.floor(side / TILE_MULTIPLE) * TILE_MULTIPLE)
  const [width, height] = [within(level.width), within(level.height)]
  if (width > 0 && height > 0) return { index: indexOf(level, width, height), isStrips: false }
  return { index: indexOf(level, level.width, Math.min(tile, level.height)), isStrips: true }
}

function isFarFrom(level: Level, next: Level | undefined): boolean {
  return next ? next.downsample >= 2 * STEP * level.downsample : largest(level) > SMALLEST
}

function largest({ width, height }: Level): number {
  return Math.max(width, height)
}

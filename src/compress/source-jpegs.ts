/** The JPEGs in which a slide is stored, as candidates for the tiles of its archive. */
import { isMadeOf, packSourceTiles } from '../codec/source-tiles.js'
import { SlideError } from '../errors.js'
import type { Size } from '../image/image.js'
import type { JpegTiles, SlideSource } from '../slide/source.js'
import { TILE_MULTIPLE } from '../tiff/tile-index.js'
import type { Area } from './slide-reader.js'

/**
 * `auto`: they are one more way to store a tile, where they fit and show the very pixels that the slide's reader gives.
 * `always`: they are kept wherever they do. `never`: they aren't looked at.
 */
export const KEEP_SOURCE_TILES = ['auto', 'never', 'always'] as const
export type KeepSourceTiles = (typeof KEEP_SOURCE_TILES)[number]

/** Side of a tile where nothing speaks for another. */
const USUAL_SIDE = 512

/** The sides of the JPEGs of a level, if a tile of an archive can be made up of them; else null. */
function partOf(slide: SlideSource, level: number): Size | null {
  const jpegs = slide.jpegTiles?.(level)
  if (!jpegs || jpegs.tileWidth % TILE_MULTIPLE !== 0 || jpegs.tileHeight % TILE_MULTIPLE !== 0) return null
  return { width: jpegs.tileWidth, height: jpegs.tileHeight }
}

/** The usual side of a tile, or the most below it that is made up of the JPEGs of the slide's finest level. */
export function sideFor(slide: SlideSource, keep: KeepSourceTiles): number {
  const part = keep === 'never' ? null : partOf(slide, 0)
  if (!part || part.width !== part.height || part.width > USUAL_SIDE) return USUAL_SIDE
  return USUAL_SIDE - (USUAL_SIDE % part.width)
}

/** What the sides of tiles are multiples of in a level that is smaller than one: its JPEGs, if tiles are made up of them. */
export function multipleFor(slide: SlideSource, level: number, side: number, keep: KeepSourceTiles): Size {
  const part = keep === 'never' ? null : partOf(slide, level)
  return part && isMadeOf({ width: side, height: side }, part) ? part : { width: TILE_MULTIPLE, height: TILE_MULTIPLE }
}

/** @throws SlideError ERR_UNSUPPORTED_SLIDE if tiles of that side can be made up of no level's JPEGs */
export function mustHaveJpegs(slide: SlideSource, levels: readonly number[], side: number): void {
  const parts = levels.map((level) => partOf(slide, level)).filter((part) => part !== null)
  if (parts.some((part) => isMadeOf({ width: side, height: side }, part))) return
  const [part] = parts
  const why = part
    ? `its tiles have ${part.width} x ${part.height} pixels, of which none of ${side} can be made up`
    : 'it is not stored as tiles that are JPEGs of 8 bits in colour'
  throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${slide.path}: its own tiles can't be kept: ${why}`)
}

/**
 * The stream of the JPEGs that make up a tile (`codec/source-tiles.ts`); null if there are none that do.
 *
 * @param shown the part of the slide that the tile shows, from its top left
 * @param tile its sides
 */
export async function sourceJpegs(
  slide: SlideSource,
  shown: Area,
  tile: Size,
  signal: AbortSignal,
): Promise<Uint8Array | null> {
  const part = partOf(slide, shown.level)
  if (!part || !isMadeOf(tile, part)) return null
  const source = slide.jpegTiles?.(shown.level) as JpegTiles
  const [columns, rows] = [tile.width / part.width, tile.height / part.height]
  const [left, top] = [shown.left / part.width, shown.top / part.height]
  const jpegs: (Uint8Array | null)[] = []
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const isShown = column * part.width < shown.width && row * part.height < shown.height
      const jpeg = isShown ? await source.read(left + column, top + row, signal) : null
      if (isShown && !jpeg) return null
      jpegs.push(jpeg)
    }
  }
  return packSourceTiles({ columns, rows, jpegs })
}

/** A picture of any area of a slide, at any size, from the tiles of its pyramid. */
import type { Hole, HoledImage } from '../archive/holes.js'
import { levelSize, maxLevel, PYRAMID_TILE, type Pyramid, tileOrHatch } from '../archive/pyramid.js'
import { TimeSlice } from '../concurrency/give-way.js'
import { type Colour, fill, paste } from '../image/draw.js'
import type { Size } from '../image/image.js'
import { fromImage, toImage } from '../image/sharp.js'

/** A rectangle of the slide, in level-0 pixels. */
export interface Area extends Size {
  readonly x: number
  readonly y: number
}

/** Sizes are rounded. */
const TOLERANCE = 1.01
/** Tiles that are made at a time for one picture. */
const AT_ONCE = 4

/**
 * Number of the pyramid's level that has as many pixels as the picture, or somewhat more, but less than four times: also
 * of a picture that is squeezed to a line.
 */
function levelFor(full: Size, area: Area, size: Size): number {
  const scale = Math.sqrt(((area.width / size.width) * area.height) / size.height)
  const top = maxLevel(full)
  return Math.min(top, Math.max(0, top - Math.floor(Math.log2(scale * TOLERANCE))))
}

/**
 * Draws an area; its pixels that can't be had are hatched, and named.
 *
 * @param full size of the slide
 * @param area lies within it
 * @throws what making tiles throws; AbortedError
 */
export async function drawArea(
  pyramid: Pyramid,
  full: Size,
  background: Colour,
  area: Area,
  size: Size,
  signal: AbortSignal,
): Promise<HoledImage> {
  const number = levelFor(full, area, size)
  const unit = 2 ** (maxLevel(full) - number)
  const level = levelSize(full, number)
  const along = (start: number, length: number, side: number): [number, number] => {
    const first = Math.min(side - 1, Math.round(start / unit))
    return [first, Math.max(first + 1, Math.min(side, Math.round((start + length) / unit)))]
  }
  const [left, right] = along(area.x, area.width, level.width)
  const [top, bottom] = along(area.y, area.height, level.height)
  const canvas = fill(right - left, bottom - top, background)
  const places: [number, number][] = []
  for (let row = Math.floor(top / PYRAMID_TILE); row * PYRAMID_TILE < bottom; row++) {
    for (let column = Math.floor(left / PYRAMID_TILE); column * PYRAMID_TILE < right; column++) {
      places.push([column, row])
    }
  }
  const holes: Hole[] = []
  const slice = new TimeSlice()
  const draw = async () => {
    for (let place = places.shift(); place; place = places.shift()) {
      if (slice.isOver) await slice.giveWay()
      const [column, row] = place
      const tile = await tileOrHatch(pyramid, number, column, row, signal)
      if (!tile) continue
      holes.push(...tile.holes)
      paste(tile.image, canvas, column * PYRAMID_TILE - left, row * PYRAMID_TILE - top)
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, places.length) }, draw))
  } finally {
    // After a failure the others take no further tile.
    places.length = 0
  }
  const { width, height } = size
  if (canvas.width === width && canvas.height === height) return { image: canvas, holes }
  return { image: await toImage(fromImage(canvas).resize(width, height, { fit: 'fill' })), holes }
}

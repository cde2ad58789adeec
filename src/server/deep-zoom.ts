/**
 * An archive as a DeepZoom pyramid: levels that double in size up to the full image, tiles without overlap.
 * A pyramid level that the archive holds (or nearly) is read and resized; others are made from the four tiles
 * above, so that an overview never needs more than a few tiles in memory.
 */
import type { Archive } from '../archive/archive.js'
import { throwIfAborted } from '../errors.js'
import { fill, paste } from '../image/draw.js'
import type { Image, Size } from '../image/image.js'
import { fromImage, toImage } from '../image/sharp.js'
import { halve } from '../image/shrink.js'
import type { TileCache, TileSpace } from '../image/tile-cache.js'
import type { Level } from '../slide/source.js'

export const DEEP_ZOOM_TILE = 512

/** Number of the level with the full image; level 0 is one pixel. */
export function maxLevel({ width, height }: Size): number {
  return Math.ceil(Math.log2(Math.max(width, height)))
}

/** Size of a pyramid level. */
export function levelSize(full: Size, level: number): Size {
  const scale = 2 ** (maxLevel(full) - level)
  return { width: Math.ceil(full.width / scale), height: Math.ceil(full.height / scale) }
}

export class DeepZoom {
  readonly #archive: Archive
  readonly #full: Level
  readonly #tiles: TileSpace

  /** @param cache where the tiles are kept that are made */
  constructor(archive: Archive, cache: TileCache) {
    this.#archive = archive
    this.#full = archive.levels[0] as Level
    this.#tiles = cache.space()
  }

  /** The .dzi document. */
  describe(format: string): string {
    const { width, height } = this.#full
    return `<?xml version="1.0" encoding="UTF-8"?>
<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="${format}" Overlap="0" TileSize="${DEEP_ZOOM_TILE}">
  <Size Width="${width}" Height="${height}"/>
</Image>
`
  }

  /**
   * A tile, or null if the pyramid has none there. The work stops when all callers that asked for the tile have given
   * up.
   */
  async tile(level: number, column: number, row: number, signal?: AbortSignal): Promise<Image | null> {
    throwIfAborted(signal)
    if (level > maxLevel(this.#full)) return null
    const { width, height } = levelSize(this.#full, level)
    const [left, top] = [column * DEEP_ZOOM_TILE, row * DEEP_ZOOM_TILE]
    if (left >= width || top >= height) return null
    const size = { width: Math.min(DEEP_ZOOM_TILE, width - left), height: Math.min(DEEP_ZOOM_TILE, height - top) }
    const make = (stop: AbortSignal) => this.#make(level, column, row, size, stop)
    return this.#tiles.get(`${level}/${column}/${row}`, size.width * size.height * 3, make, signal)
  }

  /** Drops the tiles; the archive stays open. */
  close(): void {
    this.#tiles.clear()
  }

  async #make(level: number, column: number, row: number, size: Size, signal: AbortSignal): Promise<Image> {
    const downsample = 2 ** (maxLevel(this.#full) - level)
    const near = this.#archive.levels.findLastIndex((candidate) => candidate.downsample <= downsample * 1.01)
    const held = this.#archive.levels[near] as Level
    if (downsample / held.downsample < 1.5) {
      const scale = downsample / held.downsample
      const image = await this.#archive.readRegion(
        {
          x: column * DEEP_ZOOM_TILE * downsample,
          y: row * DEEP_ZOOM_TILE * downsample,
          level: near,
          width: Math.max(1, Math.round(size.width * scale)),
          height: Math.max(1, Math.round(size.height * scale)),
        },
        signal,
      )
      if (image.width === size.width && image.height === size.height) return image
      return toImage(fromImage(image).resize(size.width, size.height, { fit: 'fill' }))
    }
    const finer = fill(2 * size.width, 2 * size.height, this.#archive.background)
    // One after the other, as each may be made from many tiles in turn: memory stays bounded.
    for (const [dx, dy] of [
      [0, 0],
      [1, 0],
      [0, 1],
      [1, 1],
    ] as const) {
      const tile = await this.tile(level + 1, 2 * column + dx, 2 * row + dy, signal)
      if (tile) paste(tile, finer, dx * DEEP_ZOOM_TILE, dy * DEEP_ZOOM_TILE)
    }
    return halve(finer)
  }
}

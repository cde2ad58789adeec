/**
 * Makes the pixels of a level independent of where a region begins.
 *
 * OpenSlide takes positions in whole level-0 pixels and interpolates where one falls between two pixels of the
 * level, as nearly all do if the downsample isn't integral (2.0005 is common). Two regions that overlap then differ
 * where they do. Here each pixel always comes from a read that begins at the corner of the same cell of the level.
 */
import { fill, paste } from '../image/draw.js'
import type { Image } from '../image/image.js'
import { SlideOver } from './slide-over.js'
import { checkRead, type Level, levelPosition, levelRegion, type Region } from './source.js'

/** The default side of a tile, so that reading one is a single read. */
const CELL = 512

export class LevelGrid extends SlideOver {
  async readRegion(region: Region, signal?: AbortSignal): Promise<Image> {
    const { x, y, level, width, height } = checkRead(region, this.levels.length, signal)
    const { downsample } = this.levels[level] as Level
    if (Number.isInteger(downsample)) return this.slide.readRegion(region, signal)
    const [left, top] = [levelPosition(x, downsample), levelPosition(y, downsample)]
    const image = fill(width, height, this.background)
    for (let row = Math.floor(top / CELL) * CELL; row < top + height; row += CELL) {
      for (let column = Math.floor(left / CELL) * CELL; column < left + width; column += CELL) {
        // From the cell's corner, as far as the region reaches.
        const reach = (start: number, size: number, corner: number) => Math.min(CELL, start + size - corner)
        const cell = levelRegion(this, level, column, row, reach(left, width, column), reach(top, height, row))
        paste(await this.slide.readRegion(cell, signal), image, column - left, row - top)
      }
    }
    return image
  }
}

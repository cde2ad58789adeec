/** Makes a coarser level of a finer one while that goes by, tile after tile, so that no pixel is read twice. */
import { fill, paste, WHITE } from '../image/draw.js'
import type { Image } from '../image/image.js'
import { shrink } from '../image/shrink.js'
import { type ExportLevel, STEP } from './pyramid.js'

/** Called with the pixels of the coarser level's tiles, row by row, cut to the level. */
export type TakeRow = (row: number, tiles: readonly Image[]) => Promise<void>

/** Holds the pixels of one row of the coarser level's tiles, and of what a row of the finer one's reaches beyond it. */
export class Reducer {
  readonly #finer: ExportLevel
  readonly #coarser: ExportLevel
  readonly #take: TakeRow
  #band: Image
  #row = 0

  constructor(finer: ExportLevel, coarser: ExportLevel, take: TakeRow) {
    this.#finer = finer
    this.#coarser = coarser
    this.#take = take
    const reach = Math.ceil(finer.index.tileHeight / STEP)
    this.#band = fill(coarser.level.width, coarser.index.tileHeight + reach, WHITE)
  }

  /** Takes the next tile of the finer level; they come row by row. */
  async add(column: number, row: number, tile: Image): Promise<void> {
    const { index: finer, level } = this.#finer
    const { index, level: coarser } = this.#coarser
    const top = (row * finer.tileHeight) / STEP - this.#row * index.tileHeight
    paste(shrink(tile, STEP), this.#band, (column * finer.tileWidth) / STEP, top)
    if (column < finer.columns - 1) return
    const end = Math.ceil(Math.min(level.height, (row + 1) * finer.tileHeight) / STEP)
    while (this.#row < index.rows && end >= Math.min(coarser.height, (this.#row + 1) * index.tileHeight)) {
      const band = this.#band
      const done = this.#row++
      const height = Math.min(index.tileHeight, coarser.height - done * index.tileHeight)
      const cut = Array.from({ length: index.columns }, (_, i) => {
        const left = i * index.tileWidth
        const part = fill(Math.min(index.tileWidth, band.width - left), height, WHITE)
        paste(band, part, -left, 0)
        return part
      })
      this.#band = fill(band.width, band.height, WHITE)
      paste(band, this.#band, 0, -index.tileHeight)
      await this.#take(done, cut)
    }
  }
}

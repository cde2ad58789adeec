/** The pyramid of a slide for OpenSeadragon, DeepZoom's geometry, whoever gives its tiles. */
import OpenSeadragon from 'openseadragon'
import type { SlideFacts } from '../slide.js'
import { type TileLoader, TileQueue } from './tile-queue.js'

export const TILE_SIZE = 512
/** A level that fits into a tile; coarser ones would show nothing more. */
const COARSEST = 9

export class SlideTiles extends OpenSeadragon.TileSource {
  readonly queue: TileQueue
  readonly #key: string
  readonly #loader: TileLoader

  constructor({ name, version, levels }: SlideFacts, loader: TileLoader) {
    const [{ width, height } = { width: 1, height: 1 }] = levels
    const maxLevel = Math.ceil(Math.log2(Math.max(width, height)))
    let minLevel = Math.min(COARSEST, maxLevel)
    // The coarsest level is always drawn: it should be one that is there at once, also of a slide of a few tiles.
    while (minLevel > 0 && loader.isQuick(0) && !loader.isQuick(minLevel)) minLevel--
    super({ width, height, tileSize: TILE_SIZE, tileOverlap: 0, maxLevel, minLevel })
    this.queue = new TileQueue(loader)
    // By which OpenSeadragon knows the same tile in another view, such as the navigator.
    this.#key = `${encodeURIComponent(name)}@${version}`
    this.#loader = loader
  }

  /** No address: a name for OpenSeadragon's cache. */
  override getTileUrl(level: number, column: number, row: number): string {
    return `${this.#key}/${level}/${column}_${row}`
  }

  override tileExists(level: number, column: number, row: number): boolean {
    return this.#loader.isThere(level) && super.tileExists(level, column, row)
  }

  override hasTransparency(): boolean {
    return false
  }

  override downloadTileStart(job: OpenSeadragon.ImageJob): void {
    this.queue.add(job)
  }

  override downloadTileAbort(job: OpenSeadragon.ImageJob): void {
    this.queue.drop(job)
  }
}

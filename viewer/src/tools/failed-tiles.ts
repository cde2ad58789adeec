/** Tiles of which nothing can be shown: hatched and named, as a hole must not look like glass. */
import OpenSeadragon from 'openseadragon'
import type { Guest } from '../desk.js'
import { make } from '../page.js'
import type { FailedTile, Stage } from '../stage.js'

export class FailedTiles implements Guest {
  readonly #hatches: { readonly tile: FailedTile; readonly hatch: HTMLElement }[] = []

  show(stage: Stage): void {
    stage.on('tile-load-failed', () => {
      for (const tile of stage.failed.slice(this.#hatches.length)) {
        const { level, column, row, message, bounds } = tile
        const hatch = make('div', { class: 'hatch' }, `Tile ${column}, ${row} of level ${level}: ${message}`)
        stage.viewer.addOverlay({
          element: hatch,
          location: new OpenSeadragon.Rect(bounds.x, bounds.y, bounds.width, bounds.height),
        })
        this.#hatches.push({ tile, hatch })
      }
    })
    const [{ width, height } = { width: 1, height: 1 }] = stage.slide.facts.levels
    const finest = Math.ceil(Math.log2(Math.max(width, height)))
    stage.onDraw(() => {
      // OpenSeadragon draws the level whose pixels are at least half as large as the screen's.
      const drawn = Math.min(finest, Math.floor(finest + Math.log2(2 * stage.zoom() * devicePixelRatio)))
      // At other levels the place may well be whole.
      for (const { tile, hatch } of this.#hatches) hatch.hidden = tile.level !== drawn
    })
  }

  clear(): void {
    this.#hatches.length = 0
  }
}

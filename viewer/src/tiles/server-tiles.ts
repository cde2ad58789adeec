/** Tiles that the server decodes and sends as JPEG: a DeepZoom pyramid. */
import OpenSeadragon from 'openseadragon'
import { fetchAnswer, pathOf } from '../shelf/answers.js'
import type { SlideFacts } from '../slide.js'

export const TILE_SIZE = 512
/** Which tiles of the archive are hatched in the picture that was sent. */
const BAD_TILES = 'cleric-bad-tiles'

export interface ServerTilesOptions {
  /** What becomes of the slide's colour profile: the server converts to sRGB if it can, as not every browser does. */
  readonly icc: string
  /** Fires when the slide is closed: nobody waits for its tiles any more. */
  readonly signal: AbortSignal
  /** A tile came that has holes in it. */
  onHoles(): void
}

export class ServerTiles extends OpenSeadragon.TileSource {
  readonly #prefix: string
  readonly #query: string
  readonly #options: ServerTilesOptions

  constructor({ name, version, levels }: SlideFacts, options: ServerTilesOptions) {
    const [{ width, height } = { width: 1, height: 1 }] = levels
    super({ width, height, tileSize: TILE_SIZE, tileOverlap: 0 })
    this.#prefix = `deepzoom/${pathOf(name)}_files`
    this.#query = `?v=${encodeURIComponent(version)}&icc=${options.icc}`
    this.#options = options
  }

  override getTileUrl(level: number, column: number, row: number): string {
    return `${this.#prefix}/${level}/${column}_${row}.jpeg${this.#query}`
  }

  /** Fetched, not given to an image, for the server's words when it fails, and to be stopped when nobody looks. */
  override downloadTileStart(job: OpenSeadragon.ImageJob): void {
    const { signal, onHoles } = this.#options
    const load = async () => {
      const response = await fetchAnswer(job.src, signal)
      if (response.headers.has(BAD_TILES)) onHoles()
      job.finish(await response.blob(), null, 'rasterBlob')
    }
    load().catch((error: unknown) => {
      // Its viewer is gone: OpenSeadragon's own watch over the job must not tell it anything.
      if (signal.aborted) clearTimeout(job.jobId ?? undefined)
      else job.fail(error instanceof Error ? error.message : String(error), null)
    })
  }

  override downloadTileAbort(): void {}
}

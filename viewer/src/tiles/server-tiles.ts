/** Tiles that the server decodes and sends as JPEG: a DeepZoom pyramid. */
import { fetchAnswer, pathOf } from '../shelf/answers.js'
import type { SlideFacts } from '../slide.js'
import type { TileLoader, TilePlace } from './tile-queue.js'

/** Which tiles of the archive are hatched in the picture that was sent. */
const BAD_TILES = 'cleric-bad-tiles'

export interface ServerTilesOptions {
  /** What becomes of the slide's colour profile: the server converts to sRGB if it can, as not every browser does. */
  readonly icc: string
  /** A tile came that has holes in it. */
  onHoles(): void
}

export class ServerTiles implements TileLoader {
  /** Two in work, two that travel. */
  readonly limit = 4
  readonly #prefix: string
  readonly #query: string
  readonly #onHoles: () => void

  constructor({ name, version }: SlideFacts, { icc, onHoles }: ServerTilesOptions) {
    this.#prefix = `deepzoom/${pathOf(name)}_files`
    this.#query = `?v=${encodeURIComponent(version)}&icc=${icc}`
    this.#onHoles = onHoles
  }

  isQuick(): boolean {
    return false
  }

  isThere(): boolean {
    return true
  }

  /** Fetched, not given to an image, for the server's words when it fails, and to be stopped when nobody looks. */
  async load({ level, column, row }: TilePlace, signal: AbortSignal): Promise<ImageBitmap> {
    const response = await fetchAnswer(`${this.#prefix}/${level}/${column}_${row}.jpeg${this.#query}`, signal)
    if (response.headers.has(BAD_TILES)) this.#onHoles()
    // Decoded here, so that what is no picture fails as a tile.
    return createImageBitmap(await response.blob())
  }
}

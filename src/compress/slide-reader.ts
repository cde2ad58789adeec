/** Reads the pixels of the slide that is being compressed, and decides what becomes of places that can't be read. */
import { SlideError } from '../errors.js'
import type { Image, Size } from '../image/image.js'
import { levelRegion, type SlideSource } from '../slide/source.js'

/** `fail`: the run fails. `background`: the place gets the slide's background colour and is reported. */
export const ON_BAD_TILE = ['fail', 'background'] as const
export type OnBadTile = (typeof ON_BAD_TILE)[number]

export interface Area extends Size {
  /** The slide's number of the level. */
  readonly level: number
  /** In pixels of the level. */
  readonly left: number
  readonly top: number
}

export class SlideReader {
  readonly slide: SlideSource
  readonly #policy: OnBadTile

  constructor(slide: SlideSource, policy: OnBadTile) {
    this.slide = slide
    this.#policy = policy
  }

  /**
   * The pixels, or the reason why they can't be had.
   *
   * @throws SlideError that names the place, if a place that can't be read is a failure
   */
  async read({ level, left, top, width, height }: Area, signal: AbortSignal): Promise<Image | SlideError> {
    const region = levelRegion(this.slide, level, left, top, width, height)
    try {
      return await this.slide.readRegion(region, signal)
    } catch (error) {
      if (!(error instanceof SlideError)) throw error
      const place = `level ${level}, ${width} x ${height} pixels from ${region.x}, ${region.y} (of level 0)`
      const message = `${this.slide.path}: ${place} can't be read: ${error.message}`
      if (this.#policy === 'background') return new SlideError(error.code, message, { cause: error })
      const remedy = 'to have the background there instead: --on-bad-tile background'
      throw new SlideError(error.code, `${message}; ${remedy}`, { cause: error })
    }
  }
}

/** Reads the pixels of the slide that is being compressed, and decides what becomes of places that can't be read. */
import { SlideError, withoutName } from '../errors.js'
import { fill, paste } from '../image/draw.js'
import type { Image, Size } from '../image/image.js'
import { type Level, levelRegion, type SlideSource } from '../slide/source.js'

/** `fail`: the run fails. `background`: the place gets the slide's background colour and is reported. */
export const ON_BAD_TILE = ['fail', 'background'] as const
export type OnBadTile = (typeof ON_BAD_TILE)[number]

/** Side of the smallest piece that is tried where it isn't known in what tiles the slide is stored. */
const SMALLEST_PIECE = 64

export interface Area extends Size {
  /** The slide's number of the level. */
  readonly level: number
  /** In pixels of the level. */
  readonly left: number
  readonly top: number
}

/** What was read of an area. */
export interface ReadArea {
  /** Null if nothing of it can be read; places that can't have the slide's background. */
  readonly image: Image | null
  /** Why a place can't be read, the first; null if all can. */
  readonly error: SlideError | null
}

export class SlideReader {
  readonly slide: SlideSource
  readonly #policy: OnBadTile

  constructor(slide: SlideSource, policy: OnBadTile) {
    this.slide = slide
    this.#policy = policy
  }

  /**
   * The pixels. Where they can't be had and that is no failure, the area is read again in smaller pieces, down to the
   * tiles in which the slide is stored, so that a bad tile costs no more than itself.
   *
   * @throws SlideError that names the place, if a place that can't be read is a failure
   */
  async read(area: Area, signal: AbortSignal): Promise<ReadArea> {
    try {
      return { image: await this.#readWhole(area, signal), error: null }
    } catch (error) {
      if (!(error instanceof SlideError)) throw error
      if (this.#policy === 'background') return this.#readHalves(area, error, signal)
      const remedy = 'to have the background there instead: --on-bad-tile background'
      throw new SlideError(error.code, `${error.message}; ${remedy}`, { cause: error.cause })
    }
  }

  /** @throws SlideError that names the place */
  async #readWhole({ level, left, top, width, height }: Area, signal: AbortSignal): Promise<Image> {
    const region = levelRegion(this.slide, level, left, top, width, height)
    try {
      return await this.slide.readRegion(region, signal)
    } catch (error) {
      if (!(error instanceof SlideError)) throw error
      const place = `level ${level}, ${width} x ${height} pixels from ${region.x}, ${region.y} (of level 0)`
      const { path } = this.slide
      throw new SlideError(error.code, `${path}: ${place} can't be read: ${withoutName(error.message, path)}`, {
        cause: error,
      })
    }
  }

  /** An area that can't be read whole, in two halves, and those in theirs. */
  async #readHalves(area: Area, error: SlideError, signal: AbortSignal): Promise<ReadArea> {
    const halves = halved(area, this.#piece(area.level))
    if (!halves) return { image: null, error }
    const image = fill(area.width, area.height, this.slide.background)
    let isSomeRead = false
    let first: SlideError | null = null
    for (const half of halves) {
      const read = await this.#readWhole(half, signal).then(
        (whole): ReadArea => ({ image: whole, error: null }),
        (reason: unknown) => {
          if (!(reason instanceof SlideError)) throw reason
          return this.#readHalves(half, reason, signal)
        },
      )
      first ??= read.error
      if (!read.image) continue
      isSomeRead = true
      paste(read.image, image, half.left - area.left, half.top - area.top)
    }
    // Both halves may be there, though the whole wasn't: then nothing is lost.
    return { image: isSomeRead ? image : null, error: first }
  }

  /** Sides of what is lost at once. */
  #piece(level: number): Size {
    const unknown = { width: SMALLEST_PIECE, height: SMALLEST_PIECE }
    // Where pixels are interpolated, a tile's neighbours can't be read up to their edge either.
    if (!Number.isInteger((this.slide.levels[level] as Level).downsample)) return unknown
    return this.slide.tileSize?.(level) ?? unknown
  }
}

/** Cuts an area in two at an edge between pieces, across its longer side in pieces; null if it is within one. */
function halved(area: Area, piece: Size): [Area, Area] | null {
  const { left, top, width, height } = area
  const first = (start: number, side: number) => Math.floor(start / side)
  const last = (start: number, size: number, side: number) => Math.floor((start + size - 1) / side)
  const [column, row] = [first(left, piece.width), first(top, piece.height)]
  const columns = last(left, width, piece.width) - column + 1
  const rows = last(top, height, piece.height) - row + 1
  if (columns === 1 && rows === 1) return null
  if (columns >= rows) {
    const cut = (column + Math.ceil(columns / 2)) * piece.width - left
    return [
      { ...area, width: cut },
      { ...area, left: left + cut, width: width - cut },
    ]
  }
  const cut = (row + Math.ceil(rows / 2)) * piece.height - top
  return [
    { ...area, height: cut },
    { ...area, top: top + cut, height: height - cut },
  ]
}

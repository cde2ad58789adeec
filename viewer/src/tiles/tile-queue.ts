/**
 * The tiles that OpenSeadragon has asked for, of which a few are in work: those that are seen first, of them those as fine as
 * the view needs, of them those in the middle. What nobody sees any more is given up, also where it is in work: a
 * decoder or server that works on what was seen a while ago shows nothing for as long.
 */
import type OpenSeadragon from 'openseadragon'

/** How a tile fails that isn't to be shown any more: nothing is wrong with it, and it is loaded when it is seen again. */
export const GIVEN_UP = 'given up'

/** How often it is looked whether tiles in work are still seen. */
const LOOK_MS = 200
/** How small the finest pixels that OpenSeadragon asks for may be on the screen before they are given up. */
const LEAST_PIXEL = 0.4
/** How far outside the view a tile may be, in widths of a tile. */
const MARGIN = 0.5

export interface TilePlace {
  readonly level: number
  readonly column: number
  readonly row: number
}

export interface TileLoader {
  /** Tiles to load at a time, but for those that are quick. */
  readonly limit: number
  /** Whether the tiles of a level take next to no time: they come before all others, and wait for none. */
  isQuick(level: number): boolean
  /** Whether there is somebody to give the tiles of a level; asked again after {@link TileQueue.restart}. */
  isThere(level: number): boolean
  load(place: TilePlace, signal: AbortSignal): Promise<ImageBitmap | Blob>
}

interface Entry {
  readonly job: OpenSeadragon.ImageJob
  readonly tile: OpenSeadragon.Tile
  readonly stop: AbortController
}

/** How much a tile is wanted; less comes first. */
interface Rank {
  readonly isSeen: boolean
  /** Levels between it and the finest that the view needs. */
  readonly distance: number
  /** From the middle of the view, in viewport coordinates. */
  readonly offCentre: number
}

export class TileQueue {
  readonly #loader: TileLoader
  readonly #waiting = new Set<Entry>()
  readonly #inWork = new Set<Entry>()
  #timer: ReturnType<typeof setInterval> | null = null
  #isClosed = false

  constructor(loader: TileLoader) {
    this.#loader = loader
  }

  add(job: OpenSeadragon.ImageJob): void {
    if (this.#isClosed) {
      forget(job)
      return
    }
    this.#waiting.add({ job, tile: job.tile, stop: new AbortController() })
    this.#timer ??= setInterval(() => this.#look(), LOOK_MS)
    // After all that OpenSeadragon asks for at once.
    queueMicrotask(() => this.#next())
  }

  /** OpenSeadragon wants it no more, and is told so by itself. */
  drop(job: OpenSeadragon.ImageJob): void {
    for (const set of [this.#waiting, this.#inWork]) {
      for (const entry of set) {
        if (entry.job !== job) continue
        set.delete(entry)
        entry.stop.abort()
      }
    }
  }

  /** Whoever loads takes other tiles from now on, or more of them at a time. */
  restart(): void {
    for (const entry of this.#inWork) {
      this.#inWork.delete(entry)
      entry.stop.abort()
      this.#waiting.add({ ...entry, stop: new AbortController() })
    }
    for (const entry of this.#waiting) if (!this.#loader.isThere(entry.tile.level)) this.#giveUp(entry)
    this.#next()
  }

  /** Stops all work. OpenSeadragon's own watch over the jobs must not tell it anything: its viewer may be gone. */
  close(): void {
    this.#isClosed = true
    if (this.#timer !== null) clearInterval(this.#timer)
    for (const { job, stop } of [...this.#waiting, ...this.#inWork]) {
      forget(job)
      stop.abort()
    }
    this.#waiting.clear()
    this.#inWork.clear()
  }

  #next(): void {
    const isSlow = ({ tile }: Entry) => !this.#loader.isQuick(tile.level)
    const ranked = [...this.#waiting].map((entry) => ({ entry, rank: rankOf(entry.tile) }))
    for (const { entry, rank } of ranked) if (!rank.isSeen) this.#giveUp(entry)
    const wanted = ranked.filter(({ rank }) => rank.isSeen).sort((a, b) => compare(a.rank, b.rank))
    let slow = [...this.#inWork].filter(isSlow).length
    for (const { entry } of wanted) {
      if (isSlow(entry) && slow++ >= this.#loader.limit) continue
      // A job that ends at once may have closed the slide.
      if (!this.#isClosed) this.#start(entry)
    }
    if (this.#waiting.size + this.#inWork.size > 0 || this.#timer === null) return
    clearInterval(this.#timer)
    this.#timer = null
  }

  #start(entry: Entry): void {
    const { job, tile, stop } = entry
    this.#waiting.delete(entry)
    this.#inWork.add(entry)
    const place = { level: tile.level, column: tile.x, row: tile.y }
    const end = (tell: () => void) => {
      // It was given up, dropped or started anew meanwhile.
      if (!this.#inWork.delete(entry)) return
      tell()
      this.#next()
    }
    this.#loader.load(place, stop.signal).then(
      (picture) => end(() => job.finish(picture, null, picture instanceof Blob ? 'rasterBlob' : 'imageBitmap')),
      (error: unknown) => end(() => job.fail(error instanceof Error ? error.message : String(error), null)),
    )
  }

  #look(): void {
    for (const entry of [...this.#inWork, ...this.#waiting]) if (!rankOf(entry.tile).isSeen) this.#giveUp(entry)
    this.#next()
  }

  #giveUp(entry: Entry): void {
    this.#waiting.delete(entry)
    this.#inWork.delete(entry)
    entry.stop.abort()
    entry.job.fail(GIVEN_UP, null)
    // OpenSeadragon takes a tile that has failed for one that isn't there.
    entry.tile.exists = this.#loader.isThere(entry.tile.level)
    // It asks for coarser tiles in place of one that isn't there, but only when it draws.
    if (!entry.tile.exists) (entry.tile as PlacedTile).tiledImage.redraw()
  }
}

/** What OpenSeadragon's types leave out. */
type PlacedTile = OpenSeadragon.Tile & {
  readonly tiledImage: OpenSeadragon.TiledImage & {
    readonly viewport: OpenSeadragon.Viewport | null
    redraw(): void
  }
}

function forget(job: OpenSeadragon.ImageJob): void {
  clearTimeout(job.jobId ?? undefined)
}

function compare(a: Rank, b: Rank): number {
  return a.distance - b.distance || a.offCentre - b.offCentre
}

function rankOf(tile: OpenSeadragon.Tile): Rank {
  const { tiledImage, bounds, level } = tile as PlacedTile
  const { viewport, source } = tiledImage
  // The viewer is being closed.
  if (!viewport) return { isSeen: false, distance: 0, offCentre: 0 }
  const place = tiledImage.getBoundsNoRotate(true)
  const [left, top] = [place.x + bounds.x * place.width, place.y + bounds.y * place.width]
  const [width, height] = [bounds.width * place.width, bounds.height * place.width]
  const view = viewport.getBoundsWithMargins(true).getBoundingBox()
  const margin = MARGIN * width
  const isInside =
    left < view.x + view.width + margin &&
    left + width > view.x - margin &&
    top < view.y + view.height + margin &&
    top + height > view.y - margin
  // CSS pixels that a pixel of the finest level is wide, and so one of this level.
  const zoom = (viewport.getZoom(true) * viewport.getContainerSize().x * place.width) / source.dimensions.x
  const pixel = zoom * 2 ** (source.maxLevel - level) * globalThis.devicePixelRatio
  const needed = Math.min(source.maxLevel, Math.ceil(source.maxLevel + Math.log2(zoom * globalThis.devicePixelRatio)))
  const centre = view.getCenter()
  return {
    isSeen: isInside && pixel >= LEAST_PIXEL,
    distance: Math.abs(needed - level),
    offCentre: Math.hypot(left + width / 2 - centre.x, top + height / 2 - centre.y),
  }
}

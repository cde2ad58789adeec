/** Slides whose archives the page itself reads and decodes, in a worker. */
import type { SlideWorker, WorkerSlide } from '../../../src/web/index.js'
import type { BadTile, DecodedBy, OpenSlide, SlideChecks, SlideFacts } from '../slide.js'
import { SlideTiles } from '../tiles/slide-tiles.js'
import type { TileLoader, TilePlace } from '../tiles/tile-queue.js'
import { slideChecks } from './checks.js'

/** Opens an archive that no server decodes. */
export async function openAlone(
  name: string,
  source: string | Blob,
  model: URL | undefined,
  worker: SlideWorker,
  signal: AbortSignal,
): Promise<OpenSlide> {
  const slide = await worker.open(source, { model, signal })
  const { facts } = slide
  return BrowserSlide.of({ ...facts, name, source: null }, slide, null, signal)
}

type MakeLoader = (onHoles: () => void) => TileLoader

export class BrowserSlide implements OpenSlide, TileLoader {
  readonly facts: SlideFacts
  readonly overview: string | null
  decodedBy: DecodedBy = 'undecided'
  why = 'The model is being fetched, and the GPU tried'
  limit = 0
  onHoles: (() => void) | null = null
  onDecodedBy: (() => void) | null = null
  readonly #slide: WorkerSlide
  /** Who gives the tiles if this browser can't. */
  readonly #server: TileLoader | null
  readonly #closing = new AbortController()
  readonly #open = new Set<SlideTiles>()
  readonly #holes = new Map<string, BadTile>()
  readonly #addresses: string[] = []

  /**
   * @param slide is closed with this one
   * @param server makes the loader of the tiles that a server decodes; null where there is none
   */
  static async of(facts: SlideFacts, slide: WorkerSlide, server: MakeLoader | null, signal: AbortSignal) {
    try {
      // OpenSeadragon asks for no coarse tiles while it waits for fine ones: this is what is seen until then. One that is
      // damaged keeps nobody from the slide.
      const overview = await slide.overview(signal).catch(() => null)
      signal.throwIfAborted()
      return new BrowserSlide(facts, slide, server, overview)
    } catch (error) {
      slide.close()
      throw error
    }
  }

  private constructor(facts: SlideFacts, slide: WorkerSlide, server: MakeLoader | null, overview: Blob | null) {
    this.facts = facts
    this.overview = overview && this.#address(overview)
    this.#slide = slide
    this.#server = server?.(() => this.onHoles?.()) ?? null
    slide.decoder(this.#closing.signal).then(
      ({ device, tilesInFlight }) => this.#decide('browser', tilesInFlight, `The network runs here, on ${device}`),
      (error: unknown) => this.#giveWay(error),
    )
  }

  /** What the overview in the archive gives needs neither model nor GPU. */
  isQuick(level: number): boolean {
    const { overviewLevel } = this.#slide.facts
    return overviewLevel !== null && level <= overviewLevel
  }

  isThere(level: number): boolean {
    return this.decodedBy !== 'nobody' || this.isQuick(level)
  }

  async load(place: TilePlace, signal: AbortSignal): Promise<ImageBitmap | Blob> {
    if (this.decodedBy === 'server' && this.#server) return this.#server.load(place, signal)
    try {
      const { level, column, row } = place
      const tile = await this.#slide.tile(level, column, row, signal)
      if (!tile) throw new Error(`there is no tile ${level}/${column}_${row}`)
      for (const { code, ...hole } of tile.holes) {
        this.#holes.set(`${hole.level}/${hole.column}/${hole.row}`, { ...hole, code: code ?? 'UNREADABLE' })
      }
      if (tile.holes.length > 0) this.onHoles?.()
      return tile.bitmap
    } catch (error) {
      const isDecoderGone = DECODER_GONE.includes((error as { code?: unknown }).code)
      if (!isDecoderGone || !this.#server || this.#closing.signal.aborted) throw error
      this.#giveWay(error)
      return this.#server.load(place, signal)
    }
  }

  tileSource(): SlideTiles {
    const tiles = new SlideTiles(this.facts, this)
    this.#open.add(tiles)
    return tiles
  }

  async associatedImage(name: string): Promise<string> {
    return this.#address(await this.#slide.associatedImage(name, this.#closing.signal))
  }

  async badTiles(): Promise<BadTile[]> {
    return [...this.#holes.values()]
  }

  checks(): Promise<SlideChecks | null> {
    return slideChecks((query) => this.#slide.tileChecks(query, this.#closing.signal))
  }

  close(): void {
    this.#closing.abort()
    for (const { queue } of this.#open) queue.close()
    for (const address of this.#addresses) URL.revokeObjectURL(address)
    this.#slide.close()
  }

  /** A picture's address, until the slide is closed. */
  #address(picture: Blob): string {
    const address = URL.createObjectURL(picture)
    this.#addresses.push(address)
    return address
  }

  /** The browser can't decode: somebody else must, or nobody does. */
  #giveWay(error: unknown): void {
    if (this.#closing.signal.aborted) return
    const why = error instanceof Error ? error.message : String(error)
    if (this.#server) this.#decide('server', this.#server.limit, why)
    else this.#decide('nobody', 0, `${why}; only the overview in the archive can be shown`)
  }

  #decide(decodedBy: DecodedBy, limit: number, why: string): void {
    Object.assign(this, { decodedBy, limit, why })
    this.onDecodedBy?.()
    for (const { queue } of this.#open) queue.restart()
  }
}

/** Codes of errors after which the device decodes no other tile either. */
const DECODER_GONE: readonly unknown[] = [
  'ERR_DEVICE_FAILED',
  'ERR_DEVICE_LIMIT',
  'ERR_NO_DEVICE',
  'ERR_SHADER',
  'ERR_CLOSED',
]

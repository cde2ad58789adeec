/** A slide that the server has open: its pictures, what of it is damaged, and what is kept of both. */
import { Archive } from '../archive/archive.js'
import type { Hole, HoledImage } from '../archive/holes.js'
import { Pyramid, tileOrHatch } from '../archive/pyramid.js'
import { Turns } from '../concurrency/turns.js'
import { throwIfAborted } from '../errors.js'
import { changed } from '../files/version.js'
import type { Image, Size } from '../image/image.js'
import type { TileCache, TileSpace } from '../image/tile-cache.js'
import type { Level, SlideSource } from '../slide/source.js'
import { type Area, drawArea } from './area.js'
import { busy } from './refusal.js'
import { pyramidSourceOf } from './slide-pyramid.js'
import { TileEncoder } from './tile-encoder.js'

/** A picture as it is sent. */
export interface Encoded {
  readonly body: Buffer
  readonly holes: readonly Hole[]
}

/** Pictures that are made at a time, of all slides: each holds some MiB of pixels, and a device works on some at once. */
const AT_ONCE = 16
/** Pictures that wait for their turn; more are refused, so that who waits has a chance. */
const MAX_WAITING = 2048
const turns = new Turns(AT_ONCE)
/** Pixels from which a picture takes much memory, and how many such are made at a time. */
const LARGE = 2 ** 20
const largeTurns = new Turns(2)
let waiting = 0

/** Bytes of memory that an encoded picture takes beside its own. */
const ENTRY_BYTES = 512
/** Damaged tiles that are remembered of a slide. */
const MAX_HOLES = 4096

export class ServedSlide {
  readonly name: string
  readonly slide: SlideSource
  /** The slide, if it is an archive. */
  readonly archive: Archive | null
  /** The version of the file that is open: what has the same version has the same pixels. */
  readonly version: string
  readonly encoder: TileEncoder
  readonly #pyramid: Pyramid
  readonly #encoded: TileSpace<Encoded>
  readonly #holes = new Map<string, Hole>()
  readonly #isSame: (() => Promise<boolean>) | null
  readonly #endReservation: () => void

  /** @param isSame whether the file is still the one that was opened, if its handle doesn't tell */
  constructor(
    name: string,
    slide: SlideSource,
    version: string,
    cache: TileCache,
    isSame: (() => Promise<boolean>) | null,
  ) {
    this.name = name
    this.slide = slide
    this.archive = slide instanceof Archive ? slide : null
    this.version = version
    this.encoder = new TileEncoder(slide)
    this.#pyramid = new Pyramid(this.archive ?? pyramidSourceOf(slide), cache)
    this.#encoded = cache.space()
    this.#isSame = isSame
    this.#endReservation = cache.reserve(this.archive?.headBytes ?? 0)
  }

  /** The finest level. */
  get full(): Level {
    return this.slide.levels[0] as Level
  }

  /** Longer side of the largest picture of the whole slide that takes no tile of it to be decoded. */
  get cheapSide(): number {
    const [finest] = this.archive?.overviewLevels ?? []
    return finest ? Math.max(finest.width, finest.height) : Number.POSITIVE_INFINITY
  }

  /** Tiles that were found damaged since the slide was opened, or seen not to have been readable when it was made. */
  get holes(): readonly Hole[] {
    return [...this.#holes.values()]
  }

  /** Whether the pyramid has such a tile. */
  hasTile(level: number, column: number, row: number): boolean {
    return this.#pyramid.tileSize(level, column, row) !== null
  }

  /**
   * A tile of the pyramid, encoded by `encode`: made once for all who ask for the same `key`, and kept. The work stops
   * when all who asked have given up.
   */
  tile(
    key: string,
    [level, column, row]: readonly [number, number, number],
    encode: (image: Image) => Promise<Buffer>,
    signal: AbortSignal,
  ): Promise<Encoded> {
    const make = (stop: AbortSignal) => tileOrHatch(this.#pyramid, level, column, row, stop) as Promise<HoledImage>
    return this.#kept(key, (stop) => this.#encode(make(stop), encode), signal)
  }

  /** A picture of an area of that size, as {@link tile}. */
  picture(
    key: string,
    area: Area,
    size: Size,
    encode: (image: Image) => Promise<Buffer>,
    signal: AbortSignal,
  ): Promise<Encoded> {
    const { background } = this.slide
    const make = (stop: AbortSignal) => {
      return this.#encode(drawArea(this.#pyramid, this.full, background, area, size, stop), encode)
    }
    const isLarge = size.width * size.height > LARGE
    return this.#kept(key, (stop) => (isLarge ? largeTurns.run(() => make(stop)) : make(stop)), signal)
  }

  /** A label, macro image or the like; see {@link picture}. */
  associated(name: string, encode: (image: Image) => Promise<Buffer>, signal: AbortSignal): Promise<Encoded> {
    const make = async (stop: AbortSignal) => {
      const image = await this.slide.readAssociatedImage(name, stop)
      await this.#mustBeSame()
      return { body: await encode(image), holes: [] }
    }
    // They are as large as whoever made the file likes.
    return this.#kept(`associated-${name}`, (stop) => largeTurns.run(() => make(stop)), signal)
  }

  /** What `make` makes: once for all who ask for the same `key`, and kept. */
  async #kept(key: string, make: (stop: AbortSignal) => Promise<Encoded>, signal: AbortSignal): Promise<Encoded> {
    throwIfAborted(signal)
    return this.#encoded.get(key, sizeOf, (stop) => inTurn(() => make(stop), stop), signal)
  }

  /** Drops the pictures and closes the slide. */
  close(): void {
    this.#encoded.clear()
    this.#pyramid.close()
    this.#endReservation()
    this.slide.close()
  }

  async #encode(drawn: Promise<HoledImage>, encode: (image: Image) => Promise<Buffer>): Promise<Encoded> {
    const { image, holes } = await drawn
    for (const hole of holes) {
      const key = `${hole.level}/${hole.column}/${hole.row}`
      if (this.#holes.size >= MAX_HOLES) break
      this.#holes.set(key, { ...hole, reason: hole.reason.replaceAll(this.slide.path, this.name) })
    }
    await this.#mustBeSame()
    return { body: await encode(image), holes }
  }

  async #mustBeSame(): Promise<void> {
    if (this.#isSame && !(await this.#isSame())) throw changed(this.name)
  }
}

function sizeOf({ body }: Encoded): number {
  return body.length + ENTRY_BYTES
}

async function inTurn<T>(make: () => Promise<T>, stop: AbortSignal): Promise<T> {
  if (waiting >= MAX_WAITING) throw busy()
  waiting++
  try {
    return await turns.run(async () => {
      throwIfAborted(stop)
      return make()
    })
  } finally {
    waiting--
  }
}

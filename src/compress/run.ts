/** One compression of a slide into an archive: what `compressSlide` does once its options are checked. */
import { createHash } from 'node:crypto'
import { type ChecksummedImage, type Contents, encodeHead } from '../archive/head-writer.js'
import { Listed } from '../archive/listed.js'
import { encodeCheck } from '../archive/tile-checks.js'
import type { TileFloor } from '../codec/arguments.js'
import type { PayloadCodec } from '../codec/codec.js'
import type { Loan } from '../codec/default-codec.js'
import { decodeSeen, type SeenTile } from '../codec/seen-tiles.js'
import { LinkedAbort } from '../concurrency/abort.js'
import { inOrder } from '../concurrency/in-order.js'
import { crc32c } from '../entropy/crc32c.js'
import { ClericError, SlideError, throwIfAborted, withoutName } from '../errors.js'
import { fill } from '../image/draw.js'
import type { Image, Size } from '../image/image.js'
import { JPEG } from '../image/jpeg.js'
import { fromImage } from '../image/sharp.js'
import { TILE, type TileIndex, type TilePlace } from '../tiff/tile-index.js'
import type { ArchiveTarget } from './archive-store.js'
import { type BackgroundMode, blankColour } from './blank.js'
import type { BusyClock } from './busy-clock.js'
import { bytesIn, type EncodedPayload, type EncodedTile, factsIn, type OmittedTile } from './encoded-tile.js'
import type { TileRecord } from './journal.js'
import { Overview, type OverviewLevel } from './overview.js'
import { padTile } from './padding.js'
import { encodePartHead, encodePartRecords, PART_HEAD_BYTES, type Part, type Share } from './part.js'
import type { AssociatedJpeg, CompressionPlan } from './plan.js'
import type { CompressProgress, UnreadableTile } from './progress.js'
import type { SlideReader } from './slide-reader.js'
import { type KeepSourceTiles, sourceJpegs } from './source-jpegs.js'
import { ArchiveWriter } from './writer.js'

export interface RunOptions {
  readonly background: BackgroundMode
  /** How many of the tiles are decoded from their bytes alone, once they are written. */
  readonly check: CheckMode
  /** What must hold of every tile that is checked. */
  readonly floor: TileFloor
  readonly keepSourceTiles: KeepSourceTiles
  /** Tiles that were encoded apart; those of another slide, or other options, are left aside. */
  readonly parts: readonly Part[]
  readonly overwrite: boolean
  readonly resume: boolean
  /** Called when the slide has been read, before the archive has its name; throws if it isn't the same slide any more. */
  readonly mustHold: () => void
  readonly onProgress: ((progress: CompressProgress) => void) | undefined
  readonly onUnreadable: ((tile: UnreadableTile) => void) | undefined
}

/** Clocks of the stages of a compression. */
export interface StageClocks {
  /** Reading the slide's pixels, the overview's too. */
  readonly read: BusyClock
  /** The codec having a tile to work on. */
  readonly codec: BusyClock
  /** Writing the archive and its journal. */
  readonly write: BusyClock
}

/** A place with its number, 0 .. totalTiles - 1. */
interface NumberedPlace extends TilePlace {
  readonly number: number
}

/** The pixels of a tile that is stored. */
export interface TilePixels {
  /** Padded to the size of tiles. */
  readonly image: Image
  /** How many of them, from the top left, are the slide's. */
  readonly shown: Size
  /** Why the slide could not be read in places, which are background; else null. */
  readonly error: SlideError | null
  /** The stream of the JPEGs that the slide stores there; null if there are none that make up a tile. */
  readonly source: Uint8Array | null
}

interface EncodeOptions {
  /** Whether it is decoded from its bytes alone, and compared. */
  readonly verify?: boolean
  /** What was learnt of tiles before it. */
  readonly seen?: readonly SeenTile[]
}

/**
 * `none`: tiles are stored as the network encodes them. `sample`: each tile's error is known, and what the network does
 * badly is stored another way; one of 64 tiles is also decoded from its bytes alone. `full`: every tile is.
 */
export const CHECK_MODES = ['none', 'sample', 'full'] as const
export type CheckMode = (typeof CHECK_MODES)[number]

/** One of so many tiles is decoded from its bytes alone. */
const SAMPLE = 64

/**
 * What is learnt of a tile serves from so many tiles on, at least, and for so many. It is as many as are on their way at
 * once where those are more: the tiles before are surely stored by then, so that the archive's bytes don't depend on time.
 */
const [LEARNT_AFTER, LEARNT_FOR] = [6, 256]
/** One of so many tiles is tried every way whatever was learnt. */
const TRIED_ANEW = 32

export class CompressionRun {
  readonly plan: CompressionPlan
  /** Tiles to keep between being read and being written. */
  readonly tilesInFlight: number
  readonly unreadable = new Listed<UnreadableTile>()
  tiles = 0
  blankTiles = 0
  resumedTiles = 0
  readonly #reader: SlideReader
  readonly #codec: PayloadCodec
  readonly #clocks: StageClocks
  readonly #options: RunOptions
  #pixels = 0
  /** Tiles of which nothing could be read. */
  #lostTiles = 0
  #images: readonly AssociatedJpeg[] | null = null
  #parts: readonly Part[] = []
  /** What was learnt of each tile that is stored, by its number. */
  readonly #seen: (SeenTile | null)[] = []
  readonly #learntAfter: number
  #overview: Overview | null = null

  constructor(
    plan: CompressionPlan,
    reader: SlideReader,
    { codec, tilesInFlight }: Pick<Loan, 'codec' | 'tilesInFlight'>,
    clocks: StageClocks,
    options: RunOptions,
  ) {
    this.plan = plan
    this.#reader = reader
    this.#codec = codec
    this.tilesInFlight = tilesInFlight
    this.#learntAfter = Math.max(LEARNT_AFTER, tilesInFlight)
    this.#clocks = clocks
    this.#options = options
  }

  /** Bytes of the archive that aren't the slide's own tiles: head, overview and associated images. */
  async bytesAside(quality: number, signal: AbortSignal): Promise<number> {
    const images = await this.#associatedImages(signal)
    const contents = this.plan.contents(this.#codec.model, quality, images)
    const overview = await this.#makeOverview(contents.overview, signal)
    const parts = [this.plan.head(contents), ...images.map(({ bytes }) => bytes), ...overview.flat()]
    return parts.reduce((sum, { length }) => sum + length, 0)
  }

  /**
   * The pixels that are encoded of tile 0 .. totalTiles - 1, level by level and row by row; null if it isn't stored.
   */
  async tilePixels(number: number, signal: AbortSignal): Promise<TilePixels | null> {
    const read = await this.#read(this.plan.place(number), signal)
    return 'colour' in read ? null : read
  }

  /** The payload of such a tile. */
  async encode(
    { image, shown, source }: TilePixels,
    quality: number,
    options: EncodeOptions,
    signal: AbortSignal,
  ): Promise<EncodedPayload> {
    const { check, floor, keepSourceTiles } = this.#options
    return this.#clocks.codec.while(async () => {
      if (check === 'none') {
        const payload = await this.#codec.encodePayload(image, quality, signal)
        return { payload, check: new Uint8Array(2), seen: null }
      }
      const ofSource = source ? { source, keepSource: keepSourceTiles === 'always' } : {}
      const checked = { ...floor, ...ofSource, ...options, shown, signal }
      const { payload, seen = null, ...facts } = await this.#codec.encodeCheckedPayload(image, quality, checked)
      return { payload, check: encodeCheck(facts), seen }
    })
  }

  /** Writes the archive; returns its size. */
  async write(output: string | ArchiveTarget, quality: number, signal: AbortSignal): Promise<number> {
    const { overwrite, resume, parts } = this.#options
    const images = await this.#associatedImages(signal)
    const contents = this.plan.contents(this.#codec.model, quality, images)
    const head = this.plan.head(contents)
    const made = Buffer.from(this.plan.fingerprint(head, null))
    this.#parts = parts.filter(({ fingerprint }) => made.equals(fingerprint))
    const fingerprint = this.plan.fingerprint(head, this.#by)
    const start = { overwrite, resume, fingerprint, headLength: head.length, tiles: this.plan.totalTiles }
    const writer = await ArchiveWriter.open(output, start)
    try {
      const overview = await this.#writeTiles(writer, contents, signal)
      throwIfAborted(signal)
      this.#refuseNothing()
      for (const [i, { index }] of contents.overview.entries()) {
        for (const [at, bytes] of (overview[i] ?? []).entries()) {
          index.offset[at] = await this.#clocks.write.while(() => writer.append(bytes))
          index.length[at] = bytes.length
          index.checksum[at] = crc32c(bytes)
        }
      }
      const stored: ChecksummedImage[] = []
      for (const [i, { bytes }] of images.entries()) {
        const offset = await this.#clocks.write.while(() => writer.append(bytes))
        stored.push({ ...(contents.images[i] as ChecksummedImage), offset })
      }
      const fileLength = writer.position
      this.#options.mustHold()
      await this.#clocks.write.while(() => writer.finish(encodeHead({ ...contents, images: stored, fileLength })))
      return fileLength
    } finally {
      await writer.leave()
    }
  }

  /**
   * Writes some segments as a part of the archive (`part.ts`), unless `there` is that part already.
   *
   * @throws ClericError ERR_FILE_CHANGED if the slide has no such tiles
   */
  async writePart(
    output: string,
    share: Share,
    there: Part | null,
    quality: number,
    signal: AbortSignal,
  ): Promise<void> {
    const { resume } = this.#options
    const contents = this.plan.contents(this.#codec.model, quality, await this.#associatedImages(signal))
    const head = this.plan.head(contents)
    const made = this.plan.fingerprint(head, null)
    const { first, count } = share
    if (first + count > this.plan.totalTiles) {
      const { path } = this.#reader.slide
      throw new ClericError('ERR_FILE_CHANGED', `${path} has changed since it was divided: it has no such tiles`)
    }
    if (there?.first === first && there.count === count && Buffer.from(made).equals(there.fingerprint)) return
    const fingerprint = createHash('sha256')
      .update(this.plan.fingerprint(head, this.#by))
      .update(`${first} ${count}`)
      .digest()
    const start = { overwrite: true, resume, fingerprint, headLength: PART_HEAD_BYTES, tiles: count }
    const writer = await ArchiveWriter.open(output, start)
    try {
      const records: TileRecord[] = []
      await this.#writeSlideTiles(writer, share, quality, signal, (record) => records.push(record))
      throwIfAborted(signal)
      const at = await this.#clocks.write.while(() => writer.append(encodePartRecords(records)))
      this.#options.mustHold()
      await this.#clocks.write.while(() => writer.finish(encodePartHead(made, share, at)))
    } finally {
      await writer.leave()
    }
  }

  get #by() {
    const { kind, name } = this.#codec.device
    return { kind, name, learntAfter: this.#learntAfter }
  }

  /** The slide's tiles, and at the same time the overview, which is made from the slide too. */
  async #writeTiles(writer: ArchiveWriter, contents: Contents, signal: AbortSignal): Promise<Uint8Array[][]> {
    using stop = new LinkedAbort(signal)
    const failures: unknown[] = []
    const guard = <T>(work: Promise<T>) =>
      work.catch((error: unknown) => {
        failures.push(error)
        stop.abort()
      })
    const { overview: levels, description } = contents
    const all = { first: 0, count: this.plan.totalTiles }
    const slideTiles = this.#writeSlideTiles(writer, all, description.quality, stop.signal)
    const [overview] = await Promise.all([guard(this.#makeOverview(levels, stop.signal)), guard(slideTiles)])
    // The first is the cause of the other.
    if (failures.length > 0 || !overview) throw failures[0]
    return overview
  }

  /**
   * Several tiles are on their way at once, and written in order, so that the bytes don't depend on timing.
   *
   * @param onRecord told of each, those of an interrupted run first; nothing else keeps them
   */
  async #writeSlideTiles(
    writer: ArchiveWriter,
    share: Share,
    quality: number,
    signal: AbortSignal,
    onRecord?: (record: TileRecord) => void,
  ): Promise<void> {
    const places = this.#places(share)
    this.resumedTiles = writer.resumed.length
    for (const record of writer.resumed) {
      onRecord?.(record)
      this.#note(places.next().value as NumberedPlace, record)
    }
    this.#report(writer)
    await inOrder(
      places,
      this.tilesInFlight,
      (place, either) => this.#encodeTile(place, quality, either),
      async (place, encoded) => {
        const record = await this.#clocks.write.while(() => writer.appendTile(bytesIn(encoded), factsIn(encoded)))
        onRecord?.(record)
        this.#note(place, record, encoded.error ?? undefined)
        this.#report(writer)
      },
      signal,
    )
  }

  *#places({ first, count }: Share): Generator<NumberedPlace, undefined> {
    for (let number = first; number < first + count; number++) yield { number, ...this.plan.place(number) }
    return undefined
  }

  async #encodeTile(place: NumberedPlace, quality: number, signal: AbortSignal): Promise<EncodedTile> {
    const { number } = place
    const part = this.#parts.find(({ first, count }) => number >= first && number < first + count)
    const copied = await part?.tile(number, signal)
    if (copied) return { ...copied, error: null }
    const read = await this.#read(place, signal)
    if ('colour' in read) return read
    const verify = this.#options.check === 'full' || number % SAMPLE === 0
    const seen = this.#seenBefore(number)
    return { ...(await this.encode(read, quality, { verify, seen }, signal)), error: read.error }
  }

  /** What was learnt of tiles of the same segment before a tile. */
  #seenBefore(number: number): SeenTile[] {
    if (number % TRIED_ANEW === 0) return []
    const start = number - (number % this.plan.segmentTiles)
    const end = Math.max(start, number - this.#learntAfter + 1)
    return this.#seen.slice(Math.max(start, end - LEARNT_FOR), end).filter((tile) => tile !== null)
  }

  /** The pixels of a tile as they are stored. */
  async #read(place: TilePlace, signal: AbortSignal): Promise<TilePixels | OmittedTile> {
    const area = this.plan.area(place)
    const { image, error } = await this.#clocks.read.while(() => this.#reader.read(area, signal))
    if (!image) return { colour: this.#reader.slide.background, error }
    const colour = blankColour(image, this.#options.background)
    // What couldn't be read in places says so, though the rest is glass.
    if (colour && !error) return { colour, error }
    const { tileWidth, tileHeight } = this.plan.indexes[place.level] as TileIndex
    // A TIFF's tiles are whole, also at the edge.
    const shown = { width: image.width, height: image.height }
    const isKept = this.#options.keepSourceTiles !== 'never' && !error
    const size = { width: tileWidth, height: tileHeight }
    const source = isKept
      ? await this.#clocks.read.while(() => sourceJpegs(this.#reader.slide, area, size, signal))
      : null
    return { image: padTile(image, tileWidth, tileHeight), shown, error, source }
  }

  /** Enters a tile that is written into index and counts. */
  #note(place: NumberedPlace, { offset, length, colour, crc, check, seen }: TileRecord, error?: SlideError): void {
    const { number, level, column, row } = place
    const index = this.plan.indexes[level] as TileIndex
    const at = row * index.columns + column
    index.offset[at] = offset
    index.length[at] = length
    index.checksum[at] = crc
    index.colours.set(colour, 4 * at)
    index.checks.set(check, 2 * at)
    this.#seen[number] = decodeSeen(seen)
    // No tile that comes later looks back further.
    const past = number - this.#learntAfter - LEARNT_FOR
    if (past >= 0) this.#seen[past] = null
    const area = this.plan.area(place)
    this.tiles++
    this.#pixels += area.width * area.height
    if (colour[3] === TILE.blank) this.blankTiles++
    if (colour[3] === TILE.unreadable || colour[3] === TILE.partlyUnreadable) {
      const isPartial = colour[3] === TILE.partlyUnreadable
      const tile = { level: area.level, column, row, isPartial, reason: error?.message ?? null }
      this.unreadable.add(tile)
      if (!isPartial) this.#lostTiles++
      this.#options.onUnreadable?.(tile)
    }
  }

  /** An archive of nothing but background would pass for one of an empty slide. */
  #refuseNothing(): void {
    if (this.#lostTiles < this.plan.totalTiles) return
    const { path } = this.#reader.slide
    const first = withoutName(this.unreadable.first[0]?.reason ?? '', path)
    throw new SlideError('ERR_OPENSLIDE_READ', `${path}: no tile can be read; the first: ${first}`)
  }

  #report(writer: ArchiveWriter): void {
    this.#options.onProgress?.({
      tiles: this.tiles,
      totalTiles: this.plan.totalTiles,
      blankTiles: this.blankTiles,
      pixels: this.#pixels,
      totalPixels: this.plan.totalPixels,
      bytes: writer.position,
    })
  }

  /** The JPEGs of each level of the overview. Made once: they don't depend on the quality. */
  async #makeOverview(levels: readonly OverviewLevel[], signal: AbortSignal): Promise<Uint8Array[][]> {
    if (levels.length === 0) return []
    if (!this.#overview) {
      const { slide } = this.#reader
      const overview = new Overview(slide.levels, levels, async (level, area) => {
        const { image } = await this.#clocks.read.while(() => this.#reader.read({ level, ...area }, signal))
        return image ?? fill(area.width, area.height, slide.background)
      })
      await overview.make()
      this.#overview = overview
    }
    return this.#overview.tiles
  }

  async #associatedImages(signal: AbortSignal): Promise<readonly AssociatedJpeg[]> {
    if (this.#images) return this.#images
    const { slide } = this.#reader
    const images: AssociatedJpeg[] = []
    for (const name of this.plan.imageNames) {
      const image = await slide.readAssociatedImage(name, signal)
      const bytes = await fromImage(image)
        .jpeg(name === 'thumbnail' ? JPEG.thumbnail : JPEG.associated)
        .toBuffer()
      images.push({ name, width: image.width, height: image.height, bytes })
    }
    this.#images = images
    return images
  }
}

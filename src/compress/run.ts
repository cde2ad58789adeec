/** One compression of a slide into an archive: what `compressSlide` does once its options are checked. */

import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { type Description, readSlideFacts, writeSlideFacts } from '../archive/description.js'
import { MAX_HEAD_BYTES } from '../archive/head-reader.js'
import { type Contents, encodeHead, type Layout } from '../archive/head-writer.js'
import { outOfRange } from '../arguments.js'
import type { PayloadCodec } from '../codec/codec.js'
import type { Loan } from '../codec/default-codec.js'
import { LinkedAbort } from '../concurrency/abort.js'
import { inOrder } from '../concurrency/in-order.js'
import { SlideError, throwIfAborted } from '../errors.js'
import { type Colour, fill } from '../image/draw.js'
import type { Image } from '../image/image.js'
import { JPEG } from '../image/jpeg.js'
import { fromImage } from '../image/sharp.js'
import { type Kept, keptOf } from '../slide/identity.js'
import type { Level } from '../slide/source.js'
import type { StoredImage } from '../tiff/image-fields.js'
import { emptyIndex, TILE, type TileIndex } from '../tiff/tile-index.js'
import { type BackgroundMode, blankColour } from './blank.js'
import type { BusyClock } from './busy-clock.js'
import { Overview, type OverviewLevel, overviewLevels } from './overview.js'
import { padTile } from './padding.js'
import type { CompressProgress, UnreadableTile } from './progress.js'
import type { SlideReader } from './slide-reader.js'
import { ArchiveWriter } from './writer.js'

export interface CompressionOptions {
  readonly tile: number
  readonly background: BackgroundMode
  readonly layout: Layout
  readonly label: boolean
  readonly macro: boolean
  readonly overwrite: boolean
  readonly resume: boolean
  readonly onProgress: ((progress: CompressProgress) => void) | undefined
  readonly onUnreadable: ((tile: UnreadableTile) => void) | undefined
}

/** What the time goes by. */
export interface StageClocks {
  /** Reading the slide's pixels, the overview's too. */
  readonly read: BusyClock
  /** The codec having a tile to work on. */
  readonly codec: BusyClock
  /** Writing the archive and its journal. */
  readonly write: BusyClock
}

interface Place {
  /** Number among the levels that are kept. */
  readonly level: number
  readonly column: number
  readonly row: number
}

/** What stands for a tile that isn't stored. */
interface Absent {
  readonly colour: Colour
  readonly error?: SlideError
}

type Made = { readonly payload: Uint8Array } | Absent

interface Jpeg {
  readonly name: string
  readonly width: number
  readonly height: number
  readonly bytes: Uint8Array
}

export class Compression {
  readonly totalPixels: number
  readonly totalTiles: number
  /** Tiles to keep between being read and being written. */
  readonly tilesInFlight: number
  readonly unreadable: UnreadableTile[] = []
  tiles = 0
  blankTiles = 0
  resumedTiles = 0
  readonly #reader: SlideReader
  /** The slide's numbers of the levels that are kept. */
  readonly #numbers: readonly number[]
  readonly #levels: readonly Level[]
  readonly #codec: PayloadCodec
  readonly #clocks: StageClocks
  readonly #options: CompressionOptions
  readonly #kept: Kept
  readonly #indexes: readonly TileIndex[]
  #pixels = 0
  #images: readonly Jpeg[] | null = null
  #overview: Overview | null = null

  constructor(
    reader: SlideReader,
    numbers: readonly number[],
    { codec, tilesInFlight }: Pick<Loan, 'codec' | 'tilesInFlight'>,
    clocks: StageClocks,
    options: CompressionOptions,
  ) {
    this.#reader = reader
    this.#numbers = numbers
    this.#levels = numbers.map((number) => reader.slide.levels[number] as Level)
    this.#codec = codec
    this.tilesInFlight = tilesInFlight
    this.#clocks = clocks
    this.#options = options
    this.#kept = keptOf(reader.slide, options)
    this.#indexes = this.#levels.map((level) => emptyIndex(level, options.tile))
    this.totalTiles = this.#indexes.reduce((sum, { length }) => sum + length.length, 0)
    this.totalPixels = this.#levels.reduce((sum, { width, height }) => sum + width * height, 0)
  }

  /** Bytes of the archive that aren't the slide's own tiles: head, overview and associated images. */
  async bytesAside(quality: number, signal: AbortSignal): Promise<number> {
    const images = await this.#associatedImages(signal)
    const contents = this.#contents(images, quality)
    const overview = await this.#makeOverview(contents.overview, signal)
    const parts = [this.#head(contents), ...images.map(({ bytes }) => bytes), ...overview.flat()]
    return parts.reduce((sum, { length }) => sum + length, 0)
  }

  /** What the codec gets of tile 0 .. totalTiles - 1, level by level and row by row; null if it isn't stored. */
  async tileImage(number: number, signal: AbortSignal): Promise<Image | null> {
    const image = await this.#read(this.#place(number), signal)
    return 'colour' in image ? null : image
  }

  /** The payload of such a tile. */
  encode(image: Image, quality: number, signal: AbortSignal): Promise<Uint8Array> {
    return this.#clocks.codec.while(() => this.#codec.encodePayload(image, quality, signal))
  }

  /** Writes the archive; returns its size. */
  async write(output: string, quality: number, signal: AbortSignal): Promise<number> {
    const { overwrite, resume } = this.#options
    const images = await this.#associatedImages(signal)
    const contents = this.#contents(images, quality)
    const head = this.#head(contents)
    const fingerprint = this.#fingerprint(head)
    const start = { overwrite, resume, fingerprint, headLength: head.length, tiles: this.totalTiles }
    const writer = await ArchiveWriter.open(output, start)
    try {
      const overview = await this.#writeTiles(writer, contents, signal)
      throwIfAborted(signal)
      this.#refuseNothing()
      for (const [i, { index }] of contents.overview.entries()) {
        for (const [at, bytes] of (overview[i] ?? []).entries()) {
          index.offset[at] = await this.#clocks.write.while(() => writer.append(bytes))
          index.length[at] = bytes.length
        }
      }
      const stored: StoredImage[] = []
      for (const { bytes, ...image } of images) {
        const offset = await this.#clocks.write.while(() => writer.append(bytes))
        stored.push({ ...image, offset, length: bytes.length })
      }
      const fileLength = writer.position
      await this.#clocks.write.while(() => writer.finish(encodeHead({ ...contents, images: stored, fileLength })))
      return fileLength
    } finally {
      await writer.leave()
    }
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
    const own = this.#writeOwnTiles(writer, description.quality, stop.signal)
    const [overview] = await Promise.all([guard(this.#makeOverview(levels, stop.signal)), guard(own)])
    // The first is the cause of the other.
    if (failures.length > 0 || !overview) throw failures[0]
    return overview
  }

  /** Several tiles are on their way at once, and written in order, so that the bytes don't depend on timing. */
  async #writeOwnTiles(writer: ArchiveWriter, quality: number, signal: AbortSignal): Promise<void> {
    const places = this.#places()
    this.resumedTiles = writer.resumed.length
    for (const { offset, length, colour } of writer.resumed) {
      this.#note(places.next().value as Place, offset, length, colour)
    }
    this.#report(writer)
    await inOrder(
      places,
      this.tilesInFlight,
      (place, either) => this.#make(place, quality, either),
      async (place, made) => {
        const [bytes, colour] =
          'payload' in made ? [made.payload, new Uint8Array(4)] : [new Uint8Array(0), blankBytes(made)]
        const { offset, length } = await this.#clocks.write.while(() => writer.appendTile(bytes, colour))
        this.#note(place, offset, length, colour, 'payload' in made ? undefined : made.error)
        this.#report(writer)
      },
      signal,
    )
  }

  *#places(): Generator<Place, undefined> {
    for (let number = 0; number < this.totalTiles; number++) yield this.#place(number)
    return undefined
  }

  /** Of a tile by its number among all: level by level, row by row. */
  #place(number: number): Place {
    let at = number
    let level = 0
    for (let tiles = this.#tilesOf(level); at >= tiles; tiles = this.#tilesOf(level)) {
      at -= tiles
      level++
    }
    const { columns } = this.#indexes[level] as TileIndex
    return { level, column: at % columns, row: Math.floor(at / columns) }
  }

  #tilesOf(level: number): number {
    return (this.#indexes[level] as TileIndex).length.length
  }

  /** Where a tile is in its level. */
  #area({ level, column, row }: Place) {
    const { tileWidth, tileHeight } = this.#indexes[level] as TileIndex
    const { width, height } = this.#levels[level] as Level
    const [left, top] = [column * tileWidth, row * tileHeight]
    const number = this.#numbers[level] as number
    return {
      level: number,
      left,
      top,
      width: Math.min(tileWidth, width - left),
      height: Math.min(tileHeight, height - top),
    }
  }

  async #make(place: Place, quality: number, signal: AbortSignal): Promise<Made> {
    const image = await this.#read(place, signal)
    return 'colour' in image ? image : { payload: await this.encode(image, quality, signal) }
  }

  /** The pixels of a tile as they are stored. */
  async #read(place: Place, signal: AbortSignal): Promise<Image | Absent> {
    const image = await this.#clocks.read.while(() => this.#reader.read(this.#area(place), signal))
    if (image instanceof SlideError) return { colour: this.#reader.slide.background, error: image }
    const colour = blankColour(image, this.#options.background)
    if (colour) return { colour }
    const { tileWidth, tileHeight } = this.#indexes[place.level] as TileIndex
    // A TIFF's tiles are whole, also at the edge.
    return padTile(image, tileWidth, tileHeight)
  }

  /** Enters a tile that is written into index and counts. */
  #note(place: Place, offset: number, length: number, colour: Uint8Array, error?: SlideError): void {
    const { level, column, row } = place
    const index = this.#indexes[level] as TileIndex
    const at = row * index.columns + column
    index.offset[at] = offset
    index.length[at] = length
    index.colours.set(colour, 4 * at)
    const area = this.#area(place)
    this.tiles++
    this.#pixels += area.width * area.height
    if (colour[3] === TILE.blank) this.blankTiles++
    if (colour[3] === TILE.unreadable) {
      const tile = { level: area.level, column, row, reason: error?.message ?? null }
      this.unreadable.push(tile)
      this.#options.onUnreadable?.(tile)
    }
  }

  /** An archive of nothing but background would pass for one of an empty slide. */
  #refuseNothing(): void {
    if (this.unreadable.length < this.totalTiles) return
    const { path } = this.#reader.slide
    throw new SlideError('ERR_OPENSLIDE_READ', `${path}: no tile can be read; the first: ${this.unreadable[0]?.reason}`)
  }

  #report(writer: ArchiveWriter): void {
    this.#options.onProgress?.({
      tiles: this.tiles,
      totalTiles: this.totalTiles,
      blankTiles: this.blankTiles,
      pixels: this.#pixels,
      totalPixels: this.totalPixels,
      bytes: writer.position,
    })
  }

  /** The JPEGs of each level of the overview. Made once: they don't depend on the quality. */
  async #makeOverview(levels: readonly OverviewLevel[], signal: AbortSignal): Promise<Uint8Array[][]> {
    if (levels.length === 0) return []
    if (!this.#overview) {
      const { slide } = this.#reader
      const overview = new Overview(slide.levels, levels, async (level, area) => {
        const image = await this.#clocks.read.while(() => this.#reader.read({ level, ...area }, signal))
        return image instanceof SlideError ? fill(area.width, area.height, slide.background) : image
      })
      await overview.make()
      this.#overview = overview
    }
    return this.#overview.tiles
  }

  async #associatedImages(signal: AbortSignal): Promise<readonly Jpeg[]> {
    if (this.#images) return this.#images
    const { slide } = this.#reader
    const images: Jpeg[] = []
    for (const name of this.#kept.images) {
      const image = await slide.readAssociatedImage(name, signal)
      const bytes = await fromImage(image)
        .jpeg(name === 'thumbnail' ? JPEG.thumbnail : JPEG.associated)
        .toBuffer()
      images.push({ name, width: image.width, height: image.height, bytes })
    }
    this.#images = images
    return images
  }

  #head(contents: Contents): Uint8Array {
    const head = encodeHead(contents)
    if (head.length <= MAX_HEAD_BYTES) return head
    throw outOfRange('larger tiles for a slide of this size', 'tile', this.#options.tile)
  }

  /** All that the archive says but for where things are. */
  #contents(images: readonly Jpeg[], quality: number): Contents {
    const { slide } = this.#reader
    const { layout, tile } = this.#options
    const { mpp, objectivePower, background, format, bytes } = slide
    const description: Description = {
      model: { name: this.#codec.model.name, hash: this.#codec.model.hash },
      quality,
      tile,
      levels: this.#levels,
      downsamples: this.#levels.map(({ downsample }) => downsample),
      mpp,
      objectivePower,
      background,
      properties: { ...this.#kept.properties },
      source: { format, bytes },
    }
    this.#refuseUnreadable(description)
    return {
      layout,
      description,
      iccProfile: this.#kept.iccProfile,
      indexes: this.#indexes,
      overview: layout === 'compat' ? overviewLevels(this.#levels[0] as Level) : [],
      images: images.map(({ bytes, ...image }) => ({ ...image, offset: 0, length: bytes.length })),
      fileLength: 0,
    }
  }

  /** What a reader would refuse must not be written: files may state any nonsense about themselves. */
  #refuseUnreadable(description: Description): void {
    try {
      readSlideFacts(writeSlideFacts(description))
    } catch (cause) {
      const { path } = this.#reader.slide
      throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} can't be archived: ${(cause as Error).message}`, { cause })
    }
  }

  /** Of all that the bytes depend on: facts and options are in the head, which has no tiles yet. */
  #fingerprint(head: Uint8Array): Uint8Array {
    const { path } = this.#reader.slide
    const changed = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? null
    const { kind, name } = this.#codec.device
    const more = JSON.stringify({ changed, levels: this.#numbers, background: this.#options.background, kind, name })
    return createHash('sha256').update(head).update(more).digest()
  }
}

function blankBytes({ colour, error }: { colour: Colour; error?: SlideError }): Uint8Array {
  return Uint8Array.of(colour.red, colour.green, colour.blue, error ? TILE.unreadable : TILE.blank)
}

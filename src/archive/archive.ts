/** Reads archives, region by region. */
import {
  checkInteger,
  checkOneOf,
  checkOptions,
  checkSignal,
  type OptionChecks,
  outOfRange,
  wrongType,
} from '../arguments.js'
import { type CodecChoice, codecUseChecks, LATENT_CHECKS, type LatentOptions } from '../codec/arguments.js'
import type { PayloadCodec } from '../codec/codec.js'
import type { Loan } from '../codec/default-codec.js'
import { TimeSlice } from '../concurrency/give-way.js'
import { ClericError, throwIfAborted } from '../errors.js'
import { type ByteSource, openBytes } from '../files/byte-source.js'
import { type Colour, fill, paste } from '../image/draw.js'
import { hatch } from '../image/hatch.js'
import type { Image, Size } from '../image/image.js'
import { TileCache } from '../image/tile-cache.js'
import { ICC_MODES, type IccMode, type ShownColours, shownColours } from '../slide/colour.js'
import {
  checkImageRead,
  checkRead,
  checkRegion,
  levelPosition,
  type Region,
  type SlideSource,
} from '../slide/source.js'
import { kindOf, TILE, type TileIndex } from '../tiff/tile-index.js'
import { type ArchiveLevel, archiveLevel } from './archive-level.js'
import type { Description } from './description.js'
import { type OpenedHead, readHead } from './head-reader.js'
import type { Layout } from './head-writer.js'
import { type Hole, type HoledImage, NothingButHoles } from './holes.js'
import { latentWindow, type RegionLatents, readWindow } from './latents.js'
import type { Listed } from './listed.js'
import { type BadBytes, type Batch, badBytesOf, batchesOf, partsOf } from './parts.js'
import { StoredImages } from './stored-images.js'
import { StoredTiles } from './stored-tiles.js'
import { type CheckSummary, decodeCheck, summarise, type TileCheck } from './tile-checks.js'
import { bytesOf, type LevelWindow, onlyColour, unreadableWithin } from './tile-window.js'

export interface ArchiveOptions extends CodecChoice {
  /** An open codec to decode with; it isn't closed with the archive. Default: one that all of the program shares. */
  readonly codec?: PayloadCodec | undefined
  /**
   * Most bytes of decoded tiles to keep of this archive; 0 keeps none once those who asked for it have it. Default: all
   * archives that don't say share 256 MiB.
   */
  readonly cacheBytes?: number | undefined
  /** Instead of that: where to keep them, together with those of other archives. */
  readonly cache?: TileCache | undefined
  /**
   * What becomes of the slide's ICC profile: "keep" (default), with pixels as they are stored; "srgb", with pixels that
   * are converted by it; or "none", with pixels as they are stored and no profile.
   */
  readonly icc?: IccMode | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Opens an archive: a path, a file URL, an http(s) URL whose server takes ranges, or a Blob. The device is only opened when
 * the first tile is decoded.
 *
 * @throws CorruptDataError ERR_ARCHIVE_CORRUPT, UnsupportedError ERR_ARCHIVE_UNSUPPORTED
 * @example
 * using archive = await openArchive('slide.cleric.tif')
 * const { data } = await archive.readRegion({ x: 1000, y: 800, level: 0, width: 512, height: 512 })
 */
export async function openArchive(source: string | URL | Blob, options: ArchiveOptions = {}): Promise<Archive> {
  return openArchiveOf(() => openBytes(source, options.signal), options)
}

/** The same of bytes from anywhere; they are closed with it. */
export async function openArchiveOf(open: () => Promise<ByteSource>, options: ArchiveOptions): Promise<Archive> {
  const {
    cacheBytes,
    cache = cacheBytes === undefined ? SHARED : new TileCache(cacheBytes),
    icc = 'keep',
    signal,
  } = checkOptions(options, ARCHIVE_CHECKS)
  const bytes = await open()
  try {
    const head = await readHead(bytes, signal)
    const colours = await shownColours(icc, head.iccProfile, head.description.background, bytes.name)
    return new Archive(bytes, head, options, cache, colours)
  } catch (error) {
    bytes.close()
    throw error
  }
}

/** The cache of all archives that aren't given another: however many are open, they take no more memory. */
const SHARED = new TileCache(2 ** 28)

/** Those of the options of `openArchive` that aren't about what decodes. */
export const READING_CHECKS: OptionChecks<Omit<ArchiveOptions, 'codec' | keyof CodecChoice>> = {
  cacheBytes: (value, name) => checkInteger(value, name, 0, Number.MAX_SAFE_INTEGER),
  cache: (value, name, { cacheBytes }) => {
    if (!(value instanceof TileCache)) throw wrongType('a TileCache', name, value)
    if (cacheBytes !== undefined) throw outOfRange('no cacheBytes with a cache', 'cacheBytes', cacheBytes)
  },
  icc: (value, name) => checkOneOf(value, name, ICC_MODES),
  signal: checkSignal,
}

const ARCHIVE_CHECKS: OptionChecks<ArchiveOptions> = { ...codecUseChecks(), ...READING_CHECKS }

export class Archive implements SlideSource, Disposable {
  readonly format = 'archive'
  readonly path: string
  /** Size of the archive. */
  readonly bytes: number
  readonly levels: readonly ArchiveLevel[]
  readonly associatedImages: readonly string[]
  readonly #bytes: ByteSource
  readonly #head: OpenedHead
  readonly #tiles: StoredTiles
  readonly #images: StoredImages
  readonly #colours: ShownColours
  /** Undefined until it is asked for. */
  #checks: CheckSummary | null | undefined
  #closed = false

  /** @internal Use {@link openArchive}. */
  constructor(
    bytes: ByteSource,
    head: OpenedHead,
    options: ArchiveOptions,
    cache: TileCache,
    colours: ShownColours = storedColours(head),
  ) {
    this.path = bytes.name
    this.bytes = bytes.size
    this.#bytes = bytes
    this.#head = head
    this.#tiles = new StoredTiles(bytes, head, options, cache)
    this.#images = new StoredImages(bytes, head)
    this.#colours = colours
    this.levels = head.description.levels.map((level, i) => archiveLevel(level, head.indexes[i] as TileIndex))
    this.associatedImages = head.images.map(({ name }) => name)
  }

  get layout(): Layout {
    return this.#head.layout
  }
  get model(): Description['model'] {
    return this.#head.description.model
  }
  get quality(): number {
    return this.#head.description.quality
  }
  /** Side of a tile in levels that are larger; see {@link ArchiveLevel} for those that are smaller. */
  get tile(): number {
    return this.#head.description.tile
  }
  get mpp(): Description['mpp'] {
    return this.#head.description.mpp
  }
  get objectivePower(): number | null {
    return this.#head.description.objectivePower
  }
  get background(): Description['background'] {
    return this.#colours.background
  }
  get properties(): Description['properties'] {
    return this.#head.description.properties
  }
  /** Format and size of the slide that was compressed. */
  get source(): Description['source'] {
    return this.#head.description.source
  }
  /** @internal Version of the file; changes when the file does. */
  get version(): string {
    return this.#bytes.version
  }
  /** Bits a pixel, over the pixels of all levels. */
  get bpp(): number {
    return (8 * this.bytes) / this.levels.reduce((sum, { width, height }) => sum + width * height, 0)
  }

  /** How near the tiles came to the slide when they were written; null if they weren't checked. */
  get checks(): CheckSummary | null {
    // It takes a look at every tile, and a head never changes.
    if (this.#checks === undefined) this.#checks = summarise(this.#head.indexes)
    return this.#checks
  }

  /** The check of one tile; null if it isn't stored, or wasn't checked. */
  tileCheck(level: number, column: number, row: number): TileCheck | null {
    checkInteger(level, 'level', 0, this.levels.length - 1)
    const index = this.#head.indexes[level] as TileIndex
    checkInteger(column, 'column', 0, index.columns - 1)
    checkInteger(row, 'row', 0, index.rows - 1)
    return decodeCheck(index.checks, row * index.columns + column)
  }

  /** @throws CorruptDataError ERR_CORRUPT_TILE naming the tile; UnsupportedError ERR_MODEL_MISMATCH */
  readRegion(region: Region, signal?: AbortSignal): Promise<Image> {
    return this.#region(region, (level, column, row) => this.#tiles.pixels(level, column, row, signal), signal)
  }

  /**
   * The latents y_hat of a region, a vector for every 16 x 16 pixels, without the synthesis of pixels (docs/latents.md).
   * The region is grown to whole places of the level's grid of 16 x 16 pixels, and may reach outside the slide.
   *
   * @returns float32, channels x height x width, with the place where they begin; a colour profile changes nothing
   * @throws as {@link readRegion}; RangeError for a region of more than 2^19 places
   * @example
   * const { data, channels, width, height } = await archive.readLatents({ x: 0, y: 0, level: 0, width: 512, height: 512 })
   */
  async readLatents(region: Region, options: LatentOptions = {}): Promise<RegionLatents> {
    checkRegion(region, this.levels.length)
    const { missing = 'analyse', signal = NEVER } = checkOptions(options, LATENT_CHECKS)
    const { downsample } = this.levels[region.level] as ArchiveLevel
    const left = levelPosition(region.x, downsample)
    const top = levelPosition(region.y, downsample)
    const window = latentWindow({ ...region, left, top })
    throwIfAborted(signal)
    this.#mustBeOpen()
    using loan = await this.#tiles.lend(signal)
    const source = this.#tiles.latentSource(region.level, loan)
    return await readWindow(source, window, missing, signal)
  }

  /**
   * @internal A region for the eye: the places of tiles that are damaged, or that the slide could not be read at, are
   * hatched, and the rest is there.
   *
   * @returns what is wrong with each of those tiles
   * @throws CorruptDataError ERR_CORRUPT_TILE if there is nothing but damaged tiles; UnsupportedError ERR_MODEL_MISMATCH
   */
  async readRegionWithHoles(region: Region, signal?: AbortSignal): Promise<HoledImage> {
    const holes: Hole[] = []
    let shown = 0
    const read = async (level: number, column: number, row: number) => {
      const place = { level, column, row }
      const { width, height } = this.#tiles.size(level, column, row)
      try {
        const isThere = !this.isUnreadable(level, column, row)
        const image = isThere ? await this.#tiles.pixels(level, column, row, signal) : hatch(width, height)
        if (!isThere) holes.push({ ...place, code: null, reason: UNREAD })
        shown++
        return image
      } catch (error) {
        if (!(error instanceof ClericError) || error.code !== 'ERR_CORRUPT_TILE') throw error
        holes.push({ ...place, code: error.code, reason: error.message })
        return hatch(width, height)
      }
    }
    const image = await this.#region(region, read, signal)
    holes.sort((a, b) => a.row - b.row || a.column - b.column)
    if (shown === 0 && holes.length > 0) throw new NothingButHoles(holes)
    return { image, holes }
  }

  async #region(
    region: Region,
    read: (level: number, column: number, row: number) => Promise<Image>,
    signal: AbortSignal | undefined,
  ): Promise<Image> {
    checkRead(region, this.levels.length, signal)
    this.#mustBeOpen()
    const level = this.levels[region.level] as ArchiveLevel
    const left = levelPosition(region.x, level.downsample)
    const top = levelPosition(region.y, level.downsample)
    const out = fill(region.width, region.height, this.#head.description.background)
    const { tileWidth, tileHeight } = level
    const range = (start: number, size: number, tile: number, tiles: number): [number, number] => [
      Math.max(0, Math.floor(start / tile)),
      Math.min(tiles, Math.ceil((start + size) / tile)),
    ]
    const [firstColumn, endColumn] = range(left, region.width, tileWidth, level.columns)
    const [firstRow, endRow] = range(top, region.height, tileHeight, level.rows)
    const places: [number, number][] = []
    for (let row = firstRow; row < endRow; row++) {
      for (let column = firstColumn; column < endColumn; column++) places.push([column, row])
    }
    const slice = new TimeSlice()
    let next = 0
    const draw = async () => {
      while (next < places.length) {
        const [column, row] = places[next++] as [number, number]
        if (slice.isOver) await slice.giveWay()
        throwIfAborted(signal)
        const image = await read(region.level, column, row)
        paste(image, out, column * tileWidth - left, row * tileHeight - top)
      }
    }
    const isToDecode = places.some(([column, row]) => this.#tiles.isToDecode(region.level, column, row))
    using loan = isToDecode ? await this.lend(signal) : null
    try {
      await Promise.all(Array.from({ length: Math.min(loan?.tilesInFlight ?? 1, places.length) }, draw))
    } finally {
      // After a failure the others take no further tile.
      places.length = 0
    }
    return this.#shown(out)
  }

  /** One tile, cut to the level. The image may be shared with other callers: copy it before writing to it. */
  async readTile(level: number, column: number, row: number, signal?: AbortSignal): Promise<Image> {
    checkInteger(level, 'level', 0, this.levels.length - 1)
    const { columns, rows } = this.levels[level] as ArchiveLevel
    checkInteger(column, 'column', 0, columns - 1)
    checkInteger(row, 'row', 0, rows - 1)
    throwIfAborted(checkSignal(signal))
    this.#mustBeOpen()
    return this.#shown(await this.#tiles.pixels(level, column, row, signal))
  }

  /**
   * @internal The codec that decodes this archive. Callers that read many tiles hold it, so that it stays open from tile to
   * tile. Null if no tile is stored.
   *
   * @throws UnsupportedError ERR_MODEL_MISMATCH
   */
  async lend(signal?: AbortSignal): Promise<Loan | null> {
    const isBlank = this.levels.every(({ bytes }) => bytes === 0)
    return isBlank ? null : this.#tiles.lend(signal)
  }

  /** @internal The colour that all of a window has as none of its tiles is stored; null if one is, or they differ. */
  onlyColour(level: number, window: LevelWindow): Colour | null {
    return onlyColour(this.#head.indexes[level] as TileIndex, window)
  }

  /** @internal The tiles of a level in a window where the slide could not be read, all or in places. */
  unreadableWithin(level: number, window: LevelWindow): Hole[] {
    if (this.levels[level]?.unreadableTiles === 0) return []
    const index = this.#head.indexes[level] as TileIndex
    return unreadableWithin(index, window).map((at) => {
      return { level, column: at % index.columns, row: Math.floor(at / index.columns), code: null, reason: UNREAD }
    })
  }

  /** @internal Bytes of memory that the archive takes while it is open, without its tiles. */
  get headBytes(): number {
    // What a head holds beside its tables, such as properties, is there as it was read and as it was parsed.
    return 4 * this.#head.headLength + bytesOf([...this.#head.indexes, ...this.overview])
  }

  /** Whether the slide could not be read there, so that the tile is background, all of it or in places. */
  isUnreadable(level: number, column: number, row: number): boolean {
    checkInteger(level, 'level', 0, this.levels.length - 1)
    const index = this.#head.indexes[level] as TileIndex
    checkInteger(column, 'column', 0, index.columns - 1)
    checkInteger(row, 'row', 0, index.rows - 1)
    return UNREADABLE.includes(kindOf(index, row * index.columns + column))
  }

  async readAssociatedImage(name: string, signal?: AbortSignal): Promise<Image> {
    checkImageRead(name, signal)
    this.#mustBeOpen()
    return this.#images.associated(name, signal)
  }

  /**
   * Whether it has checksums of tiles, overview and associated images, by which damage is noticed when they are read.
   * Archives that were written before there were any have none.
   */
  get hasChecksums(): boolean {
    return this.#head.isChecksummed
  }

  /** @internal Everything behind the head, in pieces of about `size` bytes, for validation. */
  batches(size: number): Iterable<Batch> {
    return batchesOf(partsOf(this.#head), size)
  }

  /** @internal The bytes behind the head that are no part. */
  badBytes(signal: AbortSignal): Promise<Listed<BadBytes>> {
    return badBytesOf(this.#head, this.bytes, signal)
  }

  /** @internal Bytes of the file. */
  readBytes(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    this.#mustBeOpen()
    return this.#bytes.read(offset, length, signal)
  }

  /** @internal Where the tiles of each level are, and what is known of them. */
  get indexes(): readonly TileIndex[] {
    return this.#head.indexes
  }

  /** @internal The tiles of the JPEG pyramid that other programs show, for validation. */
  get overview(): readonly TileIndex[] {
    return this.#images.overview
  }

  /** @internal Number `at` of the tiles of one level of {@link overview}; not cut to the level. */
  readOverviewTile(level: number, at: number, signal?: AbortSignal): Promise<Image> {
    return this.#images.overviewTile(level, at, signal)
  }

  /** @internal Sizes of the overview's levels, the finest first. */
  get overviewLevels(): readonly Size[] {
    return this.#images.overviewLevels
  }

  /** @internal A tile of the overview, cut to the level, in the colours of the slide. */
  async readOverviewLevel(level: number, column: number, row: number, signal?: AbortSignal): Promise<Image> {
    throwIfAborted(signal)
    this.#mustBeOpen()
    return this.#images.overviewTileWithin(level, column, row, signal)
  }

  /** The ICC profile of the slide's colours, or null; with `icc` other than "keep" there is none. */
  iccProfile(): Uint8Array | null {
    return this.#colours.profile
  }

  close(): void {
    this.#closed = true
    this.#tiles.clear()
    this.#bytes.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** An image in the colours that were asked for. */
  async #shown(image: Image): Promise<Image> {
    return this.#colours.toSrgb ? this.#colours.toSrgb(image) : image
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new ClericError('ERR_CLOSED', `${this.path} is closed`)
  }
}

const UNREAD = 'the slide could not be read there'
const UNREADABLE: readonly number[] = [TILE.unreadable, TILE.partlyUnreadable]
function storedColours({ iccProfile, description }: OpenedHead): ShownColours {
  return { toSrgb: null, background: description.background, profile: iccProfile }
}

/** A signal that never fires. */
const NEVER = new AbortController().signal

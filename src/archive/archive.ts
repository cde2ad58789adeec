/** Reads archives, region by region. */
import sharp from 'sharp'
import { checkInteger, checkOptions, checkSignal } from '../arguments.js'
import type { Codec } from '../codec/codec.js'
import type { Image } from '../codec/image.js'
import { borrowCodec, type CodecChoice } from '../default-codec.js'
import { ClericError, CorruptDataError, throwIfAborted, UnsupportedError } from '../errors.js'
import { toImage } from '../slide/image-file.js'
import { checkRegion, fill, type Level, levelPosition, paste, type Region, type SlideSource } from '../slide/source.js'
import { type ByteSource, openBytes } from './byte-source.js'
import { type Description, decodeDirectory, decodeHead, HEAD_BYTES, type TileIndex } from './format.js'
import { TileCache } from './tile-cache.js'

/** The part of a codec that an archive uses. */
export type PayloadCodec = Pick<Codec, 'model' | 'device' | 'encodePayload' | 'decodePayload'>

export interface ArchiveOptions extends CodecChoice {
  /** An open codec to decode with; it isn't closed with the archive. Default: one that all of the program shares. */
  readonly codec?: PayloadCodec | undefined
  /** Most bytes of decoded tiles to keep, default 256 MiB. */
  readonly cacheBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ArchiveLevel extends Level {
  readonly columns: number
  readonly rows: number
  readonly tiles: number
  readonly blankTiles: number
  /** Bytes of its tiles. */
  readonly bytes: number
}

/** Tiles of one region that are decoded at the same time; bounds memory. */
const TILES_IN_FLIGHT = 4

/**
 * Opens an archive: a path, an http(s) URL whose server takes ranges, or a Blob. The device is only opened when
 * the first tile is decoded.
 *
 * @throws CorruptDataError ERR_ARCHIVE_CORRUPT, UnsupportedError ERR_ARCHIVE_UNSUPPORTED
 * @example
 * using archive = await openArchive('slide.cleric.tif')
 * const { data } = await archive.readRegion({ x: 1000, y: 800, level: 0, width: 512, height: 512 })
 */
export async function openArchive(source: string | URL | Blob, options: ArchiveOptions = {}): Promise<Archive> {
  checkOptions(options)
  const { cacheBytes = 2 ** 28 } = options
  checkInteger(cacheBytes, 'cacheBytes', 0, Number.MAX_SAFE_INTEGER)
  const signal = checkSignal(options.signal)
  const bytes = await openBytes(source, signal)
  try {
    const head = decodeHead(await bytes.read(0, Math.min(HEAD_BYTES, bytes.size), signal), bytes.size, bytes.name)
    const directory = await bytes.read(head.directoryOffset, head.directoryLength, signal)
    const { description, indexes } = decodeDirectory(directory, head, bytes.name)
    return new Archive(bytes, description, indexes, options, cacheBytes)
  } catch (error) {
    bytes.close()
    throw error
  }
}

export class Archive implements SlideSource, Disposable {
  readonly format = 'archive'
  readonly path: string
  /** Size of the archive. */
  readonly bytes: number
  readonly levels: readonly ArchiveLevel[]
  readonly associatedImages: readonly string[]
  readonly #bytes: ByteSource
  readonly #description: Description
  readonly #indexes: readonly TileIndex[]
  readonly #options: ArchiveOptions
  readonly #cache: TileCache
  #closed = false

  /** @internal Use {@link openArchive}. */
  constructor(
    bytes: ByteSource,
    description: Description,
    indexes: readonly TileIndex[],
    options: ArchiveOptions,
    cacheBytes: number,
  ) {
    this.path = bytes.name
    this.bytes = bytes.size
    this.#bytes = bytes
    this.#description = description
    this.#indexes = indexes
    this.#options = options
    this.#cache = new TileCache(cacheBytes)
    this.levels = description.levels.map((level, i) => ({ ...level, ...census(indexes[i] as TileIndex) }))
    this.associatedImages = description.associatedImages.map(({ name }) => name)
  }

  get model(): Description['model'] {
    return this.#description.model
  }
  get quality(): number {
    return this.#description.quality
  }
  /** Side of a tile. */
  get tile(): number {
    return this.#description.tile
  }
  get mpp(): Description['mpp'] {
    return this.#description.mpp
  }
  get objectivePower(): number | null {
    return this.#description.objectivePower
  }
  get background(): Description['background'] {
    return this.#description.background
  }
  get properties(): Description['properties'] {
    return this.#description.properties
  }
  /** Of the slide that was compressed. */
  get source(): Description['source'] {
    return this.#description.source
  }
  /** Bits a pixel, over the pixels of all levels. */
  get bpp(): number {
    return (8 * this.bytes) / this.levels.reduce((sum, { width, height }) => sum + width * height, 0)
  }

  /** @throws CorruptDataError ERR_CORRUPT_TILE naming the tile; UnsupportedError ERR_MODEL_MISMATCH */
  async readRegion(region: Region, signal?: AbortSignal): Promise<Image> {
    checkRegion(region, this.levels.length)
    checkSignal(signal)
    throwIfAborted(signal)
    this.#mustBeOpen()
    const level = this.levels[region.level] as ArchiveLevel
    const left = levelPosition(region.x, level.downsample)
    const top = levelPosition(region.y, level.downsample)
    const out = fill(region.width, region.height, this.background)
    const range = (start: number, size: number, tiles: number): [number, number] => [
      Math.max(0, Math.floor(start / this.tile)),
      Math.min(tiles, Math.ceil((start + size) / this.tile)),
    ]
    const [firstColumn, endColumn] = range(left, region.width, level.columns)
    const [firstRow, endRow] = range(top, region.height, level.rows)
    const places: [number, number][] = []
    for (let row = firstRow; row < endRow; row++) {
      for (let column = firstColumn; column < endColumn; column++) places.push([column, row])
    }
    const draw = async () => {
      for (let place = places.shift(); place; place = places.shift()) {
        const [column, row] = place
        const image = await this.readTile(region.level, column, row, signal)
        paste(image, out, column * this.tile - left, row * this.tile - top)
      }
    }
    try {
      await Promise.all(Array.from({ length: Math.min(TILES_IN_FLIGHT, places.length) }, draw))
    } finally {
      // After a failure the others take no further tile.
      places.length = 0
    }
    return out
  }

  /** One tile, cut to the level. The image may be shared with other callers: copy it before writing to it. */
  async readTile(level: number, column: number, row: number, signal?: AbortSignal): Promise<Image> {
    checkInteger(level, 'level', 0, this.levels.length - 1)
    const { columns, rows, width, height } = this.levels[level] as ArchiveLevel
    checkInteger(column, 'column', 0, columns - 1)
    checkInteger(row, 'row', 0, rows - 1)
    throwIfAborted(signal)
    this.#mustBeOpen()
    const size = {
      width: Math.min(this.tile, width - column * this.tile),
      height: Math.min(this.tile, height - row * this.tile),
    }
    const index = this.#indexes[level] as TileIndex
    const at = row * columns + column
    if (index.length[at] === 0) {
      const colour = index.colour[at] as number
      return fill(size.width, size.height, { red: colour >> 16, green: (colour >> 8) & 255, blue: colour & 255 })
    }
    const decode = (stop: AbortSignal) =>
      this.#decode(index, at, size, stop).catch((error: unknown) => {
        throw atPlace(error, `${this.path}: tile at level ${level}, column ${column}, row ${row}`)
      })
    return this.#cache.get(`${level}/${column}/${row}`, size.width * size.height * 3, decode, signal)
  }

  async readAssociatedImage(name: string, signal?: AbortSignal): Promise<Image> {
    throwIfAborted(checkSignal(signal))
    this.#mustBeOpen()
    const stored = this.#description.associatedImages.find((image) => image.name === name)
    if (!stored) {
      throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${this.path} has no associated image ${name}`)
    }
    const bytes = await this.#bytes.read(stored.offset, stored.length, signal)
    try {
      const pipeline = sharp(bytes, { failOn: 'error' })
      // Nothing else is ever written, and other decoders are more for a hostile file to aim at.
      if ((await pipeline.metadata()).format !== 'jpeg') throw new Error('is no JPEG')
      return await toImage(pipeline)
    } catch (cause) {
      const what = cause instanceof Error ? cause.message : String(cause)
      throw new CorruptDataError('ERR_ARCHIVE_CORRUPT', `${this.path}: associated image ${name}: ${what}`, { cause })
    }
  }

  close(): void {
    this.#closed = true
    this.#cache.clear()
    this.#bytes.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  async #decode(
    index: TileIndex,
    at: number,
    size: { width: number; height: number },
    signal: AbortSignal,
  ): Promise<Image> {
    const payload = await this.#bytes.read(index.offset[at] as number, index.length[at] as number, signal)
    const { codec: given, model, device, adapter } = this.#options
    const loan = given ? { codec: given, release() {} } : await borrowCodec({ model, device, adapter })
    try {
      this.#mustFit(loan.codec)
      return await loan.codec.decodePayload(payload, { ...size, quality: this.quality }, signal)
    } finally {
      loan.release()
    }
  }

  #mustFit(codec: PayloadCodec): void {
    if (codec.model.hash === this.model.hash) return
    const [needed, open] = [this.model, codec.model].map(({ name, hash }) => `${name} (${hash.slice(0, 16)})`)
    throw new UnsupportedError('ERR_MODEL_MISMATCH', `${this.path} was made with model ${needed}, but open is ${open}`)
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new ClericError('ERR_CLOSED', `${this.path} is closed`)
  }
}

function census(index: TileIndex) {
  const bytes = index.length.reduce((sum, length) => sum + length, 0)
  const blankTiles = index.length.reduce((sum, length) => sum + (length === 0 ? 1 : 0), 0)
  return { columns: index.columns, rows: index.rows, tiles: index.length.length, blankTiles, bytes }
}

/** The same error, saying where. Errors that concern more than the tile stay as they are. */
function atPlace(error: unknown, place: string): unknown {
  if (!(error instanceof ClericError) || error.code === 'ERR_MODEL_MISMATCH') return error
  const message = `${place}: ${error.message}`
  if (error instanceof CorruptDataError) return new CorruptDataError(error.code, message, { cause: error })
  if (error instanceof UnsupportedError) return new UnsupportedError(error.code, message, { cause: error })
  return error
}

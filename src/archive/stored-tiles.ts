/** The tiles of an archive: their bytes, pixels and latents, each decoded once for all who ask at the same time. */
import { wrongType } from '../arguments.js'
import type { CodecChoice } from '../codec/arguments.js'
import type { LatentCodec, PayloadCodec } from '../codec/codec.js'
import { type Loan, lend } from '../codec/default-codec.js'
import type { Latents } from '../codec/latents.js'
import { modelMismatch } from '../codec/model-mismatch.js'
import { ClericError, CorruptDataError, UnsupportedError } from '../errors.js'
import type { ByteSource } from '../files/byte-source.js'
import { fill } from '../image/draw.js'
import { cropImage, type Image, type Size } from '../image/image.js'
import type { TileCache, TileSpace } from '../image/tile-cache.js'
import { colourOf, type TileIndex } from '../tiff/tile-index.js'
import type { OpenedHead } from './head-reader.js'
import type { LatentSource } from './latents.js'
import { CHANGED_BYTES, isIntact } from './parts.js'

/** What decodes the tiles. */
export interface TileCodec extends CodecChoice {
  readonly codec?: PayloadCodec | undefined
}

export class StoredTiles {
  readonly #bytes: ByteSource
  readonly #head: OpenedHead
  readonly #codec: TileCodec
  readonly #pixels: TileSpace
  readonly #latents: TileSpace<Latents | null>

  constructor(bytes: ByteSource, head: OpenedHead, codec: TileCodec, cache: TileCache) {
    this.#bytes = bytes
    this.#head = head
    this.#codec = codec
    this.#pixels = cache.space()
    this.#latents = cache.space()
  }

  /** Pixels of a tile, cut to the level. */
  size(level: number, column: number, row: number): Size {
    const { width, height } = this.#head.description.levels[level] as Size
    const { tileWidth, tileHeight } = this.#head.indexes[level] as TileIndex
    return {
      width: Math.min(tileWidth, width - column * tileWidth),
      height: Math.min(tileHeight, height - row * tileHeight),
    }
  }

  /** A tile, cut to the level, in the colours that are stored. The image may be shared with other callers. */
  async pixels(level: number, column: number, row: number, signal?: AbortSignal): Promise<Image> {
    const size = this.size(level, column, row)
    const index = this.#head.indexes[level] as TileIndex
    const at = row * index.columns + column
    if (index.length[at] === 0) return fill(size.width, size.height, colourOf(index, at))
    const decode = (stop: AbortSignal) =>
      this.#decode(index, at, size, stop).catch((error: unknown) => {
        throw atPlace(error, this.#place(level, column, row))
      })
    return this.#pixels.get(keyOf(level, column, row), size.width * size.height * 3, decode, signal)
  }

  /** What reading the latents of a level takes. */
  latentSource(level: number, { codec, tilesInFlight }: Loan): LatentSource {
    const index = this.#head.indexes[level] as TileIndex
    const { columns, tileWidth, tileHeight } = index
    const { quality, background, levels } = this.#head.description
    const latentCodec = givesLatents(codec)
    const placeOf = (at: number) => [at % columns, Math.floor(at / columns)] as const
    return {
      index,
      size: levels[level] as Size,
      background,
      quality,
      tileSize: (at) => this.size(level, ...placeOf(at)),
      codec: latentCodec,
      tilesInFlight,
      space: this.#latents,
      key: `${level}`,
      stored: async (at, signal) => {
        try {
          const payload = await this.#payload(index, at, signal)
          const tile = { width: tileWidth, height: tileHeight, quality }
          const latents = await latentCodec.decodePayloadLatents(payload, tile, { missing: 'nan', signal })
          return latents.stored[0] === 1 ? latents : null
        } catch (error) {
          throw atPlace(error, this.#place(level, ...placeOf(at)))
        }
      },
      pixels: (at, signal) => this.pixels(level, ...placeOf(at), signal),
    }
  }

  /** Whether a tile is stored, and not held already. */
  isToDecode(level: number, column: number, row: number): boolean {
    const { length, columns } = this.#head.indexes[level] as TileIndex
    return length[row * columns + column] !== 0 && !this.#pixels.has(keyOf(level, column, row))
  }

  /**
   * The codec that decodes them.
   *
   * @throws UnsupportedError ERR_MODEL_MISMATCH
   */
  async lend(signal: AbortSignal | undefined): Promise<Loan> {
    const { codec, model, device, adapter } = this.#codec
    const loan = await lend({ codec, model, device, adapter, signal })
    try {
      this.#mustFit(loan.codec)
      return loan
    } catch (error) {
      loan[Symbol.dispose]()
      throw error
    }
  }

  /** Forgets what was decoded. */
  clear(): void {
    this.#pixels.clear()
    this.#latents.clear()
  }

  async #decode(
    index: TileIndex,
    at: number,
    size: { width: number; height: number },
    signal: AbortSignal,
  ): Promise<Image> {
    const payload = await this.#payload(index, at, signal)
    using loan = await this.lend(signal)
    const tile = { width: index.tileWidth, height: index.tileHeight, quality: this.#head.description.quality }
    return cropImage(await loan.codec.decodePayload(payload, tile, signal), size.width, size.height)
  }

  /** The bytes of a tile. */
  async #payload(index: TileIndex, at: number, signal: AbortSignal): Promise<Uint8Array> {
    const payload = await this.#bytes.read(index.offset[at] as number, index.length[at] as number, signal)
    if (this.#head.isChecksummed && !isIntact(payload, index.checksum[at] as number)) {
      throw new CorruptDataError('ERR_CORRUPT_TILE', CHANGED_BYTES)
    }
    return payload
  }

  #place(level: number, column: number, row: number): string {
    return `${this.#bytes.name}: tile at level ${level}, column ${column}, row ${row}`
  }

  #mustFit(codec: PayloadCodec): void {
    const { model } = this.#head.description
    if (codec.model.hash !== model.hash) throw modelMismatch(this.#bytes.name, model, codec.model)
  }
}

/** @throws TypeError for an open codec that only has pixels */
function givesLatents(codec: PayloadCodec & Partial<LatentCodec>): PayloadCodec & LatentCodec {
  if (typeof codec.decodePayloadLatents !== 'function' || typeof codec.encodeLatents !== 'function') {
    throw wrongType('an open codec that gives latents', 'codec', codec)
  }
  return codec as PayloadCodec & LatentCodec
}

/** Key of a tile in the cache. */
function keyOf(level: number, column: number, row: number): string {
  return `${level}/${column}/${row}`
}

/** The same error, saying where. Errors that concern more than the tile stay as they are. */
function atPlace(error: unknown, place: string): unknown {
  if (!(error instanceof ClericError) || error.code === 'ERR_MODEL_MISMATCH') return error
  const message = `${place}: ${error.message}`
  if (error instanceof CorruptDataError) return new CorruptDataError(error.code, message, { cause: error })
  if (error instanceof UnsupportedError) return new UnsupportedError(error.code, message, { cause: error })
  return error
}

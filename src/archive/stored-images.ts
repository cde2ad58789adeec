/** The JPEG images of an archive: associated images, and the pyramid that other programs show. */
import { CorruptDataError, UnsupportedError } from '../errors.js'
import type { ByteSource } from '../files/byte-source.js'
import { cropImage, type Image, type Size } from '../image/image.js'
import { decodeJpeg } from '../image/stored-jpeg.js'
import type { TileIndex } from '../tiff/tile-index.js'
import type { OpenedHead } from './head-reader.js'
import type { ChecksummedImage } from './head-writer.js'
import { CHANGED_BYTES, isIntact } from './parts.js'

export class StoredImages {
  readonly #bytes: ByteSource
  readonly #head: OpenedHead

  constructor(bytes: ByteSource, head: OpenedHead) {
    this.#bytes = bytes
    this.#head = head
  }

  /** @throws UnsupportedError ERR_ARCHIVE_UNSUPPORTED if there is none of that name */
  associated(name: string, signal?: AbortSignal): Promise<Image> {
    const stored = this.#head.images.find((image) => image.name === name)
    if (!stored) {
      throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${this.#bytes.name} has no associated image ${name}`)
    }
    return this.#jpeg(stored, `associated image ${name}`, signal)
  }

  /** The tiles of the overview, a level each, the finest first. */
  get overview(): readonly TileIndex[] {
    return this.#head.overview.map(({ index }) => index)
  }

  /** Sizes of the overview's levels. */
  get overviewLevels(): readonly Size[] {
    return this.#head.overview.map(({ level }) => level)
  }

  /** Number `at` of the tiles of a level of the overview; not cut to the level. */
  overviewTile(level: number, at: number, signal?: AbortSignal): Promise<Image> {
    const { offset, length, checksum, tileWidth: width, tileHeight: height } = this.overview[level] as TileIndex
    const place = { offset: offset[at] as number, length: length[at] as number, checksum: checksum[at] as number }
    return this.#jpeg({ ...place, width, height }, `tile ${at} of overview ${level}`, signal)
  }

  /** A tile of the overview, cut to the level. */
  async overviewTileWithin(level: number, column: number, row: number, signal?: AbortSignal): Promise<Image> {
    const { columns, tileWidth, tileHeight } = this.overview[level] as TileIndex
    const { width, height } = this.overviewLevels[level] as Size
    const tile = await this.overviewTile(level, row * columns + column, signal)
    return cropImage(
      tile,
      Math.min(tileWidth, width - column * tileWidth),
      Math.min(tileHeight, height - row * tileHeight),
    )
  }

  async #jpeg(stored: Omit<ChecksummedImage, 'name'>, what: string, signal?: AbortSignal): Promise<Image> {
    const bytes = await this.#bytes.read(stored.offset, stored.length, signal)
    try {
      if (this.#head.isChecksummed && !isIntact(bytes, stored.checksum)) throw new Error(CHANGED_BYTES)
      return await decodeJpeg(bytes, stored)
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new CorruptDataError('ERR_ARCHIVE_CORRUPT', `${this.#bytes.name}: ${what}: ${why}`, { cause })
    }
  }
}

/** An export as one BigTIFF, tiles in the order in which they come, the associated images after them. */
import { PartialFile } from '../files/partial-file.js'
import { Sha256 } from '../files/sha256.js'
import type { StoredImage } from '../tiff/image-fields.js'
import { TIFF_HEADER_BYTES } from '../tiff/writer.js'
import type { Destination, Picture } from './destination.js'
import type { ExportLevel } from './pyramid.js'

const NO_DIGEST = new Uint8Array(32)

interface Written {
  readonly offset: number
  readonly length: number
}

/**
 * The bytes of a TIFF's head. Their number depends on sizes and facts, not on where tiles are or how long, nor on the digest.
 *
 * @param digest SHA-256 of all that comes after it; zeros where that isn't known, or of no use
 */
export type EncodeHead = (images: readonly StoredImage[], digest: Uint8Array) => Uint8Array

export class TiffFile implements Destination {
  readonly #file: PartialFile
  readonly #levels: readonly ExportLevel[]
  readonly #pictures: readonly Picture[]
  readonly #encodeHead: EncodeHead
  readonly #overwrite: boolean
  /** Null where the head has no use for it. */
  readonly #hash: Sha256 | null
  /** Where tiles are that may come again. */
  readonly #known = new WeakMap<Uint8Array, Written>()
  #position: number

  private constructor(file: PartialFile, plan: TiffPlan, start: number) {
    this.#file = file
    this.#levels = plan.levels
    this.#pictures = plan.pictures
    this.#encodeHead = plan.encodeHead
    this.#overwrite = plan.overwrite
    this.#hash = plan.isHashed ? new Sha256() : null
    this.#position = start
  }

  static async create(output: string, plan: TiffPlan): Promise<TiffFile> {
    const images = plan.pictures.map(({ bytes, ...image }) => ({ ...image, offset: 0, length: bytes.length }))
    const start = plan.encodeHead(images, NO_DIGEST).length
    return new TiffFile(await PartialFile.create(output), plan, start)
  }

  get bytes(): number {
    return this.#position
  }

  async store(level: number, column: number, row: number, tile: Uint8Array): Promise<void> {
    const { index } = this.#levels[level] as ExportLevel
    const written = this.#known.get(tile) ?? (await this.#append(tile))
    this.#known.set(tile, written)
    const at = row * index.columns + column
    index.offset[at] = written.offset
    index.length[at] = written.length
  }

  async publish(check: (path: string) => Promise<void>): Promise<void> {
    const images: StoredImage[] = []
    for (const { bytes, ...image } of this.#pictures) images.push({ ...image, ...(await this.#append(bytes)) })
    const head = this.#encodeHead(images, this.#hash?.bytes() ?? NO_DIGEST)
    await this.#file.publish(head, TIFF_HEADER_BYTES, this.#position, this.#overwrite, check)
  }

  discard(): Promise<void> {
    return this.#file.discard()
  }

  async #append(bytes: Uint8Array): Promise<Written> {
    const offset = this.#position
    await this.#file.write(bytes, offset)
    this.#hash?.update(bytes)
    this.#position += bytes.length
    return { offset, length: bytes.length }
  }
}

export interface TiffPlan {
  readonly levels: readonly ExportLevel[]
  readonly pictures: readonly Picture[]
  readonly encodeHead: EncodeHead
  /** Whether the head depends on what comes after it. */
  readonly isHashed: boolean
  readonly overwrite: boolean
}

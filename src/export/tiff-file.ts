/** An export as one BigTIFF, tiles in the order in which they come, the associated images after them. */
import { PartialFile } from '../files/partial-file.js'
import { Sha256 } from '../files/sha256.js'
import type { StoredImage } from '../tiff/image-fields.js'
import { TIFF_HEADER_BYTES } from '../tiff/writer.js'
import type { Destination, Picture } from './destination.js'
import type { ExportLevel } from './pyramid.js'

interface Written {
  readonly offset: number
  readonly length: number
}

/**
 * The bytes of a TIFF's head. Their number depends on sizes and facts, not on where tiles are or how long, nor on the digest.
 *
 * @param digest SHA-256 of all that comes after it
 */
export type EncodeHead = (images: readonly StoredImage[], digest: Uint8Array) => Uint8Array

export class TiffFile implements Destination {
  readonly #file: PartialFile
  readonly #levels: readonly ExportLevel[]
  readonly #pictures: readonly Picture[]
  readonly #encodeHead: EncodeHead
  readonly #overwrite: boolean
  readonly #hash = new Sha256()
  /** Where tiles are that may come again. */
  readonly #known = new WeakMap<Uint8Array, Written>()
  #position: number

  private constructor(file: PartialFile, plan: TiffPlan) {
    this.#file = file
    this.#levels = plan.levels
    this.#pictures = plan.pictures
    this.#encodeHead = plan.encodeHead
    this.#overwrite = plan.overwrite
    const images = plan.pictures.map(({ bytes, ...image }) => ({ ...image, offset: 0, length: bytes.length }))
    this.#position = plan.encodeHead(images, new Uint8Array(32)).length
  }

  static async create(output: string, plan: TiffPlan): Promise<TiffFile> {
    return new TiffFile(await PartialFile.create(output), plan)
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
    const head = this.#encodeHead(images, this.#hash.bytes())
    await this.#file.publish(head, TIFF_HEADER_BYTES, this.#position, this.#overwrite, check)
  }

  discard(): Promise<void> {
    return this.#file.discard()
  }

  async #append(bytes: Uint8Array): Promise<Written> {
    const offset = this.#position
    await this.#file.write(bytes, offset)
    this.#hash.update(bytes)
    this.#position += bytes.length
    return { offset, length: bytes.length }
  }
}

export interface TiffPlan {
  readonly levels: readonly ExportLevel[]
  readonly pictures: readonly Picture[]
  readonly encodeHead: EncodeHead
  readonly overwrite: boolean
}

/**
 * Nothing of an archive stands for two things. If it did, a small file could claim any number of tiles: levels that share
 * one index, or tiles that share one payload, each of which costs time and memory of its own.
 */
import type { TiffDirectory, TiffHead } from '../tiff/reader.js'
import { TAGS } from '../tiff/tags.js'

/** Fields with some bytes for every tile. */
const TILE_FIELDS = [
  TAGS.TileOffsets,
  TAGS.TileByteCounts,
  TAGS.ClericTileColours,
  TAGS.ClericChecksums,
  TAGS.ClericTileChecks,
] as const

/**
 * Holds directories to fields of their own, so that there are no more tiles than the head has bytes for.
 *
 * @throws CorruptDataError ERR_ARCHIVE_CORRUPT
 */
export function refuseSharedFields(head: TiffHead, directories: readonly TiffDirectory[]): void {
  const places = directories.flatMap((directory) =>
    TILE_FIELDS.filter((tag) => directory.has(tag)).map((tag) => directory.placeOf(tag)),
  )
  places.sort((a, b) => a.offset - b.offset)
  let end = 0
  for (const { offset, length } of places) {
    if (offset < end) throw head.corrupt(`two of its indexes of tiles share the bytes at ${offset}`)
    end = offset + length
  }
}

/** The bytes behind the head, which its parts take one after the other (docs/format.md). */
export class Body {
  readonly #head: TiffHead
  readonly #end: number
  #taken: number

  /** @param start length of the head. @param end length of the file */
  constructor(head: TiffHead, start: number, end: number) {
    this.#head = head
    this.#taken = start
    this.#end = end
  }

  /**
   * Takes the place of the next part. Bytes that no part has are none of this file's business: validation lists them.
   *
   * @param name for messages
   * @throws CorruptDataError ERR_ARCHIVE_CORRUPT if it lies outside the file, or over a part before it
   */
  take(offset: number, length: number, name: () => string): void {
    if (!(offset >= 0 && offset + length <= this.#end)) throw this.#head.corrupt(`the ${name()} lies outside the file`)
    if (offset < this.#taken) {
      throw this.#head.corrupt(`the ${name()} lies before byte ${this.#taken}, where the part before it ends`)
    }
    this.#taken = offset + length
  }
}

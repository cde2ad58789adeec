/**
 * What an archive's file has behind its head, part by part: the slide's tiles, the overview's tiles, the associated
 * images. The head has a checksum of each, by which it is checked without being decoded.
 */
import { TimeSlice } from '../concurrency/give-way.js'
import { crc32c } from '../entropy/crc32c.js'
import { throwIfAborted } from '../errors.js'
import type { TileIndex, TilePlace } from '../tiff/tile-index.js'
import type { OpenedHead } from './head-reader.js'
import { Listed } from './listed.js'

/** A part of the file. A tile that isn't stored is a part of length 0. */
export interface Part {
  /** Which tile of the slide it is; null for what is none. */
  readonly place: TilePlace | null
  /** For messages. */
  readonly name: string
  readonly offset: number
  readonly length: number
  /** CRC-32C of its bytes. */
  readonly checksum: number
}

/** Parts that follow on one another, to be read at once. */
export interface Batch {
  readonly offset: number
  readonly length: number
  readonly parts: readonly Part[]
}

/** Bytes behind the head that belong to no part. */
export interface BadBytes {
  readonly offset: number
  readonly length: number
  readonly reason: string
}

/** All parts, in the order in which the file should have them. */
export function* partsOf({ indexes, overview, images }: OpenedHead): Generator<Part> {
  for (const [level, index] of indexes.entries()) {
    for (const at of index.length.keys()) {
      const place = { level, column: at % index.columns, row: Math.floor(at / index.columns) }
      yield { place, name: `tile at level ${level}, column ${place.column}, row ${place.row}`, ...rangeOf(index, at) }
    }
  }
  for (const [level, { index }] of overview.entries()) {
    for (const at of index.length.keys()) {
      yield { place: null, name: overviewName(level, at), ...rangeOf(index, at) }
    }
  }
  for (const { name, offset, length, checksum } of images) yield { place: null, name, offset, length, checksum }
}

/** Tile `at` of a level of the overview, for messages. */
export function overviewName(level: number, at: number): string {
  return `overview ${level}, tile ${at}`
}

function rangeOf({ offset, length, checksum }: TileIndex, at: number) {
  return { offset: offset[at] as number, length: length[at] as number, checksum: checksum[at] as number }
}

/** The parts in batches, each of which ends with the part that makes it `size` bytes or more, or before a gap. */
export function* batchesOf(parts: Iterable<Part>, size: number): Generator<Batch> {
  let batch: Part[] = []
  let [start, end] = [0, 0]
  for (const part of parts) {
    const { offset, length } = part
    const isFull = end - start >= size || batch.length >= MAX_PARTS
    if (batch.length > 0 && (isFull || (length > 0 && end > start && offset !== end))) {
      yield { offset: start, length: end - start, parts: batch }
      batch = []
      start = end
    }
    if (length > 0) {
      if (end === start) start = offset
      end = offset + length
    }
    batch.push(part)
  }
  if (batch.length > 0) yield { offset: start, length: end - start, parts: batch }
}

/** Most parts of a batch: thousands of tiles that aren't stored have no bytes. */
const MAX_PARTS = 4096

/** Bytes behind the head that belong to no part: an archive has none, and no checksum would cover them. */
export async function badBytesOf(head: OpenedHead, fileLength: number, signal: AbortSignal): Promise<Listed<BadBytes>> {
  const bad = new Listed<BadBytes>()
  let end = head.headLength
  const goOn = (offset: number, name: string) => {
    if (offset === end) return
    bad.add({ offset: end, length: offset - end, reason: `nothing is known of the bytes before ${name}` })
  }
  const slice = new TimeSlice()
  for (const { name, offset, length } of partsOf(head)) {
    if (slice.isOver) await slice.giveWay()
    throwIfAborted(signal)
    if (length === 0) continue
    goOn(offset, name)
    end = offset + length
  }
  goOn(fileLength, 'the end of the file')
  return bad
}

/** Whether the bytes of a part are those that were written. */
export function isIntact(bytes: Uint8Array, checksum: number): boolean {
  return crc32c(bytes) === checksum
}

/** Why a part is damaged that is not {@link isIntact}. */
export const CHANGED_BYTES = "its checksum doesn't agree: the bytes are not those that were written"

/**
 * Reads and checks the head of an archive: what `head-writer.ts` writes. What it returns holds: every tile and image
 * lies in the file behind the head and behind the one before it, none is longer than its pixels could cost, and the
 * indexes have exactly the tiles that the levels need, each with bytes of its own in the head.
 */
import { MAX_TILE_SIDE } from '../codec/bitstream.js'
import { TimeSlice } from '../concurrency/give-way.js'
import { crc32c } from '../entropy/crc32c.js'
import { UnsupportedError } from '../errors.js'
import { type ByteSource, START_BYTES } from '../files/byte-source.js'
import type { Size } from '../image/image.js'
import type { Level } from '../slide/source.js'
import { isBigTiff, type TiffDirectory, TiffHead } from '../tiff/reader.js'
import { COMPRESSION, TAGS, TYPES } from '../tiff/tags.js'
import { indexOf, isStoredKind, kindOf, TILE_MULTIPLE, type TileIndex } from '../tiff/tile-index.js'
import { type Description, LaterVersion, MAX_LEVELS, readSlideFacts, readTileHead } from './description.js'
import type { ChecksummedImage, Layout } from './head-writer.js'
import { Body, refuseSharedFields } from './no-sharing.js'

/** 16 million tiles. */
export const MAX_HEAD_BYTES = 2 ** 28
const MAX_SIDE = 2 ** 31
const MAX_IMAGES = 64
const MAX_IMAGE_BYTES = 2 ** 28
/** The longest name of an associated image. */
const MAX_NAME_BYTES = 1024
/** The most of all associated images together, 8192 x 8192: those of scanners have some million. */
export const MAX_IMAGES_PIXELS = 2 ** 26

export interface OpenedHead {
  readonly layout: Layout
  readonly description: Description
  readonly iccProfile: Uint8Array | null
  readonly indexes: readonly TileIndex[]
  readonly overview: readonly { readonly level: Level; readonly index: TileIndex }[]
  readonly images: readonly ChecksummedImage[]
  readonly headLength: number
  /** Whether the checksums of tiles and images are known. Archives of before them have zeros in their place. */
  readonly isChecksummed: boolean
}

/** Every archive has at least two of these in its first directory. */
const PRIVATE_TAGS: readonly number[] = [TAGS.ClericSlide, TAGS.ClericSeal, TAGS.ClericChecksums]
/** Tag, type and count of the seal, as they stand in its entry: 65103, LONG8, 3. */
const SEAL_ENTRY = Uint8Array.of(0x4f, 0xfe, 0x10, 0, 3, 0, 0, 0, 0, 0, 0, 0)

/**
 * True for bytes that start as an archive does: a BigTIFF with private tags of ours in its first directory, or, if
 * something on the way there is damaged, with the entry of the seal anywhere. A damaged archive must not pass for
 * another TIFF, of which readers would show the overview as if it were the slide.
 */
export function isArchive(start: Uint8Array): boolean {
  return hasPrivateTag(start) || includes(start, SEAL_ENTRY)
}

function includes(bytes: Uint8Array, wanted: Uint8Array): boolean {
  for (let at = bytes.indexOf(wanted[0] as number); at >= 0; at = bytes.indexOf(wanted[0] as number, at + 1)) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) return true
  }
  return false
}

function hasPrivateTag(start: Uint8Array): boolean {
  if (!isBigTiff(start)) return false
  try {
    const tags = new TiffHead(start, '').firstTags()
    return PRIVATE_TAGS.some((tag) => tags.includes(tag))
  } catch {
    return false
  }
}

/**
 * Fetches and checks the head. @throws CorruptDataError ERR_ARCHIVE_CORRUPT, UnsupportedError ERR_ARCHIVE_UNSUPPORTED
 */
export async function readHead(source: ByteSource, signal?: AbortSignal): Promise<OpenedHead> {
  const { name, size } = source
  const start = await source.read(0, Math.min(START_BYTES, size), signal)
  if (!isArchive(start)) throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${name} is no cleric archive`)
  const beginning = new TiffHead(start, name)
  if (!isBigTiff(start)) throw beginning.corrupt('its header is not that of a BigTIFF')
  const first = beginning.first()
  const [length, fileLength, crc] = first.integers(TAGS.ClericSeal, SEAL_NUMBERS) as unknown as [number, number, number]
  if (fileLength !== size) throw beginning.corrupt(`it should have ${fileLength} bytes but has ${size}`)
  const crcAt = first.offset(TAGS.ClericSeal) + 8 * (SEAL_NUMBERS - 1)
  if (length < crcAt + 8 || length > Math.min(size, MAX_HEAD_BYTES)) {
    throw beginning.corrupt(`its head should have ${length} bytes`)
  }
  let bytes = start.subarray(0, length)
  if (length > start.length) {
    const rest = await source.read(start.length, length - start.length, signal)
    bytes = new Uint8Array(length)
    bytes.set(start)
    bytes.set(rest, start.length)
  }
  // The checksum is of the head with a zero in its own place.
  const before = crc32c(new Uint8Array(8), crc32c(bytes.subarray(0, crcAt)))
  if (crc32c(bytes.subarray(crcAt + 8), before) !== crc) {
    throw beginning.corrupt('the checksum of its head does not agree')
  }
  return await interpret(new TiffHead(bytes, name), length, fileLength)
}

const SEAL_NUMBERS = 3

async function interpret(head: TiffHead, headLength: number, fileLength: number): Promise<OpenedHead> {
  const chain = head.chain()
  const first = chain[0] as TiffDirectory
  const isLevel = (directory: TiffDirectory) => directory.integer(TAGS.Compression) === COMPRESSION.cleric
  const isTiled = (directory: TiffDirectory) => directory.has(TAGS.TileWidth)
  const layout: Layout = isLevel(first) ? 'strict' : 'compat'
  const levels =
    layout === 'strict'
      ? chain.filter(isLevel)
      : // One more than may be, so that they are found to be too many.
        Array.from(first.integers(TAGS.SubIFDs).subarray(0, MAX_LEVELS + 1), (at) => head.directory(at).directory)
  const pyramid = layout === 'compat' ? chain.filter(isTiled) : []
  const images = chain.filter((directory) => directory.has(TAGS.PageName))
  if (levels.length === 0 || levels.length > MAX_LEVELS) throw head.corrupt(`it has ${levels.length} levels`)
  if (images.length > MAX_IMAGES) throw head.corrupt(`it has ${images.length} associated images`)
  refuseSharedFields(head, [...levels, ...pyramid])

  const isChecksummed = first.has(TAGS.ClericChecksums)
  const body = new Body(head, headLength, fileLength)
  const context: Context = { head, body, isChecksummed, slice: new TimeSlice() }
  const tileHead = parse(head, (levels[0] as TiffDirectory).text(TAGS.ClericTileHead), readTileHead)
  const facts = parse(head, first.text(TAGS.ClericSlide), readSlideFacts)
  if (facts.downsamples.length !== levels.length) {
    throw head.corrupt(`it has ${levels.length} levels and ${facts.downsamples.length} downsamples`)
  }
  const full = sizeOf(levels[0] as TiffDirectory)
  const stored = []
  for (const [i, directory] of levels.entries()) {
    if (!isLevel(directory)) throw head.corrupt(`level ${i} has another compression`)
    const opened = await levelOf(context, directory, facts.downsamples[i] as number, `level ${i}`, facts.tile)
    await readTileFields(context, directory, opened.index, `level ${i}`)
    stored.push(opened)
  }
  const overview = []
  for (const [i, directory] of pyramid.entries()) {
    const downsample = full.width / sizeOf(directory).width
    overview.push(await levelOf(context, directory, downsample, `overview ${i}`, MAX_TILE_SIDE))
  }
  return {
    layout,
    description: { ...tileHead, ...facts, levels: stored.map(({ level }) => level) },
    iccProfile: first.has(TAGS.IccProfile) ? first.bytes(TAGS.IccProfile) : null,
    indexes: stored.map(({ index }) => index),
    overview,
    images: imagesOf(context, images),
    headLength,
    isChecksummed,
  }
}

/** What the parts of a head are read with. */
interface Context {
  readonly head: TiffHead
  readonly body: Body
  /** Whether each part has a checksum. */
  readonly isChecksummed: boolean
  readonly slice: TimeSlice
}

/** Tiles that are looked at between two looks at the clock. */
const TILES_AT_ONCE = 2 ** 14

function sizeOf(directory: TiffDirectory): Size {
  return {
    width: directory.integer(TAGS.ImageWidth, 1, MAX_SIDE),
    height: directory.integer(TAGS.ImageLength, 1, MAX_SIDE),
  }
}

/** @param mostSide of its tiles: what counts tiles by that of the description finds no more than the head has */
async function levelOf(
  context: Context,
  directory: TiffDirectory,
  downsample: number,
  name: string,
  mostSide: number,
): Promise<{ level: Level; index: TileIndex }> {
  const { head, body, slice } = context
  const size = sizeOf(directory)
  const tileWidth = directory.integer(TAGS.TileWidth, TILE_MULTIPLE, MAX_TILE_SIDE)
  const tileHeight = directory.integer(TAGS.TileLength, TILE_MULTIPLE, MAX_TILE_SIDE)
  if (Math.max(tileWidth, tileHeight) > mostSide) {
    throw head.corrupt(`${name} has tiles of ${tileWidth} x ${tileHeight}, but its description says ${mostSide}`)
  }
  const tiles = Math.ceil(size.width / tileWidth) * Math.ceil(size.height / tileHeight)
  // Both are in the head, so that there are no more tiles than it has room for.
  const offset = directory.integers(TAGS.TileOffsets, tiles, TYPES.LONG8)
  const length = directory.longs(TAGS.TileByteCounts, tiles)
  const checksum = checksumsOf(context, directory, tiles, name)
  const index = { ...indexOf(size, tileWidth, tileHeight), offset, length, checksum }
  const most = maxPayload(index)
  for (let at = 0; at < tiles; at++) {
    if (at % TILES_AT_ONCE === 0 && slice.isOver) await slice.giveWay()
    const bytes = length[at] as number
    if (bytes > most) throw head.corrupt(`the ${place(index, at, name)} is too long: ${bytes} bytes`)
    if (bytes > 0) body.take(offset[at] as number, bytes, () => place(index, at, name))
    else if (checksum[at] !== 0) throw head.corrupt(`the ${place(index, at, name)} has a checksum but is not stored`)
  }
  return { level: { ...size, downsample }, index }
}

/** The fields that only levels of the slide have: what stands for tiles that aren't stored, and how near the others are. */
async function readTileFields(
  { head, slice }: Context,
  directory: TiffDirectory,
  index: TileIndex,
  name: string,
): Promise<void> {
  const { colours, checks, length } = index
  colours.set(directory.bytes(TAGS.ClericTileColours, 4 * length.length))
  if (directory.has(TAGS.ClericTileChecks)) checks.set(directory.bytes(TAGS.ClericTileChecks, 2 * length.length))
  for (let at = 0; at < length.length; at++) {
    if (at % TILES_AT_ONCE === 0 && slice.isOver) await slice.giveWay()
    if (isStoredKind(kindOf(index, at)) === (length[at] as number) > 0) continue
    throw head.corrupt(`the ${place(index, at, name)} is both stored and left out`)
  }
}

/** The checksums of `count` parts; zeros if the archive has none. */
function checksumsOf({ isChecksummed, head }: Context, directory: TiffDirectory, count: number, name: string) {
  if (isChecksummed) return directory.longs(TAGS.ClericChecksums, count)
  if (directory.has(TAGS.ClericChecksums)) throw head.corrupt(`${name} has checksums, which others have not`)
  return new Uint32Array(count)
}

function imagesOf(context: Context, directories: readonly TiffDirectory[]): ChecksummedImage[] {
  let pixels = 0
  return directories.map((directory) => {
    if (directory.placeOf(TAGS.PageName).length > MAX_NAME_BYTES) throw context.head.corrupt('an image has a long name')
    const name = directory.text(TAGS.PageName)
    const size = sizeOf(directory)
    pixels += size.width * size.height
    if (pixels > MAX_IMAGES_PIXELS) {
      const most = `expected up to ${MAX_IMAGES_PIXELS} in all`
      throw context.head.corrupt(`the image ${name} has ${size.width} x ${size.height} pixels, ${most}`)
    }
    const offset = directory.integer(TAGS.StripOffsets)
    const length = directory.integer(TAGS.StripByteCounts, 1, MAX_IMAGE_BYTES)
    context.body.take(offset, length, () => `image ${name}`)
    const [checksum] = checksumsOf(context, directory, 1, `the image ${name}`) as unknown as [number]
    return { name, ...size, offset, length, checksum }
  })
}

function place({ columns }: TileIndex, at: number, name: string): string {
  return `tile at ${name}, column ${at % columns}, row ${Math.floor(at / columns)}`
}

/** More than any sound tile needs: a pixel costs one symbol or less, and a symbol, escaped, less than 8 bytes. */
function maxPayload({ tileWidth, tileHeight }: TileIndex): number {
  const padded = (side: number) => 64 * Math.ceil(side / 64)
  return 4096 + 10 * padded(tileWidth) * padded(tileHeight)
}

function parse<T>(head: TiffHead, text: string, read: (text: string) => T): T {
  try {
    return read(text)
  } catch (error) {
    const { message } = error as Error
    if (error instanceof LaterVersion) throw new UnsupportedError('ERR_ARCHIVE_UNSUPPORTED', `${head.name} ${message}`)
    throw head.corrupt(`its description is wrong: ${message}`)
  }
}

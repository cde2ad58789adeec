/**
 * The strips of Hamamatsu's NDPI files. Each is a JPEG of any size, which OpenSlide enters at its restart markers: what
 * lies between two of them is a tile, a row of blocks high. Without restart markers all of the image is one tile.
 */
import type { FileDirectory, TiffFile } from './file.js'
import { TAGS } from './tags.js'

/** Most pixels that are decoded at once, of four bytes each. */
const MAX_PIXELS = 2 ** 26
/** Side of a block: the smallest that a minimum coded unit can be. */
const BLOCK = 8
/** Where the places of strips don't fit into the tags any more, and OpenSlide guesses them. */
const WIDE_FILE = 2 ** 32

/** Most segments before the first scan; files have about ten. */
const MAX_SEGMENTS = 256
const [START, SCAN, RESTART_INTERVAL] = [0xffd8, 0xffda, 0xffdd]

/**
 * What is absurd about an image of that size, in words that follow the number of its directory; null if nothing.
 */
export async function absurdStrip(
  file: TiffFile,
  directory: FileDirectory,
  { width, height }: { readonly width: number; readonly height: number },
  signal?: AbortSignal,
): Promise<string | null> {
  if (file.size >= WIDE_FILE) return null
  const [offset] = (await file.integers(directory, TAGS.StripOffsets, 1, signal)) ?? []
  const interval = offset === undefined ? 0 : await restartInterval(file, offset, signal)
  if (interval === 0) {
    if (width * height <= MAX_PIXELS) return null
    return `has ${width} x ${height} pixels in a JPEG without restart markers, which is decoded at once; expected at most 2^26 pixels`
  }
  const tiles = Math.floor(width / (interval * BLOCK)) * Math.floor(height / BLOCK)
  if (tiles <= file.size) return null
  return `has ${width} x ${height} pixels in up to ${tiles} tiles, more than the file has bytes: it is damaged`
}

/**
 * Minimum coded units between two restart markers of a JPEG; 0 if there are none, or if what comes before its first scan
 * is unusual in any way, so that libjpeg might see something else.
 */
async function restartInterval(file: TiffFile, offset: number, signal?: AbortSignal): Promise<number> {
  const u16 = async (at: number) => {
    const bytes = at + 2 <= file.size ? await file.read(at, 2, signal) : [0, 0]
    return ((bytes[0] as number) << 8) | (bytes[1] as number)
  }
  if ((await u16(offset)) !== START) return 0
  let interval = 0
  let at = offset + 2
  for (let i = 0; i < MAX_SEGMENTS; i++) {
    const marker = await u16(at)
    if (marker === SCAN) return interval
    if (!isHeader(marker)) return 0
    if (marker === RESTART_INTERVAL) interval = await u16(at + 4)
    at += 2 + (await u16(at + 2))
  }
  return 0
}

/** Tables and frames (C0 to CF), tables (DB to DF), data of applications (E0 to EF), comments (FE). */
function isHeader(marker: number): boolean {
  const isWithin = (first: number, last: number) => marker >= first && marker <= last
  return isWithin(0xffc0, 0xffcf) || isWithin(0xffdb, 0xffdf) || isWithin(0xffe0, 0xffef) || marker === 0xfffe
}

/**
 * How much memory the tiles and strips of a TIFF ask a decoder for, told from its directories alone: a file of a
 * kilobyte can name a tile of gigabytes, and libraries take the memory, or overflow, before they look at the data.
 */
import type { FileDirectory, TiffFile } from './file.js'
import { absurdStrip } from './ndpi-strip.js'
import { TAGS } from './tags.js'

/** Most bytes of a decoded tile, and of a decoded row of a strip; the largest tiles of real slides have 48 MiB. */
const MAX_DECODED_BYTES = 2 ** 28
/** Most pixels of a tile: decoders hold four bytes of each. */
const MAX_TILE_PIXELS = 2 ** 26
/** No data are implausible for tiles and strips up to this size, which are harmless. */
export const HARMLESS_BYTES = 2 ** 22
/** Most segments above that size of one image. */
const MAX_LARGE_SEGMENTS = 2 ** 20
/**
 * Decoded bytes a byte of data, more than the best case of each of {@link BOUNDED}: deflate has 1032, LZW some 1340,
 * JPEG 512 (baseline, 4:2:0) or some 1024 (progressive), PackBits 64.
 */
export const MAX_RATIO = 2048
/** Compressions (none, LZW, JPEG, both deflates, PackBits) whose ratio has a bound; those of blank Zstandard have none. */
const BOUNDED: readonly number[] = [1, 5, 7, 8, 32946, 32773]

/** What is absurd about the sizes that a TIFF states, in words that follow the file's name and a colon; null if nothing. */
export async function absurdSize(file: TiffFile, signal?: AbortSignal): Promise<string | null> {
  for (const [page, { directory, children }] of file.pages.entries()) {
    for (const [i, one] of [directory, ...children].entries()) {
      const what = await absurdIn(file, one, signal)
      if (what !== null) return i === 0 ? `directory ${page} ${what}` : `SubIFD ${i - 1} of directory ${page} ${what}`
    }
  }
  return null
}

async function absurdIn(file: TiffFile, directory: FileDirectory, signal?: AbortSignal): Promise<string | null> {
  const number = (tag: number, fallback: number) => directory.number(tag) ?? fallback
  const [width, height] = [number(TAGS.ImageWidth, 0), number(TAGS.ImageLength, 0)]
  if (width < 1 || height < 1) return `has ImageWidth ${width} and ImageLength ${height}`
  const isPlanar = number(TAGS.PlanarConfiguration, 1) === 2
  const samples = isPlanar ? 1 : number(TAGS.SamplesPerPixel, 1)
  const pixelBytes = (samples * Math.max(1, ...directory.numbers(TAGS.BitsPerSample))) / 8
  const isTiled = directory.has(TAGS.TileWidth)
  if (!isTiled && directory.has(TAGS.NdpiFormat)) return absurdStrip(file, directory, { width, height }, signal)

  const [across, down] = isTiled
    ? [number(TAGS.TileWidth, 0), number(TAGS.TileLength, 0)]
    : [width, Math.min(height, number(TAGS.RowsPerStrip, height) || height)]
  if (across < 1 || down < 1) return `has tiles of ${across} x ${down} pixels`
  const decoded = Math.ceil(across * down * pixelBytes)
  // Readers go through strips row by row; of a tile they need all.
  const held = isTiled ? decoded : Math.ceil(across * pixelBytes)
  if (held > MAX_DECODED_BYTES || (isTiled && across * down > MAX_TILE_PIXELS)) {
    const what = isTiled ? `tiles of ${across} x ${down} pixels` : `rows of ${across} pixels`
    return `has ${what}, ${megabytes(held)} each, expected at most ${megabytes(MAX_DECODED_BYTES)} and 2^26 pixels`
  }
  if (decoded <= HARMLESS_BYTES || !BOUNDED.includes(number(TAGS.Compression, 1))) return null
  return implausible(file, directory, { isTiled, decoded }, signal)
}

/** Whether a tile or strip is said to hold more than its data can. */
async function implausible(
  file: TiffFile,
  directory: FileDirectory,
  { isTiled, decoded }: { isTiled: boolean; decoded: number },
  signal?: AbortSignal,
): Promise<string | null> {
  const [tag, name] = isTiled ? [TAGS.TileByteCounts, 'tile'] : [TAGS.StripByteCounts, 'strip']
  if (!directory.has(tag)) return null
  const lengths = await file.integers(directory, tag, MAX_LARGE_SEGMENTS, signal)
  if (!lengths)
    return `has more than ${MAX_LARGE_SEGMENTS} ${name}s of ${megabytes(decoded)}, or doesn't say how long they are`
  // Zero is a tile that isn't stored, and a strip of unknown length.
  const at = lengths.findIndex((length) => length > 0 && length * MAX_RATIO < decoded)
  if (at < 0) return null
  return `has a ${name} (number ${at}) of ${lengths[at]} bytes for ${decoded} decoded, which no ${name} can hold: it is damaged`
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`
}

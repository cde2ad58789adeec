/** Files that ask for absurd amounts of memory are refused before a decoder written in C sees more than their header. */
import { createReadStream } from 'node:fs'
import type { Metadata } from 'sharp'
import { SlideError } from '../errors.js'
import { openBytes } from '../files/byte-source.js'
import { MAX_SCANS, ScanCounter } from '../image/jpeg-scans.js'
import { isTiff, TiffFile } from '../tiff/file.js'
import { absurdSize, HARMLESS_BYTES, MAX_RATIO } from '../tiff/segment-sizes.js'

/** A TIFF's magic number and the place of its first directory. */
const TIFF_START = 8

/**
 * The structure of a TIFF; null for a file that is none, or that can't be read, which is left to whoever opens it.
 *
 * @throws SlideError ERR_UNSUPPORTED_SLIDE for a TIFF whose tiles, strips or rows can't be held in memory, or are larger
 * than their data can be
 */
export async function inspectTiff(path: string, signal?: AbortSignal): Promise<TiffFile | null> {
  const source = await openBytes(path).catch(() => null)
  if (!source) return null
  try {
    if (source.size < TIFF_START || !isTiff(await source.read(0, TIFF_START, signal))) return null
    const file = await TiffFile.open(source, signal)
    const what = await absurdSize(file, signal)
    if (what !== null) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path}: ${what}`)
    return file
  } finally {
    source.close()
  }
}

/**
 * Judges a JPEG by its scans.
 *
 * @throws SlideError ERR_UNSUPPORTED_SLIDE for one whose decoder would go over it too often
 */
export async function refuseManyScans(path: string, { format, isProgressive }: Metadata): Promise<void> {
  // sharp calls every JPEG of several scans progressive.
  if (format !== 'jpeg' || !isProgressive) return
  const counter = new ScanCounter()
  for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    counter.push(piece)
    if (counter.isAtEnd || counter.scans > MAX_SCANS) break
  }
  if (counter.scans <= MAX_SCANS) return
  throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} is a JPEG of more than ${MAX_SCANS} scans`)
}

/** Formats that are read. Other decoders that sharp has (SVG runs programs, in a way) are more for a hostile file to aim at. */
const FORMATS = ['png', 'jpeg', 'webp'] as const
/** Most bytes of a row as it is stored: decoders hold some rows at a time. */
const MAX_ROW_BYTES = 2 ** 28
/** Most bytes that a decoder may hold at once. */
const MAX_HELD_BYTES = 5 * 2 ** 28
/**
 * Judges an image by its header.
 *
 * @param bytes size of the file
 * @throws SlideError ERR_UNSUPPORTED_SLIDE for an image in another format, whose decoder would have to hold too much of
 * it at once, or that is larger than the file can be
 */
export function refuseAbsurdImage(path: string, metadata: Metadata, bytes: number): void {
  const what = absurdity(metadata, bytes)
  if (what !== null) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} ${what}`)
}

function absurdity(metadata: Metadata, bytes: number): string | null {
  const { format, width, height, channels, depth } = metadata
  if (!(FORMATS as readonly string[]).includes(format)) return `is ${format}; of images ${FORMATS.join(', ')} are read`
  const size = `is ${format} of ${width} x ${height} pixels`
  const pixelBytes = channels * (SAMPLE_BYTES[depth] ?? 1)
  if (width * pixelBytes > MAX_ROW_BYTES) return `${size}: its rows are too long to be read`
  const held = heldBytes(metadata, pixelBytes)
  if (held > MAX_HELD_BYTES) {
    const remedy = format === 'jpeg' ? 'as a baseline JPEG' : 'as PNG without interlacing'
    const most = `${MAX_HELD_BYTES / 2 ** 20} MiB`
    return `${size}, which takes ${Math.ceil(held / 2 ** 20)} MiB of memory at once, expected at most ${most}; save it ${remedy}`
  }
  const packed = packedBytes(metadata)
  if (packed > HARMLESS_BYTES && bytes * MAX_RATIO < packed)
    return `${size}, which its ${bytes} bytes can't hold: it is damaged`
  return null
}

const SAMPLE_BYTES: Readonly<Record<string, number>> = { ushort: 2, short: 2, uint: 4, int: 4, float: 4 }

/** Bytes that a decoder holds of an image that it can't decode row by row; 0 if it can. */
function heldBytes({ format, width, height, channels, isProgressive }: Metadata, pixelBytes: number): number {
  // libwebp: the frame, and a copy of it.
  if (format === 'webp') return width * height * 8
  // libpng: the whole image. libjpeg: two bytes a coefficient.
  if (isProgressive) return width * height * (format === 'jpeg' ? 2 * channels : pixelBytes)
  return 0
}

/**
 * Bytes of pixels that the file's own have to account for; 0 where there is no bound: blank WebP takes hardly any, and
 * of a TIFF each strip and tile is judged by itself.
 */
function packedBytes({ format, width, height, channels, isPalette, bitsPerSample = 1 }: Metadata): number {
  if (format === 'jpeg') return width * height * channels
  if (format === 'png') return (width * height * (isPalette ? 1 : channels) * bitsPerSample) / 8
  return 0
}

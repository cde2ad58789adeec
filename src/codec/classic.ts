/**
 * Classic codecs, for tiles that the network does badly: complete AVIF, WebP and JPEG streams, which browsers and sharp
 * decode, and a form of our own for few colours (`palette.ts`).
 *
 * Their bytes come from files, so what a native decoder sees is checked first: that it is the format that the tile
 * names, as sharp takes many others, and of exactly the tile's size, so that no header can ask for more memory.
 */
import sharp from 'sharp'
import type { Image, Size } from '../image/image.js'
import { fromImage, toImage } from '../image/sharp.js'
import { corruptTile, type PayloadKind } from './bitstream.js'
import { decodePalette } from './palette.js'

// The bytes of an AVIF depend on how many threads make it, and the same tile must give the same bytes on every machine.
// Tiles are encoded side by side, so that the processor's cores are busy all the same.
sharp.concurrency(1)

export type ClassicKind = Exclude<PayloadKind, 'cleric'>
/** Those that lose something, by a quality of 1 to 100. */
export type LossyKind = 'avif' | 'jpeg'

/** What makes the bytes: other versions of the libraries may make others. */
export function classicVersions(): Readonly<Record<string, string | number | undefined>> {
  const { sharp: version, heif, aom, webp, mozjpeg } = sharp.versions
  return { sharp: version, heif, aom, webp, mozjpeg, zlib: process.versions.zlib, threads: sharp.concurrency() }
}

export interface LossyOptions {
  /** Of AVIF, 0 to 9; default 4. */
  readonly effort?: number
  /** JPEG as the standard's annexes have it, with the tables that scanners use, in place of mozjpeg's. */
  readonly plain?: boolean
}

/**
 * The stream of an image. All keep the chroma of every pixel: stains differ more in colour than in brightness.
 *
 * @param quality 1 to 100
 */
export function encodeLossy(
  kind: LossyKind,
  image: Image,
  quality: number,
  { effort = 4, plain = false }: LossyOptions = {},
): Promise<Uint8Array> {
  const pixels = fromImage(image)
  const chromaSubsampling = '4:4:4'
  if (kind === 'jpeg') return pixels.jpeg({ quality, chromaSubsampling, mozjpeg: !plain }).toBuffer()
  // 8 bits, as sharp cuts deeper ones off instead of rounding them, which makes all darker.
  return pixels.avif({ quality, chromaSubsampling, bitdepth: 8, effort, tune: 'psnr' }).toBuffer()
}

/** A WebP stream without loss. */
export function encodeLossless(image: Image): Promise<Uint8Array> {
  return fromImage(image).webp({ lossless: true, effort: 4 }).toBuffer()
}

/**
 * The image of a stream.
 *
 * @throws CorruptDataError ERR_CORRUPT_TILE
 */
export async function decodeClassic(kind: ClassicKind, stream: Uint8Array, size: Size): Promise<Image> {
  if (kind === 'palette') return decodePalette(stream, size)
  const { name, headerSize, format } = STREAMS[kind]
  const stated = headerSize(stream)
  if (!stated) throw corruptTile(`it is no ${name}`)
  checkSize(name, stated === 'unknown' ? size : stated, size)
  try {
    const pixels = { failOn: 'warning', limitInputPixels: size.width * size.height, ignoreIcc: true } as const
    const pipeline = sharp(stream, pixels)
    const header = await pipeline.metadata()
    if (header.format !== format || (header.pages ?? 1) !== 1) throw corruptTile(`it is no ${name}`)
    checkSize(name, header, size)
    const image = await toImage(pipeline)
    checkSize(name, image, size)
    return image
  } catch (cause) {
    if ((cause as { code?: unknown }).code === 'ERR_CORRUPT_TILE') throw cause
    throw corruptTile(`its ${name} can't be decoded (${(cause as Error).message.trim()})`, cause as Error)
  }
}

function checkSize(name: string, { width, height }: Size, size: Size): void {
  if (width === size.width && height === size.height) return
  throw corruptTile(`its ${name} has ${width} x ${height} pixels, not ${size.width} x ${size.height}`)
}

/** The size that a stream's header states, "unknown" if only its decoder can tell, or null for another format. */
type HeaderSize = (stream: Uint8Array) => Size | 'unknown' | null

const STREAMS: Readonly<
  Record<Exclude<ClassicKind, 'palette'>, { name: string; headerSize: HeaderSize; format: string }>
> = {
  avif: {
    name: 'AVIF',
    headerSize: (stream) => (text(stream, 4, 8) === 'ftypavif' ? 'unknown' : null),
    format: 'heif',
  },
  webp: { name: 'lossless WebP', headerSize: webpSize, format: 'webp' },
  jpeg: { name: 'JPEG', headerSize: jpegSize, format: 'jpeg' },
}

function text(bytes: Uint8Array, at: number, length: number): string {
  return Buffer.from(bytes.subarray(at, at + length)).toString('latin1')
}

/** RFC 9649: a RIFF file of the single chunk VP8L. */
function webpSize(stream: Uint8Array): Size | null {
  if (stream.length < 25) return null
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength)
  if (text(stream, 0, 4) !== 'RIFF' || text(stream, 8, 8) !== 'WEBPVP8L' || stream[20] !== 0x2f) return null
  if (view.getUint32(4, true) + 8 !== stream.length) return null
  const bits = view.getUint32(21, true)
  return { width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1 }
}

/** ITU-T T.81, B.2: the first frame header, of three components of 8 bits. */
function jpegSize(stream: Uint8Array): Size | null {
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength)
  if (stream.length < 4 || view.getUint16(0) !== 0xffd8) return null
  for (let at = 2; at + 10 <= stream.length; at += 2 + view.getUint16(at + 2)) {
    const marker = view.getUint16(at)
    const isFrame = marker === 0xffc0 || marker === 0xffc1 || marker === 0xffc2
    if (isFrame && stream[at + 4] === 8 && stream[at + 9] === 3) {
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) }
    }
    // Only tables and application segments come before the frame.
    if (marker < 0xffc4 || marker > 0xfffe || marker === 0xffda) return null
  }
  return null
}

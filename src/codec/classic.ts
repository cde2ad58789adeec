/**
 * Classic codecs, for tiles that the network does badly: complete AVIF, WebP and JPEG streams, which browsers and sharp
 * decode, JPEGs as the slide had them (`source-tiles.ts`), and a form of our own for few colours (`palette.ts`).
 *
 * Their bytes come from files, so what a native decoder sees is checked first: that it is the format that the tile
 * names, as sharp takes many others, and of exactly the tile's size, so that no header can ask for more memory, and that it
 * goes over the pixels a bounded number of times.
 */
import type { Image, Size } from '../image/image.js'
import { hasManyScans, MAX_SCANS } from '../image/jpeg-scans.js'
import { corruptTile, type PayloadKind } from './bitstream.js'
import { decodePalette } from './palette.js'
import { decodePicture, type PictureKind } from './picture.js'
import { decodeSourceTiles } from './source-tiles.js'

export type ClassicKind = Exclude<PayloadKind, 'cleric'>

/**
 * The image of a stream.
 *
 * @throws CorruptDataError ERR_CORRUPT_TILE
 */
export async function decodeClassic(kind: ClassicKind, stream: Uint8Array, size: Size): Promise<Image> {
  if (kind === 'palette') return decodePalette(stream, size)
  if (kind === 'source') return decodeSourceTiles(stream, size, (jpeg, part) => decodeStream('jpeg', jpeg, part, 1))
  return decodeStream(kind, stream, size)
}

async function decodeStream(kind: PictureKind, stream: Uint8Array, size: Size, scans = MAX_SCANS): Promise<Image> {
  const { name, headerSize } = STREAMS[kind]
  const stated = headerSize(stream)
  if (!stated) throw corruptTile(`it is no ${name}`)
  checkSize(name, stated === 'unknown' ? size : stated, size)
  if (kind === 'jpeg' && hasManyScans(stream, scans))
    throw corruptTile(`its JPEG has more than ${scans} scan${scans > 1 ? 's' : ''}`)
  try {
    const image = await decodePicture(kind, stream, size)
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

const STREAMS: Readonly<Record<PictureKind, { name: string; headerSize: HeaderSize }>> = {
  avif: { name: 'AVIF', headerSize: (stream) => (text(stream, 4, 8) === 'ftypavif' ? 'unknown' : null) },
  webp: { name: 'lossless WebP', headerSize: webpSize },
  jpeg: { name: 'JPEG', headerSize: jpegSize },
}

function text(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length))
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

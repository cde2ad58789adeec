/** One image of a TIFF: what was drawn for it, and its strips or tiles as bytes. */
import { deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { difference, lzw, packBits, packSamples, type SampleFormat } from './pack.js'
import { cut, plane, type Samples, subsampled } from './picture.js'

export const PHOTOMETRIC = { white: 0, black: 1, rgb: 2, palette: 3, cmyk: 5, ycbcr: 6 } as const
export type Photometric = keyof typeof PHOTOMETRIC
export const COMPRESSION = {
  none: 1,
  lzw: 5,
  jpeg: 7,
  deflate: 8,
  oldDeflate: 32946,
  packbits: 32773,
  webp: 50001,
} as const
export type Compression = keyof typeof COMPRESSION

export interface PageOptions {
  readonly width: number
  readonly height: number
  readonly photometric: Photometric
  readonly bits: number
  readonly format: SampleFormat
  readonly compression: Compression
  /** 2 is horizontal differencing. */
  readonly predictor: 1 | 2
  readonly tile: { readonly width: number; readonly height: number } | null
  /** May be more than the height. */
  readonly rowsPerStrip: number
  /** 2 has a strip or tile a channel. */
  readonly planar: 1 | 2
  /** Values of ExtraSamples: 0 unspecified, 1 associated alpha, 2 unassociated alpha. */
  readonly extras: readonly number[]
  /** 1 to 8; 0 has no such tag. */
  readonly orientation: number
  /** How the chroma of YCbCr is reduced, across and down. */
  readonly subsampling: readonly [across: number, down: number]
}

/** Channels of a colour, without extra samples. */
export function coloursOf(photometric: Photometric): number {
  return { white: 1, black: 1, palette: 1, rgb: 3, ycbcr: 3, cmyk: 4 }[photometric]
}

/** The strips or tiles of an image, in the order of their offsets. */
export async function encodeChunks(
  options: PageOptions,
  samples: Samples,
  littleEndian: boolean,
): Promise<Uint8Array[]> {
  const { width, height, tile, planar } = options
  const rows = Math.min(height, options.rowsPerStrip)
  const size = tile ?? { width, height: rows }
  const planes = planar === 2 ? Array.from({ length: samples.channels }, (_, i) => plane(samples, i)) : [samples]
  const chunks: Uint8Array[] = []
  for (const each of planes) {
    for (let top = 0; top < height; top += size.height) {
      for (let left = 0; left < width; left += size.width) {
        // The last strip has the rows that are left, a tile always has all of them.
        const high = tile ? size.height : Math.min(size.height, height - top)
        chunks.push(await encodeChunk(options, cut(each, left, top, size.width, high), littleEndian))
      }
    }
  }
  return chunks
}

async function encodeChunk(options: PageOptions, part: Samples, littleEndian: boolean): Promise<Uint8Array> {
  const { bits, format, compression, predictor } = options
  if (compression === 'jpeg') return encodeJpeg(options, part)
  if (compression === 'webp') {
    const { width, height } = part
    const raw = { width, height, channels: 3 } as const
    return new Uint8Array(await sharp(Uint8Array.from(part.values), { raw }).webp({ lossless: true }).toBuffer())
  }
  const [across, down] = options.subsampling
  let packed = part
  if (options.photometric === 'ycbcr' && options.planar === 1 && across * down > 1) {
    const up = (side: number, multiple: number) => Math.ceil(side / multiple) * multiple
    packed = subsampled(cut(part, 0, 0, up(part.width, across), up(part.height, down)), across, down)
  }
  const rowSamples = packed.width * packed.channels
  const values = predictor === 2 ? difference(packed.values, rowSamples, packed.channels, bits) : packed.values
  const bytes = packSamples(values, rowSamples, bits, format, littleEndian)
  if (compression === 'lzw') return lzw(bytes)
  if (compression === 'packbits') return packBits(bytes, Math.ceil((rowSamples * bits) / 8))
  return compression === 'none' ? bytes : new Uint8Array(deflateSync(bytes))
}

/** A whole JPEG stream, with the same tables in all parts of an image: of one channel, of YCbCr, or of RGB, which is marked so. */
async function encodeJpeg({ photometric, subsampling }: PageOptions, part: Samples): Promise<Uint8Array> {
  const { width, height, channels } = part
  const raw = { width, height, channels: channels as 1 | 3 }
  const chromaSubsampling = subsampling[0] * subsampling[1] > 1 ? '4:2:0' : '4:4:4'
  const pipeline = sharp(Uint8Array.from(part.values), { raw })
  const jpeg = await (channels === 1 ? pipeline.toColourspace('b-w') : pipeline)
    .jpeg({ quality: 92, chromaSubsampling, optimiseCoding: false })
    .toBuffer()
  return photometric === 'rgb' && channels === 3 ? markedAsRgb(jpeg) : new Uint8Array(jpeg)
}

/**
 * The same JPEG with Adobe's marker in place of JFIF's: its components are red, green and blue as they are. The picture
 * is another one then, the same for every reader.
 */
function markedAsRgb(jpeg: Uint8Array): Uint8Array {
  const adobe = [0xff, 0xee, 0, 14, ...Buffer.from('Adobe'), 0, 100, 0, 0, 0, 0, 0]
  const rest: Uint8Array[] = []
  const view = new DataView(jpeg.buffer, jpeg.byteOffset, jpeg.length)
  let at = 2
  for (; view.getUint16(at) !== 0xffda; at += 2 + view.getUint16(at + 2)) {
    const isApplication = (view.getUint16(at) & 0xfff0) === 0xffe0
    if (!isApplication) rest.push(jpeg.subarray(at, at + 2 + view.getUint16(at + 2)))
  }
  return Uint8Array.from(Buffer.concat([Uint8Array.of(0xff, 0xd8, ...adobe), ...rest, jpeg.subarray(at)]))
}

/** The codecs that every reader of TIFF slides has. */
import { promisify } from 'node:util'
import { deflate } from 'node:zlib'
import sharp from 'sharp'
import { cropImage, type Image } from '../image/image.js'
import { jpegOptions } from '../image/jpeg.js'
import { fromImage, toImage } from '../image/sharp.js'
import { COMPRESSION, PHOTOMETRIC } from '../tiff/tags.js'

/** `jpeg` and `webp` lose something, `deflate` and `none`, pixels as they are, nothing. */
export const EXPORT_COMPRESSIONS = ['jpeg', 'deflate', 'webp', 'none'] as const
export type ExportCompression = (typeof EXPORT_COMPRESSIONS)[number]

export interface TileCodec {
  /** TIFF's number of it. */
  readonly compression: number
  readonly photometric: number
  /** Whether what is compressed are differences from the pixel to the left. */
  readonly isPredicted: boolean
  /** Whether OpenSlide decodes it itself; it leaves other codecs to libtiff. */
  readonly isOpenSlides: boolean
  encode(tile: Image): Promise<Uint8Array>
  /** The pixels of a tile again, cut to the size of `image`, which it was made of. */
  decode(bytes: Uint8Array, image: Image): Promise<Image>
  /** By how much values may differ between decoders. */
  readonly tolerance: number
}

/** Whether a codec loses something, and how much is a matter of quality. */
export const isLossy = (compression: ExportCompression) => compression === 'jpeg' || compression === 'webp'

/** @param quality 1 to 100; of no meaning to what isn't lossy */
export function tileCodec(compression: ExportCompression, quality: number): TileCodec {
  const number = COMPRESSION[compression]
  switch (compression) {
    case 'jpeg':
      return {
        compression: number,
        photometric: PHOTOMETRIC.ycbcr,
        isPredicted: false,
        isOpenSlides: true,
        encode: (tile) => fromImage(tile).jpeg(jpegOptions(quality)).toBuffer(),
        decode: decoded,
        tolerance: 4,
      }
    case 'webp':
      return {
        compression: number,
        photometric: PHOTOMETRIC.rgb,
        isPredicted: false,
        isOpenSlides: false,
        encode: (tile) => fromImage(tile).webp({ quality }).toBuffer(),
        decode: decoded,
        tolerance: 4,
      }
    case 'deflate':
      return {
        compression: number,
        photometric: PHOTOMETRIC.rgb,
        isPredicted: true,
        isOpenSlides: false,
        encode: (tile) => promisify(deflate)(differences(tile)),
        // It loses nothing.
        decode: async (_, image) => image,
        tolerance: 0,
      }
    case 'none':
      return {
        compression: number,
        photometric: PHOTOMETRIC.rgb,
        isPredicted: false,
        isOpenSlides: false,
        encode: async (tile) => tile.data,
        decode: async (_, image) => image,
        tolerance: 0,
      }
  }
}

async function decoded(bytes: Uint8Array, { width, height }: Image): Promise<Image> {
  return cropImage(await toImage(sharp(bytes)), width, height)
}

/** Each channel's difference, modulo 256, from the pixel to the left. */
function differences({ data, width, height }: Image): Uint8Array {
  const out = Uint8Array.from(data)
  const stride = width * 3
  for (let row = 0; row < height; row++) {
    for (let i = row * stride + stride - 1; i >= row * stride + 3; i--) {
      out[i] = (data[i] as number) - (data[i - 3] as number)
    }
  }
  return out
}

/** The codecs that every reader of TIFF slides has. */
import { promisify } from 'node:util'
import { deflate } from 'node:zlib'
import type { Image } from '../image/image.js'
import { jpegOptions } from '../image/jpeg.js'
import { fromImage } from '../image/sharp.js'
import { COMPRESSION, PHOTOMETRIC } from '../tiff/tags.js'

/** `jpeg` and `webp` lose something, `deflate` nothing. */
export const EXPORT_COMPRESSIONS = ['jpeg', 'deflate', 'webp'] as const
export type ExportCompression = (typeof EXPORT_COMPRESSIONS)[number]

export interface TileCodec {
  /** TIFF's number of it. */
  readonly compression: number
  readonly photometric: number
  /** Whether what is compressed are differences from the pixel to the left. */
  readonly isPredicted: boolean
  encode(tile: Image): Promise<Uint8Array>
}

/** @param quality 1 to 100; of no meaning to `deflate` */
export function tileCodec(compression: ExportCompression, quality: number): TileCodec {
  const number = COMPRESSION[compression]
  switch (compression) {
    case 'jpeg':
      return {
        compression: number,
        photometric: PHOTOMETRIC.ycbcr,
        isPredicted: false,
        encode: (tile) => fromImage(tile).jpeg(jpegOptions(quality)).toBuffer(),
      }
    case 'webp':
      return {
        compression: number,
        photometric: PHOTOMETRIC.rgb,
        isPredicted: false,
        encode: (tile) => fromImage(tile).webp({ quality }).toBuffer(),
      }
    case 'deflate':
      return {
        compression: number,
        photometric: PHOTOMETRIC.rgb,
        isPredicted: true,
        encode: (tile) => promisify(deflate)(differences(tile)),
      }
  }
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

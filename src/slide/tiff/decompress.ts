/**
 * The bytes of one tile or strip to samples. zlib unpacks deflate; libtiff, libjpeg and libwebp, in sharp, do the rest:
 * a segment is put into a TIFF of its own that says no more than what the codec needs, so that libvips has nothing to
 * interpret. Warnings of a decoder are errors: what it is unsure of is damaged.
 */
import { promisify } from 'node:util'
import { inflate } from 'node:zlib'
import sharp from 'sharp'
import { hasManyScans, MAX_SCANS } from '../../image/jpeg-scans.js'
import type { StoredTiffImage } from '../../tiff/stored-image.js'
import { TAGS, type Tag } from '../../tiff/tags.js'
import { encodeTiff, type Field, long, long8, short, undefinedBytes } from '../../tiff/writer.js'
import { readJpegFrame } from './jpeg-frame.js'
import { BLACK_IS_ZERO, CCITT, DEFLATES, JPEG, LZW, NONE, PACK_BITS, WEBP, YCBCR } from './readable.js'

/** What is to come out of a segment. */
export interface SegmentShape {
  readonly width: number
  readonly rows: number
  /** Samples a pixel in this segment: one where each sample has segments of its own. */
  readonly channels: number
  /** Bytes of a row of packed samples; of a row of blocks, for YCbCr that isn't JPEG. */
  readonly rowBytes: number
  readonly packedRows: number
}

/** Samples as TIFF packs them, before its predictor is undone. */
export interface Packed {
  readonly packed: Uint8Array
}

/** Samples of 8 bits each, interleaved, as a codec for pictures gives them; YCbCr is RGB by now. */
export interface Decoded {
  readonly decoded: Uint8Array
  readonly channels: number
}

/** What is wrong with a segment, in words that follow "it can't be decoded: ". */
export class SegmentFault extends Error {}

const inflated = promisify(inflate)

/** @throws SegmentFault */
export async function decompress(
  bytes: Uint8Array,
  image: StoredTiffImage,
  shape: SegmentShape,
): Promise<Packed | Decoded> {
  const { compression } = image
  if (compression === JPEG) return decodeJpeg(bytes, image, shape)
  if (compression === WEBP) return decodeWebp(bytes, shape)
  if (CCITT.includes(compression)) return decodeCcitt(bytes, image, shape)
  const length = shape.rowBytes * shape.packedRows
  const packed = await unpack(bytes, compression, shape)
  if (packed.length < length) throw new SegmentFault(`it has ${packed.length} bytes of pixels where ${length} are due`)
  return { packed: packed.subarray(0, length) }
}

async function unpack(bytes: Uint8Array, compression: number, shape: SegmentShape): Promise<Uint8Array> {
  if (compression === NONE) return Uint8Array.from(bytes)
  if (DEFLATES.includes(compression)) {
    // Some programs fill the last strip up to the height of the others; more than twice what is due is no such thing.
    const most = 2 * shape.rowBytes * shape.packedRows + 2 ** 16
    return inflated(bytes, { maxOutputLength: most }).catch((cause: unknown) => {
      throw new SegmentFault('its deflate data are damaged', { cause })
    })
  }
  // As a picture of one channel that has a byte a pixel: what libtiff unpacks comes out as it is.
  const { data, channels } = await decodeAlone(bytes, shape.rowBytes, shape.packedRows, [
    [TAGS.Compression, short(compression)],
    [TAGS.BitsPerSample, short(8)],
    [TAGS.PhotometricInterpretation, short(BLACK_IS_ZERO)],
    [TAGS.SamplesPerPixel, short(1)],
  ]).catch((cause: unknown) => {
    throw new SegmentFault(`its ${{ [LZW]: 'LZW', [PACK_BITS]: 'PackBits' }[compression]} data are damaged`, { cause })
  })
  return everyNth(data, channels)
}

async function decodeJpeg(bytes: Uint8Array, image: StoredTiffImage, shape: SegmentShape): Promise<Decoded> {
  const frame = readJpegFrame(bytes)
  if (!frame) throw new SegmentFault('its JPEG data have no frame')
  const { width, height, precision, components } = frame
  if (precision !== 8) throw new SegmentFault(`its JPEG data have ${precision} bits, not 8`)
  if (components.length !== shape.channels) {
    throw new SegmentFault(`its JPEG data have ${components.length} channels, not ${shape.channels}`)
  }
  // The last strip may be filled up to the height of the others.
  if (width !== shape.width || height < shape.rows || height > Math.max(image.segmentHeight, shape.rows)) {
    throw new SegmentFault(`its JPEG data have ${width} x ${height} pixels, not ${shape.width} x ${shape.rows}`)
  }
  if (hasManyScans(bytes)) throw new SegmentFault(`its JPEG data have more than ${MAX_SCANS} scans`)
  const tables = image.directory.bytes(TAGS.JPEGTables)
  const isSingle = shape.channels === 1
  const [first] = components
  const fields: [Tag, Field][] = [
    [TAGS.Compression, short(JPEG)],
    [TAGS.BitsPerSample, short(...Array(shape.channels).fill(8))],
    [TAGS.PhotometricInterpretation, short(isSingle ? BLACK_IS_ZERO : (image.photometric as number))],
    [TAGS.SamplesPerPixel, short(shape.channels)],
  ]
  // What the data have counts: the tag is often missing or wrong.
  if (!isSingle && image.photometric === YCBCR && first) {
    fields.push([TAGS.YCbCrSubSampling, short(first.horizontal, first.vertical)])
  }
  if (tables) fields.push([TAGS.JPEGTables, undefinedBytes(tables)])
  const { data, channels } = await decodeAlone(bytes, width, height, fields).catch((cause: unknown) => {
    throw new SegmentFault('its JPEG data are damaged', { cause })
  })
  const pixels = width * shape.rows
  if (isSingle) return { decoded: everyNth(data.subarray(0, pixels * channels), channels), channels: 1 }
  if (channels !== 3) throw new SegmentFault(`its JPEG data decode to ${channels} channels`)
  return { decoded: data.subarray(0, pixels * 3), channels: 3 }
}

async function decodeWebp(bytes: Uint8Array, shape: SegmentShape): Promise<Decoded> {
  const damaged = (cause: unknown) => {
    throw new SegmentFault('its WebP data are damaged', { cause })
  }
  const facts = await sharp(bytes, STRICT).metadata().catch(damaged)
  if (facts.format !== 'webp' || facts.width !== shape.width || facts.height < shape.rows || (facts.pages ?? 1) > 1) {
    const { format, width, height } = facts
    throw new SegmentFault(`it has a ${format} of ${width} x ${height}, not a WebP of ${shape.width} x ${shape.rows}`)
  }
  const { data, info } = await sharp(bytes, STRICT).raw().toBuffer({ resolveWithObject: true }).catch(damaged)
  if (info.channels !== shape.channels && !(info.channels === 3 && shape.channels === 4)) {
    throw new SegmentFault(`its WebP data have ${info.channels} channels, not ${shape.channels}`)
  }
  return { decoded: data.subarray(0, shape.width * shape.rows * info.channels), channels: info.channels }
}

/** Black and white as 0 and 255: one means 255. */
async function decodeCcitt(bytes: Uint8Array, image: StoredTiffImage, shape: SegmentShape): Promise<Decoded> {
  const { data, channels } = await decodeAlone(bytes, shape.width, shape.rows, [
    [TAGS.Compression, short(image.compression)],
    [TAGS.BitsPerSample, short(1)],
    [TAGS.PhotometricInterpretation, short(BLACK_IS_ZERO)],
    [TAGS.SamplesPerPixel, short(1)],
    [TAGS.FillOrder, short(image.fillOrder)],
    [TAGS.T4Options, long([image.directory.number(TAGS.T4Options) ?? 0])],
    [TAGS.T6Options, long([image.directory.number(TAGS.T6Options) ?? 0])],
  ]).catch((cause: unknown) => {
    throw new SegmentFault('its CCITT data are damaged', { cause })
  })
  return { decoded: everyNth(data, channels), channels: 1 }
}

/** The sizes are checked before. */
const STRICT = { failOn: 'warning', limitInputPixels: false } as const

/** Decodes a segment as the only strip of a TIFF with the given fields. */
async function decodeAlone(bytes: Uint8Array, width: number, height: number, fields: readonly [Tag, Field][]) {
  const headOf = (offset: number) =>
    encodeTiff([
      {
        fields: new Map<Tag, Field>([
          ...fields,
          [TAGS.ImageWidth, long([width])],
          [TAGS.ImageLength, long([height])],
          [TAGS.RowsPerStrip, long([height])],
          [TAGS.PlanarConfiguration, short(1)],
          [TAGS.StripOffsets, long8([offset])],
          [TAGS.StripByteCounts, long8([bytes.length])],
        ]),
      },
    ]).bytes
  const file = Buffer.concat([headOf(headOf(0).length), bytes])
  const { data, info } = await sharp(file, STRICT).raw().toBuffer({ resolveWithObject: true })
  if (info.width !== width || info.height !== height) throw new SegmentFault(`it is ${info.width} x ${info.height}`)
  return { data, channels: info.channels }
}

function everyNth(data: Uint8Array, step: number): Uint8Array {
  if (step === 1) return data
  const out = new Uint8Array(data.length / step)
  for (let i = 0, j = 0; i < out.length; i++, j += step) out[i] = data[j] as number
  return out
}

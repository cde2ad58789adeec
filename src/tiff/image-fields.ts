/** The fields of a TIFF directory that say how an image is stored. */
import type { Size } from '../image/image.js'
import { CENTIMETRE, COMPRESSION, PHOTOMETRIC, TAGS, type Tag } from './tags.js'
import type { TileIndex } from './tile-index.js'
import { ascii, type Field, long, long8, rational, short } from './writer.js'

export type Fields = [Tag, Field][]

/** A JPEG that is stored in one piece. */
export interface StoredImage extends Size {
  readonly name: string
  readonly offset: number
  readonly length: number
}

const SOFTWARE = ascii('cleric')

/** The fields of 8-bit pixels, three channels interleaved. `subfile` is the NewSubfileType. */
export function pixelFields(
  { width, height }: Size,
  compression: number,
  photometric: number,
  subfile: number,
): Fields {
  const fields: Fields = [
    [TAGS.NewSubfileType, long([subfile])],
    [TAGS.ImageWidth, long([width])],
    [TAGS.ImageLength, long([height])],
    [TAGS.BitsPerSample, short(8, 8, 8)],
    [TAGS.Compression, short(compression)],
    [TAGS.PhotometricInterpretation, short(photometric)],
    [TAGS.SamplesPerPixel, short(3)],
    [TAGS.PlanarConfiguration, short(1)],
    [TAGS.Software, SOFTWARE],
  ]
  if (photometric === PHOTOMETRIC.ycbcr) fields.push([TAGS.YCbCrSubSampling, short(1, 1)])
  return fields
}

export function tileFields({ tileWidth, tileHeight, offset, length }: TileIndex): Fields {
  return [
    [TAGS.TileWidth, long([tileWidth])],
    [TAGS.TileLength, long([tileHeight])],
    [TAGS.TileOffsets, long8(offset)],
    [TAGS.TileByteCounts, long(length)],
  ]
}

/** The fields of an image that is one strip, a JPEG without chroma subsampling. */
export function stripFields(image: StoredImage, subfile: number): Fields {
  return [
    ...pixelFields(image, COMPRESSION.jpeg, PHOTOMETRIC.ycbcr, subfile),
    [TAGS.RowsPerStrip, long([image.height])],
    [TAGS.StripOffsets, long8([image.offset])],
    [TAGS.StripByteCounts, long([image.length])],
    [TAGS.PageName, ascii(image.name)],
  ]
}

/** The fields with a level's pixels a centimetre; none if a fraction of two 32-bit numbers can't express it. */
export function resolutionFields(mpp: { readonly x: number; readonly y: number } | null, downsample: number): Fields {
  const [x, y] = mpp ? [10_000 / (mpp.x * downsample), 10_000 / (mpp.y * downsample)] : [0, 0]
  if (Math.min(x, y) < 2 ** -20 || Math.max(x, y) >= 2 ** 32 - 1) return []
  return [
    [TAGS.XResolution, rational(x)],
    [TAGS.YResolution, rational(y)],
    [TAGS.ResolutionUnit, short(CENTIMETRE)],
  ]
}

export function optionalField(tag: Tag, field: Field | null): Fields {
  return field ? [[tag, field]] : []
}

/**
 * The head of an archive: which directories there are, in which order, and what each says. docs/format.md describes it.
 *
 * `compat`: the main chain is a pyramid of JPEG tiles, so that programs without a decoder for the slide's levels open the file as
 * a low-power slide; the levels hang off its first directory (tag 330). `strict`: the levels are the main chain. Associated
 * images end the chain in both.
 */
import { crc32c } from '../entropy/crc32c.js'
import type { Level, Resolution } from '../slide/source.js'
import { type Description, writeSlideFacts, writeTileHead } from './description.js'
import { CENTIMETRE, COMPRESSION, PHOTOMETRIC, REDUCED, TAGS, type Tag } from './tiff-tags.js'
import {
  ascii,
  byteField,
  type Directory,
  encodeTiff,
  type Field,
  long,
  long8,
  rational,
  short,
  undefinedBytes,
} from './tiff-writer.js'
import type { Size, TileIndex } from './tile-index.js'

export const LAYOUTS = ['compat', 'strict'] as const
export type Layout = (typeof LAYOUTS)[number]

/** A JPEG that is stored in one piece. */
export interface StoredImage extends Size {
  readonly name: string
  readonly offset: number
  readonly length: number
}

export interface Contents {
  readonly layout: Layout
  readonly description: Description
  readonly iccProfile: Uint8Array | null
  /** Tiles of each level of the description. */
  readonly indexes: readonly TileIndex[]
  /** The JPEG pyramid, finest level first; empty in the strict layout. */
  readonly overview: readonly { readonly level: Level; readonly index: TileIndex }[]
  readonly images: readonly StoredImage[]
  readonly fileLength: number
}

const SOFTWARE = ascii('cleric')
const OVERVIEW_DESCRIPTION = ascii(
  'cleric: overview of a slide whose levels, compressed with a learned codec (Compression 49644), are in the SubIFDs',
)

/** Bytes of the head. Their number depends on sizes and facts, not on where tiles are or how long. */
export function encodeHead(contents: Contents): Uint8Array {
  const { layout, description, iccProfile, indexes, overview, images, fileLength } = contents
  const icc = iccProfile ? undefinedBytes(iccProfile) : null
  const seal = new Float64Array(3)
  const sealField = long8(seal)
  const tileHead = ascii(writeTileHead(description))
  const own: [Tag, Field][] = [
    [TAGS.ClericSlide, ascii(writeSlideFacts(description))],
    [TAGS.ClericSeal, sealField],
  ]
  const levels = description.levels.map((level, i): [Tag, Field][] => {
    const index = indexes[i] as TileIndex
    return [
      ...pixels(level, COMPRESSION.cleric, i > 0),
      ...tiles(index),
      ...resolution(description.mpp, level.downsample),
      ...optional(TAGS.IccProfile, icc),
      [TAGS.ClericTileHead, tileHead],
      [TAGS.ClericTileColours, byteField(index.colours)],
    ]
  })
  const original = description.properties['tiff.ImageDescription'] ?? description.properties['openslide.comment']
  levels[0]?.push(...optional(TAGS.ImageDescription, original ? ascii(original) : null))
  const pyramid = overview.map(({ level, index }, i): [Tag, Field][] => [
    ...pixels(level, COMPRESSION.jpeg, i > 0),
    ...tiles(index),
    ...resolution(description.mpp, level.downsample),
    ...optional(TAGS.IccProfile, icc),
  ])
  pyramid[0]?.push([TAGS.ImageDescription, OVERVIEW_DESCRIPTION])
  const associated = images.map((image): [Tag, Field][] => [
    ...pixels(image, COMPRESSION.jpeg, true),
    [TAGS.RowsPerStrip, long([image.height])],
    [TAGS.StripOffsets, long8([image.offset])],
    [TAGS.StripByteCounts, long([image.length])],
    [TAGS.PageName, ascii(image.name)],
  ])
  const main = layout === 'strict' ? levels : pyramid
  main[0]?.push(...own)
  const directories = (fields: [Tag, Field][][]): Directory[] => fields.map((each) => ({ fields: new Map(each) }))
  const chain = directories([...main, ...associated])
  if (layout === 'compat') chain[0] = { ...(chain[0] as Directory), children: directories(levels) }

  const { bytes, offsetOf } = encodeTiff(chain)
  const sealBytes = (crc: number) => long8([bytes.length, fileLength, crc]).bytes
  bytes.set(sealBytes(0), offsetOf(sealField))
  bytes.set(sealBytes(crc32c(bytes)), offsetOf(sealField))
  return bytes
}

function pixels({ width, height }: Size, compression: number, isReduced: boolean): [Tag, Field][] {
  const isJpeg = compression === COMPRESSION.jpeg
  return [
    [TAGS.NewSubfileType, long([isReduced ? REDUCED : 0])],
    [TAGS.ImageWidth, long([width])],
    [TAGS.ImageLength, long([height])],
    [TAGS.BitsPerSample, short(8, 8, 8)],
    [TAGS.Compression, short(compression)],
    [TAGS.PhotometricInterpretation, short(isJpeg ? PHOTOMETRIC.ycbcr : PHOTOMETRIC.rgb)],
    [TAGS.SamplesPerPixel, short(3)],
    [TAGS.PlanarConfiguration, short(1)],
    [TAGS.Software, SOFTWARE],
    ...(isJpeg ? ([[TAGS.YCbCrSubSampling, short(1, 1)]] satisfies [Tag, Field][]) : []),
  ]
}

function tiles({ tileWidth, tileHeight, offset, length }: TileIndex): [Tag, Field][] {
  return [
    [TAGS.TileWidth, long([tileWidth])],
    [TAGS.TileLength, long([tileHeight])],
    [TAGS.TileOffsets, long8(offset)],
    [TAGS.TileByteCounts, long(length)],
  ]
}

/** Pixels a centimetre, of a level. */
function resolution(mpp: Resolution | null, downsample: number): [Tag, Field][] {
  if (!mpp) return []
  const perCentimetre = (value: number) => 10_000 / (value * downsample)
  return [
    [TAGS.XResolution, rational(perCentimetre(mpp.x))],
    [TAGS.YResolution, rational(perCentimetre(mpp.y))],
    [TAGS.ResolutionUnit, short(CENTIMETRE)],
  ]
}

function optional(tag: Tag, field: Field | null): [Tag, Field][] {
  return field ? [[tag, field]] : []
}

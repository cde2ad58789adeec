/**
 * The head of an archive: which directories there are, in which order, and what each says. docs/format.md describes it.
 *
 * `compat`: the main chain is a pyramid of JPEG tiles, so that programs without a decoder for the slide's levels open
 * the file as a low-power slide; the levels hang off its first directory (tag 330). `strict`: the levels are the main
 * chain. Associated images end the chain in both.
 */
import { crc32c } from '../entropy/crc32c.js'
import type { Level } from '../slide/source.js'
import {
  type Fields,
  optionalField,
  pixelFields,
  resolutionFields,
  type StoredImage,
  stripFields,
  tileFields,
} from '../tiff/image-fields.js'
import { COMPRESSION, PHOTOMETRIC, REDUCED, TAGS } from '../tiff/tags.js'
import type { TileIndex } from '../tiff/tile-index.js'
import { ascii, byteField, type Directory, encodeTiff, long, long8, undefinedBytes } from '../tiff/writer.js'
import { type Description, writeSlideFacts, writeTileHead } from './description.js'

export const LAYOUTS = ['compat', 'strict'] as const
export type Layout = (typeof LAYOUTS)[number]

/** An associated image with the CRC-32C of its bytes. */
export interface ChecksummedImage extends StoredImage {
  readonly checksum: number
}

export interface Contents {
  readonly layout: Layout
  readonly description: Description
  readonly iccProfile: Uint8Array | null
  /** Tiles of each level of the description. */
  readonly indexes: readonly TileIndex[]
  /** The JPEG pyramid, finest level first; empty in the strict layout. */
  readonly overview: readonly { readonly level: Level; readonly index: TileIndex }[]
  readonly images: readonly ChecksummedImage[]
  /** Whether tiles were compared with the slide while they were written. */
  readonly isChecked: boolean
  readonly fileLength: number
}

const OVERVIEW_DESCRIPTION = ascii(
  'cleric: overview of a slide whose levels, compressed with a learned codec (Compression 49644), are in the SubIFDs',
)

/** Bytes of the head. Their number depends on sizes and facts, not on where tiles are or how long. */
export function encodeHead(contents: Contents): Uint8Array {
  const { layout, description, iccProfile, indexes, overview, images, isChecked, fileLength } = contents
  const icc = iccProfile ? undefinedBytes(iccProfile) : null
  const seal = new Float64Array(3)
  const sealField = long8(seal)
  const tileHead = ascii(writeTileHead(description))
  const firstOnly: Fields = [
    [TAGS.ClericSlide, ascii(writeSlideFacts(description))],
    [TAGS.ClericSeal, sealField],
  ]
  const levels = description.levels.map((level, i): Fields => {
    const index = indexes[i] as TileIndex
    return [
      ...pixelFields(level, COMPRESSION.cleric, PHOTOMETRIC.rgb, i > 0 ? REDUCED : 0),
      ...tileFields(index),
      ...resolutionFields(description.mpp, level.downsample),
      ...optionalField(TAGS.IccProfile, icc),
      [TAGS.ClericTileHead, tileHead],
      [TAGS.ClericTileColours, byteField(index.colours)],
      [TAGS.ClericChecksums, long(index.checksum)],
      ...optionalField(TAGS.ClericTileChecks, isChecked ? byteField(index.checks) : null),
    ]
  })
  const original = description.properties['tiff.ImageDescription'] ?? description.properties['openslide.comment']
  levels[0]?.push(...optionalField(TAGS.ImageDescription, original ? ascii(original) : null))
  const pyramid = overview.map(
    ({ level, index }, i): Fields => [
      ...pixelFields(level, COMPRESSION.jpeg, PHOTOMETRIC.ycbcr, i > 0 ? REDUCED : 0),
      ...tileFields(index),
      ...resolutionFields(description.mpp, level.downsample),
      ...optionalField(TAGS.IccProfile, icc),
      [TAGS.ClericChecksums, long(index.checksum)],
    ],
  )
  pyramid[0]?.push([TAGS.ImageDescription, OVERVIEW_DESCRIPTION])
  const associated = images.map(
    (image): Fields => [...stripFields(image, REDUCED), [TAGS.ClericChecksums, long([image.checksum])]],
  )
  const main = layout === 'strict' ? levels : pyramid
  main[0]?.push(...firstOnly)
  const directories = (fields: Fields[]): Directory[] => fields.map((each) => ({ fields: new Map(each) }))
  const chain = directories([...main, ...associated])
  if (layout === 'compat') chain[0] = { ...(chain[0] as Directory), children: directories(levels) }

  const { bytes, offsetOf } = encodeTiff(chain)
  const sealBytes = (crc: number) => long8([bytes.length, fileLength, crc]).bytes
  bytes.set(sealBytes(0), offsetOf(sealField))
  bytes.set(sealBytes(crc32c(bytes)), offsetOf(sealField))
  return bytes
}

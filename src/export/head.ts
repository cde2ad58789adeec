/**
 * The directories of an export: the finest level, the thumbnail, the other levels, the other associated images, in the
 * order and with the words of an Aperio SVS file, by which OpenSlide, QuPath and Bio-Formats recognise label, macro image, resolution and
 * objective power.
 */
import type { SlideSource } from '../slide/source.js'
import {
  type Fields,
  optionalField,
  pixelFields,
  resolutionFields,
  type StoredImage,
  stripFields,
  stripsFields,
  tileFields,
} from '../tiff/image-fields.js'
import { HORIZONTAL, MACRO, PAGE, REDUCED, TAGS } from '../tiff/tags.js'
import { ascii, encodeTiff, short, undefinedBytes } from '../tiff/writer.js'
import type { ExportLevel } from './pyramid.js'
import type { TileCodec } from './tile-codec.js'

export interface ExportContents {
  readonly levels: readonly ExportLevel[]
  readonly images: readonly StoredImage[]
  readonly codec: TileCodec
  readonly mpp: SlideSource['mpp']
  readonly description: string
  readonly iccProfile: Uint8Array | null
}

/** Relative difference up to which two resolutions are one that was rounded. */
const SAME = 1e-6

/** The directories of the levels, the finest first, without a description. */
export function levelFields({ levels, codec, mpp, iccProfile }: Omit<ExportContents, 'description' | 'images'>) {
  const icc = iccProfile ? undefinedBytes(iccProfile) : null
  const { compression, photometric, isPredicted } = codec
  return levels.map(
    ({ level, index, isStrips }, i): Fields => [
      ...pixelFields(level, compression, photometric, i > 0 ? REDUCED : 0),
      ...(isStrips ? stripsFields(index) : tileFields(index)),
      ...resolutionFields(mpp, level.downsample),
      ...optionalField(TAGS.Predictor, isPredicted ? short(HORIZONTAL) : null),
      ...optionalField(TAGS.IccProfile, icc),
    ],
  )
}

/** Bytes of the head. Their number depends on sizes and facts, not on where tiles are or how long. */
export function encodeHead(contents: ExportContents): Uint8Array {
  const { images, description } = contents
  const tiled = levelFields(contents)
  tiled[0]?.push([TAGS.ImageDescription, ascii(description)])
  const stripped = images.map((image): Fields => {
    // The second line begins with the name, as far as the first blank.
    const about = `Aperio\n${image.name.replace(/\s+/g, '_')} ${image.width}x${image.height}`
    const subfile = SUBFILES.get(image.name) ?? PAGE
    return [...stripFields(image, subfile), [TAGS.ImageDescription, ascii(about)]]
  })
  const at = images.findIndex(({ name }) => name === 'thumbnail')
  const thumbnail = at < 0 ? [] : stripped.splice(at, 1)
  const [finest, ...coarser] = tiled as [Fields, ...Fields[]]
  const chain = [finest, ...thumbnail, ...coarser, ...stripped]
  return encodeTiff(chain.map((fields) => ({ fields: new Map(fields) }))).bytes
}

/**
 * NewSubfileType of associated images, by which OpenSlide 4 tells label and macro image, where 3.4 goes by descriptions.
 * The thumbnail is known by being the second directory.
 */
const SUBFILES: ReadonlyMap<string, number> = new Map([
  ['label', REDUCED],
  ['macro', MACRO],
  ['thumbnail', 0],
])

/**
 * The ImageDescription of the first directory: the slide's own, unless that is XML. Such descriptions (OME, Leica,
 * Philips) list the images of the file they stand in, which readers would look for in vain. In place of XML, and where
 * there was none, it is in the words of an SVS file, unless these would say less than the tags: they have one number
 * for the resolution, and OpenSlide takes no file for an SVS file whose first image has no tiles.
 */
export function describeSlide(
  slide: Pick<SlideSource, 'properties' | 'mpp' | 'objectivePower'>,
  { level: { width, height }, isStrips }: Pick<ExportLevel, 'level' | 'isStrips'>,
): string {
  const { properties, mpp, objectivePower } = slide
  const original = properties['tiff.ImageDescription'] ?? properties['openslide.comment'] ?? ''
  const isSquare = mpp === null || Math.abs(mpp.x - mpp.y) <= SAME * Math.max(mpp.x, mpp.y)
  const mayBeAperio = isSquare && !isStrips
  const isOwn = original.trim() !== '' && !/^\s*\ufeff?\s*</.test(original)
  if (isOwn && (mayBeAperio || !original.startsWith('Aperio'))) return original
  const facts = [
    `${mayBeAperio ? 'Aperio Image Library (written by cleric)' : 'Written by cleric'}\n${width}x${height}`,
  ]
  if (objectivePower !== null) facts.push(`AppMag = ${objectivePower}`)
  if (mpp && isSquare) facts.push(`MPP = ${Number(mpp.x.toPrecision(10))}`)
  return facts.join('|')
}

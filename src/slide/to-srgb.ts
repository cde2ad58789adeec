/**
 * Conversion by ICC profiles, by sharp (libvips, Little CMS). In browsers `src/web/to-srgb.ts` stands in for it.
 */
import sharp, { type Sharp } from 'sharp'
import { UnsupportedError } from '../errors.js'
import type { Image } from '../image/image.js'
import { fromImage, toImage } from '../image/sharp.js'
import { COMPRESSION, PHOTOMETRIC, TAGS, type Tag } from '../tiff/tags.js'
import { encodeTiff, type Field, long, long8, short, undefinedBytes } from '../tiff/writer.js'
import { isOfSrgb, STRONG_COLOURS, type ToSrgb } from './icc-profile.js'

/** A pipeline of the pixels as they are that writes the profile, if there is one, into the file that it makes. */
export function fromProfiled(image: Image, profile: Uint8Array | null): Sharp {
  // sharp takes a profile only from a file that has it.
  return profile ? sharp(inTiff(image, profile), UNLIMITED).keepIccProfile() : fromImage(image)
}

// The pixels are here already, so their number is no danger.
const UNLIMITED = { limitInputPixels: false } as const

/**
 * Conversion from the colours of a profile to sRGB, with the profile's perceptual intent; each value is rounded.
 *
 * @param name of the file that has the profile
 * @throws UnsupportedError ERR_IMAGE_UNSUPPORTED if it is no profile by which RGB can be converted
 */
export async function openToSrgb(profile: Uint8Array, name: string): Promise<ToSrgb> {
  if (await isUsable(profile)) return (image) => toImage(sharp(inTiff(image, profile), UNLIMITED))
  const what = 'its ICC profile is none by which colours can be converted; take them as they are (keep or none)'
  throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', `${name}: ${what}`)
}

/**
 * Whether libvips converts by a profile. It takes one that it can't use for that of sRGB, without an error, and leaves
 * colours alone; so does that of sRGB, but that says so.
 */
async function isUsable(profile: Uint8Array): Promise<boolean> {
  const { data } = await toImage(sharp(inTiff(STRONG_COLOURS, profile)))
  return data.some((value, i) => value !== STRONG_COLOURS.data[i]) || isOfSrgb(profile)
}

const ROWS_PER_STRIP = 64

/** The pixels with the profile, as a file that sharp reads: a TIFF that compresses nothing. */
function inTiff({ data: pixels, width, height }: Image, profile: Uint8Array): Uint8Array {
  const strips = Math.ceil(height / ROWS_PER_STRIP)
  const stripBytes = ROWS_PER_STRIP * width * 3
  const lengths = Array.from({ length: strips }, (_, i) => Math.min(stripBytes, pixels.length - i * stripBytes))
  const head = (start: number) => {
    const fields: [Tag, Field][] = [
      [TAGS.ImageWidth, long([width])],
      [TAGS.ImageLength, long([height])],
      [TAGS.BitsPerSample, short(8, 8, 8)],
      [TAGS.Compression, short(COMPRESSION.none)],
      [TAGS.PhotometricInterpretation, short(PHOTOMETRIC.rgb)],
      [TAGS.StripOffsets, long8(lengths.map((_, i) => start + i * stripBytes))],
      [TAGS.SamplesPerPixel, short(3)],
      [TAGS.RowsPerStrip, long([ROWS_PER_STRIP])],
      [TAGS.StripByteCounts, long(lengths)],
      [TAGS.PlanarConfiguration, short(1)],
      [TAGS.IccProfile, undefinedBytes(profile)],
    ]
    return encodeTiff([{ fields: new Map(fields) }]).bytes
  }
  const { length } = head(0)
  const file = new Uint8Array(length + pixels.length)
  file.set(head(length))
  file.set(pixels, length)
  return file
}

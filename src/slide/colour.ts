/**
 * What becomes of a slide's ICC profile. The pixels of a slide are numbers in the colours of its scanner: only together
 * with the profile do they say what was seen. Converted to sRGB they do without. sharp (libvips, Little CMS) converts.
 */
import sharp, { type Sharp } from 'sharp'
import { UnsupportedError } from '../errors.js'
import { type Colour, fill } from '../image/draw.js'
import type { Image } from '../image/image.js'
import { fromImage, toImage } from '../image/sharp.js'
import { COMPRESSION, PHOTOMETRIC, TAGS, type Tag } from '../tiff/tags.js'
import { encodeTiff, type Field, long, long8, short, undefinedBytes } from '../tiff/writer.js'
import { isOfSrgb, STRONG_COLOURS } from './icc-profile.js'

/**
 * `keep`: pixels are as they are stored, and the profile goes with them. `srgb`: pixels are converted by the profile, and
 * need none. `none`: pixels are as they are stored, without the profile.
 */
export const ICC_MODES = ['keep', 'srgb', 'none'] as const
export type IccMode = (typeof ICC_MODES)[number]

/** A pipeline of the pixels as they are that writes the profile, if there is one, into the file that it makes. */
export function fromProfiled(image: Image, profile: Uint8Array | null): Sharp {
  // sharp takes a profile only from a file that has it.
  return profile ? sharp(inTiff(image, profile), UNLIMITED).keepIccProfile() : fromImage(image)
}

// The pixels are here already, so their number is no danger.
const UNLIMITED = { limitInputPixels: false } as const

/** Converts pixels from the colours of a profile to sRGB, with the profile's perceptual intent. */
export class ToSrgb {
  readonly #profile: Uint8Array

  private constructor(profile: Uint8Array) {
    this.#profile = profile
  }

  /**
   * @param name of the file that has the profile
   * @throws UnsupportedError ERR_IMAGE_UNSUPPORTED if it is no profile by which RGB can be converted
   */
  static async open(profile: Uint8Array, name: string): Promise<ToSrgb> {
    if (await isUsable(profile)) return new ToSrgb(profile)
    const what = 'its ICC profile is none by which colours can be converted; take them as they are (keep or none)'
    throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', `${name}: ${what}`)
  }

  /** The image in sRGB, 8 bits, each value rounded. */
  convert(image: Image): Promise<Image> {
    return toImage(sharp(inTiff(image, this.#profile), UNLIMITED))
  }

  async colour(colour: Colour): Promise<Colour> {
    const [red, green, blue] = (await this.convert(fill(1, 1, colour))).data as unknown as [number, number, number]
    return { red, green, blue }
  }
}

/** How a slide's pixels are shown: converted or not, before which background, with which profile. */
export interface ShownColours {
  readonly toSrgb: Pick<ToSrgb, 'convert'> | null
  readonly background: Colour
  readonly profile: Uint8Array | null
}

/**
 * @param profile of the slide, in whose colours the background is
 * @param name of the slide's file
 * @throws UnsupportedError ERR_IMAGE_UNSUPPORTED for "srgb", if the profile is of no use
 */
export async function shownColours(
  icc: IccMode,
  profile: Uint8Array | null,
  background: Colour,
  name: string,
): Promise<ShownColours> {
  if (icc === 'keep') return { toSrgb: null, background, profile }
  if (icc === 'none' || !profile) return { toSrgb: null, background, profile: null }
  const toSrgb = await ToSrgb.open(profile, name)
  return { toSrgb, background: await toSrgb.colour(background), profile: null }
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

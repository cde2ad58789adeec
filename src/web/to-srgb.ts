/** Conversion by ICC profiles in browsers: the browser itself does it, as for every image that has a profile. */
import { UnsupportedError } from '../errors.js'
import { type Colour, fill } from '../image/draw.js'
import type { Image } from '../image/image.js'
import { isOfSrgb, STRONG_COLOURS } from '../slide/icc-profile.js'
import { pixelsOf } from './pixels.js'
import { profiledPng } from './png.js'

/** Converts pixels from the colours of a profile to sRGB, as this browser does. */
export class ToSrgb {
  readonly #profile: Uint8Array

  private constructor(profile: Uint8Array) {
    this.#profile = profile
  }

  /**
   * @param name of the file that has the profile
   * @throws UnsupportedError ERR_IMAGE_UNSUPPORTED if it is no profile by which the browser converts
   */
  static async open(profile: Uint8Array, name: string): Promise<ToSrgb> {
    const toSrgb = new ToSrgb(profile)
    // Browsers leave colours alone, without an error, where they can't use a profile.
    const { data } = await toSrgb.convert(STRONG_COLOURS).catch(() => STRONG_COLOURS)
    if (data.some((value, i) => value !== STRONG_COLOURS.data[i]) || isOfSrgb(profile)) return toSrgb
    const what = 'its ICC profile is none by which this browser converts colours; take them as they are (keep or none)'
    throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', `${name}: ${what}`)
  }

  async convert(image: Image): Promise<Image> {
    const png = new Blob(profiledPng(image, this.#profile), { type: 'image/png' })
    const bitmap = await createImageBitmap(png, { colorSpaceConversion: 'default' })
    try {
      return pixelsOf(bitmap)
    } finally {
      bitmap.close()
    }
  }

  async colour(colour: Colour): Promise<Colour> {
    const [red, green, blue] = (await this.convert(fill(1, 1, colour))).data as unknown as [number, number, number]
    return { red, green, blue }
  }
}

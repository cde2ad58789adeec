/**
 * Conversion by ICC profiles in browsers, in place of `src/slide/to-srgb.ts`: the browser does it itself, as for every image
 * that has a profile.
 */
import { UnsupportedError } from '../errors.js'
import type { Image } from '../image/image.js'
import { isOfSrgb, STRONG_COLOURS, type ToSrgb } from '../slide/icc-profile.js'
import { pixelsOf } from './pixels.js'
import { profiledPng } from './png.js'

/**
 * Conversion from the colours of a profile to sRGB, as this browser does it.
 *
 * @param name of the file that has the profile
 * @throws UnsupportedError ERR_IMAGE_UNSUPPORTED if it is no profile by which the browser converts
 */
export async function openToSrgb(profile: Uint8Array, name: string): Promise<ToSrgb> {
  const toSrgb = (image: Image) => converted(image, profile)
  // Browsers leave colours alone, without an error, where they can't use a profile.
  const { data } = await toSrgb(STRONG_COLOURS).catch(() => STRONG_COLOURS)
  if (data.some((value, i) => value !== STRONG_COLOURS.data[i]) || isOfSrgb(profile)) return toSrgb
  const what = 'its ICC profile is none by which this browser converts colours; take them as they are (keep or none)'
  throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', `${name}: ${what}`)
}

async function converted(image: Image, profile: Uint8Array): Promise<Image> {
  const png = new Blob(profiledPng(image, profile), { type: 'image/png' })
  const bitmap = await createImageBitmap(png, { colorSpaceConversion: 'default' })
  try {
    return pixelsOf(bitmap)
  } finally {
    bitmap.close()
  }
}

/**
 * What becomes of a slide's ICC profile. The pixels of a slide are numbers in the colours of its scanner: only together
 * with the profile do they say what was seen. Converted to sRGB they do without.
 */
import { type Colour, fill } from '../image/draw.js'
import type { ToSrgb } from './icc-profile.js'
import { openToSrgb } from './to-srgb.js'

/**
 * `keep`: pixels are as they are stored, and the profile goes with them. `srgb`: pixels are converted by the profile, and
 * need none. `none`: pixels are as they are stored, without the profile.
 */
export const ICC_MODES = ['keep', 'srgb', 'none'] as const
export type IccMode = (typeof ICC_MODES)[number]

/** How a slide's pixels are shown: converted or not, before which background, with which profile. */
export interface ShownColours {
  readonly toSrgb: ToSrgb | null
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
  const toSrgb = await openToSrgb(profile, name)
  const [red, green, blue] = (await toSrgb(fill(1, 1, background))).data as unknown as [number, number, number]
  return { toSrgb, background: { red, green, blue }, profile: null }
}

/** Colours in browsers, in place of `src/slide/colour.ts`. */
import type { Colour } from '../image/draw.js'
import type { IccMode, ShownColours } from '../slide/colour.js'
import { ToSrgb } from './to-srgb.js'

export const ICC_MODES = ['keep', 'srgb', 'none'] as const satisfies readonly IccMode[]

/** @throws UnsupportedError ERR_IMAGE_UNSUPPORTED for "srgb", if the profile is of no use */
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

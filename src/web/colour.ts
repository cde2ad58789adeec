/** Colours in browsers, in place of `src/slide/colour.ts`: pixels are as they are stored. */
import { UnsupportedError } from '../errors.js'
import type { Colour } from '../image/draw.js'
import type { IccMode, ShownColours } from '../slide/colour.js'

export const ICC_MODES = ['keep', 'srgb', 'none'] as const satisfies readonly IccMode[]

/** @throws UnsupportedError ERR_IMAGE_UNSUPPORTED for "srgb" where there is a profile */
export async function shownColours(
  icc: IccMode,
  profile: Uint8Array | null,
  background: Colour,
  name: string,
): Promise<ShownColours> {
  if (icc === 'srgb' && profile) {
    const what = 'it has an ICC profile, by which this build converts no colours; take them as they are (keep or none)'
    throw new UnsupportedError('ERR_IMAGE_UNSUPPORTED', `${name}: ${what}`)
  }
  return { toSrgb: null, background, profile: icc === 'keep' ? profile : null }
}

/**
 * De-identification: which properties, images and colour profile of a slide may go into a file without its label or
 * macro image.
 */
import { withoutText } from './icc-profile.js'
import type { SlideSource } from './source.js'

const NUMBER = /^[+-]?(\d{1,12}(\.\d{0,20})?|\.\d{1,20})(e[+-]?\d{1,3})?$/i

/**
 * Properties that describe the scan and nothing else, and the values that they may have. It is a list of what may stay:
 * vendors put names and dates under any key, and a field that should hold a number may hold anything.
 */
const HARMLESS: readonly (readonly [key: RegExp, value: RegExp])[] = [
  [/^openslide\.(mpp-[xy]|objective-power|level-count|bounds-(x|y|width|height))$/, NUMBER],
  [/^openslide\.level\[\d{1,3}\]\.(width|height|downsample|tile-width|tile-height)$/, NUMBER],
  [/^openslide\.background-color$/, /^[0-9a-f]{6}$/i],
  [
    /^openslide\.vendor$/,
    /^(aperio|dicom|generic-tiff|hamamatsu|leica|mirax|philips|sakura|synthetic|trestle|ventana|zeiss)$/,
  ],
  [/^tiff\.[XY]Resolution$/, NUMBER],
  [/^tiff\.ResolutionUnit$/, /^(inch|centimeter|none)$/],
  [/^aperio\.(AppMag|MPP)$/, NUMBER],
  [/^hamamatsu\.(SourceLens|XResolution|YResolution)$/, NUMBER],
  [/^mirax\.GENERAL\.OBJECTIVE_MAGNIFICATION$/, NUMBER],
  [/^cleric\.synthetic\.seed$/, NUMBER],
]

/** The properties that don't identify anybody. */
export function withoutIdentity(properties: Readonly<Record<string, string>>): Record<string, string> {
  const isHarmless = ([key, value]: [string, string]) => HARMLESS.some(([k, v]) => k.test(key) && v.test(value))
  return Object.fromEntries(Object.entries(properties).filter(isHarmless))
}

/** The parts of a slide that go into a file made of it. */
export interface Kept {
  readonly properties: Readonly<Record<string, string>>
  /** Names of associated images. */
  readonly images: readonly string[]
  readonly iccProfile: Uint8Array | null
}

/**
 * Everything, or, if the label or the macro image is to be left out, only what identifies nobody: the harmless
 * properties, an ICC profile without its texts, and of the other associated images the thumbnail, which by OpenSlide's
 * naming shows the scanned area.
 */
export function keptOf(slide: SlideSource, { label, macro }: { label: boolean; macro: boolean }): Kept {
  const { properties, associatedImages } = slide
  const iccProfile = slide.iccProfile?.() ?? null
  if (label && macro) return { properties, images: associatedImages, iccProfile }
  const allowed = ['thumbnail', ...(label ? ['label'] : []), ...(macro ? ['macro'] : [])]
  return {
    properties: withoutIdentity(properties),
    images: associatedImages.filter((name) => allowed.includes(name)),
    iccProfile: iccProfile && withoutText(iccProfile),
  }
}

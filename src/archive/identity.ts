/** Leaving out what tells whose slide it is. */

/** What describes the scan and nothing else. A list of what may stay: vendors put names and dates under any key. */
const HARMLESS = [
  /^openslide\.(mpp-[xy]|objective-power|vendor|level-count|background-color|bounds-(x|y|width|height))$/,
  /^openslide\.level\[\d+\]\.(width|height|downsample|tile-width|tile-height)$/,
  /^tiff\.(XResolution|YResolution|ResolutionUnit)$/,
  /^aperio\.(AppMag|MPP)$/,
  /^hamamatsu\.(SourceLens|XResolution|YResolution)$/,
  /^mirax\.GENERAL\.OBJECTIVE_MAGNIFICATION$/,
  /^cleric\.synthetic\.seed$/,
]

/** The properties that don't identify anybody. */
export function withoutIdentity(properties: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(properties).filter(([key]) => HARMLESS.some((allowed) => allowed.test(key))))
}

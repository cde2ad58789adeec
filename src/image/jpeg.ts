/**
 * Presets of all JPEGs that are written. Stains differ more in colour than in brightness: all of the chroma is kept.
 */

/** sharp's options for a quality of 1 to 100. */
export function jpegOptions(quality: number) {
  return { quality, chromaSubsampling: '4:4:4' } as const
}

export const JPEG = {
  /** Tiles of an archive's overview. */
  overview: jpegOptions(85),
  /** Label, macro image and the like in an archive. */
  associated: jpegOptions(85),
  /** The thumbnail in an archive: it shows nothing that the levels don't show better. */
  thumbnail: jpegOptions(75),
  /** Associated images in an export. */
  exportedAssociated: jpegOptions(90),
  /** JPEGs that are never stored, whose size measures how much is in a tile. */
  measure: jpegOptions(85),
  /** Tiles for the viewer. */
  viewer: jpegOptions(92),
  /** Image files that commands write. */
  file: jpegOptions(95),
} as const

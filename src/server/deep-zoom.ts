/** The document that describes an archive's pyramid to DeepZoom viewers; `archive/pyramid.ts` makes its tiles. */
import { PYRAMID_TILE } from '../archive/pyramid.js'
import type { Size } from '../image/image.js'

/** The .dzi document of an image of that size. */
export function describeDeepZoom({ width, height }: Size, format: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="${format}" Overlap="0" TileSize="${PYRAMID_TILE}">
  <Size Width="${width}" Height="${height}"/>
</Image>
`
}

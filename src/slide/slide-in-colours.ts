import type { Image } from '../image/image.js'
import { type IccMode, type ShownColours, shownColours } from './colour.js'
import { SlideOver } from './slide-over.js'
import type { JpegTiles, Region, SlideSource } from './source.js'

/**
 * The slide with its ICC profile kept, applied, or left out. It is the same slide, which is closed with it. Associated
 * images stay as they are: they are photographs by another camera, of which the profile says nothing.
 *
 * @throws UnsupportedError ERR_IMAGE_UNSUPPORTED for "srgb", if the slide's profile is of no use
 */
export async function inColours<Slide extends SlideSource>(
  slide: Slide,
  icc: IccMode,
): Promise<Slide | SlideInColours> {
  if (icc === 'keep') return slide
  const profile = icc === 'srgb' ? (slide.iccProfile?.() ?? null) : null
  return new SlideInColours(slide, await shownColours(icc, profile, slide.background, slide.path))
}

export class SlideInColours extends SlideOver {
  readonly #toSrgb: ShownColours['toSrgb']

  constructor(slide: SlideSource, { toSrgb, background }: ShownColours) {
    super(slide, { background })
    this.#toSrgb = toSrgb
  }

  async readRegion(region: Region, signal?: AbortSignal): Promise<Image> {
    const image = await this.slide.readRegion(region, signal)
    return this.#toSrgb ? this.#toSrgb(image) : image
  }

  /** What is converted isn't what the slide stores. */
  override jpegTiles(level: number): JpegTiles | null {
    return this.#toSrgb ? null : super.jpegTiles(level)
  }

  override iccProfile(): null {
    return null
  }
}

import type { Image, Size } from '../image/image.js'
import { type IccMode, type ShownColours, shownColours, type ToSrgb } from './colour.js'
import type { Region, SlideSource } from './source.js'

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

export class SlideInColours implements SlideSource, Disposable {
  readonly format: string
  readonly path: string
  readonly bytes: number
  readonly levels: SlideSource['levels']
  readonly mpp: SlideSource['mpp']
  readonly objectivePower: number | null
  readonly background: SlideSource['background']
  readonly properties: SlideSource['properties']
  readonly associatedImages: readonly string[]
  readonly contents: SlideSource['contents']
  readonly warnings: SlideSource['warnings']
  readonly #slide: SlideSource
  readonly #toSrgb: ToSrgb | null

  constructor(slide: SlideSource, { toSrgb, background }: ShownColours) {
    this.format = slide.format
    this.path = slide.path
    this.bytes = slide.bytes
    this.levels = slide.levels
    this.mpp = slide.mpp
    this.objectivePower = slide.objectivePower
    this.background = background
    this.properties = slide.properties
    this.associatedImages = slide.associatedImages
    this.contents = slide.contents
    this.warnings = slide.warnings
    this.#slide = slide
    this.#toSrgb = toSrgb
  }

  async readRegion(region: Region, signal?: AbortSignal): Promise<Image> {
    const image = await this.#slide.readRegion(region, signal)
    return this.#toSrgb ? this.#toSrgb.convert(image) : image
  }

  readAssociatedImage(name: string, signal?: AbortSignal): Promise<Image> {
    return this.#slide.readAssociatedImage(name, signal)
  }

  iccProfile(): null {
    return null
  }

  tileSize(level: number): Size | null {
    return this.#slide.tileSize?.(level) ?? null
  }

  close(): void {
    this.#slide.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

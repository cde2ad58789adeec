/** Tiles as they are sent, with what becomes of the slide's ICC profile. */
import type { Sharp } from 'sharp'
import { UnsupportedError } from '../errors.js'
import type { Image } from '../image/image.js'
import { JPEG } from '../image/jpeg.js'
import { fromImage } from '../image/sharp.js'
import type { IccMode } from '../slide/colour.js'
import type { ToSrgb } from '../slide/icc-profile.js'
import type { SlideSource } from '../slide/source.js'
import { fromProfiled, openToSrgb } from '../slide/to-srgb.js'

export type TileFormat = 'jpeg' | 'png' | 'webp'

export class TileEncoder {
  readonly #name: string
  readonly #profile: Uint8Array | null
  #toSrgb: Promise<ToSrgb> | null = null

  constructor(slide: SlideSource) {
    this.#name = slide.path
    this.#profile = slide.iccProfile?.() ?? null
  }

  /**
   * @param change what is done to the pixels before
   * @throws UnsupportedError ERR_IMAGE_UNSUPPORTED for "srgb", if the slide's profile is of no use
   */
  async encode(
    image: Image,
    format: TileFormat,
    icc: IccMode,
    change: (pipeline: Sharp) => Sharp = (pipeline) => pipeline,
  ): Promise<Buffer> {
    const profile = this.#profile
    const shown = profile && icc === 'srgb' ? await (await this.#colours(profile))(image) : image
    const pipeline = change(icc === 'keep' ? fromProfiled(shown, profile) : fromImage(shown))
    return encoded(pipeline, format).toBuffer()
  }

  /** "srgb", or, if the slide's profile is of no use, "none": what a page that knows no profiles should ask for. */
  async best(): Promise<IccMode> {
    if (!this.#profile) return 'srgb'
    try {
      await this.#colours(this.#profile)
      return 'srgb'
    } catch (error) {
      if (error instanceof UnsupportedError) return 'none'
      throw error
    }
  }

  #colours(profile: Uint8Array): Promise<ToSrgb> {
    this.#toSrgb ??= openToSrgb(profile, this.#name)
    return this.#toSrgb
  }
}

function encoded(pipeline: Sharp, format: TileFormat): Sharp {
  if (format === 'png') return pipeline.png()
  if (format === 'webp') return pipeline.webp({ quality: JPEG.viewer.quality })
  return pipeline.jpeg(JPEG.viewer)
}

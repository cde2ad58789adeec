/** Tiles as they are sent, with what becomes of the slide's ICC profile. */
import type { Archive } from '../archive/archive.js'
import { UnsupportedError } from '../errors.js'
import type { Image } from '../image/image.js'
import { JPEG } from '../image/jpeg.js'
import { fromImage } from '../image/sharp.js'
import { fromProfiled, type IccMode, ToSrgb } from '../slide/colour.js'

export type TileFormat = 'jpeg' | 'png'

export class TileEncoder {
  readonly #name: string
  readonly #profile: Uint8Array | null
  #toSrgb: Promise<ToSrgb> | null = null

  constructor(archive: Archive) {
    this.#name = archive.path
    this.#profile = archive.iccProfile()
  }

  /** @throws UnsupportedError ERR_IMAGE_UNSUPPORTED for "srgb", if the slide's profile is of no use */
  async encode(image: Image, format: TileFormat, icc: IccMode): Promise<Buffer> {
    const profile = this.#profile
    const shown = profile && icc === 'srgb' ? await (await this.#colours(profile)).convert(image) : image
    const pipeline = icc === 'keep' ? fromProfiled(shown, profile) : fromImage(shown)
    return (format === 'png' ? pipeline.png() : pipeline.jpeg(JPEG.viewer)).toBuffer()
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
    this.#toSrgb ??= ToSrgb.open(profile, this.#name)
    return this.#toSrgb
  }
}

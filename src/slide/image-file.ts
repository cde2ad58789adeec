/** A PNG, JPEG, WebP ... as a slide of one level, read by sharp. */
import { type BigIntStats, statSync } from 'node:fs'
import sharp from 'sharp'
import { untilAborted } from '../concurrency/abort.js'
import { SlideError, throwIfAborted } from '../errors.js'
import { changed, versionOf } from '../files/version.js'
import { fill, paste, WHITE } from '../image/draw.js'
import type { Image, Size } from '../image/image.js'
import { toImage } from '../image/sharp.js'
import type { SlideChoice } from './choice.js'
import { deepImage, deepRange } from './deep-image.js'
import { type ImageFacts, imageFacts } from './image-facts.js'
import type { Range } from './range.js'
import { checkRegion, type Level, type Region, type SlideSource } from './source.js'

/** Up to this size an image is decoded once and kept; larger ones are decoded again for every region. */
const KEEP_BYTES = 2 ** 28

export class ImageFile implements SlideSource, Disposable {
  readonly format: string
  readonly path: string
  readonly bytes: number
  readonly levels: readonly Level[]
  readonly mpp: ImageFacts['mpp']
  readonly objectivePower = null
  readonly background = WHITE
  readonly properties = {}
  readonly associatedImages: readonly string[] = []
  readonly contents: ImageFacts['contents']
  readonly warnings: readonly string[]
  /** The frame of a file of several. */
  readonly #page: number | undefined
  /** Brings values of more than 8 bits into 8; null if they have 8. */
  readonly #range: Range | null
  readonly #version: string
  /** All of the image. */
  #pixels: Promise<Image> | undefined

  private constructor(path: string, stats: BigIntStats, format: string, facts: ImageFacts, range: Range | null) {
    this.path = path
    this.format = format
    this.bytes = Number(stats.size)
    this.#version = versionOf(stats)
    const { mpp, contents, warnings, page } = facts
    const { width, height } = contents[0] as Size
    this.levels = [{ width, height, downsample: 1 }]
    this.mpp = mpp
    this.contents = contents
    const about = range && `values from ${range.min} to ${range.max} are shown as 0 to 255; those beyond are clipped`
    this.warnings = about ? [...warnings, about] : warnings
    this.#page = page
    this.#range = range
  }

  /** @throws SlideError ERR_UNSUPPORTED_SLIDE for a file that sharp can't read. */
  static async open(path: string, choice: SlideChoice = {}): Promise<ImageFile> {
    try {
      const stats = statSync(path, { bigint: true })
      const metadata = await sharp(path, OPTIONS).metadata()
      // libvips has its own ideas of what a TIFF's tags mean: a TIFF is read tile by tile, or not at all.
      if (metadata.format === 'tiff')
        throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} is a TIFF, and no image file`)
      const facts = await imageFacts(path, metadata, choice)
      const pipeline = () => sharp(path, { ...OPTIONS, page: facts.page ?? 0 })
      const range = facts.isDeep ? await deepRange(pipeline, choice.range ?? 'auto') : null
      return new ImageFile(path, stats, metadata.format ?? 'image', facts, range)
    } catch (cause) {
      if (cause instanceof SlideError) throw cause
      throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} is no slide or image that can be read: ${reason(cause)}`, {
        cause,
      })
    }
  }

  /** @throws SlideError ERR_UNSUPPORTED_SLIDE; ClericError ERR_FILE_CHANGED; AbortedError */
  async readRegion(region: Region, signal?: AbortSignal): Promise<Image> {
    checkRegion(region, 1)
    throwIfAborted(signal)
    const { width, height } = this.levels[0] as Level
    const left = Math.max(0, region.x)
    const top = Math.max(0, region.y)
    const right = Math.min(width, region.x + region.width)
    const bottom = Math.min(height, region.y + region.height)
    const image = fill(region.width, region.height, WHITE)
    if (right <= left || bottom <= top) return image
    if (width * height * 3 > KEEP_BYTES) {
      const part = this.#decode({ left, top, width: right - left, height: bottom - top })
      paste(await untilAborted(part, signal), image, left - region.x, top - region.y)
    } else {
      paste(await untilAborted(this.#whole(), signal), image, -region.x, -region.y)
    }
    return image
  }

  readAssociatedImage(name: string): Promise<Image> {
    return Promise.reject(new SlideError('ERR_UNSUPPORTED_SLIDE', `${this.path} has no associated image ${name}`))
  }

  close(): void {
    this.#pixels = undefined
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** Decoded once for all readers. A failure is not kept: the next reader tries again. */
  #whole(): Promise<Image> {
    if (this.#pixels) return this.#pixels
    const pixels = this.#decode()
    this.#pixels = pixels
    pixels.catch(() => {
      if (this.#pixels === pixels) this.#pixels = undefined
    })
    return pixels
  }

  async #decode(area?: { left: number; top: number; width: number; height: number }): Promise<Image> {
    const decoded = this.#read(area)
    // Whether it succeeds or fails: both count only if the file is still the one that was opened.
    await decoded.catch(() => {})
    this.#mustBeSame()
    return decoded
  }

  async #read(area?: { left: number; top: number; width: number; height: number }): Promise<Image> {
    try {
      const all = sharp(this.path, this.#page === undefined ? OPTIONS : { ...OPTIONS, page: this.#page })
      const pipeline = area ? all.extract(area) : all
      return this.#range ? await deepImage(pipeline, this.#range) : await toImage(pipeline)
    } catch (cause) {
      throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${this.path} can't be decoded: ${reason(cause)}`, { cause })
    }
  }

  /** Fails if the file is another by now: it would have other pixels, and maybe another size. */
  #mustBeSame(): void {
    const stats = statSync(this.path, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined || versionOf(stats) !== this.#version) throw changed(this.path)
  }
}

const OPTIONS = { failOn: 'warning', limitInputPixels: 2 ** 34, autoOrient: true } as const

function reason(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] as string
}

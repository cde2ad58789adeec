/** A PNG, JPEG or WebP as a slide of one level, read by sharp. */
import { type BigIntStats, statSync } from 'node:fs'
import sharp, { type Metadata } from 'sharp'
import { SharedPromise } from '../concurrency/shared-promise.js'
import { ClericError, SlideError } from '../errors.js'
import { changed, versionOf } from '../files/version.js'
import { fill, paste, WHITE } from '../image/draw.js'
import type { Image, Size } from '../image/image.js'
import { toImage } from '../image/sharp.js'
import type { SlideChoice } from './choice.js'
import { DecodedCopy, type DecodedCopyOptions } from './decoded-copy.js'
import { deepImage, deepRange } from './deep-image.js'
import { type ImageFacts, imageFacts } from './image-facts.js'
import type { Range } from './range.js'
import { inspectTiff, refuseAbsurdImage, refuseManyScans } from './size-limits.js'
import { checkImageRead, checkRead, type Level, type Region, type SlideSource } from './source.js'
import { storedRectangle, turned } from './tiff/orientation.js'

const KEEP_BYTES = 2 ** 28

interface ImageFileOptions extends DecodedCopyOptions {
  /** Most bytes of pixels to keep in memory; an image that has more is decoded into a file, once. Default: 256 MiB. */
  readonly keepBytes?: number
  readonly choice?: SlideChoice
}

/** What is known of an image before its pixels are read. */
interface Header {
  readonly metadata: Metadata
  readonly facts: ImageFacts
  readonly range: Range | null
}

interface Rectangle {
  readonly left: number
  readonly top: number
  readonly width: number
  readonly height: number
}

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
  readonly #keepBytes: number
  readonly #metadata: Metadata
  readonly #iccProfile: Uint8Array | null
  /** All of the image. */
  readonly #pixels = new SharedPromise(() => this.#decode(), isDamage)
  readonly #copy: SharedPromise<DecodedCopy>
  #isClosed = false

  private constructor(
    path: string,
    stats: BigIntStats,
    { metadata, facts, range }: Header,
    { keepBytes = KEEP_BYTES, choice: _, ...copyOptions }: ImageFileOptions,
  ) {
    this.path = path
    this.format = metadata.format
    this.bytes = Number(stats.size)
    this.#version = versionOf(stats)
    this.#keepBytes = keepBytes
    this.#metadata = metadata
    const { mpp, contents, warnings, page } = facts
    const { width, height } = contents[0] as Size
    this.levels = [{ width, height, downsample: 1 }]
    this.mpp = mpp
    this.contents = contents
    const about = range && `values from ${range.min} to ${range.max} are shown as 0 to 255; those beyond are clipped`
    this.warnings = about ? [...warnings, about] : warnings
    this.#page = page
    this.#range = range
    this.#iccProfile = profileOf(metadata)
    const making = { ...copyOptions, ignoreIcc: this.#iccProfile !== null }
    const make = (stop: AbortSignal) =>
      this.#whenSame(DecodedCopy.make(path, metadata, making, stop), (copy) => copy.close())
    this.#copy = new SharedPromise(make, isDamage)
  }

  /**
   * @throws SlideError ERR_UNSUPPORTED_SLIDE for a file that sharp can't read, or not within bounds
   */
  static async open(path: string, options: ImageFileOptions = {}): Promise<ImageFile> {
    try {
      const stats = statSync(path, { bigint: true })
      // libvips has its own ideas of what a TIFF's tags mean: TiffSlide reads them.
      if (await inspectTiff(path)) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} is a TIFF, and no image file`)
      const metadata = await sharp(path, OPTIONS).metadata()
      refuseAbsurdImage(path, metadata, Number(stats.size))
      await refuseManyScans(path, metadata)
      const { choice = {}, keepBytes = KEEP_BYTES } = options
      const facts = await imageFacts(path, metadata, choice)
      const { width, height } = facts.contents[0] as Size
      // The decoded copy has 8 bits and the first frame.
      if ((facts.isDeep || facts.page !== undefined) && width * height * 3 > keepBytes) {
        const what = `${path}: ${width} x ${height} pixels are too many for a page or range; save it with 8 bits, alone`
        throw new SlideError('ERR_UNSUPPORTED_SLIDE', what)
      }
      const inOptions = { ...OPTIONS, ignoreIcc: profileOf(metadata) !== null, page: facts.page ?? 0 }
      const pipeline = () => sharp(path, inOptions)
      const range = facts.isDeep ? await deepRange(pipeline, choice.range ?? 'auto') : null
      return new ImageFile(path, stats, { metadata, facts, range }, options)
    } catch (cause) {
      if (cause instanceof ClericError) throw cause
      throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} is no slide or image that can be read: ${reason(cause)}`, {
        cause,
      })
    }
  }

  /**
   * @throws SlideError ERR_UNSUPPORTED_SLIDE; ClericError ERR_FILE_CHANGED, and of a large image ERR_DISK_FULL and
   * ERR_NOT_WRITABLE; AbortedError
   */
  async readRegion(region: Region, signal?: AbortSignal): Promise<Image> {
    checkRead(region, 1, signal)
    if (this.#isClosed) throw new ClericError('ERR_CLOSED', `The slide ${this.path} is closed`)
    const { width, height } = this.levels[0] as Level
    const left = Math.max(0, region.x)
    const top = Math.max(0, region.y)
    const right = Math.min(width, region.x + region.width)
    const bottom = Math.min(height, region.y + region.height)
    const image = fill(region.width, region.height, WHITE)
    if (right <= left || bottom <= top) return image
    if (width * height * 3 > this.#keepBytes) {
      const part = await this.#part({ left, top, width: right - left, height: bottom - top }, signal)
      paste(part, image, left - region.x, top - region.y)
    } else {
      paste(await this.#pixels.get(signal), image, -region.x, -region.y)
    }
    return image
  }

  async readAssociatedImage(name: string, signal?: AbortSignal): Promise<Image> {
    checkImageRead(name, signal)
    throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${this.path} has no associated image ${name}`)
  }

  /** Null, too, for a profile of grey or CMYK, by which the pixels are converted as they become RGB. */
  iccProfile(): Uint8Array | null {
    return this.#iccProfile
  }

  /** Stops decoding, and removes the decoded copy. */
  close(): void {
    this.#isClosed = true
    this.#pixels.clear()
    this.#copy.clear((copy) => copy.close())
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** A part of an image that is too large to be kept. */
  async #part(area: Rectangle, signal: AbortSignal | undefined): Promise<Image> {
    const { orientation = 1 } = this.#metadata
    const copy = await this.#copy.get(signal)
    const { left, top, ...size } = storedRectangle(orientation, area, this.#metadata)
    return turned(orientation, await copy.read(left, top, size, signal))
  }

  async #decode(): Promise<Image> {
    return this.#whenSame(this.#read())
  }

  /** Whether it succeeds or fails, both count only if the file is still the one that was opened. */
  async #whenSame<T>(decoded: Promise<T>, discard: (value: T) => void = () => {}): Promise<T> {
    await decoded.catch(() => {})
    try {
      this.#mustBeSame()
    } catch (error) {
      decoded.then(discard, () => {})
      throw error
    }
    return decoded
  }

  async #read(): Promise<Image> {
    try {
      const options = { ...OPTIONS, ignoreIcc: this.#iccProfile !== null }
      const pipeline = sharp(this.path, this.#page === undefined ? options : { ...options, page: this.#page })
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

/** The profile of an image whose values stay as they are. */
function profileOf({ icc, space, channels }: Metadata): Uint8Array | null {
  return icc && (space === 'srgb' || space === 'rgb16') && channels >= 3 ? icc : null
}

/** Whether decoding once more would fail in the same way. */
function isDamage(error: unknown): boolean {
  return error instanceof SlideError
}

function reason(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] as string
}

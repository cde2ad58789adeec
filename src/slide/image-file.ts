/** A PNG, JPEG, TIFF or WebP as a slide of one level, read by sharp. */
import { type BigIntStats, statSync } from 'node:fs'
import sharp, { type Metadata } from 'sharp'
import { untilAborted } from '../concurrency/abort.js'
import { Shared } from '../concurrency/shared.js'
import { ClericError, SlideError, throwIfAborted } from '../errors.js'
import { changed, versionOf } from '../files/version.js'
import { fill, paste, WHITE } from '../image/draw.js'
import type { Image } from '../image/image.js'
import { toImage } from '../image/sharp.js'
import type { TiffFile } from '../tiff/file.js'
import { TAGS } from '../tiff/tags.js'
import { DecodedCopy, type DecodedCopyOptions } from './decoded-copy.js'
import { inspectTiff, refuseAbsurdImage } from './size-limits.js'
import { checkRegion, type Level, type Region, type SlideSource } from './source.js'
import { storedRectangle, turned } from './tiff/orientation.js'

const KEEP_BYTES = 2 ** 28

interface ImageFileOptions extends DecodedCopyOptions {
  /** Most bytes of pixels to keep in memory; an image that has more is decoded into a file, once. Default: 256 MiB. */
  readonly keepBytes?: number
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
  readonly mpp = null
  readonly objectivePower = null
  readonly background = WHITE
  readonly properties = {}
  readonly associatedImages: readonly string[] = []
  readonly #version: string
  readonly #keepBytes: number
  readonly #metadata: Metadata
  /** Whether any part can be decoded without what is above it. */
  readonly #isTiled: boolean
  /** All of the image. */
  readonly #pixels = new Shared(() => this.#decode(), isDamage)
  readonly #copy: Shared<DecodedCopy>

  private constructor(
    path: string,
    stats: BigIntStats,
    metadata: Metadata,
    tiff: TiffFile | null,
    { keepBytes = KEEP_BYTES, ...copyOptions }: ImageFileOptions,
  ) {
    this.path = path
    this.format = metadata.format
    this.bytes = Number(stats.size)
    this.#version = versionOf(stats)
    this.#keepBytes = keepBytes
    this.#metadata = metadata
    this.#isTiled = tiff?.pages[0]?.directory.has(TAGS.TileWidth) ?? false
    this.levels = [{ width: metadata.autoOrient.width, height: metadata.autoOrient.height, downsample: 1 }]
    this.#copy = new Shared((stop) => this.#whenSame(DecodedCopy.make(path, metadata, copyOptions, stop)), isDamage)
  }

  /**
   * @throws SlideError ERR_UNSUPPORTED_SLIDE for a file that sharp can't read, or not within bounds
   */
  static async open(path: string, options: ImageFileOptions = {}): Promise<ImageFile> {
    try {
      const stats = statSync(path, { bigint: true })
      const tiff = await inspectTiff(path)
      const metadata = await sharp(path, OPTIONS).metadata()
      refuseAbsurdImage(path, metadata, Number(stats.size))
      return new ImageFile(path, stats, metadata, tiff, options)
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
    checkRegion(region, 1)
    throwIfAborted(signal)
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

  readAssociatedImage(name: string): Promise<Image> {
    return Promise.reject(new SlideError('ERR_UNSUPPORTED_SLIDE', `${this.path} has no associated image ${name}`))
  }

  /** Stops decoding, and removes the decoded copy. */
  close(): void {
    this.#pixels.clear()
    this.#copy.clear((copy) => copy.close())
  }

  [Symbol.dispose](): void {
    this.close()
  }

  /** A part of an image that is too large to be kept. */
  async #part(area: Rectangle, signal: AbortSignal | undefined): Promise<Image> {
    if (this.#isTiled) return untilAborted(this.#decode(area), signal)
    const { orientation = 1 } = this.#metadata
    const copy = await this.#copy.get(signal)
    const { left, top, ...size } = storedRectangle(orientation, area, this.#metadata)
    return turned(orientation, await copy.read(left, top, size, signal))
  }

  async #decode(area?: Rectangle): Promise<Image> {
    return this.#whenSame(this.#read(area))
  }

  /** Whether it succeeds or fails, both count only if the file is still the one that was opened. */
  async #whenSame<T>(decoded: Promise<T>): Promise<T> {
    await decoded.catch(() => {})
    this.#mustBeSame()
    return decoded
  }

  async #read(area?: Rectangle): Promise<Image> {
    try {
      const pipeline = sharp(this.path, OPTIONS)
      return await toImage(area ? pipeline.extract(area) : pipeline)
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

const OPTIONS = { failOn: 'error', limitInputPixels: 2 ** 34, autoOrient: true } as const

/** Whether decoding once more would fail in the same way. */
function isDamage(error: unknown): boolean {
  return error instanceof SlideError
}

function reason(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] as string
}

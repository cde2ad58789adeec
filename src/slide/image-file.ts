/** A PNG, JPEG, TIFF, WebP ... as a slide of one level, read by sharp. */
import { statSync } from 'node:fs'
import sharp from 'sharp'
import { SlideError, throwIfAborted } from '../errors.js'
import { fill, paste, WHITE } from '../image/draw.js'
import type { Image } from '../image/image.js'
import { toImage } from '../image/sharp.js'
import { checkRegion, type Level, type Region, type SlideSource } from './source.js'

/** Up to this size an image is decoded once and kept; larger ones are decoded again for every region. */
const KEEP_BYTES = 2 ** 28

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
  #pixels: Promise<Image> | undefined

  private constructor(path: string, format: string, width: number, height: number) {
    this.path = path
    this.format = format
    this.bytes = statSync(path).size
    this.levels = [{ width, height, downsample: 1 }]
  }

  /** @throws SlideError ERR_UNSUPPORTED_SLIDE for a file that sharp can't read. */
  static async open(path: string): Promise<ImageFile> {
    try {
      const { format, autoOrient } = await sharp(path, OPTIONS).metadata()
      return new ImageFile(path, format ?? 'image', autoOrient.width, autoOrient.height)
    } catch (cause) {
      throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} is no slide or image that can be read: ${reason(cause)}`, {
        cause,
      })
    }
  }

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
      const part = await this.#decode({ left, top, width: right - left, height: bottom - top })
      paste(part, image, left - region.x, top - region.y)
    } else {
      this.#pixels ??= this.#decode()
      paste(await this.#pixels, image, -region.x, -region.y)
    }
    throwIfAborted(signal)
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

  async #decode(area?: { left: number; top: number; width: number; height: number }): Promise<Image> {
    try {
      const pipeline = sharp(this.path, OPTIONS)
      return await toImage(area ? pipeline.extract(area) : pipeline)
    } catch (cause) {
      throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${this.path} can't be decoded: ${reason(cause)}`, { cause })
    }
  }
}

const OPTIONS = { failOn: 'error', limitInputPixels: 2 ** 34, autoOrient: true } as const

function reason(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] as string
}

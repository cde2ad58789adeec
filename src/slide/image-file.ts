/** A PNG, JPEG, TIFF, WebP ... as a slide of one level, read by sharp. */
import { statSync } from 'node:fs'
import sharp, { type Sharp } from 'sharp'
import type { Image } from '../codec/image.js'
import { SlideError, throwIfAborted } from '../errors.js'
import { checkRegion, fill, type Level, paste, type Region, type SlideSource, WHITE } from './source.js'

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

/** Pixels of a sharp pipeline as 8-bit RGB; transparency on white. */
export async function toImage(pipeline: Sharp): Promise<Image> {
  const { data, info } = await pipeline
    .flatten({ background: '#ffffff' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  if (info.channels === 3) return { data, width: info.width, height: info.height, channels: 3 }
  const rgb = new Uint8Array(info.width * info.height * 3)
  for (let i = 0, j = 0; i < rgb.length; i += 3, j += info.channels) rgb.fill(data[j] as number, i, i + 3)
  return { data: rgb, width: info.width, height: info.height, channels: 3 }
}

/** An image as input of a sharp pipeline. */
export function fromImage(image: Image): Sharp {
  // The pixels are here already, so their number is no danger.
  const raw = { width: image.width, height: image.height, channels: 3 } as const
  return sharp(image.data, { raw, limitInputPixels: false })
}

function reason(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] as string
}

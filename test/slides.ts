/** Slides made of images in memory, for tests. */
import { throwIfAborted } from '../src/errors.js'
import { fill, paste, WHITE } from '../src/image/draw.js'
import type { Image } from '../src/image/image.js'
import { checkRegion, type Level, levelPosition, type Region, type SlideSource } from '../src/slide/source.js'
import { SyntheticSlide } from '../src/slide/synthetic.js'

/** A slide whose levels are the given images. */
export function memorySlide(images: readonly Image[], facts: Partial<SlideSource> = {}): SlideSource {
  const first = images[0] as Image
  const levels: Level[] = images.map(({ width, height }) => ({ width, height, downsample: first.width / width }))
  return {
    format: 'memory',
    path: 'memory',
    bytes: 0,
    levels,
    mpp: null,
    objectivePower: null,
    background: WHITE,
    properties: {},
    associatedImages: [],
    async readRegion(region: Region) {
      checkRegion(region, levels.length)
      return regionOf(images[region.level] as Image, region, levels[region.level] as Level, WHITE)
    },
    readAssociatedImage: (name) => Promise.reject(new Error(`no ${name}`)),
    close() {},
    ...facts,
  }
}

/** The region of the level that the image is; what lies outside has the background's colour. */
function regionOf(image: Image, region: Region, { downsample }: Level, background: SlideSource['background']): Image {
  const out = fill(region.width, region.height, background)
  paste(image, out, -levelPosition(region.x, downsample), -levelPosition(region.y, downsample))
  return out
}

/** The part of an image from (x, y) on, at most width x height. */
export function crop(image: Image, x: number, y: number, width: number, height: number): Image {
  const out = fill(Math.min(width, image.width - x), Math.min(height, image.height - y), WHITE)
  paste(image, out, -x, -y)
  return out
}

/** A small drawn slide each of whose levels is drawn once, when it is first read: most tests read theirs many times. */
export class DrawnSlide extends SyntheticSlide {
  readonly #drawn = new Map<number, Promise<Image>>()

  override async readRegion(region: Region, signal?: AbortSignal): Promise<Image> {
    checkRegion(region, this.levels.length)
    throwIfAborted(signal)
    const level = this.levels[region.level] as Level
    const { width, height } = level
    const drawing =
      this.#drawn.get(region.level) ?? super.readRegion({ x: 0, y: 0, level: region.level, width, height })
    this.#drawn.set(region.level, drawing)
    const out = regionOf(await drawing, region, level, this.background)
    throwIfAborted(signal)
    return out
  }
}

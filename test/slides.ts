/** Slides made of images in memory, for tests. */
import { fill, paste, WHITE } from '../src/image/draw.js'
import type { Image } from '../src/image/image.js'
import { checkRegion, type Level, levelPosition, type Region, type SlideSource } from '../src/slide/source.js'

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
      const downsample = levels[region.level]?.downsample as number
      const out = fill(region.width, region.height, WHITE)
      paste(
        images[region.level] as Image,
        out,
        -levelPosition(region.x, downsample),
        -levelPosition(region.y, downsample),
      )
      return out
    },
    readAssociatedImage: (name) => Promise.reject(new Error(`no ${name}`)),
    close() {},
    ...facts,
  }
}

/** The part of an image from (x, y) on, at most width x height. */
export function crop(image: Image, x: number, y: number, width: number, height: number): Image {
  const out = fill(Math.min(width, image.width - x), Math.min(height, image.height - y), WHITE)
  paste(image, out, -x, -y)
  return out
}

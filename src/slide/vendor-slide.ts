/**
 * A scanner's slide: OpenSlide reads it, but for what OpenSlide is known to read wrong in files that are TIFFs, which
 * the reader here takes over.
 */
import type { Image, Size } from '../image/image.js'
import { type StoredTiffImage, storedImage } from '../tiff/stored-image.js'
import { TAGS } from '../tiff/tags.js'
import type { OpenSlideHandle } from './openslide.js'
import { SlideOver } from './slide-over.js'
import { checkRead, type HeldImage, type JpegTiles, type Level, levelPosition, type Region } from './source.js'
import { jpegTilesOf } from './tiff/jpeg-tiles.js'
import { JPEG, whyUnreadable } from './tiff/readable.js'
import { StoredLevel } from './tiff/stored-level.js'
import type { OpenTiff } from './tiff/tiff-slide.js'

/** Compressions whose tiles OpenSlide decodes by itself: JPEG, and Aperio's JPEG 2000. The others libtiff does. */
const DECODED_BY_OPENSLIDE: readonly number[] = [JPEG, 33003, 33005]

export class VendorSlide extends SlideOver {
  readonly #tiff: OpenTiff | null
  readonly #takenOver: ReadonlyMap<number, StoredLevel>
  readonly #jpegs: ReadonlyMap<number, JpegTiles>

  /** @param tiff the same file, closed with the slide; null if it is no TIFF */
  constructor(slide: OpenSlideHandle, tiff: OpenTiff | null) {
    const images = tiff ? imagesOf(tiff) : []
    super(slide, factsOf(images, slide))
    this.#tiff = tiff
    const levels = images.filter((image) => image.isTiled)
    const taken: [number, StoredLevel][] = []
    const jpegs = new Map<number, JpegTiles>()
    for (const [level, { width, height }] of slide.levels.entries()) {
      const image = levels.find((each) => each.width === width && each.height === height)
      const stored = tiff && image ? jpegTilesOf(tiff.file, image) : null
      if (stored) jpegs.set(level, stored)
      if (tiff && image && isReadWrong(image)) taken.push([level, new StoredLevel(tiff.file, image, tiff.path, null)])
    }
    this.#takenOver = new Map(taken)
    this.#jpegs = jpegs
    if (taken.length + jpegs.size === 0) tiff?.close()
  }

  async readRegion(region: Region, signal?: AbortSignal): Promise<Image> {
    const { x, y, level, width, height } = checkRead(region, this.levels.length, signal)
    const stored = this.#takenOver.get(level)
    if (!stored) return this.slide.readRegion(region, signal)
    const { downsample } = this.levels[level] as Level
    return stored.read(levelPosition(x, downsample), levelPosition(y, downsample), { width, height }, signal)
  }

  override tileSize(level: number): Size | null {
    const size = (axis: string) => Number(this.properties[`openslide.level[${level}].tile-${axis}`])
    const [width, height] = [size('width'), size('height')]
    return width > 0 && height > 0 ? { width, height } : null
  }

  override jpegTiles(level: number): JpegTiles | null {
    return this.#jpegs.get(level) ?? null
  }

  override close(): void {
    for (const stored of this.#takenOver.values()) stored.close()
    this.#tiff?.close()
    super.close()
  }
}

/** The images of the main chain and the SubIFDs, as far as they say how large they are. */
function imagesOf({ file }: OpenTiff): StoredTiffImage[] {
  const all = file.pages.flatMap(({ directory, children }, page) => [
    storedImage(directory, { page, subIfd: null }),
    ...children.map((child, subIfd) => storedImage(child, { page, subIfd })),
  ])
  return all.filter((image) => typeof image !== 'string')
}

/**
 * libtiff's RGBA interface, by which OpenSlide reads what isn't JPEG, scrambles in many releases (4.7.0 is one) the tiles of
 * images that are narrower or lower than one.
 */
function isReadWrong(image: StoredTiffImage): boolean {
  if (DECODED_BY_OPENSLIDE.includes(image.compression) || whyUnreadable(image) !== null) return false
  return image.width < image.segmentWidth || image.height < image.segmentHeight
}

/** Why no reader should be given a vendor's TIFF, though OpenSlide opens it; null if there is no reason. */
export function whyUnsafe(tiff: OpenTiff): string | null {
  for (const image of imagesOf(tiff)) {
    if (image.isTiled && image.orientation !== 1) {
      return `directory ${image.page}: Orientation is ${image.orientation}, which OpenSlide doesn't heed`
    }
  }
  return null
}

/** Which of the file's images OpenSlide shows. Images of other sizes than it tells of are taken for no loss. */
function factsOf(images: readonly StoredTiffImage[], slide: OpenSlideHandle) {
  const contents: HeldImage[] = []
  const seen = new Set<number>()
  const again: StoredTiffImage[] = []
  for (const image of images) {
    const level = slide.levels.findIndex(({ width, height }) => width === image.width && height === image.height)
    const isLevel = level >= 0 && image.isTiled
    const isAgain = isLevel && seen.has(level)
    if (isLevel) seen.add(level)
    if (isAgain) again.push(image)
    const { page, subIfd, width, height, directory } = image
    const word = /\n(\w+)/.exec(directory.text(TAGS.ImageDescription))?.[1] ?? ''
    const name = slide.associatedImages.find((each) => each === word) ?? null
    contents.push({ page, subIfd, width, height, role: isLevel && !isAgain ? `level ${level}` : name })
  }
  const warnings =
    again.length > 0
      ? [`it holds ${again.length} more images of the size of a level (focal planes, channels), which aren't taken`]
      : []
  return { contents: images.length > 0 ? contents : undefined, warnings }
}

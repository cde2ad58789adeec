/**
 * What the bench measures on: the images of a folder, or tissue cut from a slide. One image at a time is in memory.
 *
 * A level is the image halved that many times by the mean of 2 x 2 pixels, as the levels of a pyramid are. From a
 * slide, every level has patches of the same size, as in the paper; the images of a folder get smaller.
 */

import { createHash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Image, openSlide, SlideError, type SlideSource } from 'cleric'
import { cropImage, halve, paste } from 'cleric/internal'
import { CLERIC_MAX_SIDE } from './cleric-codec.js'

export interface TestImage {
  readonly name: string
  readonly level: number
  readonly image: Image
  /** SHA-256 of size and pixels. */
  readonly digest: string
}

export interface ImageSet extends Disposable {
  readonly path: string
  readonly names: readonly string[]
  /** One image on the given levels. */
  read(index: number, levels: readonly number[], signal?: AbortSignal): Promise<TestImage[]>
}

const PATCH = 512
/** Patches of a slide, if nobody says how many. */
const PATCHES = 8
/** Share of tissue that makes a patch worth taking. */
const ENOUGH = 0.5
/** Places of a slide that are looked at for tissue, for each patch wanted. */
const TRIES = 8

/**
 * @param path a folder of images, or a slide, or "synthetic:WIDTHxHEIGHT"
 * @param limit most images
 * @throws SlideError ERR_UNSUPPORTED_SLIDE
 */
export async function openImageSet(path: string, maxLevel: number, limit?: number): Promise<ImageSet> {
  const isFolder = (await stat(path).catch(() => null))?.isDirectory() ?? false
  return isFolder ? openFolder(path, limit) : openPatches(path, maxLevel, limit ?? PATCHES)
}

async function openFolder(path: string, limit = Number.POSITIVE_INFINITY): Promise<ImageSet> {
  const names = (await readdir(path)).filter((name) => /\.(png|webp|tiff?|jpe?g)$/i.test(name)).sort()
  if (names.length === 0)
    throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${path} holds no PNG, WebP, TIFF or JPEG images`)
  const chosen = names.slice(0, limit)
  return {
    path,
    names: chosen,
    async read(index, levels, signal) {
      const name = chosen[index] as string
      using file = await openSlide(join(path, name))
      const { width, height } = file.levels[0] as SlideSource['levels'][0]
      const image = await file.readRegion({ x: 0, y: 0, level: 0, width, height }, signal)
      return levels.map((level) => testImage(name, level, centre(halved(image, level), CLERIC_MAX_SIDE)))
    },
    [Symbol.dispose]() {},
  }
}

/** Patches with tissue, spread over a slide. */
async function openPatches(path: string, maxLevel: number, limit: number): Promise<ImageSet> {
  const slide = await openSlide(path)
  try {
    const side = PATCH << maxLevel
    const places = await tissuePlaces(slide, side, limit)
    if (places.length === 0) throw new SlideError('ERR_UNSUPPORTED_SLIDE', `no tissue was found in ${path}`)
    const names = places.map(([x, y]) => `x${x}y${y}`)
    return {
      path,
      names,
      async read(index, levels, signal) {
        const image = await readPlace(slide, places[index] as Place, side, signal)
        return levels.map((level) => testImage(names[index] as string, level, centre(halved(image, level), PATCH)))
      },
      [Symbol.dispose]: () => slide.close(),
    }
  } catch (error) {
    slide.close()
    throw error
  }
}

/** Top left corner, in level-0 pixels. */
type Place = readonly [x: number, y: number]

/** The first places of a grid that are half tissue; where there are too few, those with the most. */
async function tissuePlaces(slide: SlideSource, side: number, limit: number): Promise<Place[]> {
  const { width, height } = slide.levels[0] as SlideSource['levels'][0]
  // The last column and row reach the slide's edge, so they may overlap the one before.
  const [columns, rows] = [Math.ceil(width / side), Math.ceil(height / side)]
  const tries = Math.min(columns * rows, limit * TRIES)
  const seen: { place: Place; share: number }[] = []
  for (let i = 0; i < tries && seen.filter(({ share }) => share >= ENOUGH).length < limit; i++) {
    const cell = Math.floor(((i + 0.5) * columns * rows) / tries)
    const x = Math.max(0, Math.min((cell % columns) * side, width - side))
    const y = Math.max(0, Math.min(Math.floor(cell / columns) * side, height - side))
    seen.push({ place: [x, y], share: tissueShare(await readPlace(slide, [x, y], side)) })
  }
  // Sorting is stable: places with enough keep their order.
  const rank = (share: number) => Math.min(share, ENOUGH)
  const most = seen.filter(({ share }) => share > 0).sort((a, b) => rank(b.share) - rank(a.share))
  return most.slice(0, limit).map(({ place }) => place)
}

function readPlace(slide: SlideSource, [x, y]: Place, side: number, signal?: AbortSignal): Promise<Image> {
  const { width, height } = slide.levels[0] as SlideSource['levels'][0]
  return slide.readRegion(
    { x, y, level: 0, width: Math.min(side, width - x), height: Math.min(side, height - y) },
    signal,
  )
}

function testImage(name: string, level: number, image: Image): TestImage {
  const digest = createHash('sha256').update(`${image.width} ${image.height} `).update(image.data).digest('hex')
  return { name, level, image, digest }
}

/** How much of an image is darker than glass. */
function tissueShare({ data }: Image): number {
  let tissue = 0
  for (let i = 0; i < data.length; i += 3) {
    if (Math.min(data[i] as number, data[i + 1] as number, data[i + 2] as number) < 220) tissue++
  }
  return (3 * tissue) / data.length
}

/** Halved `times` times by the mean of 2 x 2, rounded to nearest; a last odd row or column is dropped. */
export function halved(image: Image, times: number): Image {
  let half = image
  for (let i = 0; i < times && half.width > 1 && half.height > 1; i++) {
    half = halve(cropImage(half, half.width & ~1, half.height & ~1))
  }
  return half
}

/** The middle of an image, at most `side` wide and high. */
export function centre(image: Image, side: number): Image {
  const [width, height] = [Math.min(side, image.width), Math.min(side, image.height)]
  return partOf(image, (image.width - width) >> 1, (image.height - height) >> 1, width, height)
}

/** The part of an image that begins at (x, y); the image itself where that is all of it. */
export function partOf(image: Image, x: number, y: number, width: number, height: number): Image {
  if (width === image.width && height === image.height) return image
  const part: Image = { data: new Uint8Array(width * height * 3), width, height, channels: 3 }
  paste(image, part, -x, -y)
  return part
}

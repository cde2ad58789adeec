/**
 * What the bench measures on: the images of a folder, or tissue cut from a slide. One image at a time is in memory.
 *
 * A level is the image halved that many times by the mean of 2 x 2 pixels, as the levels of a pyramid are. From a
 * slide, every level has patches of the same size, as in the paper; the images of a folder get smaller.
 */
import { createHash } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Image } from '../codec/image.js'
import { SlideError } from '../errors.js'
import { ImageFile } from '../slide/image-file.js'
import { openSlide } from '../slide/open.js'
import { levelRegion, paste, type SlideSource } from '../slide/source.js'
import { clericMaxSide } from './cleric-codec.js'

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
      using file = await ImageFile.open(join(path, name))
      const { width, height } = file.levels[0] as SlideSource['levels'][0]
      const image = await file.readRegion({ x: 0, y: 0, level: 0, width, height }, signal)
      return levels.map((level) => testImage(name, level, centre(halve(image, level), clericMaxSide)))
    },
    [Symbol.dispose]() {},
  }
}

/** Patches with tissue, spread over a slide. */
async function openPatches(path: string, maxLevel: number, limit: number): Promise<ImageSet> {
  const slide = await openSlide(path)
  const side = PATCH << maxLevel
  const { width, height } = slide.levels[0] as SlideSource['levels'][0]
  const read = async (x: number, y: number, signal?: AbortSignal) => {
    const size = [Math.min(side, width - x), Math.min(side, height - y)] as const
    return slide.readRegion(levelRegion(slide, 0, x, y, ...size), signal)
  }
  const columns = Math.max(1, Math.floor(width / side))
  const rows = Math.max(1, Math.floor(height / side))
  const tries = Math.min(columns * rows, limit * TRIES)
  const places: [x: number, y: number][] = []
  for (let i = 0; i < tries && places.length < limit; i++) {
    const cell = Math.floor(((i + 0.5) * columns * rows) / tries)
    const place: [number, number] = [(cell % columns) * side, Math.floor(cell / columns) * side]
    if (hasTissue(await read(...place))) places.push(place)
  }
  if (places.length === 0) {
    slide.close()
    throw new SlideError('ERR_UNSUPPORTED_SLIDE', `no tissue was found in ${path}`)
  }
  return {
    path,
    names: places.map(([x, y]) => `x${x}y${y}`),
    async read(index, levels, signal) {
      const [x, y] = places[index] as [number, number]
      const image = await read(x, y, signal)
      return levels.map((level) => testImage(`x${x}y${y}`, level, centre(halve(image, level), PATCH)))
    },
    [Symbol.dispose]: () => slide.close(),
  }
}

function testImage(name: string, level: number, image: Image): TestImage {
  const digest = createHash('sha256').update(`${image.width} ${image.height} `).update(image.data).digest('hex')
  return { name, level, image, digest }
}

/** Whether at least half of it is darker than glass. */
function hasTissue({ data }: Image): boolean {
  let tissue = 0
  for (let i = 0; i < data.length; i += 3) {
    if (Math.min(data[i] as number, data[i + 1] as number, data[i + 2] as number) < 220) tissue++
  }
  return 6 * tissue >= data.length
}

/** Halved `times` times by the mean of 2 x 2, rounded to nearest; a last odd row or column is dropped. */
export function halve(image: Image, times: number): Image {
  let { data, width, height } = image
  for (let i = 0; i < times && width > 1 && height > 1; i++) {
    const half = { width: width >> 1, height: height >> 1 }
    const to = new Uint8Array(half.width * half.height * 3)
    const stride = 3 * width
    for (let y = 0, j = 0; y < half.height; y++) {
      for (let x = 0, k = 2 * y * stride; x < half.width; x++, k += 6) {
        for (let c = 0; c < 3; c++, j++) {
          const at = k + c
          const top = (data[at] as number) + (data[at + 3] as number)
          to[j] = (top + (data[at + stride] as number) + (data[at + stride + 3] as number) + 2) >> 2
        }
      }
    }
    data = to
    width = half.width
    height = half.height
  }
  return { data, width, height, channels: 3 }
}

/** The middle of an image, at most `side` wide and high. */
export function centre(image: Image, side: number): Image {
  const [width, height] = [Math.min(side, image.width), Math.min(side, image.height)]
  if (width === image.width && height === image.height) return image
  const part: Image = { data: new Uint8Array(width * height * 3), width, height, channels: 3 }
  paste(image, part, -((image.width - width) >> 1), -((image.height - height) >> 1))
  return part
}

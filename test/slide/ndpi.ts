/**
 * A Hamamatsu NDPI file, as small as OpenSlide reads one: a classic TIFF whose links have eight bytes, with an image of
 * one strip for each level and for the macro image. A level is one JPEG with restart markers, so that it can be entered
 * at each of them: a tag says where they are. What lies between two is a tile, 8 pixels high.
 */
import type { Image } from '../../src/image/image.js'
import { fromImage } from '../../src/image/sharp.js'
import { crop } from '../slides.js'
import { type BareDirectory, bareTiff } from './bare-tiff.js'

export interface NdpiSlide {
  /** The finest first; each two tiles wide, and whole blocks of a JPEG. */
  readonly levels: readonly Image[]
  readonly mpp: number
  readonly lens: number
  readonly macro: Image
  /** What the file says of itself, as lines "key=value". */
  readonly facts: string
}

/** Side of a block, and height of a tile. */
const BLOCK = 8
/** Quality and so on of every JPEG, whose Huffman tables are the standard's: all tiles have the same. */
export const JPEG = { quality: 95, chromaSubsampling: '4:4:4', optimiseCoding: false } as const

const CENTIMETRE = 3
const IS_MACRO = -1

export async function ndpiFile(slide: NdpiSlide): Promise<Buffer> {
  const directories: BareDirectory[] = []
  for (const [level, image] of slide.levels.entries()) {
    const { jpeg, starts } = await restartable(image, image.width / 2)
    const facts = level === 0 ? { 65449: slide.facts } : {}
    directories.push(directory(image, jpeg, slide.lens, slide.mpp * 2 ** level, { 65426: starts, ...facts }))
  }
  const macro = await fromImage(slide.macro).jpeg(JPEG).toBuffer()
  directories.push(directory(slide.macro, macro, IS_MACRO, 50, {}))
  return bareTiff(directories, { isLittle: true, isBig: false, hasWideLinks: true })
}

function directory(image: Image, jpeg: Buffer, lens: number, mpp: number, more: BareDirectory['tags']): BareDirectory {
  const resolution = [10_000 / mpp]
  const tags = {
    ...{ 256: [image.width], 257: [image.height], 258: [8, 8, 8], 259: [7], 262: [6], 271: 'Hamamatsu', 277: [3] },
    ...{ 278: [image.height], 282: resolution, 283: resolution, 296: [CENTIMETRE] },
    // Format, SourceLens, XOffsetFromSlideCentre, YOffsetFromSlideCentre, focal plane.
    ...{ 65420: [1], 65421: [lens], 65422: [-1000], 65423: [2000], 65424: [0] },
  }
  return { tags: { ...tags, ...more }, segments: [jpeg] }
}

/** One JPEG of tiles that know nothing of each other, and the places of their data in it. */
async function restartable(image: Image, tileWidth: number): Promise<{ jpeg: Buffer; starts: number[] }> {
  const tiles: Buffer[] = []
  for (let y = 0; y < image.height; y += BLOCK) {
    for (let x = 0; x < image.width; x += tileWidth) {
      const tile = crop(image, x, y, tileWidth, BLOCK)
      tiles.push(await fromImage(tile).jpeg(JPEG).toBuffer())
    }
  }
  const first = tiles[0] as Buffer
  const frame = segment(first, 0xc0).at
  const scan = segment(first, 0xda)
  const tables = Buffer.from(first.subarray(0, scan.at))
  tables.writeUInt16BE(image.height, frame + 5)
  tables.writeUInt16BE(image.width, frame + 7)
  const interval = Buffer.from([0xff, 0xdd, 0, 4, 0, tileWidth / BLOCK])
  const parts: Buffer[] = [tables, interval, first.subarray(scan.at, scan.end)]
  let length = parts.reduce((sum, part) => sum + part.length, 0)
  const starts = tiles.map((tile, i) => {
    const start = length
    const isLast = i === tiles.length - 1
    // In place of the tile's end of image.
    parts.push(tile.subarray(segment(tile, 0xda).end, tile.length - 2))
    parts.push(Buffer.from([0xff, isLast ? 0xd9 : 0xd0 + (i % 8)]))
    length += parts.slice(-2).reduce((sum, part) => sum + part.length, 0)
    return start
  })
  return { jpeg: Buffer.concat(parts), starts }
}

/** Where the first segment of a kind begins and ends. */
function segment(jpeg: Buffer, marker: number): { at: number; end: number } {
  let at = 2
  while (jpeg[at + 1] !== marker) {
    if (jpeg[at] !== 0xff) throw new Error(`The JPEG has no segment ${marker.toString(16)}`)
    at += 2 + jpeg.readUInt16BE(at + 2)
  }
  return { at, end: at + 2 + jpeg.readUInt16BE(at + 2) }
}

/**
 * A MIRAX slide, as small as OpenSlide reads one: X.mrxs, and in the folder X what is in it. The camera takes photographs
 * side by side, each cut into 2 x 2 images of level 0; an image of any further level shows 2 x 2 of the one before.
 * Photographs of blank glass are not kept. Here they don't overlap, so no file says where each of them was taken.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Colour } from '../../src/image/draw.js'
import type { Image } from '../../src/image/image.js'
import { fromImage } from '../../src/image/sharp.js'
import { crop } from '../slides.js'

export interface MiraxSlide {
  /** The finest first, each half the size of the one before: of whole images of {@link SIDE}, in all but height. */
  readonly levels: readonly Image[]
  /** Whether there is a photograph, by its place. */
  readonly isKept: (column: number, row: number) => boolean
  /** Colour of what was not kept. */
  readonly fill: Colour
  readonly mpp: number
  readonly objective: number
  readonly label: Image
  readonly macro: Image
  /** Lines of Slidedat.ini by key, to have others than are right. */
  readonly changes?: Readonly<Record<string, string | number>>
}

/** Side of an image. */
export const SIDE = 128
/** Images of level 0 along a side of a photograph. */
const DIVISIONS = 2
const ID = '0123456789ABCDEF0123456789ABCDEF'
const VERSION = '01.02'

/** Quality and so on of every image. */
export const JPEG = { quality: 95, chromaSubsampling: '4:4:4' } as const

/** An entry of Index.dat: where an image lies in the files of data. */
interface Place {
  readonly file: number
  readonly offset: number
  readonly length: number
}

/** Writes the files; returns the path of X.mrxs. */
export async function writeMirax(folder: string, name: string, slide: MiraxSlide): Promise<string> {
  const inside = join(folder, name)
  mkdirSync(inside)
  const path = `${inside}.mrxs`
  // It is a small picture of the slide, which nobody needs.
  writeFileSync(path, 'MIRAX')
  const data = new DataFiles()
  const [columns, rows] = imagesOf(slide.levels[0] as Image)
  const levels: { index: number; place: Place }[][] = []
  for (const [level, image] of slide.levels.entries()) {
    const entries: { index: number; place: Place }[] = []
    const [across, down] = imagesOf(image)
    for (let row = 0; row < down; row++) {
      for (let column = 0; column < across; column++) {
        if (!shows(slide, level, column, row)) continue
        // Images of any level are numbered by their first image of level 0.
        const index = (row << level) * columns + (column << level)
        const part = crop(image, column * SIDE, row * SIDE, SIDE, SIDE)
        entries.push({ index, place: data.add(level, await jpeg(part)) })
      }
    }
    levels.push(entries)
  }
  const last = slide.levels.length
  const others = [data.add(last, await jpeg(slide.macro)), data.add(last, await jpeg(slide.label))]
  for (const [i, bytes] of data.files.entries()) writeFileSync(join(inside, dataName(i)), bytes)
  writeFileSync(join(inside, 'Index.dat'), indexOf(levels, others))
  writeFileSync(join(inside, 'Slidedat.ini'), slidedatOf(slide, columns, rows, data.files.length))
  return path
}

const imagesOf = ({ width, height }: Image) => [Math.ceil(width / SIDE), Math.ceil(height / SIDE)] as [number, number]
const jpeg = (image: Image) => fromImage(image).jpeg(JPEG).toBuffer()
const dataName = (file: number) => `Data${String(file).padStart(4, '0')}.dat`

/** Whether an image of a level shows a photograph that was kept. */
function shows({ isKept }: MiraxSlide, level: number, column: number, row: number): boolean {
  const photos = Math.max(1, 2 ** level / DIVISIONS)
  const first = [column, row].map((place) => Math.floor((place << level) / DIVISIONS)) as [number, number]
  for (let y = 0; y < photos; y++) for (let x = 0; x < photos; x++) if (isKept(first[0] + x, first[1] + y)) return true
  return false
}

/** What lies one after another in the files DataN.dat. */
class DataFiles {
  readonly files: Buffer[] = []

  add(file: number, bytes: Uint8Array): Place {
    const before = this.files[file] ?? Buffer.from(`${VERSION}${ID}`)
    this.files[file] = Buffer.concat([before, bytes])
    return { file, offset: before.length, length: bytes.length }
  }
}

/** Index.dat: two lists of pages, of the images of each level and of what else there is, each page found by its place. */
function indexOf(levels: readonly { index: number; place: Place }[][], others: readonly Place[]): Buffer {
  const head = Buffer.from(`${VERSION}${ID}`)
  const start = head.length + 8
  const parts: Buffer[] = []
  let at = start
  const add = (...values: number[]): number => {
    const bytes = Buffer.alloc(4 * values.length)
    for (const [i, value] of values.entries()) bytes.writeInt32LE(value, 4 * i)
    parts.push(bytes)
    at += bytes.length
    return at - bytes.length
  }
  const pages = [
    // Number of entries, place of the next page; 0 is none.
    levels.map((entries) => [entries.length, 0, ...entries.flatMap(({ index, place }) => [index, ...values(place)])]),
    others.map((place) => [1, 0, 0, 0, ...values(place)]),
  ]
  const lists = pages.map((list) => add(...list.map((page) => add(0, add(...page)))))
  const roots = Buffer.alloc(8)
  for (const [i, list] of lists.entries()) roots.writeInt32LE(list, 4 * i)
  return Buffer.concat([head, roots, ...parts])
}

const values = ({ file, offset, length }: Place) => [offset, length, file]

function slidedatOf(slide: MiraxSlide, columns: number, rows: number, files: number): string {
  const { red, green, blue } = slide.fill
  const count = slide.levels.length
  const level = (i: number) => ({
    ...{ OVERLAP_X: 0, OVERLAP_Y: 0, IMAGE_FORMAT: 'JPEG', DIGITIZER_WIDTH: SIDE, DIGITIZER_HEIGHT: SIDE },
    ...{ MICROMETER_PER_PIXEL_X: slide.mpp * 2 ** i, MICROMETER_PER_PIXEL_Y: slide.mpp * 2 ** i },
    ...{ IMAGE_FILL_COLOR_BGR: (blue << 16) | (green << 8) | red, IMAGE_CONCAT_FACTOR: i === 0 ? 0 : 1 },
  })
  const sections = Array.from({ length: count }, (_, i) => [`LAYER_0_LEVEL_${i}_SECTION`, level(i)] as const)
  const groups: Record<string, Record<string, string | number>> = {
    GENERAL: {
      ...{
        SLIDE_VERSION: VERSION,
        SLIDE_ID: ID,
        SLIDE_NAME: 'Nobody, drawn',
        OBJECTIVE_MAGNIFICATION: slide.objective,
      },
      ...{ IMAGENUMBER_X: columns, IMAGENUMBER_Y: rows, CameraImageDivisionsPerSide: DIVISIONS },
    },
    HIERARCHICAL: {
      ...{ HIER_COUNT: 1, NONHIER_COUNT: 1, INDEXFILE: 'Index.dat', HIER_0_NAME: 'Slide zoom level' },
      HIER_0_COUNT: count,
      ...Object.fromEntries(sections.map(([name], i) => [`HIER_0_VAL_${i}_SECTION`, name])),
      ...{ NONHIER_0_NAME: 'Scan data layer', NONHIER_0_COUNT: 2 },
      ...{ NONHIER_0_VAL_0: 'ScanDataLayer_SlideThumbnail', NONHIER_0_VAL_0_SECTION: 'MACRO' },
      ...{ NONHIER_0_VAL_1: 'ScanDataLayer_SlideBarcode', NONHIER_0_VAL_1_SECTION: 'LABEL' },
    },
    MACRO: { THUMBNAIL_IMAGE_TYPE: 'JPEG' },
    LABEL: { BARCODE_IMAGE_TYPE: 'JPEG' },
    ...Object.fromEntries(sections),
    DATAFILE: {
      FILE_COUNT: files,
      ...Object.fromEntries(Array.from({ length: files }, (_, i) => [`FILE_${i}`, dataName(i)])),
    },
  }
  const line = ([key, value]: [string, string | number]) => `${key} = ${slide.changes?.[key] ?? value}\r\n`
  const texts = Object.entries(groups).map(([name, keys]) => `[${name}]\r\n${Object.entries(keys).map(line).join('')}`)
  // It begins with a byte order mark.
  return `\ufeff${texts.join('')}`
}

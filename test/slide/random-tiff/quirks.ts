/** Other ways to say the same in a TIFF, and tags that change what its samples mean. */
import type { Field, Page } from './file.js'
import { COMPRESSION, PHOTOMETRIC } from './page.js'
import type { Chance } from './random.js'

export interface Quirks {
  /** Sizes are SHORTs. */
  readonly shortSizes: boolean
  /** Tags are left out that have their default. */
  readonly omitsDefaults: boolean
  /** FillOrder 2, of uncompressed images of one bit: the first pixel is in a byte's lowest bit. */
  readonly lowestBitFirst: boolean
  /** Luma from 16 to 235, chroma from 16 to 240, as of video; in YCbCr without JPEG. */
  readonly videoRange: boolean
  /** The luma of BT.709, likewise. */
  readonly coefficients: boolean
  /** Tables of the JPEGs are in a tag of their own. */
  readonly jpegTables: boolean
}

export function drawQuirks(chance: Chance): Quirks {
  return {
    shortSizes: chance.is(0.3),
    omitsDefaults: chance.is(0.3),
    lowestBitFirst: chance.is(0.3),
    videoRange: chance.is(0.3),
    coefficients: chance.is(0.3),
    jpegTables: chance.is(0.4),
  }
}

const SIZES = [256, 257, 278, 322, 323]

/** The page with those of the quirks that it can have. */
export function quirky(page: Page, quirks: Quirks): Page {
  const value = (tag: number) => page.fields.find((field) => field.tag === tag)?.values[0] ?? null
  const { values: bits = [] } = page.fields.find(({ tag }) => tag === 258) ?? {}
  const compression = value(259)
  const isJpeg = compression === COMPRESSION.jpeg
  const isPlainYcbcr = value(262) === PHOTOMETRIC.ycbcr && !isJpeg
  let { fields, chunks } = page
  const add = (field: Field) => {
    fields = [...fields, field]
  }
  if (quirks.shortSizes) {
    fields = fields.map((field) =>
      SIZES.includes(field.tag) && field.values.every((each) => each < 65536) ? { ...field, type: 'SHORT' } : field,
    )
  }
  if (quirks.lowestBitFirst && compression === COMPRESSION.none && bits.join() === '1') {
    add({ tag: 266, type: 'SHORT', values: [2] })
    chunks = chunks.map((bytes) => bytes.map(reversed))
  }
  if (quirks.videoRange && isPlainYcbcr) {
    add({ tag: 532, type: 'RATIONAL', values: [16, 235, 128, 240, 128, 240].flatMap((code) => [code, 1]) })
  }
  if (quirks.coefficients && isPlainYcbcr) {
    add({ tag: 529, type: 'RATIONAL', values: [2126, 7152, 722].flatMap((part) => [part, 10_000]) })
  }
  if (quirks.jpegTables && isJpeg) {
    const split = chunks.map(splitJpeg)
    add({ tag: 347, type: 'UNDEFINED', values: [...(split[0]?.tables ?? [])] })
    chunks = split.map(({ image }) => image)
  }
  if (quirks.omitsDefaults) {
    const rows = value(278) ?? 0
    const isDefault = ({ tag, values }: Field) =>
      (tag === 258 && values.join() === '1') ||
      ([259, 277, 284].includes(tag) && values[0] === 1) ||
      (tag === 278 && rows >= (value(257) as number))
    fields = fields.filter((field) => !isDefault(field))
  }
  return { ...page, fields, chunks, children: page.children.map((child) => quirky(child, quirks)) }
}

/** The byte with its bits in the other order. */
function reversed(byte: number): number {
  let out = 0
  for (let bit = 0; bit < 8; bit++) out |= ((byte >> bit) & 1) << (7 - bit)
  return out
}

/** A JPEG without its tables, and these as a stream of their own (TIFF Technical Note 2). */
function splitJpeg(jpeg: Uint8Array): { tables: Uint8Array; image: Uint8Array } {
  const view = new DataView(jpeg.buffer, jpeg.byteOffset, jpeg.length)
  const [tables, image]: [Uint8Array[], Uint8Array[]] = [[], []]
  let at = 2
  for (; view.getUint16(at) !== 0xffda; at += 2 + view.getUint16(at + 2)) {
    const isTable = [0xffdb, 0xffc4].includes(view.getUint16(at))
    ;(isTable ? tables : image).push(jpeg.subarray(at, at + 2 + view.getUint16(at + 2)))
  }
  const [start, end] = [Uint8Array.of(0xff, 0xd8), Uint8Array.of(0xff, 0xd9)]
  return {
    tables: new Uint8Array(Buffer.concat([start, ...tables, end])),
    image: new Uint8Array(Buffer.concat([start, ...image, jpeg.subarray(at)])),
  }
}

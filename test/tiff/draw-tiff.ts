/**
 * Draws TIFFs of every layout, by nothing of the package: classic and BigTIFF, both byte orders, strips and tiles,
 * planes, SubIFDs, any tags. Samples come from a function of the place.
 */
import { deflateSync } from 'node:zlib'
import sharp from 'sharp'

export type Compression = 'none' | 'deflate' | 'packbits' | 'jpeg' | 'webp'
const COMPRESSIONS: Readonly<Record<Compression, number>> = {
  none: 1,
  deflate: 8,
  packbits: 32773,
  jpeg: 7,
  webp: 50001,
}

/** A tag's type, by its code, and values; of a type 2, text. */
export type DrawnTag = readonly [tag: number, type: number, values: readonly number[] | string]

export interface DrawnImage {
  readonly width: number
  readonly height: number
  /** A sample as the number that is stored. */
  readonly sample: (x: number, y: number, channel: number) => number
  readonly samples?: number
  readonly bits?: number
  /** 1 unsigned, 2 signed, 3 floating point. */
  readonly format?: number
  readonly photometric?: number
  readonly compression?: Compression
  /** 2: differences; 3: those of floating-point numbers. */
  readonly predictor?: number
  /** Sides of a tile; absent: strips of `rows`. */
  readonly tile?: readonly [width: number, height: number]
  readonly rows?: number
  /** 2: each channel has segments of its own. */
  readonly planar?: number
  /** Further tags, and others in place of those that are drawn. */
  readonly tags?: readonly DrawnTag[]
  readonly children?: readonly DrawnImage[]
  /** Numbers of segments that are left out: of no bytes. */
  readonly omitted?: readonly number[]
  /** Changes the bytes of a segment. */
  readonly damage?: (bytes: Buffer, number: number) => Buffer
}

export interface Drawing {
  readonly isBig?: boolean
  readonly isLittleEndian?: boolean
}

const SIZES: Readonly<Record<number, number>> = {
  1: 1,
  2: 1,
  3: 2,
  4: 4,
  5: 8,
  7: 1,
  11: 4,
  12: 8,
  13: 4,
  16: 8,
  18: 8,
}

/** The bytes of a TIFF with these pages. */
export async function drawTiff(pages: readonly DrawnImage[], drawing: Drawing = {}): Promise<Buffer> {
  const { isBig = false, isLittleEndian = true } = drawing
  const parts: Buffer[] = []
  let end = 0
  const append = (bytes: Buffer): number => {
    const offset = end
    parts.push(bytes)
    end += bytes.length
    if (end % 2 === 1) {
      parts.push(Buffer.alloc(1))
      end++
    }
    return offset
  }
  const number = (value: number, size: number) => numberBytes([value], size, isLittleEndian)
  append(
    Buffer.concat([
      Buffer.from(isLittleEndian ? 'II' : 'MM'),
      number(isBig ? 43 : 42, 2),
      Buffer.alloc(isBig ? 12 : 4),
    ]),
  )
  const header = parts[0] as Buffer
  if (isBig) number(8, 2).copy(header, 4)

  /** Writes a directory; returns where it is, and how to set the place of the next one. */
  const directory = async (image: DrawnImage): Promise<{ offset: number; link: (next: number) => void }> => {
    const children: number[] = []
    for (const child of image.children ?? []) children.push((await directory(child)).offset)
    const segments = await segmentsOf(image, isLittleEndian)
    const offsets = segments.map((bytes) => (bytes.length === 0 ? 0 : append(bytes)))
    const tags = tagsOf(image, offsets, segments, children).sort(([a], [b]) => a - b)
    const inline = isBig ? 8 : 4
    const entries = tags.map(([tag, type, values]) => {
      const bytes = valueBytes(type, values, isLittleEndian)
      const count = bytes.length / (SIZES[type] as number)
      const place =
        bytes.length <= inline
          ? Buffer.concat([bytes, Buffer.alloc(inline - bytes.length)])
          : number(append(bytes), inline)
      return Buffer.concat([number(tag, 2), number(type, 2), number(count, inline), place])
    })
    const link = Buffer.alloc(inline)
    const offset = append(Buffer.concat([number(tags.length, isBig ? 8 : 2), ...entries, link]))
    const written = parts.findLast((part) => part.length > 1) as Buffer
    return { offset, link: (next) => number(next, inline).copy(written, written.length - inline) }
  }
  let link = (next: number) => {
    number(next, isBig ? 8 : 4).copy(header, isBig ? 8 : 4)
  }
  for (const page of pages) {
    const written = await directory(page)
    link(written.offset)
    link = written.link
  }
  return Buffer.concat(parts)
}

function tagsOf(image: DrawnImage, offsets: number[], segments: Buffer[], children: number[]): DrawnTag[] {
  const { width, height, samples = 1, bits = 8, format = 1, photometric = 1, compression = 'none', planar = 1 } = image
  const tags: DrawnTag[] = [
    [256, 4, [width]],
    [257, 4, [height]],
    [258, 3, Array<number>(samples).fill(bits)],
    [259, 3, [COMPRESSIONS[compression]]],
    [262, 3, [photometric]],
    [277, 3, [samples]],
    [284, 3, [planar]],
  ]
  if (format !== 1) tags.push([339, 3, Array<number>(samples).fill(format)])
  if (image.predictor) tags.push([317, 3, [image.predictor]])
  const lengths = segments.map(({ length }) => length)
  if (image.tile) tags.push([322, 3, [image.tile[0]]], [323, 3, [image.tile[1]]], [324, 4, offsets], [325, 4, lengths])
  else tags.push([273, 4, offsets], [278, 4, [image.rows ?? height]], [279, 4, lengths])
  if (children.length > 0) tags.push([330, 4, children])
  const own = new Set((image.tags ?? []).map(([tag]) => tag))
  return [...tags.filter(([tag]) => !own.has(tag)), ...(image.tags ?? []).filter(([, , values]) => values.length > 0)]
}

async function segmentsOf(image: DrawnImage, isLittleEndian: boolean): Promise<Buffer[]> {
  const { width, height, samples = 1, planar = 1, tile, rows = height } = image
  const [segmentWidth, segmentHeight] = tile ?? [width, rows]
  const segments: Buffer[] = []
  for (let plane = 0; plane < (planar === 2 ? samples : 1); plane++) {
    const channels = planar === 2 ? [plane] : Array.from({ length: samples }, (_, channel) => channel)
    for (let top = 0; top < height; top += segmentHeight) {
      // Tiles are whole, the last strip isn't.
      const high = tile ? segmentHeight : Math.min(segmentHeight, height - top)
      for (let left = 0; left < width; left += segmentWidth) {
        const number = segments.length
        const bytes = image.omitted?.includes(number)
          ? Buffer.alloc(0)
          : await compressed(image, left, top, segmentWidth, high, channels, isLittleEndian)
        segments.push(image.damage ? image.damage(bytes, number) : bytes)
      }
    }
  }
  return segments
}

async function compressed(
  image: DrawnImage,
  left: number,
  top: number,
  width: number,
  height: number,
  channels: readonly number[],
  isLittleEndian: boolean,
): Promise<Buffer> {
  const { compression = 'none', bits = 8, photometric = 1 } = image
  // Beyond the image its last column and row go on.
  const value = (x: number, y: number, channel: number) =>
    image.sample(Math.min(image.width - 1, left + x), Math.min(image.height - 1, top + y), channel)
  if (compression === 'jpeg' || compression === 'webp') {
    const data = Buffer.alloc(width * height * channels.length)
    for (let i = 0; i < data.length; i++) {
      const pixel = Math.floor(i / channels.length)
      data[i] = value(pixel % width, Math.floor(pixel / width), channels[i % channels.length] as number)
    }
    const raw = { width, height, channels: channels.length as 1 | 3 | 4 }
    if (compression === 'webp') return sharp(data, { raw }).webp({ lossless: true }).toBuffer()
    const grey = channels.length === 1 ? sharp(data, { raw }).toColourspace('b-w') : sharp(data, { raw })
    if (photometric === 2) throw new Error('JPEGs are drawn of YCbCr or grey only')
    return grey.jpeg({ quality: 90, chromaSubsampling: '4:4:4' }).toBuffer()
  }
  const packed = Buffer.concat(
    Array.from({ length: height }, (_, y) => {
      const row = Array.from({ length: width * channels.length }, (_, i) =>
        value(Math.floor(i / channels.length), y, channels[i % channels.length] as number),
      )
      return packedRow(row, image, channels.length, bits, isLittleEndian)
    }),
  )
  if (compression === 'deflate') return deflateSync(packed)
  if (compression === 'packbits') return packBits(packed)
  return packed
}

function packedRow(row: number[], image: DrawnImage, channels: number, bits: number, isLittleEndian: boolean): Buffer {
  const { format = 1, predictor } = image
  if (bits < 8) {
    const text = row.map((value) => value.toString(2).padStart(bits, '0')).join('')
    const whole = text.padEnd(Math.ceil(text.length / 8) * 8, '0')
    return Buffer.from(
      Array.from({ length: whole.length / 8 }, (_, i) => Number.parseInt(whole.slice(8 * i, 8 * i + 8), 2)),
    )
  }
  const size = bits / 8
  if (predictor === 3) {
    const values = floatBytes(row, size, false)
    const planes = Buffer.alloc(values.length)
    for (let i = 0; i < planes.length; i++) {
      planes[i] = values[(i % row.length) * size + Math.floor(i / row.length)] as number
    }
    return Buffer.from(planes.map((byte, i) => byte - (i >= channels ? (planes[i - channels] as number) : 0)))
  }
  if (format === 3) return floatBytes(row, size, isLittleEndian)
  if (predictor !== 2) return numberBytes(row, size, isLittleEndian)
  const differences = row.map((value, i) => value - (i >= channels ? (row[i - channels] as number) : 0))
  return numberBytes(differences, size, isLittleEndian)
}

function floatBytes(values: readonly number[], size: number, isLittleEndian: boolean): Buffer {
  const bytes = Buffer.alloc(values.length * size)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  for (const [i, value] of values.entries()) {
    if (size === 4) view.setFloat32(i * size, value, isLittleEndian)
    else view.setFloat64(i * size, value, isLittleEndian)
  }
  return bytes
}

/** Whole numbers one after another; of each the last `size` bytes. */
function numberBytes(values: readonly number[], size: number, isLittleEndian: boolean): Buffer {
  const bytes = Buffer.alloc(values.length * size)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  for (const [i, value] of values.entries()) {
    if (size === 1) view.setUint8(i, value)
    else if (size === 2) view.setUint16(i * size, value, isLittleEndian)
    else if (size === 4) view.setUint32(i * size, value, isLittleEndian)
    else view.setBigUint64(i * size, BigInt(value), isLittleEndian)
  }
  return bytes
}

function valueBytes(type: number, values: readonly number[] | string, isLittleEndian: boolean): Buffer {
  if (typeof values === 'string') return Buffer.from(`${values}\0`)
  if (type === 5) {
    const parts = values.flatMap((value) => [Math.round(value * 1000), 1000])
    return numberBytes(parts, 4, isLittleEndian)
  }
  return numberBytes(values, SIZES[type] as number, isLittleEndian)
}

/** Each run of up to 128 bytes as it is. */
function packBits(bytes: Buffer): Buffer {
  const runs: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 128) {
    const run = bytes.subarray(at, at + 128)
    runs.push(Buffer.from([run.length - 1]), run)
  }
  return Buffer.concat(runs)
}

/** One image of a TIFF, read tile by tile or strip by strip: any rectangle of it, in memory bounded by the cache. */
import { SlideError, throwIfAborted } from '../../errors.js'
import { fill, paste, WHITE } from '../../image/draw.js'
import type { Image, Size } from '../../image/image.js'
import { TileCache, type TileSpace } from '../../image/tile-cache.js'
import type { TiffFile } from '../../tiff/file.js'
import { placeName, type StoredTiffImage } from '../../tiff/stored-image.js'
import { TAGS } from '../../tiff/tags.js'
import type { Range } from '../range.js'
import { inRange, toRgb, ycbcrToRgb } from './colour.js'
import { type Decoded, decompress, type Packed, SegmentFault, type SegmentShape } from './decompress.js'
import { isDivisible, JPEG, YCBCR } from './readable.js'
import { type Samples, samplesOf } from './samples.js'

/** The cache of all TIFFs that are open: a few rows of tiles or strips of the widest slides. */
const SHARED = new TileCache(2 ** 28)
/** Segments that are decoded at once for one region. */
const AT_ONCE = 8
/** Rows of an image in one strip are read in parts of about this many bytes. */
const PART_BYTES = 2 ** 20

/** Where the segments of an image are in the file. */
interface Table {
  readonly offsets: Float64Array
  readonly lengths: Float64Array
}

export class StoredLevel {
  readonly image: StoredTiffImage
  /** Sides of what is decoded at once. */
  readonly tileWidth: number
  readonly tileHeight: number
  readonly #columns: number
  readonly #rows: number
  readonly #file: TiffFile
  readonly #name: string
  readonly #range: Range | null
  readonly #decoded: TileSpace
  #table: Promise<Table> | null = null

  /**
   * @param image can be read ({@link whyUnreadable})
   * @param name of the file, for messages
   * @param range brings its values into 8 bits; null if they are bytes
   */
  constructor(file: TiffFile, image: StoredTiffImage, name: string, range: Range | null) {
    this.image = image
    this.#file = file
    this.#name = name
    this.#range = range
    this.tileWidth = image.segmentWidth
    this.tileHeight = isDivisible(image)
      ? Math.min(image.height, Math.max(1, Math.floor(PART_BYTES / this.#shape(1).rowBytes)))
      : image.segmentHeight
    this.#columns = Math.ceil(image.width / this.tileWidth)
    this.#rows = Math.ceil(image.height / this.tileHeight)
    this.#decoded = SHARED.space()
  }

  /** The pixels of a rectangle, in the order in which the file has them; white outside the image. */
  async read(left: number, top: number, { width, height }: Size, signal?: AbortSignal): Promise<Image> {
    const out = fill(width, height, WHITE)
    const first = (start: number, tile: number) => Math.max(0, Math.floor(start / tile))
    const end = (start: number, size: number, tile: number, tiles: number) =>
      Math.min(tiles, Math.ceil((start + size) / tile))
    const places: [column: number, row: number][] = []
    for (let row = first(top, this.tileHeight); row < end(top, height, this.tileHeight, this.#rows); row++) {
      for (
        let column = first(left, this.tileWidth);
        column < end(left, width, this.tileWidth, this.#columns);
        column++
      ) {
        places.push([column, row])
      }
    }
    const draw = async () => {
      for (let place = places.shift(); place; place = places.shift()) {
        throwIfAborted(signal)
        const [column, row] = place
        const tile = await this.#tile(column, row, signal)
        paste(this.#cut(tile, column, row), out, column * this.tileWidth - left, row * this.tileHeight - top)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, draw))
    return out
  }

  /** Numbers of evenly chosen segments, as they are stored: at most `most` of them together. */
  async sample(most: number, signal?: AbortSignal): Promise<ArrayLike<number>[]> {
    const count = this.#columns * this.#rows
    const wanted = Math.min(count, 64)
    const values: ArrayLike<number>[] = []
    for (let i = 0; i < wanted; i++) {
      const number = Math.floor(((i + 0.5) * count) / wanted)
      const [column, row] = [number % this.#columns, Math.floor(number / this.#columns)]
      const shape = this.#shape(this.#rowsOf(row))
      const planes = (await this.#planes(column, row, shape, signal)) ?? []
      for (const plane of planes) {
        if (!('packed' in plane)) continue
        const samples = samplesOf(plane.packed, this.image, shape, this.#file.isLittleEndian)
        const step = Math.max(1, Math.ceil((samples.length * wanted * planes.length) / most))
        values.push(Array.from({ length: Math.floor(samples.length / step) }, (_, k) => samples[k * step] as number))
      }
    }
    return values
  }

  close(): void {
    this.#decoded.clear()
  }

  #tile(column: number, row: number, signal?: AbortSignal): Promise<Image> {
    const number = row * this.#columns + column
    const bytes = this.tileWidth * this.tileHeight * 3
    return this.#decoded.get(String(number), bytes, (stop) => this.#decode(column, row, stop), signal)
  }

  async #decode(column: number, row: number, signal: AbortSignal): Promise<Image> {
    try {
      const shape = this.#shape(this.#rowsOf(row))
      const planes = await this.#planes(column, row, shape, signal)
      return planes ? this.#toRgb(planes, shape) : fill(shape.width, shape.rows, WHITE)
    } catch (error) {
      if (!(error instanceof SegmentFault)) throw error
      const what = this.image.isTiled ? `tile ${column}, ${row}` : `the strip with row ${row * this.tileHeight}`
      const message = `${this.#name}: ${what} of ${placeName(this.image)} can't be decoded: ${error.message}`
      throw new SlideError('ERR_UNSUPPORTED_SLIDE', message, { cause: error })
    }
  }

  /** What the segment has, by planes if each sample has its own; null if it isn't stored, and so is background. */
  async #planes(
    column: number,
    row: number,
    shape: SegmentShape,
    signal?: AbortSignal,
  ): Promise<(Packed | Decoded)[] | null> {
    this.#table ??= this.#readTable()
    const { offsets, lengths } = await this.#table.catch((error: unknown) => {
      this.#table = null
      throw error
    })
    const image = this.image
    const perPlane = isDivisible(image) ? 1 : this.#columns * this.#rows
    const planes: (Packed | Decoded)[] = []
    for (let plane = 0; plane < (image.planar === 2 ? image.samples : 1); plane++) {
      const number = plane * perPlane + (isDivisible(image) ? 0 : row * this.#columns + column)
      let [offset, length] = [offsets[number] as number, lengths[number] as number]
      if (length === 0) return null
      if (isDivisible(image)) {
        const start = row * this.tileHeight * shape.rowBytes
        length = Math.min(Math.max(0, length - start), shape.rows * shape.rowBytes)
        offset += start
      }
      if (!(offset + length <= this.#file.size)) {
        throw new SegmentFault(
          `its bytes ${offset} to ${offset + length} lie beyond the file's end at ${this.#file.size}`,
        )
      }
      if (length > MOST_STORED_BYTES) throw new SegmentFault(`it has ${length} bytes, more than any tile`)
      const bytes = await this.#file.read(offset, length, signal)
      planes.push(await decompress(bytes, image, shape))
    }
    return planes
  }

  #toRgb(planes: readonly (Packed | Decoded)[], shape: SegmentShape): Image {
    const image = this.image
    const [first] = planes as [Packed | Decoded]
    if (image.photometric === YCBCR && image.compression !== JPEG && image.planar === 1 && 'packed' in first) {
      const bytes = samplesOf(first.packed, image, shape, this.#file.isLittleEndian)
      return ycbcrToRgb(bytes as Uint8Array, image, shape)
    }
    const each = planes.map((plane) => this.#bytes(plane, shape))
    const [{ bits, channels }] = each as [(typeof each)[number]]
    const samples = each.map((plane) => plane.samples)
    const together = samples.length === 1 ? (samples[0] as ArrayLike<number>) : interleaved(samples)
    if (image.photometric === YCBCR && image.compression !== JPEG) {
      // In planes there is no subsampling: the blocks are single pixels.
      return ycbcrToRgb(Uint8Array.from(together), image, shape)
    }
    return toRgb(together, samples.length === 1 ? channels : samples.length, bits, image, shape)
  }

  /** Unsigned samples of at most 8 bits. */
  #bytes(plane: Packed | Decoded, shape: SegmentShape): { samples: ArrayLike<number>; bits: number; channels: number } {
    if ('decoded' in plane) return { samples: plane.decoded, bits: 8, channels: plane.channels }
    const image = this.image
    const samples: Samples = samplesOf(plane.packed, image, shape, this.#file.isLittleEndian)
    const { channels } = shape
    if (this.#range) return { samples: inRange(samples, this.#range), bits: 8, channels }
    return { samples, bits: image.bits as number, channels }
  }

  /** The part of a decoded segment that is in the image. */
  #cut(tile: Image, column: number, row: number): Image {
    const width = Math.min(tile.width, this.image.width - column * this.tileWidth)
    const height = Math.min(tile.height, this.image.height - row * this.tileHeight)
    if (width === tile.width && height === tile.height) return tile
    const part = fill(width, height, WHITE)
    paste(tile, part, 0, 0)
    return part
  }

  /** Rows that are stored of a row of segments: tiles are whole, the last strip isn't. */
  #rowsOf(row: number): number {
    const { isTiled, height } = this.image
    return isTiled ? this.tileHeight : Math.min(this.tileHeight, height - row * this.tileHeight)
  }

  #shape(rows: number): SegmentShape {
    const { segmentWidth: width, samples, planar, bits, photometric, compression, subsampling } = this.image
    const channels = planar === 2 ? 1 : samples
    if (photometric === YCBCR && compression !== JPEG && planar === 1) {
      const [across, down] = subsampling
      const rowBytes = Math.ceil(width / across) * (across * down + 2)
      return { width, rows, channels, rowBytes, packedRows: Math.ceil(rows / down) }
    }
    return { width, rows, channels, rowBytes: Math.ceil((width * channels * (bits as number)) / 8), packedRows: rows }
  }

  async #readTable(): Promise<Table> {
    const { image } = this
    const [offsetsTag, lengthsTag] = image.isTiled
      ? [TAGS.TileOffsets, TAGS.TileByteCounts]
      : [TAGS.StripOffsets, TAGS.StripByteCounts]
    const planes = image.planar === 2 ? image.samples : 1
    const count = planes * (isDivisible(image) ? 1 : this.#columns * this.#rows)
    const table = async (tag: number) => {
      const values = await this.#file.integers(image.directory, tag, MOST_SEGMENTS)
      if (values && values.length >= count) return values
      // One strip without a length reaches as far as its pixels need.
      const { rowBytes } = this.#shape(image.height)
      if (tag === TAGS.StripByteCounts && isDivisible(image) && !values) {
        return new Float64Array(count).fill(rowBytes * image.height)
      }
      const kind = image.isTiled ? 'Tile' : 'Strip'
      const name = `${kind}${tag === offsetsTag ? 'Offsets' : 'ByteCounts'}`
      const what = `${placeName(image)}: ${name} has ${values?.length ?? 'no'} values that can be read where ${count} are due`
      throw new SlideError('ERR_UNSUPPORTED_SLIDE', `${this.#name}: ${what}`)
    }
    return { offsets: await table(offsetsTag), lengths: await table(lengthsTag) }
  }
}

/** Tiles of the largest slides are fewer, and the bytes of one too. */
const MOST_SEGMENTS = 2 ** 27
const MOST_STORED_BYTES = 2 ** 29

function interleaved(planes: readonly ArrayLike<number>[]): ArrayLike<number> {
  const count = planes.length
  const out = new Uint16Array((planes[0] as ArrayLike<number>).length * count)
  for (const [channel, plane] of planes.entries()) {
    for (let i = 0, j = channel; i < plane.length; i++, j += count) out[j] = plane[i] as number
  }
  return out
}

/** The JPEGs that an image of a TIFF is stored as, as they are. */
import { wholeJpeg } from '../../image/jpeg-stream.js'
import type { TiffFile } from '../../tiff/file.js'
import type { StoredTiffImage } from '../../tiff/stored-image.js'
import { TAGS } from '../../tiff/tags.js'
import type { JpegTiles } from '../source.js'
import { JPEG, RGB, YCBCR } from './readable.js'

/** Tiles of the largest slides are fewer, and the bytes of one too. */
const MOST_TILES = 2 ** 27
const MOST_TILE_BYTES = 2 ** 24

interface Table {
  readonly offsets: Float64Array
  readonly lengths: Float64Array
}

/** Null for an image that isn't stored as tiles that are colour JPEGs of 8 bits, upright. */
export function jpegTilesOf(file: TiffFile, image: StoredTiffImage): JpegTiles | null {
  const { compression, isTiled, samples, bits, planar, photometric, orientation, directory } = image
  const isColour = samples === 3 && bits === 8 && planar === 1 && (photometric === RGB || photometric === YCBCR)
  if (!isTiled || compression !== JPEG || !isColour || orientation !== 1) return null
  const { segmentWidth: tileWidth, segmentHeight: tileHeight } = image
  if (tileWidth < 1 || tileHeight < 1) return null
  const [columns, rows] = [Math.ceil(image.width / tileWidth), Math.ceil(image.height / tileHeight)]
  const tables = directory.bytes(TAGS.JPEGTables) ?? null
  let table: Promise<Table | null> | null = null
  const readTable = async (): Promise<Table | null> => {
    const [offsets, lengths] = await Promise.all([
      file.integers(directory, TAGS.TileOffsets, MOST_TILES),
      file.integers(directory, TAGS.TileByteCounts, MOST_TILES),
    ])
    const isWhole = offsets && lengths && Math.min(offsets.length, lengths.length) >= columns * rows
    return isWhole ? { offsets, lengths } : null
  }
  const read = async (column: number, row: number, signal?: AbortSignal): Promise<Uint8Array | null> => {
    if (column >= columns || row >= rows) return null
    // A failure isn't kept: the next call tries again.
    table ??= readTable().catch((error: unknown) => {
      table = null
      throw error
    })
    const found = await table
    const [offset, length] = [found?.offsets[row * columns + column] ?? 0, found?.lengths[row * columns + column] ?? 0]
    if (length === 0 || length > MOST_TILE_BYTES || offset + length > file.size) return null
    return wholeJpeg(await file.read(offset, length, signal), tables, photometric === RGB)
  }
  return { tileWidth, tileHeight, columns, rows, read }
}

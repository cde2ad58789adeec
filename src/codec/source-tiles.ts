/**
 * The tiles that a slide stores as JPEGs, kept as they are: one tile of an archive is as many of them, row by row, as
 * its sides are multiples of theirs (docs/format.md, "The slide's own JPEGs").
 *
 *     u8 columns, u8 rows
 *     u16 n, u8[n]: the bytes with which all of them begin
 *     u32 length for each of them: of its other bytes; 0 for one that isn't there, of which nothing is shown
 *     the other bytes of each
 */
import { fill, paste, WHITE } from '../image/draw.js'
import type { Image, Size } from '../image/image.js'
import { withTypicalTables } from '../image/jpeg-stream.js'
import { corruptTile } from './bitstream.js'

/** Shortest side of one of them: bounds how many a tile can be. */
const LEAST_SIDE = 32
const HEAD_BYTES = 4

/** Some JPEGs of one size that together are a tile. */
export interface SourceTiles {
  readonly columns: number
  readonly rows: number
  /** Row by row, as `image/jpeg-stream.ts` makes them; null for one that isn't there. */
  readonly jpegs: readonly (Uint8Array | null)[]
}

/** Whether tiles of one size are made up of whole ones of another, few enough for a stream. */
export function isMadeOf(tile: Size, part: Size): boolean {
  const isSide = (whole: number, side: number) => side >= LEAST_SIDE && whole % side === 0
  return isSide(tile.width, part.width) && isSide(tile.height, part.height)
}

/** Their stream. */
export function packSourceTiles({ columns, rows, jpegs }: SourceTiles): Uint8Array {
  const there = jpegs.filter((jpeg) => jpeg !== null)
  const shared = sharedBytes(there)
  const length = HEAD_BYTES + shared + 4 * jpegs.length
  const bytes = new Uint8Array(there.reduce((sum, jpeg) => sum + jpeg.length - shared, length))
  const view = new DataView(bytes.buffer)
  bytes.set([columns, rows])
  view.setUint16(2, shared, true)
  bytes.set((there[0] as Uint8Array).subarray(0, shared), HEAD_BYTES)
  let at = length
  for (const [i, jpeg] of jpegs.entries()) {
    const rest = jpeg?.subarray(shared) ?? new Uint8Array(0)
    view.setUint32(HEAD_BYTES + shared + 4 * i, rest.length, true)
    bytes.set(rest, at)
    at += rest.length
  }
  return bytes
}

/** How many bytes all begin with; never all of one. */
function sharedBytes([first, ...others]: readonly Uint8Array[]): number {
  const { length } = first as Uint8Array
  const most = Math.min(0xffff, length - 1, ...others.map((other) => other.length - 1))
  let shared = 0
  while (shared < most && others.every((other) => other[shared] === first?.[shared])) shared++
  return shared
}

/** @throws CorruptDataError ERR_CORRUPT_TILE */
export function unpackSourceTiles(stream: Uint8Array, size: Size): SourceTiles & { readonly part: Size } {
  const [columns = 0, rows = 0] = stream
  if (stream.length < HEAD_BYTES || columns < 1 || rows < 1) throw corruptTile('it is no set of JPEGs')
  const part = { width: size.width / columns, height: size.height / rows }
  if (!Number.isInteger(part.width) || !Number.isInteger(part.height) || !isMadeOf(size, part)) {
    throw corruptTile(`${columns} x ${rows} JPEGs don't make up ${size.width} x ${size.height} pixels`)
  }
  const view = new DataView(stream.buffer, stream.byteOffset, stream.byteLength)
  const shared = stream.subarray(HEAD_BYTES, HEAD_BYTES + view.getUint16(2, true))
  const lengthsAt = HEAD_BYTES + shared.length
  let at = lengthsAt + 4 * columns * rows
  const jpegs: (Uint8Array | null)[] = []
  for (let i = 0; i < columns * rows; i++) {
    if (lengthsAt + 4 * (i + 1) > stream.length) throw corruptTile('its list of JPEGs is cut off')
    const length = view.getUint32(lengthsAt + 4 * i, true)
    if (at + length > stream.length) throw corruptTile('its JPEGs are cut off')
    jpegs.push(length === 0 ? null : joined(shared, stream.subarray(at, at + length)))
    at += length
  }
  if (at !== stream.length) throw corruptTile(`${stream.length - at} bytes follow its JPEGs`)
  return { columns, rows, jpegs, part }
}

/**
 * The image of a stream; white where a JPEG isn't there.
 *
 * @param decode makes pixels of one JPEG, which must be of the given size
 * @throws CorruptDataError ERR_CORRUPT_TILE
 */
export async function decodeSourceTiles(
  stream: Uint8Array,
  size: Size,
  decode: (jpeg: Uint8Array, size: Size) => Promise<Image>,
): Promise<Image> {
  const { columns, jpegs, part } = unpackSourceTiles(stream, size)
  const out = fill(size.width, size.height, WHITE)
  for (const [i, jpeg] of jpegs.entries()) {
    if (!jpeg) continue
    const image = await decode(withTypicalTables(jpeg), part)
    paste(image, out, (i % columns) * part.width, Math.floor(i / columns) * part.height)
  }
  return out
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(a.length + b.length)
  bytes.set(a)
  bytes.set(b, a.length)
  return bytes
}

/**
 * JPEG streams taken apart and put together, without a decoder: what a slide stores as a tile, often without its tables,
 * becomes a stream that stands for itself. Source: ITU-T T.81, annexes B and K; for the colours, Adobe's Technical Note
 * 5116.
 */

const MARKER = { soi: 0xd8, eoi: 0xd9, sos: 0xda, dqt: 0xdb, dri: 0xdd, dht: 0xc4, app14: 0xee } as const
/** Frames of Huffman-coded sequential JPEGs, baseline and extended: those of a single scan. */
const SEQUENTIAL: readonly number[] = [0xc0, 0xc1]
/** Segments that decoding needs. The others hold comments, thumbnails, names of programs: anything at all. */
const NEEDED: readonly number[] = [MARKER.dqt, MARKER.dht, MARKER.dri, ...SEQUENTIAL, MARKER.sos]

interface Segment {
  readonly marker: number
  /** From the marker on. */
  readonly bytes: Uint8Array
}

/** The segments after SOI, up to SOS, EOI or the end, and where what follows begins. Null for what is no JPEG. */
function segmentsOf(stream: Uint8Array): { segments: Segment[]; end: number } | null {
  if (stream[0] !== 0xff || stream[1] !== MARKER.soi) return null
  const segments: Segment[] = []
  let at = 2
  while (at + 4 <= stream.length) {
    if (stream[at] !== 0xff) return null
    const marker = stream[at + 1] as number
    // Any number of 0xFF may stand before a marker.
    if (marker === 0xff) {
      at++
      continue
    }
    if (marker === MARKER.eoi) break
    const length = ((stream[at + 2] as number) << 8) | (stream[at + 3] as number)
    if (length < 2 || at + 2 + length > stream.length) return null
    segments.push({ marker, bytes: stream.subarray(at, at + 2 + length) })
    at += 2 + length
    if (marker === MARKER.sos) break
  }
  return { segments, end: at }
}

/** Where the coded pixels of the only scan end; null if anything but restarts and the end follows. */
function endOfScan(stream: Uint8Array, start: number): number | null {
  for (let at = stream.indexOf(0xff, start); at >= 0 && at + 1 < stream.length; at = stream.indexOf(0xff, at)) {
    const next = stream[at + 1] as number
    if (next === MARKER.eoi) return at
    if (next === 0xff) at++
    else if (next === 0 || (next >= 0xd0 && next <= 0xd7)) at += 2
    else return null
  }
  return null
}

/**
 * The stream of a tile as one that needs nothing else: with its tables, a mark of its colours, and nothing that decoding
 * doesn't need. Its coefficients are the same to the bit.
 *
 * @param tile a JPEG, or one without tables
 * @param tables what TIFF calls JPEGTables; null if the tile has its own
 * @param isRgb whether its components are red, green and blue; else they are luma and chroma
 * @returns null if it isn't sequential, of three components and one scan
 */
export function wholeJpeg(tile: Uint8Array, tables: Uint8Array | null, isRgb: boolean): Uint8Array | null {
  const tileStream = segmentsOf(tile)
  const shared = tables ? segmentsOf(tables) : { segments: [] }
  if (!tileStream || !shared || tileStream.segments.at(-1)?.marker !== MARKER.sos) return null
  const end = endOfScan(tile, tileStream.end)
  const frames = tileStream.segments.filter(({ marker }) => SEQUENTIAL.includes(marker))
  // Ten bytes to the number of components.
  if (end === null || frames.length !== 1 || frames[0]?.bytes[9] !== 3) return null
  const segments = [...shared.segments, ...tileStream.segments]
  if (segments.some(({ marker }) => !NEEDED.includes(marker) && !isAside(marker))) return null
  const kept = segments.filter(({ marker }) => NEEDED.includes(marker)).map(withoutTypical)
  return joined([START, adobe(isRgb), ...kept, tile.subarray(tileStream.end, end), END])
}

/** Application segments and comments. */
function isAside(marker: number): boolean {
  return (marker >= 0xe0 && marker <= 0xef) || marker === 0xfe
}

/**
 * The stream with the typical Huffman tables in front, which {@link wholeJpeg} leaves out. Tables of its own come later
 * and replace them.
 */
export function withTypicalTables(stream: Uint8Array): Uint8Array {
  return joined([stream.subarray(0, 2), TYPICAL_SEGMENT, stream.subarray(2)])
}

const START = Uint8Array.of(0xff, MARKER.soi)
const END = Uint8Array.of(0xff, MARKER.eoi)

/** Says what the components are, as decoders guess otherwise: the transform is 0 for RGB and 1 for YCbCr. */
function adobe(isRgb: boolean): Uint8Array {
  return Uint8Array.of(0xff, MARKER.app14, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0, isRgb ? 0 : 1)
}

/** A segment of Huffman tables without those that are typical; others as they are. */
function withoutTypical({ marker, bytes }: Segment): Uint8Array {
  if (marker !== MARKER.dht) return bytes
  const kept: Uint8Array[] = []
  for (let at = 4; at + 17 <= bytes.length; ) {
    const count = bytes.subarray(at + 1, at + 17).reduce((sum, codes) => sum + codes, 0)
    const table = bytes.subarray(at, at + 17 + count)
    if (!TYPICAL.some((typical) => isEqual(typical, table))) kept.push(table)
    at += 17 + count
  }
  return kept.length === 0 ? new Uint8Array(0) : huffmanSegment(kept)
}

function huffmanSegment(tables: readonly Uint8Array[]): Uint8Array {
  const length = 2 + tables.reduce((sum, table) => sum + table.length, 0)
  return joined([Uint8Array.of(0xff, MARKER.dht, length >> 8, length & 255), ...tables])
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i])
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** Class and number of a table, how many codes there are of each length from 1 to 16, and what they stand for. */
function table(id: number, lengths: string, values: string): Uint8Array {
  const bytes = (hex: string) =>
    Array.from(hex.replaceAll(' ', '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
  return Uint8Array.of(id, ...bytes(lengths), ...bytes(values))
}

/** The typical Huffman tables of T.81, K.3 to K.6, which nearly all scanners use. */
const TYPICAL: readonly Uint8Array[] = [
  table(0x00, '0001 0501 0101 0101 0100 0000 0000 0000', '000102030405060708090a0b'),
  table(
    0x10,
    '0002 0103 0302 0403 0505 0404 0000 017d',
    `01020300 04110512 21314106 13516107 22711432 8191a108 2342b1c1 1552d1f0 24336272 82090a16 1718191a 25262728
     292a3435 36373839 3a434445 46474849 4a535455 56575859 5a636465 66676869 6a737475 76777879 7a838485 86878889
     8a929394 95969798 999aa2a3 a4a5a6a7 a8a9aab2 b3b4b5b6 b7b8b9ba c2c3c4c5 c6c7c8c9 cad2d3d4 d5d6d7d8 d9dae1e2
     e3e4e5e6 e7e8e9ea f1f2f3f4 f5f6f7f8 f9fa`.replaceAll(/\s/g, ''),
  ),
  table(0x01, '0003 0101 0101 0101 0101 0100 0000 0000', '000102030405060708090a0b'),
  table(
    0x11,
    '0002 0102 0404 0304 0705 0404 0001 0277',
    `00010203 11040521 31061241 51076171 13223281 08144291 a1b1c109 233352f0 156272d1 0a162434 e125f117 18191a26
     2728292a 35363738 393a4344 45464748 494a5354 55565758 595a6364 65666768 696a7374 75767778 797a8283 84858687
     88898a92 93949596 9798999a a2a3a4a5 a6a7a8a9 aab2b3b4 b5b6b7b8 b9bac2c3 c4c5c6c7 c8c9cad2 d3d4d5d6 d7d8d9da
     e2e3e4e5 e6e7e8e9 eaf2f3f4 f5f6f7f8 f9fa`.replaceAll(/\s/g, ''),
  ),
]
const TYPICAL_SEGMENT = huffmanSegment(TYPICAL)

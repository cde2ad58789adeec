/**
 * PNG files whose pixels aren't compressed, by which browsers are handed pixels together with a colour profile.
 * Source: PNG (Third Edition), sections 5.3, 11.3.2.3; RFC 1950 and 1951 (stored blocks).
 */
import type { Image } from '../image/image.js'

/** Most bytes of a stored block of deflate. */
const BLOCK = 65535

/** The image as PNG with an ICC profile. */
export function profiledPng({ data, width, height }: Image, profile: Uint8Array): Uint8Array<ArrayBuffer>[] {
  const header = new Uint8Array(13)
  const view = new DataView(header.buffer)
  view.setUint32(0, width)
  view.setUint32(4, height)
  // 8 bits of red, green and blue.
  header.set([8, 2], 8)
  const stride = width * 3
  const rows = new Uint8Array(height * (stride + 1))
  // Each row behind a byte that says that it isn't filtered.
  for (let y = 0; y < height; y++) rows.set(data.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1)
  const named = [...new TextEncoder().encode('slide'), 0, 0]
  return [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk('IHDR', header),
    chunk('iCCP', Uint8Array.from(named), zlibOf(profile)),
    chunk('IDAT', zlibOf(rows)),
    chunk('IEND'),
  ]
}

function chunk(type: string, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  const bytes = new Uint8Array(12 + length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, length)
  bytes.set(new TextEncoder().encode(type), 4)
  let at = 8
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  view.setUint32(at, crc32(bytes.subarray(4, at)))
  return bytes
}

/** The bytes as a zlib stream that compresses nothing. */
function zlibOf(bytes: Uint8Array): Uint8Array {
  const blocks = Math.max(1, Math.ceil(bytes.length / BLOCK))
  const out = new Uint8Array(2 + 5 * blocks + bytes.length + 4)
  const view = new DataView(out.buffer)
  out.set([0x78, 0x01])
  let at = 2
  for (let block = 0; block < blocks; block++) {
    const part = bytes.subarray(block * BLOCK, (block + 1) * BLOCK)
    out[at] = block === blocks - 1 ? 1 : 0
    view.setUint16(at + 1, part.length, true)
    view.setUint16(at + 3, part.length ^ 0xffff, true)
    out.set(part, at + 5)
    at += 5 + part.length
  }
  view.setUint32(at, adler32(bytes))
  return out
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  return crc
})

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (let i = 0; i < bytes.length; i++) {
    crc = (CRC_TABLE[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8)
  }
  return ~crc >>> 0
}

function adler32(bytes: Uint8Array): number {
  let [a, b] = [1, 0]
  for (let start = 0; start < bytes.length; start += 3800) {
    // So many sums stay below 2 ** 32.
    const end = Math.min(bytes.length, start + 3800)
    for (let i = start; i < end; i++) {
      a += bytes[i] as number
      b += a
    }
    a %= 65521
    b %= 65521
  }
  return ((b << 16) | a) >>> 0
}

/** PNGs of any header, also such as no program writes. */
import { crc32, deflateSync } from 'node:zlib'

/** A PNG with that header; by default hardly any data. */
export function barePng(
  width: number,
  height: number,
  depth: number,
  colour: number,
  interlace = 0,
  data = Buffer.alloc(100),
): Buffer {
  const chunk = (type: string, body: Buffer) => {
    const bytes = Buffer.alloc(body.length + 12)
    bytes.writeUInt32BE(body.length)
    bytes.write(type, 4, 'latin1')
    body.copy(bytes, 8)
    bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + body.length)), 8 + body.length)
    return bytes
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width)
  header.writeUInt32BE(height, 4)
  header.set([depth, colour, 0, 0, interlace], 8)
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]),
    ...[chunk('IHDR', header), chunk('IDAT', deflateSync(data, { level: 9 })), chunk('IEND', Buffer.alloc(0))],
  ])
}

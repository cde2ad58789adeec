/**
 * Tiles of few colours, without loss: drawn text, masks, grids. A list of colours, then the number of each pixel's,
 * packed and deflated (docs/format.md, "Few colours").
 */
import type { Image, Size } from '../image/image.js'
import { corruptTile } from './bitstream.js'
import { deflate, inflate } from './deflate.js'

const MOST_COLOURS = 256

/** The colours of an image in the order in which they appear, 0xRRGGBB; null if they are more than 256. */
function coloursOf({ data }: Image): Map<number, number> | null {
  const numbers = new Map<number, number>()
  let last = -1
  for (let i = 0; i < data.length; i += 3) {
    const colour = colourAt(data, i)
    if (colour === last) continue
    last = colour
    if (numbers.has(colour)) continue
    if (numbers.size === MOST_COLOURS) return null
    numbers.set(colour, numbers.size)
  }
  return numbers
}

function colourAt(data: Uint8Array, at: number): number {
  return ((data[at] as number) << 16) | ((data[at + 1] as number) << 8) | (data[at + 2] as number)
}

/** Bits of a pixel's number: a divisor of 8, so that no pixel's number is in two bytes. */
function bitsFor(colours: number): number {
  return [1, 2, 4].find((bits) => colours <= 1 << bits) ?? 8
}

/** Null for an image of more than 256 colours. */
export async function encodePalette(image: Image): Promise<Uint8Array | null> {
  const numbers = coloursOf(image)
  if (!numbers) return null
  const { data, width, height } = image
  const bits = bitsFor(numbers.size)
  const stride = Math.ceil((width * bits) / 8)
  const packed = new Uint8Array(stride * height)
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 3) {
      const place = x * bits
      const at = y * stride + (place >> 3)
      const number = numbers.get(colourAt(data, i)) as number
      packed[at] = (packed[at] as number) | (number << (8 - bits - (place & 7)))
    }
  }
  const list = [...numbers.keys()].flatMap((colour) => [colour >> 16, (colour >> 8) & 255, colour & 255])
  const deflated = await deflate(packed)
  const bytes = new Uint8Array(1 + list.length + deflated.length)
  bytes.set([numbers.size - 1, ...list])
  bytes.set(deflated, 1 + list.length)
  return bytes
}

/** @throws CorruptDataError ERR_CORRUPT_TILE */
export async function decodePalette(bytes: Uint8Array, { width, height }: Size): Promise<Image> {
  const count = (bytes[0] ?? 0) + 1
  const list = bytes.subarray(1, 1 + 3 * count)
  if (list.length < 3 * count) throw corruptTile(`its list of ${count} colours is cut off`)
  const bits = bitsFor(count)
  const stride = Math.ceil((width * bits) / 8)
  const packed = await inflated(bytes.subarray(1 + 3 * count), stride * height)
  const data = new Uint8Array(width * height * 3)
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 3) {
      const place = x * bits
      const number = ((packed[y * stride + (place >> 3)] as number) >> (8 - bits - (place & 7))) & ((1 << bits) - 1)
      if (number >= count) throw corruptTile(`a pixel has colour ${number} of ${count}`)
      data[i] = list[3 * number] as number
      data[i + 1] = list[3 * number + 1] as number
      data[i + 2] = list[3 * number + 2] as number
    }
  }
  return { data, width, height, channels: 3 }
}

/** Exactly `length` bytes. */
async function inflated(bytes: Uint8Array, length: number): Promise<Uint8Array> {
  const out = await inflate(bytes, length).catch((cause: Error) => {
    throw corruptTile(`its pixels can't be inflated (${cause.message})`, cause)
  })
  if (out.length !== length) throw corruptTile(`it has ${out.length} bytes of pixels, not ${length}`)
  return out
}

/** Packed bytes of a TIFF to samples: byte order, predictors, and numbers of any depth. Source: TIFF 6.0, section 14. */
import { endianness } from 'node:os'
import type { StoredTiffImage } from '../../tiff/stored-image.js'
import type { SegmentShape } from './decompress.js'
import { FLOAT, SIGNED } from './readable.js'

export type Samples =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array

const IS_LITTLE = endianness() === 'LE'

/**
 * The samples of a segment, interleaved. Changes `packed`.
 *
 * @param packed starts where an array of numbers may, as a new Uint8Array does
 */
export function samplesOf(
  packed: Uint8Array,
  image: StoredTiffImage,
  shape: SegmentShape,
  isLittleEndian: boolean,
): Samples {
  const bits = image.bits as number
  if (image.fillOrder === 2) for (let i = 0; i < packed.length; i++) packed[i] = reversed(packed[i] as number)
  if (bits < 8 || bits % 8 !== 0) return unpackBits(packed, shape, bits)
  const bytes = packed.byteOffset % 8 === 0 ? packed : Uint8Array.from(packed)
  if (image.predictor === 3) undoFloating(bytes, shape, bits / 8)
  else if (isLittleEndian !== IS_LITTLE) swap(bytes, bits / 8)
  if (image.predictor === 2) undoHorizontal(bytes, shape, bits)
  return view(bytes, bits, image.sampleFormat)
}

function view({ buffer, byteOffset, byteLength }: Uint8Array, bits: number, format: number): Samples {
  const count = byteLength / (bits / 8)
  const kind = format === FLOAT ? 'f' : format === SIGNED ? 'i' : 'u'
  switch (`${kind}${bits}`) {
    case 'i8':
      return new Int8Array(buffer, byteOffset, count)
    case 'u16':
      return new Uint16Array(buffer, byteOffset, count)
    case 'i16':
      return new Int16Array(buffer, byteOffset, count)
    case 'f16':
      return Float32Array.from(new Uint16Array(buffer, byteOffset, count), half)
    case 'u32':
      return new Uint32Array(buffer, byteOffset, count)
    case 'i32':
      return new Int32Array(buffer, byteOffset, count)
    case 'f32':
      return new Float32Array(buffer, byteOffset, count)
    case 'u64':
      return Float64Array.from(new BigUint64Array(buffer, byteOffset, count), Number)
    case 'i64':
      return Float64Array.from(new BigInt64Array(buffer, byteOffset, count), Number)
    case 'f64':
      return new Float64Array(buffer, byteOffset, count)
    default:
      return new Uint8Array(buffer, byteOffset, count)
  }
}

/** Samples of 1 to 7 and 9 to 15 bits, the highest first; each row begins with a byte. */
function unpackBits(
  packed: Uint8Array,
  { width, packedRows, channels, rowBytes }: SegmentShape,
  bits: number,
): Samples {
  const perRow = width * channels
  const out = bits < 8 ? new Uint8Array(perRow * packedRows) : new Uint16Array(perRow * packedRows)
  const mask = 2 ** bits - 1
  for (let row = 0, i = 0; row < packedRows; row++) {
    let at = row * rowBytes
    let held = 0
    let have = 0
    for (let column = 0; column < perRow; column++, i++) {
      while (have < bits) {
        held = ((held << 8) | (packed[at++] as number)) & 0xffffff
        have += 8
      }
      have -= bits
      out[i] = (held >> have) & mask
    }
  }
  return out
}

/** Each number is stored as its difference from that of the same channel in the pixel to the left. */
function undoHorizontal(bytes: Uint8Array, { width, packedRows, channels }: SegmentShape, bits: number): void {
  const { buffer, byteOffset, byteLength } = bytes
  const count = byteLength / (bits / 8)
  const stride = width * channels
  if (bits === 64) {
    const values = new BigUint64Array(buffer, byteOffset, count)
    for (let row = 0; row < packedRows; row++) {
      for (let i = row * stride + channels; i < (row + 1) * stride; i++) {
        values[i] = (values[i] as bigint) + (values[i - channels] as bigint)
      }
    }
    return
  }
  const Type = { 8: Uint8Array, 16: Uint16Array, 32: Uint32Array }[bits] as Uint32ArrayConstructor
  const values = new Type(buffer, byteOffset, count)
  for (let row = 0; row < packedRows; row++) {
    for (let i = row * stride + channels; i < (row + 1) * stride; i++) {
      values[i] = (values[i] as number) + (values[i - channels] as number)
    }
  }
}

/**
 * Floating-point numbers are stored as a row of their highest bytes, one of the next, and so on, and of these bytes the
 * differences. Source: Adobe Photoshop TIFF Technical Note 3.
 */
function undoFloating(bytes: Uint8Array, { width, packedRows, channels, rowBytes }: SegmentShape, size: number): void {
  const count = width * channels
  for (let row = 0; row < packedRows; row++) {
    const line = bytes.subarray(row * rowBytes, (row + 1) * rowBytes)
    for (let i = channels; i < line.length; i++) line[i] = (line[i] as number) + (line[i - channels] as number)
    const planes = Uint8Array.from(line)
    for (let i = 0; i < count; i++) {
      for (let byte = 0; byte < size; byte++) {
        line[i * size + (IS_LITTLE ? size - 1 - byte : byte)] = planes[byte * count + i] as number
      }
    }
  }
}

function swap(bytes: Uint8Array, size: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (size === 2) buffer.swap16()
  if (size === 4) buffer.swap32()
  if (size === 8) buffer.swap64()
}

function reversed(byte: number): number {
  let out = 0
  for (let bit = 0; bit < 8; bit++) out |= ((byte >> bit) & 1) << (7 - bit)
  return out
}

/** IEEE 754 half precision. */
function half(bits: number): number {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023]
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024))
}

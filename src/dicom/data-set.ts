/**
 * Data sets in the encoding "Explicit VR Little Endian". Source: DICOM PS3.5, sections 6.2 and 7.
 *
 * It is our own, small and without pixels, as frames are streamed past it: dcmjs, the library for it, has no types, needs
 * 32 MB of packages, knows no VR of type OV as long, and holds a file in memory.
 */
import { ATTRIBUTES, type Keyword, type Vr } from './attributes.js'

type OneOrMore<T> = T | readonly T[]

/** What a value of a VR is here; an empty array or text is a value that isn't known (of attributes of type 2). */
type ValueOf<V> = V extends 'SQ'
  ? readonly DataSet[]
  : V extends 'OB' | 'OV'
    ? Uint8Array
    : V extends 'IS' | 'US' | 'UL' | 'SL' | 'FL'
      ? OneOrMore<number>
      : V extends 'DS'
        ? OneOrMore<number | string>
        : V extends 'AT'
          ? Keyword
          : OneOrMore<string>

export type DataSet = { readonly [K in Keyword]?: ValueOf<(typeof ATTRIBUTES)[K][2]> }

/** VRs whose length has four bytes, after two that are zero. */
const LONG: readonly Vr[] = ['OB', 'OV', 'SQ', 'UT']
/** VRs that are filled up with a zero; texts are with a blank. */
const ZERO_FILLED: readonly Vr[] = ['UI', 'OB', 'OV']
const NUMBERS = {
  US: [2, (view: DataView, value: number) => view.setUint16(0, value, true)],
  UL: [4, (view: DataView, value: number) => view.setUint32(0, value, true)],
  SL: [4, (view: DataView, value: number) => view.setInt32(0, value, true)],
  FL: [4, (view: DataView, value: number) => view.setFloat32(0, value, true)],
} as const

/** Characters that a decimal string may have. */
export const MOST_DECIMAL = 16

/** The bytes of a data set, in the order of tags. Texts are ASCII. */
export function encodeDataSet(dataSet: DataSet): Buffer {
  const entries = (Object.entries(dataSet) as [Keyword, unknown][]).filter(([, value]) => value !== undefined)
  const tagOf = ([keyword]: [Keyword, unknown]) => ATTRIBUTES[keyword][0] * 2 ** 16 + ATTRIBUTES[keyword][1]
  entries.sort((a, b) => tagOf(a) - tagOf(b))
  return Buffer.concat(entries.map(([keyword, value]) => encodeElement(keyword, value)))
}

function encodeElement(keyword: Keyword, value: unknown): Buffer {
  const [group, number, vr] = ATTRIBUTES[keyword]
  const bytes = encodeValue(vr, value)
  const length = bytes.length + (bytes.length % 2)
  const isLong = LONG.includes(vr)
  if (!isLong && length >= 2 ** 16) throw new Error(`a value of ${keyword} has ${length} bytes`)
  const element = Buffer.alloc((isLong ? 12 : 8) + length, ZERO_FILLED.includes(vr) ? '\0' : ' ')
  element.writeUInt16LE(group, 0)
  element.writeUInt16LE(number, 2)
  element.write(vr, 4, 'latin1')
  if (isLong) {
    element.writeUInt16LE(0, 6)
    element.writeUInt32LE(length, 8)
  } else {
    element.writeUInt16LE(length, 6)
  }
  element.set(bytes, isLong ? 12 : 8)
  return element
}

function encodeValue(vr: Vr, value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value
  const values = Array.isArray(value) ? value : [value]
  switch (vr) {
    case 'SQ':
      return Buffer.concat((values as DataSet[]).map((item) => withItemHead(encodeDataSet(item))))
    case 'AT': {
      const [group, number] = ATTRIBUTES[value as Keyword]
      return Buffer.from(Uint16Array.of(group, number).buffer)
    }
    case 'US':
    case 'UL':
    case 'SL':
    case 'FL': {
      const [size, set] = NUMBERS[vr]
      const bytes = Buffer.alloc(size * values.length)
      for (const [i, each] of values.entries()) {
        set(new DataView(bytes.buffer, bytes.byteOffset + i * size, size), each as number)
      }
      return bytes
    }
    case 'DS':
      return Buffer.from(values.map((each) => (typeof each === 'number' ? decimal(each) : each)).join('\\'), 'latin1')
    default:
      return Buffer.from(values.join('\\'), 'latin1')
  }
}

/** A number in at most 16 characters, with all the digits that fit. */
export function decimal(value: number): string {
  const shortest = String(value)
  if (shortest.length <= MOST_DECIMAL) return shortest
  for (let digits = 15; digits > 0; digits--) {
    const text = String(Number(value.toPrecision(digits)))
    if (text.length <= MOST_DECIMAL) return text
  }
  throw new Error(`${value} is no decimal string`)
}

/** An item of a sequence. */
function withItemHead(bytes: Uint8Array): Buffer {
  return Buffer.concat([itemHead(bytes.length), bytes])
}

/** The tag and length in front of an item, of a sequence or of encapsulated pixels. */
export function itemHead(length: number): Buffer {
  const head = Buffer.from([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0])
  head.writeUInt32LE(length, 4)
  return head
}

/** What ends encapsulated pixels. */
export const SEQUENCE_END: Uint8Array = Uint8Array.of(0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0)

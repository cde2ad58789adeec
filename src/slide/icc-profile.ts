/**
 * What is in an ICC profile: its primaries, and, to be removed, its texts. Besides colours a profile may name the
 * scanner, its serial number, its owner, and whatever else a program has put there. Source: ICC.1:2022 (profile version
 * 4.4), sections 7, 9 and 10.
 */
import type { Image } from '../image/image.js'

const HEADER_BYTES = 128
const ENTRY_BYTES = 12
const MAX_TAGS = 100

/** The tags from which colours are computed. */
const TAGS = [
  ...['wtpt', 'bkpt', 'chad', 'rXYZ', 'gXYZ', 'bXYZ', 'rTRC', 'gTRC', 'bTRC', 'kTRC', 'cicp', 'gamt'],
  ...['A2B0', 'A2B1', 'A2B2', 'B2A0', 'B2A1', 'B2A2', 'pre0', 'pre1', 'pre2'],
]
/** Types of elements that hold numbers. */
const TYPES = ['XYZ ', 'curv', 'para', 'sf32', 'cicp', 'mft1', 'mft2', 'mAB ', 'mBA ']
/** Parts of the header that colours depend on: version to connection space, "acsp", flags, and intent to illuminant. */
const HEADER_PARTS = [
  [8, 24],
  [36, 40],
  [44, 48],
  [64, 80],
] as const
/** 1 January 2000: a profile must have a date, and this one says nothing. */
const DATE = [2000, 1, 1, 0, 0, 0]

interface Element {
  readonly tag: string
  readonly bytes: Uint8Array
}

/** A profile of the same colours with nothing in it but numbers; null if it can't be made of these bytes. */
export function withoutText(profile: Uint8Array): Uint8Array | null {
  const elements = elementsOf(profile)
  if (!elements || elements.length === 0) return null
  const isVersion4 = (profile[8] as number) >= 4
  const word = isVersion4 ? localisedText : plainText
  // A profile must have both.
  elements.push({ tag: 'desc', bytes: isVersion4 ? localisedText('slide') : describingText('slide') })
  elements.push({ tag: 'cprt', bytes: word('none') })
  return assemble(profile, elements)
}

/** The XYZ of red, green and blue, nine numbers; null if the profile states none. */
export function primariesOf(profile: Uint8Array): number[] | null {
  const elements = elementsOf(profile) ?? []
  const primaries = ['rXYZ', 'gXYZ', 'bXYZ'].flatMap((tag) => {
    const { bytes } = elements.find((element) => element.tag === tag) ?? {}
    if (!bytes || bytes.length < 20 || ascii(bytes, 0) !== 'XYZ ') return []
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    return [8, 12, 16].map((at) => view.getInt32(at) / 65536)
  })
  return primaries.length === 9 ? primaries : null
}

/** Red, green and blue of sRGB as profiles state them, in XYZ before D50 (IEC 61966-2-1, adapted by Bradford). */
const SRGB_PRIMARIES = [0.436, 0.2225, 0.0139, 0.3851, 0.7169, 0.0971, 0.1431, 0.0606, 0.7141]

/** Whether the primaries are those of sRGB, so that converting by the profile may change nothing. */
export function isOfSrgb(profile: Uint8Array): boolean {
  const primaries = primariesOf(profile)
  return primaries?.every((value, i) => Math.abs(value - (SRGB_PRIMARIES[i] as number)) < 0.01) ?? false
}

/** An image in the colours of a profile, as one in sRGB of 8 bits. */
export type ToSrgb = (image: Image) => Promise<Image>

/** Colours of which some change by every profile but that of sRGB. */
export const STRONG_COLOURS: Image = {
  width: 3,
  height: 1,
  channels: 3,
  data: Uint8Array.of(255, 0, 0, 0, 255, 0, 20, 40, 250),
}

/** The elements from which colours are computed; null if these bytes are no profile, or one of them is damaged. */
function elementsOf(profile: Uint8Array): Element[] | null {
  const view = new DataView(profile.buffer, profile.byteOffset, profile.byteLength)
  if (profile.length < HEADER_BYTES + 4 || ascii(profile, 36) !== 'acsp') return null
  const count = view.getUint32(HEADER_BYTES)
  if (count > MAX_TAGS || profile.length < HEADER_BYTES + 4 + count * ENTRY_BYTES) return null
  const elements: Element[] = []
  for (let i = 0; i < count; i++) {
    const at = HEADER_BYTES + 4 + i * ENTRY_BYTES
    const tag = ascii(profile, at)
    const [offset, size] = [view.getUint32(at + 4), view.getUint32(at + 8)]
    if (!TAGS.includes(tag)) continue
    if (size < 8 || offset + size > profile.length || !TYPES.includes(ascii(profile, offset))) return null
    elements.push({ tag, bytes: profile.subarray(offset, offset + size) })
  }
  return elements
}

function assemble(profile: Uint8Array, elements: readonly Element[]): Uint8Array {
  const start = HEADER_BYTES + 4 + elements.length * ENTRY_BYTES
  /** Where each element is; some are shared, as the curves of grey profiles are. */
  const placed: { readonly bytes: Uint8Array; readonly offset: number }[] = []
  let end = start
  const offsets = elements.map(({ bytes }) => {
    const same = placed.find((other) => Buffer.from(other.bytes).equals(bytes))
    if (same) return same.offset
    const offset = end
    placed.push({ bytes, offset })
    end += Math.ceil(bytes.length / 4) * 4
    return offset
  })
  const out = new Uint8Array(end)
  const view = new DataView(out.buffer)
  for (const [from, to] of HEADER_PARTS) out.set(profile.subarray(from, to), from)
  view.setUint32(0, end)
  for (const [i, value] of DATE.entries()) view.setUint16(24 + 2 * i, value)
  view.setUint32(HEADER_BYTES, elements.length)
  for (const [i, { tag, bytes }] of elements.entries()) {
    const at = HEADER_BYTES + 4 + i * ENTRY_BYTES
    out.set(new TextEncoder().encode(tag), at)
    view.setUint32(at + 4, offsets[i] as number)
    view.setUint32(at + 8, bytes.length)
  }
  for (const { bytes, offset } of placed) out.set(bytes, offset)
  return out
}

function ascii(bytes: Uint8Array, offset: number): string {
  return String.fromCharCode(...bytes.subarray(offset, offset + 4))
}

/** multiLocalizedUnicodeType, one entry. */
function localisedText(text: string): Uint8Array {
  const bytes = new Uint8Array(28 + 2 * text.length)
  const view = new DataView(bytes.buffer)
  bytes.set(new TextEncoder().encode('mluc'))
  view.setUint32(8, 1)
  view.setUint32(12, 12)
  bytes.set(new TextEncoder().encode('enUS'), 16)
  view.setUint32(20, 2 * text.length)
  view.setUint32(24, 28)
  for (let i = 0; i < text.length; i++) view.setUint16(28 + 2 * i, text.charCodeAt(i))
  return bytes
}

/** textDescriptionType of version 2: ASCII, and no Unicode or Macintosh text. */
function describingText(text: string): Uint8Array {
  const bytes = new Uint8Array(12 + text.length + 1 + 8 + 3 + 67)
  bytes.set(new TextEncoder().encode(`desc\0\0\0\0\0\0\0${String.fromCharCode(text.length + 1)}${text}`))
  return bytes
}

/** textType of version 2. */
function plainText(text: string): Uint8Array {
  return new TextEncoder().encode(`text\0\0\0\0${text}\0`)
}

/** TIFFs of any byte order, classic or big, with whatever tags a test wants: also such as no program writes. */

export interface BareDirectory {
  /**
   * Values by tag: RATIONAL of a resolution, FLOAT and SLONG of some of Hamamatsu's, else SHORT where all fit, else LONG,
   * else (BigTIFF) LONG8; text is ASCII.
   */
  readonly tags: Readonly<Record<number, readonly number[] | string>>
  /** Data of the tag 273 or 324, whose values are their places; 279 or 325, the lengths, are added if they aren't given. */
  readonly segments?: readonly Uint8Array[]
  readonly children?: readonly BareDirectory[]
}

export interface BareForm {
  readonly isLittle: boolean
  readonly isBig: boolean
  /** Whether links to directories have eight bytes though it is no BigTIFF, as Hamamatsu's do. */
  readonly hasWideLinks?: boolean
}

export const FORMS: readonly BareForm[] = [true, false].flatMap((isLittle) =>
  [true, false].map((isBig) => ({ isLittle, isBig })),
)

/** XResolution and YResolution. */
const RATIONAL = [282, 283]
/** SourceLens of NDPI files. */
const FLOAT = [65421]
/** Offsets and focal plane of NDPI files. */
const SLONG = [65422, 65423, 65424]

class Bytes {
  readonly #parts: Buffer[] = []
  length = 0

  add(bytes: Uint8Array): number {
    const at = this.length
    const padding = Buffer.alloc(bytes.length % 2)
    this.#parts.push(Buffer.from(bytes), padding)
    this.length += bytes.length + padding.length
    return at
  }

  get all(): Buffer {
    return Buffer.concat(this.#parts)
  }
}

export function bareTiff(chain: readonly BareDirectory[], { isLittle, isBig, hasWideLinks = isBig }: BareForm): Buffer {
  const number = (value: number, size: number) => {
    const bytes = Buffer.alloc(size)
    if (size === 8) bytes.writeBigUInt64LE(BigInt(value))
    else bytes.writeUIntLE(value, 0, size)
    return isLittle ? bytes : bytes.reverse()
  }
  const wide = isBig ? 8 : 4
  const noLink = number(0, hasWideLinks ? 8 : 4)
  const header = Buffer.concat([
    Buffer.from(isLittle ? 'II' : 'MM'),
    number(isBig ? 43 : 42, 2),
    ...(isBig ? [number(8, 2), number(0, 2)] : []),
    noLink,
  ])
  const out = new Bytes()
  out.add(header)

  const entry = (tag: number, values: readonly number[] | string) => {
    const { type, size, bytes } = encoded(tag, values)
    const place =
      bytes.length <= wide ? Buffer.concat([bytes, Buffer.alloc(wide - bytes.length)]) : number(out.add(bytes), wide)
    return Buffer.concat([number(tag, 2), number(type, 2), number(bytes.length / size, wide), place])
  }
  const encoded = (tag: number, values: readonly number[] | string) => {
    if (typeof values === 'string') return { type: 2, size: 1, bytes: Buffer.from(`${values}\0`) }
    if (RATIONAL.includes(tag)) {
      const parts = values.flatMap((value) => [number(Math.round(value * 1000), 4), number(1000, 4)])
      return { type: 5, size: 8, bytes: Buffer.concat(parts) }
    }
    if (FLOAT.includes(tag)) {
      const bytes = Buffer.alloc(4)
      bytes.writeFloatLE(values[0] as number)
      return { type: 11, size: 4, bytes: isLittle ? bytes : bytes.reverse() }
    }
    if (SLONG.includes(tag)) return { type: 9, size: 4, bytes: number((values[0] as number) >>> 0, 4) }
    const most = Math.max(...values)
    const [type, size] = most < 2 ** 16 ? [3, 2] : most < 2 ** 32 ? [4, 4] : [16, 8]
    return { type, size, bytes: Buffer.concat(values.map((value) => number(value, size))) }
  }
  /** Writes a directory, behind what it points to; returns its place, and that of the link to the next. */
  const write = ({ tags, segments, children }: BareDirectory): { at: number; link: number } => {
    const all = new Map<number, readonly number[] | string>(
      Object.entries(tags).map(([tag, values]) => [Number(tag), values]),
    )
    if (segments) {
      const [places, lengths] = all.has(322) ? [324, 325] : [273, 279]
      all.set(
        places,
        segments.map((bytes) => out.add(bytes)),
      )
      if (!all.has(lengths))
        all.set(
          lengths,
          segments.map(({ length }) => length),
        )
    }
    if (children)
      all.set(
        330,
        children.map((child) => write(child).at),
      )
    const entries = [...all].sort(([a], [b]) => a - b).map(([tag, values]) => entry(tag, values))
    const body = Buffer.concat([number(entries.length, isBig ? 8 : 2), ...entries])
    const at = out.add(Buffer.concat([body, noLink]))
    return { at, link: at + body.length }
  }
  const written = chain.map(write)
  const bytes = out.all
  const links = [isBig ? 8 : 4, ...written.map(({ link }) => link)]
  for (const [i, { at }] of written.entries()) number(at, wide).copy(bytes, links[i] as number)
  return bytes
}

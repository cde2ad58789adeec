/** The frame header of a JPEG: what it will decode to, known before a decoder sees it. Source: ITU-T T.81, B.2. */

export interface JpegFrame {
  readonly width: number
  readonly height: number
  /** Bits a sample. */
  readonly precision: number
  /** Sampling factors of each component. */
  readonly components: readonly { readonly horizontal: number; readonly vertical: number }[]
}

const START = 0xd8
const END = 0xd9
const SCAN = 0xda
/** Markers of frames: 0xC0 to 0xCF but for those that begin Huffman tables, extensions and arithmetic conditioning. */
const isFrame = (marker: number) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)

/** Null where there is none before the first scan. */
export function readJpegFrame(bytes: Uint8Array): JpegFrame | null {
  const u16 = (at: number) => ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
  if (bytes[0] !== 0xff || bytes[1] !== START) return null
  for (let at = 2; at + 4 <= bytes.length; ) {
    if (bytes[at] !== 0xff) return null
    const marker = bytes[at + 1] as number
    if (marker === 0xff) {
      at++
      continue
    }
    if (marker === SCAN || marker === END) return null
    const length = u16(at + 2)
    if (isFrame(marker)) {
      const count = bytes[at + 9] ?? 0
      if (length < 8 + 3 * count || at + 2 + length > bytes.length) return null
      const components = Array.from({ length: count }, (_, i) => {
        const factors = bytes[at + 11 + 3 * i] as number
        return { horizontal: factors >> 4, vertical: factors & 15 }
      })
      return { precision: bytes[at + 4] as number, height: u16(at + 5), width: u16(at + 7), components }
    }
    at += 2 + length
  }
  return null
}

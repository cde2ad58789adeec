/** Binary PPM, 8 bit: what command-line codecs read and write. */
import type { Image } from 'cleric'

export function writePpm({ data, width, height }: Image): Uint8Array {
  return Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), data])
}

/** null if that is no 8-bit PPM with all of its pixels. */
export function readPpm(bytes: Uint8Array): Image | null {
  const text = Buffer.from(bytes.subarray(0, 512)).toString('latin1')
  // Comments stand between the numbers, e.g. OpenJPEG's "# OpenJPEG-2.5.0".
  const gap = '(?:\\s|#[^\\n]*\\n)+'
  const head = new RegExp(`^P6${gap}(\\d{1,5})${gap}(\\d{1,5})${gap}255\\s`).exec(text)
  if (!head) return null
  const [width, height] = [Number(head[1]), Number(head[2])]
  const data = bytes.subarray(head[0].length)
  return data.length === width * height * 3 ? { data, width, height, channels: 3 } : null
}

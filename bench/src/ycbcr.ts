/**
 * Full-range YCbCr 4:4:4 of 10 bits, ITU-R BT.601 as in JFIF, planar, little-endian (FFmpeg's yuv444p10le): for codecs
 * that take no RGB. Ten bits, so that the conversion costs next to nothing: 8-bit RGB comes back with an error of 0.
 */
import type { Image } from 'cleric'
import type { Size } from './codec.js'

const [KR, KB] = [0.299, 0.114]
const KG = 1 - KR - KB
const PEAK = 1023
const CENTRE = 512

export function toYcbcr({ data, width, height }: Image): Uint8Array {
  const pixels = width * height
  const planes = new Uint16Array(3 * pixels)
  for (let i = 0; i < pixels; i++) {
    const [r, g, b] = [data[3 * i] as number, data[3 * i + 1] as number, data[3 * i + 2] as number]
    const y = KR * r + KG * g + KB * b
    planes[i] = clip((y / 255) * PEAK)
    planes[pixels + i] = clip(((b - y) / (2 * (1 - KB)) / 255) * PEAK + CENTRE)
    planes[2 * pixels + i] = clip(((r - y) / (2 * (1 - KR)) / 255) * PEAK + CENTRE)
  }
  return new Uint8Array(planes.buffer)
}

/** null if there aren't as many bytes as such an image has. */
export function fromYcbcr(bytes: Uint8Array, { width, height }: Size): Image | null {
  const pixels = width * height
  if (bytes.length !== 6 * pixels) return null
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const sample = (plane: number, i: number) => view.getUint16(2 * (plane * pixels + i), true)
  const data = new Uint8ClampedArray(3 * pixels)
  for (let i = 0; i < pixels; i++) {
    const y = (sample(0, i) / PEAK) * 255
    const cb = ((sample(1, i) - CENTRE) / PEAK) * 255
    const cr = ((sample(2, i) - CENTRE) / PEAK) * 255
    const [r, b] = [y + 2 * (1 - KR) * cr, y + 2 * (1 - KB) * cb]
    data[3 * i] = r
    data[3 * i + 1] = (y - KR * r - KB * b) / KG
    data[3 * i + 2] = b
  }
  return { data: new Uint8Array(data.buffer), width, height, channels: 3 }
}

function clip(value: number): number {
  return Math.max(0, Math.min(PEAK, Math.round(value)))
}

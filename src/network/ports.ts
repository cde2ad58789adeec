/** How many values the host's array of a port has, and in which order those of the coder's ports stand. */
import type { Port } from './graph.js'
import type { Half, Shape } from './tensor.js'

/** The halves of the checkerboard that a port has, in this order; null for a port in the order of the tensor. */
export function halvesOf({ format }: Port): readonly Half[] | null {
  switch (format) {
    case 'anchors':
      return ['anchor']
    case 'nonAnchors':
      return ['nonAnchor']
    case 'halves':
      return ['anchor', 'nonAnchor']
    default:
      return null
  }
}

/** Elements of a port's array on the host. */
export function portElements(port: Port): number {
  const { channels, height, width } = port.tensor.shape
  const halves = halvesOf(port)
  if (!halves) return channels * height * width
  return channels * halves.reduce((sum, half) => sum + halfSize(port.tensor.shape, half), 0)
}

/** The array type of each format. */
export const ARRAY_OF = {
  float: Float32Array,
  rgb8: Uint8Array,
  int16: Int16Array,
  anchors: Int16Array,
  nonAnchors: Int16Array,
  halves: Int16Array,
} as const satisfies Record<Port['format'], unknown>

/** Positions of one half, anchors being where row + column is odd. */
function halfSize({ height, width }: Pick<Shape, 'height' | 'width'>, half: Half): number {
  const anchors = Math.floor((height * width) / 2)
  return half === 'anchor' ? anchors : height * width - anchors
}

/**
 * Offsets, into a channels x height x width tensor, of the positions of one half of the checkerboard, in coding order:
 * channel by channel, each in raster order.
 */
export function halfPositions({ channels, height, width }: Shape, half: Half): Int32Array {
  const parity = half === 'anchor' ? 1 : 0
  const all = new Int32Array(channels * halfSize({ height, width }, half))
  let n = 0
  for (let row = 0; row < channels * height; row++) {
    for (let column = ((row % height) + parity) % 2; column < width; column += 2) all[n++] = row * width + column
  }
  return all
}

/** Offsets of all values of a port in its tensor; null for a port in the order of the tensor. */
export function portPositions(port: Port): Int32Array | null {
  const halves = halvesOf(port)?.map((half) => halfPositions(port.tensor.shape, half))
  const [first, second] = halves ?? []
  if (!first || !second) return first ?? null
  const both = new Int32Array(first.length + second.length)
  both.set(first)
  both.set(second, first.length)
  return both
}

/** values[positions[i]] for every i. */
export function gather(values: Int16Array, positions: Int32Array): Int16Array {
  const out = new Int16Array(positions.length)
  for (let i = 0; i < positions.length; i++) out[i] = values[positions[i] as number] as number
  return out
}

/** The inverse of {@link gather}: a tensor of `length` values, zero elsewhere. */
export function scatter(values: Int16Array, positions: Int32Array, length: number): Int16Array {
  const out = new Int16Array(length)
  for (let i = 0; i < positions.length; i++) out[positions[i] as number] = values[i] as number
  return out
}

/**
 * The order in which a tile's symbols are coded: z_hat channel by channel, then for every slice the anchors
 * and the non-anchors, each channel by channel in raster order.
 */
import type { Half, Shape } from '../network/graph.js'

/** The coding order of the symbols of a tile of some size. */
export interface CodingOrder {
  /** Table index of every hyper-latent symbol. */
  readonly channelOfZ: Uint16Array
  /** Offsets of each half's symbols in a slice of y. */
  readonly positions: Readonly<Record<Half, Int32Array>>
}

export function codingOrder(z: Shape, slice: Shape): CodingOrder {
  return {
    channelOfZ: channelIndexes(z),
    positions: { anchor: halfPositions(slice, 'anchor'), nonAnchor: halfPositions(slice, 'nonAnchor') },
  }
}

/**
 * Offsets, into a channels x height x width tensor, of the positions of one half of the checkerboard, in coding order.
 */
export function halfPositions({ channels, height, width }: Shape, half: Half): Int32Array {
  const parity = half === 'anchor' ? 1 : 0
  const positions: number[] = []
  for (let row = 0; row < height; row++) {
    for (let column = (row + parity) % 2; column < width; column += 2) positions.push(row * width + column)
  }
  const all = new Int32Array(channels * positions.length)
  const area = height * width
  let n = 0
  for (let channel = 0; channel < channels; channel++) {
    for (const position of positions) all[n++] = channel * area + position
  }
  return all
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

/** The channel of every symbol. */
export function channelIndexes({ channels, height, width }: Shape): Uint16Array {
  const area = height * width
  return Uint16Array.from({ length: channels * area }, (_, i) => Math.floor(i / area))
}

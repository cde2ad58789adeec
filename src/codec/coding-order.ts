/**
 * The order in which a tile's symbols are coded: z_hat channel by channel, then for every slice the anchors
 * and the non-anchors, each channel by channel in raster order. Those of y come from the device, and go there, in this
 * order (`network/ports.ts`).
 */
import type { Shape } from '../network/graph.js'

/** The channel of every symbol of z_hat, which is the index of its table. */
export function channelIndexes({ channels, height, width }: Shape): Uint16Array {
  const area = height * width
  const indexes = new Uint16Array(channels * area)
  for (let channel = 0; channel < channels; channel++) indexes.fill(channel, channel * area, (channel + 1) * area)
  return indexes
}

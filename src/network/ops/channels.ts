/** Ops that move channels as they are. */
import type { Tensor } from '../tensor.js'
import { channelsOf, type Ops, output, reads } from './op.js'

/** Channels [first, first + output channels) of the input; first may be any channel. */
export interface SliceNode {
  readonly op: 'slice'
  readonly input: Tensor
  readonly first: number
  readonly output: Tensor
}

/** Channel concatenation, where no conv takes the parts directly. */
export interface ConcatNode {
  readonly op: 'concat'
  readonly inputs: readonly Tensor[]
  readonly output: Tensor
}

export type ChannelsNode = SliceNode | ConcatNode

export const channels: Ops<ChannelsNode> = {
  slice: {
    inputs: ({ input }) => reads([input], { layout: 'elements', positions: 'output' }),
    outputs: output,
    layout: () => 'free',
    shapes: ({ input, first, output: { shape } }) => [
      [input, { ...shape, channels: Math.max(input.shape.channels, first + shape.channels) }],
    ],
    integers: ({ first }) => [first],
  },
  concat: {
    inputs: ({ inputs }) => reads(inputs, { layout: 'elements', positions: 'output' }),
    outputs: output,
    layout: () => 'free',
    shapes: ({ inputs, output: whole }) => [
      ...inputs.map((input) => [input, { ...whole.shape, channels: input.shape.channels }] as const),
      [whole, { ...whole.shape, channels: channelsOf(inputs) }],
    ],
  },
}

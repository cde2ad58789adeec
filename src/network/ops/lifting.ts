/** The lifting wavelet with learned steps. */
import type { Shape, Tensor } from '../tensor.js'
import { floats, type Ops, output, reads, shapedAs } from './op.js'

/** The pass of a 2-D lifting level: along columns of samples ("rows" pairs even and odd rows) or along rows. */
export type Axis = 'rows' | 'columns'

/** Even and odd rows (or columns) of the input: outputs of half the height (width). */
export interface LiftSplitNode {
  readonly op: 'liftSplit'
  readonly input: Tensor
  readonly even: Tensor
  readonly odd: Tensor
  readonly axis: Axis
}

/** The inverse of {@link LiftSplitNode}. */
export interface LiftMergeNode {
  readonly op: 'liftMerge'
  readonly even: Tensor
  readonly odd: Tensor
  readonly output: Tensor
  readonly axis: Axis
}

/**
 * Weights at the ends of a row (or column) of n samples, by which noise in the subbands comes back no stronger there
 * than inside.
 */
export interface LiftEnds {
  /** What the source's last sample is multiplied by wherever it is read. */
  readonly source: number
  /** e_0, what is added to the target's first sample is multiplied by; where n = 1 times `last`. */
  readonly first: number
  /** e_{n-1}; all others are 1. */
  readonly last: number
}

const NO_ENDS: LiftEnds = { source: 1, first: 1, last: 1 }

/** The weights of a step at the ends: 1 unless it has its own. */
export function endsOf({ ends = NO_ENDS }: LiftStepNode): LiftEnds {
  return ends
}

/**
 * One lifting step: output = target + sign e_i (f + net(f)), f = factor * (v_i + v_{i+1}) with v = source
 * (`neighbour` 'next': last repeated; 'previous': v_{i-1} + v_i, first repeated), i counted along the axis; e_i and v's
 * last sample by {@link LiftEnds}.
 * net = conv3x3(1->c), tanh, conv3x3(c->c), tanh, conv1x1(c->1), each colour channel by itself, zero padding.
 * With axis 'columns' the net sees the transposed image: its kernel rows run along the image's columns index.
 * Parameters: `${net}.conv1|conv2|conv3.weight|bias`.
 */
export interface LiftStepNode {
  readonly op: 'liftStep'
  readonly source: Tensor
  readonly target: Tensor
  readonly output: Tensor
  readonly axis: Axis
  readonly factor: number
  readonly neighbour: 'next' | 'previous'
  readonly sign: 1 | -1
  readonly net: string
  readonly ends?: LiftEnds
}

function halfShapes(whole: Tensor, even: Tensor, odd: Tensor, axis: Axis): (readonly [Tensor, Shape])[] {
  const { channels, height, width } = even.shape
  const double = axis === 'rows' ? { channels, height: 2 * height, width } : { channels, height, width: 2 * width }
  return [...shapedAs(even, odd), [whole, double]]
}

/** Hidden channels of a lifting net. */
function hiddenChannels(net: string, shapeOf: (parameter: string) => readonly number[]): number {
  return shapeOf(`${net}.conv1.weight`)[0] ?? 0
}

export type LiftingNode = LiftSplitNode | LiftMergeNode | LiftStepNode

export const lifting: Ops<LiftingNode> = {
  liftSplit: {
    inputs: ({ input }) => reads([input], { layout: 'planar' }),
    outputs: ({ even, odd }) => [even, odd],
    layout: () => 'planar',
    shapes: ({ input, even, odd, axis }) => halfShapes(input, even, odd, axis),
    integers: ({ axis }) => [axis === 'rows' ? 1 : 0],
  },
  liftMerge: {
    inputs: ({ even, odd }) => reads([even, odd], { layout: 'planar' }),
    outputs: output,
    layout: () => 'planar',
    shapes: ({ even, odd, output: whole, axis }) => halfShapes(whole, even, odd, axis),
    integers: ({ axis }) => [axis === 'rows' ? 1 : 0],
  },
  liftStep: {
    inputs: ({ source, target }) => reads([source, target], { layout: 'planar' }),
    outputs: output,
    layout: () => 'planar',
    shapes: ({ source, target, output: result }) => shapedAs(source, target, result),
    parameters: ({ net }, shapeOf) => {
      const hidden = hiddenChannels(net, shapeOf)
      return [
        floats(`${net}.conv1.weight`, [hidden, 1, 3, 3]),
        floats(`${net}.conv1.bias`, [hidden]),
        floats(`${net}.conv2.weight`, [hidden, hidden, 3, 3]),
        floats(`${net}.conv2.bias`, [hidden]),
        floats(`${net}.conv3.weight`, [1, hidden, 1, 1]),
        floats(`${net}.conv3.bias`, [1]),
      ]
    },
    integers: ({ axis, neighbour, sign, net }, { shapeOf, isForPixels }) => [
      axis === 'rows' ? 1 : 0,
      neighbour === 'next' ? 1 : 0,
      sign === 1 ? 1 : 0,
      hiddenChannels(net, shapeOf),
      isForPixels ? 1 : 0,
    ],
    reals: (node) => {
      const { source, first, last } = endsOf(node)
      return [node.factor, source, first, last]
    },
  },
}

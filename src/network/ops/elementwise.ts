/** Ops that make each value from the few at its place. */
import { type Half, halfNumber, type Shape, type Tensor } from '../tensor.js'
import { type Ops, output, reads, sameSize, shapedAs } from './op.js'

/** output = factor * input. */
export interface ScaleNode {
  readonly op: 'scale'
  readonly input: Tensor
  readonly output: Tensor
  readonly factor: number
}

/** output = input * factors, factors of shape channels x 1 x 1. */
export interface GainNode {
  readonly op: 'gain'
  readonly input: Tensor
  readonly factors: Tensor
  readonly output: Tensor
}

/** Mean of 2x2; an odd last row or column is left out. */
export interface PoolNode {
  readonly op: 'pool'
  readonly input: Tensor
  readonly output: Tensor
}

/** input on one half, zero on the other. */
export interface MaskNode {
  readonly op: 'mask'
  readonly input: Tensor
  readonly output: Tensor
  readonly keep: Half
}

/** output = input + addend, same shapes. */
export interface AddNode {
  readonly op: 'add'
  readonly input: Tensor
  readonly addend: Tensor
  readonly output: Tensor
}

/**
 * Nearest integer, ties to even, clamped to +-32767: a symbol. NaN gives an integer of that range too, which one is
 * the device's affair.
 */
export interface RoundNode {
  readonly op: 'round'
  readonly input: Tensor
  readonly output: Tensor
}

/** The shape of {@link PoolNode}'s output. */
export function pooledShape({ channels, height, width }: Shape): Shape {
  return { channels, height: Math.floor(height / 2), width: Math.floor(width / 2) }
}

export type ElementwiseNode = ScaleNode | GainNode | PoolNode | MaskNode | AddNode | RoundNode

export const elementwise: Ops<ElementwiseNode> = {
  scale: {
    inputs: ({ input }) => reads([input], { layout: 'elements', positions: 'output' }),
    outputs: output,
    layout: () => 'input',
    shapes: sameSize,
    reals: ({ factor }) => [factor],
  },
  gain: {
    inputs: ({ input, factors }) => [...reads([input], { positions: 'output' }), ...reads([factors])],
    outputs: output,
    shapes: (node) => [...sameSize(node), [node.factors, { channels: node.input.shape.channels, height: 1, width: 1 }]],
  },
  pool: {
    inputs: ({ input }) => reads([input], { layout: 'elements' }),
    outputs: output,
    layout: () => 'input',
    shapes: ({ input: { shape }, output: mean }) => [[mean, pooledShape(shape)]],
  },
  mask: {
    inputs: ({ input, keep }) => reads([input], { layout: 'output', positions: keep }),
    outputs: output,
    layout: () => 'elements',
    shapes: sameSize,
    integers: ({ keep }) => [halfNumber(keep)],
  },
  add: {
    inputs: ({ input, addend }) => reads([input, addend], { positions: 'output' }),
    outputs: output,
    shapes: ({ input, addend, output: sum }) => shapedAs(input, addend, sum),
  },
  round: {
    inputs: ({ input }) => reads([input], { positions: 'output' }),
    outputs: output,
    shapes: sameSize,
  },
}

/** How the interpreter's ops are written: each as the value of a node's output at any place. */
import type { Half, NodeOf, OpName, Shape, Tensor } from '../../src/network/graph.js'

/** A value at (channel, row, column). */
export type ValueAt = (c: number, y: number, x: number) => number

/** What the ops read: tensors and parameters. */
export interface Sources {
  /** Channels x height x width. */
  readonly values: (tensor: Tensor) => Float64Array
  /** A single value; zero outside the image. */
  readonly at: (tensor: Tensor, c: number, y: number, x: number) => number
  readonly floats: (parameter: string) => Float32Array
  readonly integers: (parameter: string) => Int32Array
}

/** The ops by name; one with several outputs gives a list. */
export type Evaluators<Name extends OpName> = {
  readonly [K in Name]: (node: NodeOf<K>, sources: Sources) => ValueAt | ValueAt[]
}

/** The value at a place, zero outside the image. */
export function read(values: Float64Array, { height, width }: Shape, c: number, y: number, x: number): number {
  if (y < 0 || x < 0 || y >= height || x >= width) return 0
  return values[(c * height + y) * width + x] as number
}

export function kept(half: Half, y: number, x: number): boolean {
  return ((y + x) % 2 === 1) === (half === 'anchor')
}

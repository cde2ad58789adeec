/** Tensors: one image's activations. A backend lays them out as it likes. */

export interface Shape {
  readonly channels: number
  readonly height: number
  readonly width: number
}

export interface Tensor {
  /** Position in `Graph.tensors`. */
  readonly id: number
  /** For error messages and tests, e.g. "g_a.low.0". */
  readonly name: string
  readonly shape: Shape
}

/** Half of the checkerboard: anchor where (row + column) is odd. */
export type Half = 'anchor' | 'nonAnchor'

/** How the addon and the shaders number halves, and the whole. */
export const HALVES = ['all', 'anchor', 'nonAnchor'] as const

export function halfNumber(half: Half | null): number {
  return HALVES.indexOf(half ?? 'all')
}

/**
 * What a kernel's host function returns: data that names a shader, its
 * constants, what is bound to each of its variables, and how many invocations.
 */

import type { NodeOf, OpName, Parameters, Port, Shape, Tensor } from '../network/graph.js'
import type { SubgroupUse } from './subgroups.js'

/** Constants in a texture array, made once for a model and shared by all graphs. */
export interface Weights {
  /** Identifies content and layout: parameter names, then the layout. */
  readonly key: string
  readonly width: number
  readonly height: number
  readonly layers: number
  /** width x height x layers texels: of 4 floats, of 4 integers, or of one short integer. */
  readonly build: () => Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Int16Array<ArrayBuffer>
  /** Default: of 4 floats. */
  readonly format?: 'rgba32float' | 'rgba32sint' | 'r16sint'
  /** Whether a storage buffer holds them, of 4 floats, layer after layer and row after row, not a texture. */
  readonly inBuffer?: boolean
  /** Whether the buffer holds them as half floats, which all of them are. */
  readonly inHalves?: boolean
}

/** The storage buffer behind a port, on its way to or from the host. */
export interface PortBuffer {
  readonly port: Port
  readonly bytes: number
}

export interface Dispatch {
  /** File name in shaders/ without the extension. */
  readonly shader: string
  readonly constants: Readonly<Record<string, number>>
  /** By the shader's variable name; null where a variable goes unused. */
  readonly reads: Readonly<Record<string, Tensor | Weights | PortBuffer | null>>
  readonly writes: Readonly<Record<string, Tensor | PortBuffer>>
  /** Fields of the shader's Params by name. */
  readonly params: Readonly<Record<string, number>>
  /** Invocations along x, y, z. */
  readonly invocations: readonly [number, number, number]
  /** Multiply-adds, roughly: what submissions are split by. */
  readonly cost: number
}

/** Layers copied from one tensor's texture into another's, border included. */
export interface Copy {
  readonly copy: {
    readonly from: Tensor
    readonly fromLayer: number
    readonly to: Tensor
    readonly toLayer: number
    readonly layers: number
  }
  readonly cost: number
}

/** What a stage is made of. */
export type Action = Dispatch | Copy

export function isCopy(action: Action): action is Copy {
  return 'copy' in action
}

/** What an action reads and writes; null for a binding that goes unused. */
export function operandsOf(action: Action): {
  readonly reads: readonly (Tensor | Weights | PortBuffer | null)[]
  readonly writes: readonly (Tensor | PortBuffer)[]
} {
  if (isCopy(action)) return { reads: [action.copy.from], writes: [action.copy.to] }
  return { reads: Object.values(action.reads), writes: Object.values(action.writes) }
}

/** The tensors among what actions read and write, each once. */
export function tensorsOf(operands: readonly (Tensor | Weights | PortBuffer | null)[]): ReadonlySet<Tensor> {
  return new Set(operands.filter((operand): operand is Tensor => operand !== null && isTensor(operand)))
}

/** What a kernel's host function may ask for. */
export interface KernelContext {
  readonly parameters: Parameters
  /** Whether a processor stands in for a GPU: it wants other shapes of kernels, see conv-tiles.ts. */
  readonly software: boolean
  /** Most layers of a texture: of 4 channels each. */
  readonly maxLayers: number
  /** Whether floats may be stored as half floats: tensors where half-floats.ts allows it, weights that are such. */
  readonly halfFloats: boolean
  /** What convolutions of floats do with subgroups. */
  readonly subgroups: SubgroupUse
  /** Tiles that are computed together. Kernels describe one tile's work; `plan` makes it that of all. */
  readonly batch: number
  /** Whether a tensor's values are half floats: see half-floats.ts. */
  isHalf(tensor: Tensor): boolean
  /** A tensor that only this node's dispatches see. */
  scratch(name: string, shape: LaidShape): Tensor
}

/** A shape, and how a texture holds tensors of it (shaders/tensor.wgsl). */
export interface LaidShape extends Shape {
  /** Columns in which layers lie beside each other; default: 1. */
  readonly folds?: number
  /** Whether values are half floats; default: no. */
  readonly half?: boolean
}

export function foldsOf({ shape }: { readonly shape: LaidShape }): number {
  return shape.folds ?? 1
}

/**
 * A scratch tensor that may have more channels than a texture has layers for: then it is folded. Only for tensors that
 * are written by `store` of tensor.wgsl with OUTPUT_FOLDS, and read as the source of register tiles.
 */
export function wideScratch(context: KernelContext, name: string, shape: LaidShape): Tensor {
  const folds = Math.ceil(groupsOf(shape.channels) / context.maxLayers)
  return context.scratch(name, folds > 1 ? { ...shape, folds } : shape)
}

/** The constants of a shader that writes `output` by `store` of tensor.wgsl. */
export function outputFolds(output: Tensor): Readonly<Record<string, number>> {
  const folds = foldsOf(output)
  return folds > 1 ? { OUTPUT_FOLDS: folds } : {}
}

/** The host functions of ops: the actions that compute a node, whose tensors and parameters fit it, in order. */
export type Kernels<Name extends OpName> = {
  readonly [K in Name]: (node: NodeOf<K>, context: KernelContext) => Action[]
}

export function isTensor(source: Tensor | Weights | PortBuffer): source is Tensor {
  return 'id' in source
}

export function isPortBuffer(source: Tensor | Weights | PortBuffer): source is PortBuffer {
  return 'port' in source
}

/** Texels of 4 channels that hold `channels`. */
export function groupsOf(channels: number): number {
  return Math.ceil(channels / 4)
}

/**
 * Invocations of a workgroup in the long grids of grid.wgsl: what a software adapter's registers hold, or enough for
 * the widest waves of a GPU, whose lanes would stand idle otherwise.
 */
export function groupSize(software: boolean): number {
  return software ? 8 : 64
}

/** One invocation for each texel of `output`. */
export function texelGrid(output: Tensor): [number, number, number] {
  const { channels, height, width } = output.shape
  return [width, height, groupsOf(channels)]
}

/**
 * A dispatch of one invocation for each texel of `output`, for a shader on texel.wgsl.
 *
 * @param cost multiply-adds for each value of the output, roughly
 */
export function texelDispatch({
  shader,
  constants = {},
  reads,
  output,
  params = {},
  cost,
}: Pick<Dispatch, 'shader' | 'reads' | 'cost'> &
  Partial<Pick<Dispatch, 'constants' | 'params'>> & { readonly output: Tensor }): Dispatch {
  const { channels, height, width } = output.shape
  return {
    shader,
    constants: { ...constants, ...outputFolds(output) },
    reads,
    writes: { output },
    params: { width, height, ...params },
    invocations: texelGrid(output),
    cost: cost * channels * height * width,
  }
}

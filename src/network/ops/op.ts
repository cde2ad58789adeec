/**
 * What the table of ops says of an op. All that must know every op reads it there: which tensors a node reads and
 * writes, the checks of a graph, the layouts and the numbers that the addon takes.
 *
 * A new op is a node and its entry in a family's file beside this one (or in one of its own, listed in `index.ts`), a
 * method of GraphBuilder that adds it, and its kernels: WebGPU's, the addon's, and the plain loops of the test
 * interpreter. The compiler tells where WebGPU's or the interpreter's is missing; an addon without it is refused.
 */
import type { Half, Shape, Tensor } from '../tensor.js'

/**
 * How the processor's backend lays out a tensor (`native/cpu/kernels/tensor.h`): floats with the channels of a pixel
 * side by side, floats plane by plane, or int16 with the channels of a pixel side by side.
 */
export type Layout = 'interleaved' | 'planar' | 'integers'

/**
 * The layout in which a node reads an input: a certain one; `any`, as it is; `output`, that of the node's output; or
 * `elements`, any whose elements, floats or integers, are the output's.
 */
export type InputLayout = Layout | 'any' | 'output' | 'elements'

/**
 * The layout in which a node writes its outputs: a certain one; `input`, that of its input, in floats; `elements`,
 * integers where all inputs are, else interleaved; or `free`, like `elements`, but planar where a lifting op reads it.
 */
export type OutputLayout = Layout | 'input' | 'elements' | 'free'

/** A tensor that a node reads. */
export interface Input {
  readonly tensor: Tensor
  readonly layout: InputLayout
  /** Which positions are looked at: all, half of them, or `output`: those that are looked at of the node's output. */
  readonly positions: 'all' | 'output' | Half
}

/** A parameter of the model that a node reads. */
export interface ParameterUse {
  readonly name: string
  readonly shape: readonly number[]
  /** Another shape that it may have, of as many elements. */
  readonly orShape?: readonly number[]
  /** The range of each value of an integer parameter; null for one of floats. */
  readonly integers: { readonly least: number; readonly most: number } | null
}

/** What attributes may depend on besides the node. */
export interface AttributeContext {
  /** The half of the node's output that is looked at; null for all of it. */
  readonly neededHalf: Half | null
  /** Whether nothing but pixels follows from the node's output, so that its last bits do no harm: no symbol does. */
  readonly isForPixels: boolean
  readonly shapeOf: (parameter: string) => readonly number[]
}

/** An entry of the table, for nodes of type N. */
export interface Op<N> {
  /** The tensors that a node reads, in the order in which the addon takes them. */
  readonly inputs: (node: N) => readonly Input[]
  /** The tensors that it writes, likewise. */
  readonly outputs: (node: N) => readonly Tensor[]
  /** Default: interleaved. */
  readonly layout?: (node: N) => OutputLayout
  /** The shape that each tensor must have which isn't free to have any. */
  readonly shapes: (node: N) => readonly (readonly [Tensor, Shape])[]
  /** The parameters that it reads, in the order in which the addon takes them. */
  readonly parameters?: (node: N, shapeOf: AttributeContext['shapeOf']) => readonly ParameterUse[]
  /** Its attributes as the addon takes them, the integers and the reals. */
  readonly integers?: (node: N, context: AttributeContext) => readonly number[]
  readonly reals?: (node: N) => readonly number[]
  /** Throws UnsupportedError ERR_MODEL_UNSUPPORTED for sizes that its arithmetic is not proven for. */
  readonly limits?: (node: N) => void
  /**
   * Throws CorruptDataError ERR_MODEL_CORRUPT for integer parameters, each value in its range, with which a sum could
   * overflow 32 bits or a look-up leave its table.
   */
  readonly proof?: (node: N, valuesOf: (parameter: string) => Int32Array) => void
}

/** The entries of a family: one for each op that its nodes have. */
export type Ops<N extends { readonly op: string }> = {
  readonly [K in N['op']]: Op<Extract<N, { readonly op: K }>>
}

/** Inputs that are all read alike; unless said otherwise interleaved, and all positions. */
export function reads(tensors: readonly Tensor[], how: Partial<Omit<Input, 'tensor'>> = {}): Input[] {
  const { layout = 'interleaved', positions = 'all' } = how
  return tensors.map((tensor) => ({ tensor, layout, positions }))
}

/** The outputs of a node with one. */
export function output(node: { readonly output: Tensor }): readonly Tensor[] {
  return [node.output]
}

/** Each tensor with the shape of another. */
export function shapedAs(model: Tensor, ...tensors: (Tensor | null)[]): (readonly [Tensor, Shape])[] {
  return tensors.filter((tensor) => tensor !== null).map((tensor) => [tensor, model.shape])
}

/** The shapes of a node whose output is its input's size. */
export function sameSize(node: { readonly input: Tensor; readonly output: Tensor }): (readonly [Tensor, Shape])[] {
  return shapedAs(node.input, node.output)
}

export function channelsOf(tensors: readonly Tensor[]): number {
  return tensors.reduce((sum, { shape }) => sum + shape.channels, 0)
}

export function floats(name: string, shape: readonly number[]): ParameterUse {
  return { name, shape, integers: null }
}

/** Integers in [least, most]; unless said otherwise any of 32 bits. */
export function integers(name: string, shape: readonly number[], least = -(2 ** 31), most = 2 ** 31 - 1): ParameterUse {
  return { name, shape, integers: { least, most } }
}

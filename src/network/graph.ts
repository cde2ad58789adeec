/**
 * The network as data: tensors, nodes and stages.
 *
 * The graph is built once for a model and a tile size (`cleric.ts`) and run by a
 * backend. A node names its parameters; it never holds them. Tensors are one
 * image's activations, channels x height x width; a backend lays them out as it
 * likes and may reuse a tensor's memory after its last reader.
 *
 * Analysis and synthesis are floating point. Everything that decides what the entropy coder decodes, from z_hat to
 * y_hat, is integers, the same on every device (`integer-nodes.ts`).
 *
 * A stage runs from start to end without the host; between stages the host reads
 * outputs and supplies inputs (the decoder's entropy coder sits there). Tensors
 * made in one stage may be read in later ones.
 */

import type {
  DequantiseNode,
  IntegerConvNode,
  IntegerDepthwiseNode,
  IntegerLayerNormNode,
  IntegerLinearAttentionNode,
  IntegerWindowAttentionNode,
  QuantiseNode,
  RequantiseNode,
  ScaleIndexNode,
} from './integer-nodes.js'

export * from './integer-nodes.js'

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

export type Activation = 'none' | 'gelu'

/** Half of the checkerboard: anchor where (row + column) is odd. */
export type Half = 'anchor' | 'nonAnchor'

/** The pass of a 2-D lifting level: along columns of samples ("rows" pairs even and odd rows) or along rows. */
export type Axis = 'rows' | 'columns'

/**
 * y = residual + act(conv(concat(inputs)) + bias), zero padding, then pixel-shuffled by `shuffle`.
 * Weight: output channels x sum of input channels x kernel x kernel.
 * The residual has the output's (shuffled) shape.
 */
export interface ConvNode {
  readonly op: 'conv'
  readonly inputs: readonly Tensor[]
  readonly output: Tensor
  readonly weight: string
  readonly bias: string
  readonly kernel: 1 | 3
  readonly stride: 1 | 2
  readonly padding: 0 | 1
  readonly activation: Activation
  readonly shuffle: 1 | 2
  readonly residual: Tensor | null
}

/**
 * DCNv2 3x3 (arXiv 1811.11168): y(p) = bias + sum_k W_k sigmoid(m_k) x(s p + tap_k + (dy_k, dx_k)),
 * bilinear, zero outside the image, then act, then pixel shuffle.
 * `offsets` has 27 channels at the unshuffled output size: 9 dy, 9 dx, 9 logits, taps row-major.
 */
export interface DeformNode {
  readonly op: 'deform'
  readonly input: Tensor
  readonly offsets: Tensor
  readonly output: Tensor
  readonly weight: string
  readonly bias: string
  readonly stride: 1 | 2
  readonly activation: Activation
  readonly shuffle: 1 | 2
}

/**
 * GDN: y_i = x_i / sqrt(b_i + sum_j g_ij x_j^2), b = beta^2, g = gamma^2; inverse multiplies.
 * Plus a residual of the same shape, if any. Parameters: beta [C], gamma [C, C], raw.
 */
export interface GdnNode {
  readonly op: 'gdn'
  readonly input: Tensor
  readonly output: Tensor
  readonly beta: string
  readonly gamma: string
  readonly inverse: boolean
  readonly residual: Tensor | null
}

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
 * One lifting step: output = target + sign (f + net(f)), f = factor * (v_i + v_{i+1}) with v = source
 * (`neighbour` 'next': last repeated; 'previous': v_{i-1} + v_i, first repeated), i counted along the axis.
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
}

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

/** Mean of 2x2. */
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

export type Node =
  | ConvNode
  | DeformNode
  | GdnNode
  | LiftSplitNode
  | LiftMergeNode
  | LiftStepNode
  | ScaleNode
  | GainNode
  | PoolNode
  | IntegerConvNode
  | IntegerDepthwiseNode
  | RequantiseNode
  | IntegerLayerNormNode
  | IntegerWindowAttentionNode
  | IntegerLinearAttentionNode
  | MaskNode
  | AddNode
  | RoundNode
  | ScaleIndexNode
  | QuantiseNode
  | DequantiseNode
  | SliceNode
  | ConcatNode

/**
 * What crosses between host and device.
 * `float`: Float32Array, channels x height x width. `rgb8`: Uint8Array, height x width x 3 interleaved, value v
 * stands for v / 255; on output clamped to 0..255 and rounded to nearest. `int16`: Int16Array of integral values, CHW.
 */
export interface Port {
  readonly tensor: Tensor
  readonly format: 'float' | 'rgb8' | 'int16'
}

export interface Stage {
  readonly name: string
  readonly inputs: readonly Port[]
  readonly nodes: readonly Node[]
  readonly outputs: readonly Port[]
}

export interface Graph {
  readonly tensors: readonly Tensor[]
  readonly stages: readonly Stage[]
}

export type PortData = Float32Array | Uint8Array | Int16Array

/** One parameter of a model, as float32 whatever the file holds. */
export interface Parameter {
  readonly shape: readonly number[]
  readonly data: Float32Array
}

/** One parameter of an integer layer, as int32 whatever the file holds. */
export interface IntegerParameter {
  readonly shape: readonly number[]
  readonly data: Int32Array
}

/** The parameters of a model by name; throws ERR_MODEL_CORRUPT for a name that isn't there or is of the other kind. */
export interface Parameters {
  get(name: string): Parameter
  integers(name: string): IntegerParameter
}

/** A graph made ready on a device. Stages run in order; a stage is given exactly its inputs and gives its outputs. */
export interface Executable {
  /** Runs stage `index`; calls on one executable must not overlap. Every device error rejects. */
  run(index: number, inputs: ReadonlyMap<Tensor, PortData>, signal?: AbortSignal): Promise<Map<Tensor, PortData>>
  /** Frees the device memory of this graph (not the backend's shared weights). */
  close(): void
}

/** A device that can run graphs. */
export interface Backend {
  readonly kind: 'webgpu' | 'cpu'
  /** Name of the adapter or processor, for people. */
  readonly name: string
  /** How many executables under way keep it at work: while one tile's symbols are coded, or its pixels are on their way, it runs another's graph. */
  readonly tilesInFlight: number
  /** Whether nothing runs on it any more: its device is lost, which only another backend mends, or it is closed. */
  readonly isLost: boolean
  /** Compiles a graph; parameters are uploaded once a backend and shared by its executables. */
  compile(graph: Graph, parameters: Parameters): Promise<Executable>
  close(): void
}

/** All tensors that a node reads. */
export function nodeInputs(node: Node): readonly Tensor[] {
  switch (node.op) {
    case 'conv':
    case 'integerConv':
      return node.residual ? [...node.inputs, node.residual] : node.inputs
    case 'concat':
      return node.inputs
    case 'deform':
      return [node.input, node.offsets]
    case 'gdn':
      return node.residual ? [node.input, node.residual] : [node.input]
    case 'liftMerge':
      return [node.even, node.odd]
    case 'liftStep':
      return [node.source, node.target]
    case 'gain':
      return [node.input, node.factors]
    case 'integerWindowAttention':
      return [node.qkv]
    case 'integerLinearAttention':
      return [node.query, node.key, node.value]
    case 'add':
      return [node.input, node.addend]
    case 'scaleIndex':
      return [node.params]
    case 'quantise':
      return [node.latent, node.params, node.indexes]
    case 'dequantise':
      return node.base ? [node.symbols, node.params, node.base] : [node.symbols, node.params]
    default:
      return [node.input]
  }
}

/** All tensors that a node writes. */
export function nodeOutputs(node: Node): readonly Tensor[] {
  return node.op === 'liftSplit' ? [node.even, node.odd] : [node.output]
}

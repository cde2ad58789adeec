/**
 * The network as data: tensors, nodes and stages.
 *
 * The graph is built once for a model and a tile size (`cleric.ts`) and run by a
 * backend. A node names its parameters; it never holds them. Tensors are one
 * image's activations, channels x height x width; a backend lays them out as it
 * likes and may reuse a tensor's memory after its last reader.
 *
 * Analysis and synthesis are floating point. Everything that decides what the entropy coder decodes, from z_hat to
 * y_hat, is integers, the same on every device: a tensor there holds integral values, every |v| < 2^24, so that float32
 * storage holds them exactly too.
 *
 * A stage runs from start to end without the host; between stages the host reads
 * outputs and supplies inputs (the decoder's entropy coder sits there). Tensors
 * made in one stage may be read in later ones.
 */

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

/**
 * What an integer layer's output is clamped to: `activation`, 12 bits, -2048..2047 (what integer layers read), or
 * `wide`, -2^20..2^20 (scales, means and the latent).
 */
export type Range = 'activation' | 'wide'

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

/**
 * Convolution of integers: acc = bias[o] + sum of weight * x in 32 bits, over the concatenation of the inputs
 * (activations), zero padding. v = rshift(acc, shift[o]); with a table, v = table[clamp12(v) + 2048], else v is clamped
 * to `range`; with `keep`, v is zero off that half; shuffled; with a residual (in the shuffled shape), v = residual + v,
 * clamped once more if `range` is `activation`.
 *
 * Weight: I16, output channels x sum of input channels x kernel x kernel; bias and shift: I32, [output channels];
 * table: I16 [4096]. Here and below rshift(v, s) = (v + 2^(s-1)) >> s, arithmetic (v itself for s = 0), and
 * clamp12 clamps to -2048..2047.
 */
export interface IntegerConvNode {
  readonly op: 'integerConv'
  readonly inputs: readonly Tensor[]
  readonly output: Tensor
  readonly weight: string
  readonly bias: string
  readonly shift: string
  readonly table: string | null
  readonly kernel: 1 | 3 | 5
  readonly stride: 1 | 5
  readonly padding: 0 | 1 | 2
  readonly shuffle: 1 | 2
  readonly range: Range
  readonly residual: Tensor | null
  readonly keep: Half | null
}

/** As {@link IntegerConvNode}, 3x3, stride 1, padding 1, one filter a channel, range `activation`. Weight: channels x 1 x 3 x 3. */
export interface IntegerDepthwiseNode {
  readonly op: 'integerDepthwise'
  readonly input: Tensor
  readonly output: Tensor
  readonly weight: string
  readonly bias: string
  readonly shift: string
  readonly table: string | null
}

/** output = clamp12(rshift(input, shift)). Parameter: shift, I32 [1]. */
export interface RequantiseNode {
  readonly op: 'requantise'
  readonly input: Tensor
  readonly output: Tensor
  readonly shift: string
}

/**
 * Layer norm of integers, over the C <= 512 channels x of a position, any |x| < 2^24.
 * a = max |x|; N = 0 where a = 0. Else x' = x shifted by n - 11, n the bit length of a: rshift(x, n - 11), or to the
 * left. S = sum x'; m = (4 (S + 2048 C) + (C >> 1)) / C - 8192; u = 4 x' - m; V = sum of (u u + 8) >> 4; N = 0 where
 * V = 0. Else t such that W = V 2^(-2t) (truncated) is in [2^14, 2^16); g0 = rsqrt[(W >> 7) - 128];
 * p = (W ((g0 g0) >> 16)) >> 16; g = (g0 (3 * 2^14 - p)) >> 15, all in u32; N = rshift(u g, t + 11).
 * output = clamp12(rshift(N weight + bias, shift)).
 *
 * Parameters: weight I16 [C], bias and shift I32 [C], `rsqrt` I32 [384], for all layer norms of a model.
 */
export interface IntegerLayerNormNode {
  readonly op: 'integerLayerNorm'
  readonly input: Tensor
  readonly output: Tensor
  readonly weight: string
  readonly bias: string
  readonly shift: string
}

/** Name of the parameter `rsqrt` of {@link IntegerLayerNormNode}: [j] = min(65535, round(2^23 / sqrt((j + 128.5) 128))). */
export const rsqrtTable = 'rsqrt'

/**
 * Attention inside the 5x5 window around every position. qkv holds q, k, v (d channels each, head-major),
 * zero outside the image. logit = rshift(q.k, shift) + bias[relative position][head], minus 65536 unless query and
 * key both are anchors inside the image. M = the largest of a query's 25; e = exp[min(4095, M - logit)]; T = sum e;
 * p = ((e << 16) + (T >> 1)) / T; output = rshift(sum p v, 16).
 * Output: d x 5H x 5W; the window of (row, column) fills the 5x5 block at (5 row, 5 column), so that a 5x5 conv of
 * stride 5 fuses it. Only windows centred at non-anchors are needed; others may hold any activations.
 * Relative position: ((qr - kr + 4) * 9 + (qc - kc + 4)). At most 256 channels a head.
 * Parameters: bias I16 [81, heads], shift I32 [1], exp I16 [4096].
 */
export interface IntegerWindowAttentionNode {
  readonly op: 'integerWindowAttention'
  readonly qkv: Tensor
  readonly output: Tensor
  readonly bias: string
  readonly shift: string
  readonly exp: string
  readonly heads: number
}

/**
 * Linear attention: per head, (softmax_positions(k) v^T)^T softmax_channels(q), in integers.
 * With `split`, k and v count at anchors only, queries at non-anchors only (output zero at anchors).
 *
 * Key channel: M = max over the positions that count, e = exp[M - k], T = sum e, p = ((e << 17) + (T >> 1)) / T in u32;
 * context[i][j] = rshift(sum over positions of p_i v_j, 11). Query position: M = max over the head's channels,
 * e = exp[M - q], T = sum e, p = ((e << 12) + (T >> 1)) / T; output_j = clamp12(rshift(sum p_i context[i][j], shift)).
 * At most 4096 positions and 256 channels a head. Parameters: shift I32 [1], exp I16 [4096].
 */
export interface IntegerLinearAttentionNode {
  readonly op: 'integerLinearAttention'
  readonly query: Tensor
  readonly key: Tensor
  readonly value: Tensor
  readonly output: Tensor
  readonly shift: string
  readonly exp: string
  readonly heads: number
  readonly split: boolean
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

/** Nearest integer, ties to even, clamped to +-32767: what the decoder receives of it, an int16, is what it is. */
export interface RoundNode {
  readonly op: 'round'
  readonly input: Tensor
  readonly output: Tensor
}

/**
 * Entropy parameters to what the coder needs, on one half (zero elsewhere): `index` of the scale in the
 * model's table, which is the number of entries of `table`, a rising list of thresholds, below the scale (at most
 * its last index); params = [scale (d), mean (d)], wide integers, means in 1/64. Parameter: table, I32.
 */
export interface ScaleIndexNode {
  readonly op: 'scaleIndex'
  readonly params: Tensor
  readonly output: Tensor
  readonly table: string
  readonly keep: Half
}

/** Steps of a mean and of y_hat in one step of the latent. */
export const latentSteps = 64

/** r = round(y - mean / 64) on one half, zero elsewhere, ties to even, clamped to +-32767; y, a float, is channels [first, first + d) of `latent`. */
export interface QuantiseNode {
  readonly op: 'quantise'
  readonly latent: Tensor
  readonly first: number
  readonly params: Tensor
  readonly output: Tensor
  readonly keep: Half
}

/** 64 symbols + mean on one half, y_hat in 1/64; elsewhere `base`, or zero without one. */
export interface DequantiseNode {
  readonly op: 'dequantise'
  readonly symbols: Tensor
  readonly params: Tensor
  readonly base: Tensor | null
  readonly output: Tensor
  readonly keep: Half
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
      return [node.latent, node.params]
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

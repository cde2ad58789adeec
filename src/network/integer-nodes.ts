/**
 * The nodes of the entropy model, in integers: each defined to the bit, so that all devices compute the same.
 *
 * A tensor here holds integral values, every |v| < 2^24, so that float32 storage holds them exactly too.
 * Throughout, rshift(v, s) = (v + 2^(s-1)) >> s, arithmetic (v itself for s = 0), clamp12 clamps to -2048..2047, and
 * divisions are of non-negative numbers, truncating.
 */
import type { Half, Tensor } from './graph.js'

/**
 * What an integer layer's output is clamped to: `activation`, 12 bits, -2048..2047 (what integer layers read), or
 * `wide`, -2^20..2^20 (scales, means and the latent).
 */
export type Range = 'activation' | 'wide'

/**
 * Convolution of integers: acc = bias[o] + sum of weight * x in 32 bits, over the concatenation of the inputs
 * (activations), zero padding. v = rshift(acc, shift[o]); with a table, v = table[clamp12(v) + 2048], else v is clamped
 * to `range`; with `keep`, v is zero off that half; shuffled; with a residual (in the shuffled shape), v = residual + v,
 * clamped once more if `range` is `activation`.
 *
 * Weight: I16, output channels x sum of input channels x kernel x kernel; bias and shift: I32, [output channels];
 * table: I16 [4096].
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
 * a = max |x|; N = 0 where a = 0. Else x' = x shifted by e = n - 11, n the bit length of a: rshift(x, e), or to the
 * left. S = sum x'; m = (4 (S + 2048 C) + (C >> 1)) / C - 8192; u = 4 x' - m; V = sum of (u u + 8) >> 4, plus epsilon
 * shifted by k = 10 + 2 e: epsilon >> min(k, 31), or to the left; N = 0 where V = 0. Else t such that W = V 2^(-2t) (truncated) is in [2^14, 2^16); g0 = rsqrt[(W >> 7) - 128];
 * p = (W ((g0 g0) >> 16)) >> 16; g = (g0 (3 * 2^14 - p)) >> 15, all in u32; N = rshift(u g, t + 11).
 * output = clamp12(rshift(N weight + bias, shift)).
 *
 * Parameters: weight I16 [C], bias and shift I32 [C], epsilon I32 [1], `rsqrt` I32 [384], for all layer norms of a model.
 */
export interface IntegerLayerNormNode {
  readonly op: 'integerLayerNorm'
  readonly input: Tensor
  readonly output: Tensor
  readonly weight: string
  readonly bias: string
  readonly shift: string
  readonly epsilon: string
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

/** Name of the parameter `deadZones` of {@link QuantiseNode}, which is no tensor of a model file: it follows from the coder's tables. */
export const deadZoneTable = 'dead zones'

/** Steps of a mean and of y_hat in one step of the latent. */
export const latentSteps = 64

/**
 * Symbols on one half, zero elsewhere: with v = y - mean / 64 and t the entry of `deadZones` at the scale's index,
 * r = sign(v) floor(|v| + 1 - t), or 0 for |v| < t, clamped as in RoundNode. y, a float, is channels
 * [first, first + d) of `latent`. Parameter: deadZones, float [64], 0.5 (plain rounding) to 1.25.
 */
export interface QuantiseNode {
  readonly op: 'quantise'
  readonly latent: Tensor
  readonly first: number
  readonly params: Tensor
  /** Of a ScaleIndexNode. */
  readonly indexes: Tensor
  readonly deadZones: string
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

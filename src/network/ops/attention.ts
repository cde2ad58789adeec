/**
 * The attentions of the entropy model, in integers to the bit, as are its layers (`integer-layers.ts`, which explains
 * rshift and clamp12).
 */
import { badParameter } from '../parameters.js'
import type { Tensor } from '../tensor.js'
import { SHIFT_LIMIT } from './integer-layers.js'
import { atMost, unsupported } from './limits.js'
import { integers, type Ops, output, type ParameterUse, reads, shapedAs } from './op.js'

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

const HEAD_CHANNELS = 256
const ATTENDED_POSITIONS = 4096
const EXP_ENTRIES = 4096
const EXP_ONE = 1 << 14

function checkHeads({ name, shape: { channels } }: Tensor, heads: number): void {
  if (channels % heads !== 0) throw unsupported(`${name}: ${channels} channels do not divide by ${heads} heads`)
  atMost(channels / heads, HEAD_CHANNELS, `${name}: channels a head`)
}

function expTable(name: string): ParameterUse {
  return integers(name, [EXP_ENTRIES], 0, EXP_ONE)
}

/** Proves that the largest term of a softmax is 2^14: no sum is zero, and none larger than 2^14 a term. */
function proveExp(name: string, exp: Int32Array): void {
  if (exp[0] !== EXP_ONE) throw badParameter(name, `begins with ${exp[0]}, not ${EXP_ONE}`)
  for (let i = 1; i < exp.length; i++) {
    if ((exp[i] as number) > (exp[i - 1] as number)) throw badParameter(name, `rises at ${i}`)
  }
  if (exp.at(-1) !== 0) throw badParameter(name, `ends with ${exp.at(-1)}, not 0`)
}

export type AttentionNode = IntegerWindowAttentionNode | IntegerLinearAttentionNode

export const attentions: Ops<AttentionNode> = {
  integerWindowAttention: {
    inputs: ({ qkv }) => reads([qkv], { layout: 'integers' }),
    outputs: output,
    layout: () => 'integers',
    shapes: ({ qkv, output: windows }) => {
      const { channels } = windows.shape
      const { height, width } = qkv.shape
      return [
        [qkv, { channels: 3 * channels, height, width }],
        [windows, { channels, height: 5 * height, width: 5 * width }],
      ]
    },
    limits: ({ output: windows, heads }) => checkHeads(windows, heads),
    parameters: ({ bias, shift, exp, heads }) => [
      integers(bias, [81, heads], -32768, 32767),
      integers(shift, [1], 0, SHIFT_LIMIT),
      expTable(exp),
    ],
    integers: ({ heads }) => [heads],
    proof: ({ exp }, valuesOf) => proveExp(exp, valuesOf(exp)),
  },
  integerLinearAttention: {
    inputs: ({ query, key, value }) => reads([query, key, value], { layout: 'integers' }),
    outputs: output,
    layout: () => 'integers',
    shapes: ({ query, key, value, output: attended }) => shapedAs(query, key, value, attended),
    limits: ({ output: attended, heads }) => {
      checkHeads(attended, heads)
      const { height, width } = attended.shape
      atMost(height * width, ATTENDED_POSITIONS, `${attended.name}: positions`)
    },
    parameters: ({ shift, exp }) => [integers(shift, [1], 0, SHIFT_LIMIT), expTable(exp)],
    integers: ({ heads, split }) => [heads, split ? 1 : 0],
    proof: ({ exp }, valuesOf) => proveExp(exp, valuesOf(exp)),
  },
}

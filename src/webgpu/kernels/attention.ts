import { UnsupportedError } from '../../errors.js'
import type { IntegerLinearAttentionNode, IntegerWindowAttentionNode, Tensor } from '../../network/graph.js'
import { halfNumber } from '../../network/tensor.js'
import {
  type Dispatch,
  groupSize,
  groupsOf,
  type KernelContext,
  type Kernels,
  outputFolds,
  texelDispatch,
} from '../dispatch.js'
import { tableWeights } from './integer-conv.js'

/** Texels of a head; heads may not share one. */
function headGroupsOf(tensor: Tensor, channels: number, heads: number): number {
  if (channels % (4 * heads) === 0) return channels / heads / 4
  const what = `heads of a multiple of 4 channels for ${tensor.name}`
  throw new UnsupportedError('ERR_MODEL_UNSUPPORTED', `Expected ${what} but received ${channels} / ${heads}`)
}

/**
 * Shapes: qkv 3 d x H x W, output d x 5 H x 5 W, bias 81 x heads.
 *
 * @param unfolded 25 d x H x W: where the results go instead, as channels of the position that their window is round
 */
export function integerWindowAttention(
  node: IntegerWindowAttentionNode,
  context: KernelContext,
  unfolded?: Tensor,
): Dispatch[] {
  const { qkv, heads } = node
  const output = unfolded ?? node.output
  const { height, width } = qkv.shape
  const d = qkv.shape.channels / 3
  const perHead = headGroupsOf(qkv, d, heads)
  const bias = context.parameters.integers(node.bias).data
  const [shift = 0] = context.parameters.integers(node.shift).data
  return [
    {
      shader: 'integer_window_attention',
      constants: unfolded ? { UNFOLDED: 1, ...outputFolds(unfolded) } : {},
      reads: {
        qkv,
        bias: {
          key: `${node.bias}|window`,
          width: 81,
          height: heads,
          layers: 1,
          format: 'r16sint',
          build: () => Int16Array.from(bias, (_, i) => bias[(i % 81) * heads + Math.floor(i / 81)] as number),
        },
        exponentials: tableWeights(node.exp, context),
      },
      writes: { output },
      params: { width, height, groups: groupsOf(d), headGroups: perHead, shift },
      invocations: [5 * Math.ceil(width / 2), 5 * height, heads],
      cost: 16 * 25 * 25 * d * height * width,
    },
  ]
}

/**
 * Both softmaxes, and the products around them. Shapes: query, key, value and output C x H x W.
 *
 * @param projected 3 C x H x W: queries, keys and values after each other, in place of the node's own tensors
 */
export function integerLinearAttention(
  node: IntegerLinearAttentionNode,
  context: KernelContext,
  projected?: Tensor,
): Dispatch[] {
  const { output, heads } = node
  const { channels, height, width } = output.shape
  const [query, key, value] = projected ? [projected, projected, projected] : [node.query, node.key, node.value]
  const headGroups = headGroupsOf(output, channels, heads)
  const groups = groupsOf(channels)
  const matrix = context.scratch(`${output.name} context`, { channels, height: 1, width: channels / heads })
  const exponentials = tableWeights(node.exp, context)
  const [shift = 0] = context.parameters.integers(node.shift).data
  const GROUP = groupSize(context.software)
  return [
    {
      shader: 'linear_attention_context',
      constants: { GROUP },
      reads: { key, value, exponentials },
      writes: { output: matrix },
      params: {
        ...{ width, height, headGroups, keep: halfNumber(node.split ? 'anchor' : null) },
        ...(projected ? { keyLayer: groups, valueLayer: 2 * groups } : { keyLayer: 0, valueLayer: 0 }),
      },
      invocations: [GROUP, headGroups, groups],
      cost: (64 + 16 * 4) * channels * headGroups * height * width,
    },
    texelDispatch({
      shader: 'linear_attention_apply',
      reads: { query, context: matrix, exponentials },
      output,
      params: { headGroups, shift, keep: halfNumber(node.split ? 'nonAnchor' : null) },
      cost: (64 + 16 * 4) * headGroups,
    }),
  ]
}

export const attentionKernels: Kernels<'integerWindowAttention' | 'integerLinearAttention'> = {
  integerWindowAttention: (node, context) => integerWindowAttention(node, context),
  integerLinearAttention: (node, context) => integerLinearAttention(node, context),
}

import { UnsupportedError } from '../../errors.js'
import type { LinearAttentionNode, Tensor, WindowAttentionNode } from '../../network/graph.js'
import { checkShape, type Dispatch, groupsOf, type KernelContext, parameterData, texelGrid } from '../dispatch.js'

/** Texels of a head; heads may not share one. */
function headGroups(tensor: Tensor, channels: number, heads: number): number {
  if (channels % (4 * heads) === 0) return channels / heads / 4
  const what = `heads of a multiple of 4 channels for ${tensor.name}`
  throw new UnsupportedError('ERR_MODEL_UNSUPPORTED', `Expected ${what} but received ${channels} / ${heads}`)
}

/** Shapes: qkv 3 d x H x W, output d x 5 H x 5 W, bias 81 x heads. */
export function windowAttention(node: WindowAttentionNode, context: KernelContext): Dispatch[] {
  const { qkv, output, heads } = node
  const { height, width } = qkv.shape
  const d = qkv.shape.channels / 3
  checkShape(output, d, 5 * height, 5 * width)
  const perHead = headGroups(qkv, d, heads)
  const bias = parameterData(context.parameters, node.bias, 81 * heads)
  return [
    {
      shader: 'window_attention',
      constants: {},
      reads: {
        qkv,
        bias: {
          key: `${node.bias}|window`,
          width: 81,
          height: heads,
          layers: 1,
          build: () => {
            const packed = new Float32Array(81 * heads * 4)
            for (let i = 0; i < 81; i++) {
              for (let h = 0; h < heads; h++) packed[(h * 81 + i) * 4] = bias[i * heads + h] ?? 0
            }
            return packed
          },
        },
      },
      writes: { output },
      params: { width, height, groups: groupsOf(d), headGroups: perHead, scale: 1 / Math.sqrt(d / heads) },
      invocations: [5 * Math.ceil(width / 2), 5 * height, heads],
      cost: 16 * 25 * 25 * d * height * width,
    },
  ]
}

/** Shapes: query, key, value and output C x H x W. */
export function linearAttention(node: LinearAttentionNode, context: KernelContext): Dispatch[] {
  const { query, key, value, output, heads } = node
  const { channels, height, width } = query.shape
  for (const tensor of [key, value, output]) checkShape(tensor, channels, height, width)
  const perHead = headGroups(query, channels, heads)
  const groups = groupsOf(channels)
  const top = context.scratch(`${output.name} top`, { channels, height: 1, width: 1 })
  const matrix = context.scratch(`${output.name} context`, { channels, height: 1, width: channels / heads })
  const size = { width, height }
  const keep = node.split ? 1 : 0
  return [
    {
      shader: 'linear_attention_max',
      constants: {},
      reads: { key },
      writes: { output: top },
      params: { ...size, groups, keep },
      invocations: [groups, 1, 1],
      cost: 16 * channels * height * width,
    },
    {
      shader: 'linear_attention_context',
      constants: {},
      reads: { key, value, top },
      writes: { output: matrix },
      params: { ...size, groups, headGroups: perHead, keep },
      invocations: [groups * perHead, 1, 1],
      cost: 16 * channels * 4 * perHead * height * width,
    },
    {
      shader: 'linear_attention_apply',
      constants: {},
      reads: { query, context: matrix },
      writes: { output },
      params: { ...size, headGroups: perHead, keep: node.split ? 2 : 0 },
      invocations: texelGrid(output),
      cost: 16 * channels * 4 * perHead * height * width,
    },
  ]
}

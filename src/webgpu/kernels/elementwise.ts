import {
  type AddNode,
  type GainNode,
  type IntegerLayerNormNode,
  type MaskNode,
  type PoolNode,
  type RequantiseNode,
  type RoundNode,
  rsqrtTable,
  type ScaleNode,
} from '../../network/graph.js'
import { checkShape, type Dispatch, integerData, type KernelContext, keepNumber, texelGrid } from '../dispatch.js'
import { channelRows, roundingBias } from './integer-conv.js'

type Simple = ScaleNode | GainNode | PoolNode | MaskNode | AddNode | RoundNode | RequantiseNode

/** A dispatch of one invocation an output texel, with the shader's Params beyond the size in `more`. */
function simple(shader: string, node: Simple, reads: Dispatch['reads'], more: Record<string, number> = {}): Dispatch[] {
  const { output } = node
  const { channels, height, width } = output.shape
  return [
    {
      shader,
      constants: {},
      reads: { source: node.input, ...reads },
      writes: { output },
      params: { width, height, ...more },
      invocations: texelGrid(output),
      cost: 16 * channels * height * width,
    },
  ]
}

function checkSame(node: Simple): void {
  const { channels, height, width } = node.input.shape
  checkShape(node.output, channels, height, width)
}

/** Shapes: C x H x W. */
export function scale(node: ScaleNode): Dispatch[] {
  checkSame(node)
  return simple('scale', node, {}, { factor: node.factor })
}

/** Shapes: input and output C x H x W, factors C x 1 x 1. */
export function gain(node: GainNode): Dispatch[] {
  checkSame(node)
  checkShape(node.factors, node.input.shape.channels, 1, 1)
  return simple('gain', node, { factors: node.factors })
}

/** Shapes: input C x H x W, output C x floor(H / 2) x floor(W / 2). */
export function pool(node: PoolNode): Dispatch[] {
  const { channels, height, width } = node.input.shape
  checkShape(node.output, channels, Math.floor(height / 2), Math.floor(width / 2))
  return simple('pool', node, {})
}

/** Shapes: C x H x W. */
export function mask(node: MaskNode): Dispatch[] {
  checkSame(node)
  return simple('mask', node, {}, { keep: keepNumber(node.keep) })
}

/** Shapes: C x H x W. */
export function add(node: AddNode): Dispatch[] {
  checkSame(node)
  const { channels, height, width } = node.input.shape
  checkShape(node.addend, channels, height, width)
  return simple('add', node, { addend: node.addend })
}

/** Shapes: C x H x W. */
export function round(node: RoundNode): Dispatch[] {
  checkSame(node)
  return simple('round', node, {})
}

/** Shapes: C x H x W. */
export function requantise(node: RequantiseNode, context: KernelContext): Dispatch[] {
  checkSame(node)
  const [shift = 0] = integerData(context.parameters, node.shift, 1)
  return simple('requantise', node, {}, { shift })
}

/** Shapes: C x H x W, C up to 512. */
export function integerLayerNorm(node: IntegerLayerNormNode, context: KernelContext): Dispatch[] {
  const { input, output } = node
  const { channels, height, width } = input.shape
  checkShape(output, channels, height, width)
  const data = (name: string, length: number) => integerData(context.parameters, name, length)
  const [weight, bias, shift] = [data(node.weight, channels), data(node.bias, channels), data(node.shift, channels)]
  const rounding = roundingBias(bias, shift)
  const rsqrt = data(rsqrtTable, 384)
  const [epsilon = 0] = data(node.epsilon, 1)
  return [
    {
      shader: 'integer_layer_norm',
      constants: {},
      reads: {
        source: input,
        weights: {
          key: `${node.weight}|norm`,
          ...channelRows(channels, (c) => [weight[c] ?? 0, rounding[c] ?? 0, shift[c] ?? 0]),
        },
        rsqrt: {
          key: `${rsqrtTable}|line`,
          width: 384,
          height: 1,
          layers: 1,
          format: 'rgba32sint',
          build: () => Int32Array.from({ length: 4 * 384 }, (_, i) => (i % 4 === 0 ? (rsqrt[i / 4] as number) : 0)),
        },
      },
      writes: { output },
      params: { width, height, channels, epsilon },
      invocations: [width, height, 1],
      cost: 64 * channels * height * width,
    },
  ]
}

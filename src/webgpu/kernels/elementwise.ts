import type { AddNode, GainNode, LayerNormNode, MaskNode, PoolNode, RoundNode, ScaleNode } from '../../network/graph.js'
import {
  checkShape,
  type Dispatch,
  groupsOf,
  type KernelContext,
  keepNumber,
  parameterData,
  texelGrid,
} from '../dispatch.js'

type Simple = ScaleNode | GainNode | PoolNode | MaskNode | AddNode | RoundNode

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
export function layerNorm(node: LayerNormNode, context: KernelContext): Dispatch[] {
  const { input, output } = node
  const { channels, height, width } = input.shape
  checkShape(output, channels, height, width)
  const weight = parameterData(context.parameters, node.weight, channels)
  const bias = parameterData(context.parameters, node.bias, channels)
  const groups = groupsOf(channels)
  return [
    {
      shader: 'layer_norm',
      constants: {},
      reads: {
        source: input,
        weights: {
          key: `${node.weight}|norm`,
          width: 2,
          height: groups,
          layers: 1,
          build: () => {
            const packed = new Float32Array(8 * groups)
            for (let c = 0; c < channels; c++) {
              packed[8 * (c >> 2) + (c & 3)] = weight[c] ?? 0
              packed[8 * (c >> 2) + 4 + (c & 3)] = bias[c] ?? 0
            }
            return packed
          },
        },
      },
      writes: { output },
      params: { width, height, channels },
      invocations: [width, height, 1],
      cost: 64 * channels * height * width,
    },
  ]
}

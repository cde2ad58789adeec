import { type IntegerLayerNormNode, RSQRT_TABLE } from '../../network/graph.js'
import type { Dispatch, KernelContext, Kernels } from '../dispatch.js'
import { channelRows, roundingBias } from './integer-conv.js'

/** Shapes: C x H x W, C up to 512. */
function integerLayerNorm(node: IntegerLayerNormNode, { parameters }: KernelContext): Dispatch[] {
  const { input, output } = node
  const { channels, height, width } = input.shape
  const valuesOf = (name: string) => parameters.integers(name).data
  const [weight, bias, shift] = [valuesOf(node.weight), valuesOf(node.bias), valuesOf(node.shift)]
  const rounding = roundingBias(bias, shift)
  const rsqrt = valuesOf(RSQRT_TABLE)
  const [epsilon = 0] = valuesOf(node.epsilon)
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
          key: `${RSQRT_TABLE}|line`,
          width: rsqrt.length,
          height: 1,
          layers: 1,
          format: 'rgba32sint',
          build: () =>
            Int32Array.from({ length: 4 * rsqrt.length }, (_, i) => (i % 4 === 0 ? (rsqrt[i / 4] as number) : 0)),
        },
      },
      writes: { output },
      params: { width, height, channels, epsilon },
      invocations: [width, height, 1],
      cost: 64 * channels * height * width,
    },
  ]
}

export const layerNormKernels: Kernels<'integerLayerNorm'> = { integerLayerNorm }

import { type IntegerLayerNormNode, RSQRT_TABLE } from '../../network/graph.js'
import type { Dispatch, KernelContext, Kernels, Weights } from '../dispatch.js'
import { channelRows, roundingBias } from './integer-conv.js'

/** What a layer norm's shader reads beside its input. */
export function normTexels(
  node: IntegerLayerNormNode,
  { parameters }: KernelContext,
): { readonly normWeights: Weights; readonly rsqrt: Weights } {
  const valuesOf = (name: string) => parameters.integers(name).data
  const [weight, bias, shift] = [valuesOf(node.weight), valuesOf(node.bias), valuesOf(node.shift)]
  const rounding = roundingBias(bias, shift)
  const rsqrt = valuesOf(RSQRT_TABLE)
  return {
    normWeights: {
      key: `${node.weight}|norm`,
      ...channelRows(node.input.shape.channels, (c) => [weight[c] ?? 0, rounding[c] ?? 0, shift[c] ?? 0]),
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
  }
}

/** What is added to the variance. */
export function epsilonOf({ epsilon }: IntegerLayerNormNode, { parameters }: KernelContext): number {
  return parameters.integers(epsilon).data[0] ?? 0
}

/** Shapes: C x H x W, C up to 512. */
function integerLayerNorm(node: IntegerLayerNormNode, context: KernelContext): Dispatch[] {
  const { input, output } = node
  const { channels, height, width } = input.shape
  return [
    {
      shader: 'integer_layer_norm',
      constants: {},
      reads: { source: input, ...normTexels(node, context) },
      writes: { output },
      params: { width, height, channels, epsilon: epsilonOf(node, context) },
      invocations: [width, height, 1],
      cost: 64 * channels * height * width,
    },
  ]
}

export const layerNormKernels: Kernels<'integerLayerNorm'> = { integerLayerNorm }

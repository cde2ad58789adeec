import type { GdnNode } from '../../network/graph.js'
import { checkShape, type Dispatch, type KernelContext, parameterData } from '../dispatch.js'
import { convGrid, convWeights, type Product } from './conv.js'

/** GDN as a 1x1 convolution over squares; beta and gamma are squared here, as float32. Shapes: C x H x W. */
export function gdn(node: GdnNode, context: KernelContext): Dispatch[] {
  const { input, output, residual } = node
  const { channels, height, width } = input.shape
  checkShape(output, channels, height, width)
  if (residual) checkShape(residual, channels, height, width)
  const beta = parameterData(context.parameters, node.beta, channels)
  const gamma = parameterData(context.parameters, node.gamma, channels * channels)
  const sizes = { inputs: channels, outputs: channels, height, width }
  const product: Product = { kernel: 1, stride: 1, padding: 0, shuffle: 1, ...sizes }
  const grid = convGrid(product, context.software)
  const { layers } = grid
  const squared = gamma.map((g) => g * g)
  return [
    {
      shader: 'conv',
      constants: { ...grid.constants, GDN: 1, RES: residual ? 1 : 0 },
      reads: {
        source: input,
        weights: convWeights(`${node.gamma}|gdn`, squared, product, grid),
        bias: {
          key: `${node.beta}|gdn of ${layers}`,
          width: layers,
          height: 1,
          layers: 1,
          // 1 beyond the last channel, where 0 / sqrt(0) would be no zero.
          build: () => Float32Array.from({ length: 4 * layers }, (_, i) => (beta[i] ?? 1) ** 2),
        },
        residual,
      },
      writes: { output },
      params: { ...grid.params, inverse: node.inverse ? 1 : 0 },
      invocations: grid.invocations,
      cost: grid.cost,
    },
  ]
}

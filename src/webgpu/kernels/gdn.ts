import type { GdnNode } from '../../network/graph.js'
import type { Dispatch, KernelContext, Kernels } from '../dispatch.js'
import { convGrid, convWeights, type Product, tileDispatch } from './conv-tiles.js'

/**
 * GDN as a 1x1 convolution over squares; beta and gamma are squared here, as float32. Shapes: C x H x W.
 *
 * @param parts see {@link Product}
 */
export function gdn(node: GdnNode, context: KernelContext, parts = 1): Dispatch[] {
  const { input, output, residual } = node
  const { channels, height, width } = input.shape
  const beta = context.parameters.get(node.beta).data
  const gamma = context.parameters.get(node.gamma).data
  const sizes = { inputs: channels / parts, outputs: channels, height, width, parts }
  const product: Product = { kernel: 1, stride: 1, padding: 0, shuffle: 1, ...sizes }
  const grid = convGrid(product, context.software)
  const { layers } = grid
  const squared = gamma.map((g) => g * g)
  return [
    tileDispatch(grid, {
      shader: 'conv',
      constants: { GDN: 1 },
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
      },
      residual,
      output,
      params: { inverse: node.inverse ? 1 : 0 },
    }),
  ]
}

export const gdnKernels: Kernels<'gdn'> = { gdn: (node, context) => gdn(node, context) }

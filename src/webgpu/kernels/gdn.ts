import type { GdnNode } from '../../network/graph.js'
import { checkShape, type Dispatch, groupSize, groupsOf, type KernelContext, parameterData } from '../dispatch.js'
import { convTile, packConv, runInvocations, tileRun } from './conv.js'

/** GDN as a 1x1 convolution over squares; beta and gamma are squared here, as float32. Shapes: C x H x W. */
export function gdn(node: GdnNode, context: KernelContext): Dispatch[] {
  const { input, output, residual } = node
  const { channels, height, width } = input.shape
  checkShape(output, channels, height, width)
  if (residual) checkShape(residual, channels, height, width)
  const beta = parameterData(context.parameters, node.beta, channels)
  const gamma = parameterData(context.parameters, node.gamma, channels * channels)
  const tile = convTile(context.software, 1, 1)
  const blocks = groupsOf(channels)
  const rounds = Math.ceil(blocks / tile.TO)
  const layers = rounds * tile.TO
  const tiles = Math.ceil(width / tile.TX) * Math.ceil(height / tile.TY)
  const run = tileRun(tiles, tile.TX * tile.TY, blocks)
  const layout = { outputs: channels, inputs: channels, taps: 1, shuffle: 1, layers }
  return [
    {
      shader: 'conv',
      constants: { K: 1, S: 1, ...tile, GROUP: groupSize(context.software), GDN: 1, RES: residual ? 1 : 0 },
      reads: {
        source: input,
        weights: {
          key: `${node.gamma}|gdn of ${layers}`,
          width: 4,
          height: blocks,
          layers,
          build: () =>
            packConv(
              gamma.map((g) => g * g),
              layout,
            ),
        },
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
      params: {
        width,
        height,
        blocks,
        groups: blocks,
        origin: 2,
        run,
        scale: 1,
        keep: 0,
        shuffle: 1,
        inverse: node.inverse ? 1 : 0,
      },
      invocations: [runInvocations(tiles, run, rounds), 1, 1],
      cost: width * height * channels * channels,
    },
  ]
}

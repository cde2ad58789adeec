import type { DequantiseNode, QuantiseNode, ScaleIndexNode } from '../../network/graph.js'
import { checkShape, type Dispatch, type KernelContext, keepNumber, parameterData, texelGrid } from '../dispatch.js'

/** Shapes: params 2 d x H x W, output d x H x W; table of up to some thousand rising thresholds. */
export function scaleIndex(node: ScaleIndexNode, context: KernelContext): Dispatch[] {
  const { params, output } = node
  const { channels, height, width } = output.shape
  checkShape(params, 2 * channels, height, width)
  const table = context.parameters.integers(node.table).data
  const texels = Math.ceil(table.length / 4)
  return [
    {
      shader: 'scale_index',
      constants: {},
      reads: {
        params,
        table: {
          key: `${node.table}|line`,
          width: texels,
          height: 1,
          layers: 1,
          build: () => Float32Array.from({ length: 4 * texels }, (_, i) => table[i] ?? 3e38),
        },
      },
      writes: { output },
      params: { width, height, channels, keep: keepNumber(node.keep), texels, last: table.length - 1 },
      invocations: texelGrid(output),
      cost: 4 * table.length * channels * height * width,
    },
  ]
}

/** Shapes: latent at least first + d channels, params 2 d x H x W, indexes and output d x H x W; 64 dead zones. */
export function quantise(node: QuantiseNode, context: KernelContext): Dispatch[] {
  const { latent, params, indexes, output, first } = node
  const { channels, height, width } = output.shape
  checkShape(params, 2 * channels, height, width)
  checkShape(indexes, channels, height, width)
  checkShape(latent, Math.max(latent.shape.channels, first + channels), height, width)
  const zones = parameterData(context.parameters, node.deadZones, 64)
  return [
    {
      shader: 'quantise',
      constants: {},
      reads: {
        latent,
        params,
        indexes,
        zones: {
          key: `${node.deadZones}|texels`,
          width: zones.length,
          height: 1,
          layers: 1,
          build: () => Float32Array.from({ length: 4 * zones.length }, (_, i) => zones[i >> 2] as number),
        },
      },
      writes: { output },
      params: { width, height, first, channels, keep: keepNumber(node.keep) },
      invocations: texelGrid(output),
      cost: 32 * channels * height * width,
    },
  ]
}

/** Shapes: symbols, base and output d x H x W, params 2 d x H x W. */
export function dequantise(node: DequantiseNode): Dispatch[] {
  const { symbols, params, base, output } = node
  const { channels, height, width } = output.shape
  checkShape(symbols, channels, height, width)
  checkShape(params, 2 * channels, height, width)
  if (base) checkShape(base, channels, height, width)
  return [
    {
      shader: 'dequantise',
      constants: {},
      reads: { symbols, params, base },
      writes: { output },
      params: { width, height, channels, keep: keepNumber(node.keep), hasBase: base ? 1 : 0 },
      invocations: texelGrid(output),
      cost: 32 * channels * height * width,
    },
  ]
}

import type { DequantiseNode, QuantiseNode, ScaleIndexNode } from '../../network/graph.js'
import { halfNumber } from '../../network/tensor.js'
import { type Dispatch, type KernelContext, type Kernels, texelDispatch } from '../dispatch.js'

/** Shapes: params 2 d x H x W, output d x H x W; table of up to some thousand rising thresholds. */
function scaleIndex({ params, output, table: name, keep }: ScaleIndexNode, { parameters }: KernelContext): Dispatch[] {
  const { channels } = output.shape
  const table = parameters.integers(name).data
  const texels = Math.ceil(table.length / 4)
  return [
    texelDispatch({
      shader: 'scale_index',
      reads: {
        params,
        table: {
          key: `${name}|line`,
          width: texels,
          height: 1,
          layers: 1,
          build: () => Float32Array.from({ length: 4 * texels }, (_, i) => table[i] ?? 3e38),
        },
      },
      output,
      params: { channels, keep: halfNumber(keep), texels, last: table.length - 1 },
      cost: 4 * table.length,
    }),
  ]
}

/** Shapes: latent at least first + d channels, params 2 d x H x W, indexes and output d x H x W; 64 dead zones. */
function quantise(node: QuantiseNode, { parameters }: KernelContext): Dispatch[] {
  const { latent, params, indexes, output, first } = node
  const { channels } = output.shape
  const zones = parameters.get(node.deadZones).data
  return [
    texelDispatch({
      shader: 'quantise',
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
      output,
      params: { first, channels, keep: halfNumber(node.keep) },
      cost: 32,
    }),
  ]
}

/** Shapes: symbols, base and output d x H x W, params 2 d x H x W. */
function dequantise({ symbols, params, base, output, keep }: DequantiseNode): Dispatch[] {
  const { channels } = output.shape
  return [
    texelDispatch({
      shader: 'dequantise',
      reads: { symbols, params, base },
      output,
      params: { channels, keep: halfNumber(keep), hasBase: base ? 1 : 0 },
      cost: 32,
    }),
  ]
}

export const entropyKernels: Kernels<'scaleIndex' | 'quantise' | 'dequantise'> = { scaleIndex, quantise, dequantise }

import type { DequantiseNode, Parameters, QuantiseNode, ScaleIndexNode } from '../../network/graph.js'
import { halfNumber } from '../../network/tensor.js'
import { type Dispatch, type KernelContext, type Kernels, texelDispatch, type Weights } from '../dispatch.js'

/** What thresholds.wgsl wants in Params. */
export function thresholdParams(
  { table }: ScaleIndexNode,
  parameters: Parameters,
): { readonly texels: number; readonly last: number } {
  const { length } = parameters.integers(table).data
  return { texels: Math.ceil(length / 4), last: length - 1 }
}

/** The thresholds between the scales, four a texel. */
export function thresholdTexels(node: ScaleIndexNode, parameters: Parameters): Weights {
  const table = parameters.integers(node.table).data
  const width = thresholdParams(node, parameters).texels
  const build = () => Float32Array.from({ length: 4 * width }, (_, i) => table[i] ?? 3e38)
  return { key: `${node.table}|line`, width, height: 1, layers: 1, build }
}

/** A dead zone a texel. */
export function zoneTexels({ deadZones }: QuantiseNode, parameters: Parameters): Weights {
  const zones = parameters.get(deadZones).data
  const build = () => Float32Array.from({ length: 4 * zones.length }, (_, i) => zones[i >> 2] as number)
  return { key: `${deadZones}|texels`, width: zones.length, height: 1, layers: 1, build }
}

/** Shapes: params 2 d x H x W, output d x H x W; table of up to some thousand rising thresholds. */
function scaleIndex(node: ScaleIndexNode, { parameters }: KernelContext): Dispatch[] {
  const { params, output, keep } = node
  const { channels } = output.shape
  const thresholds = thresholdParams(node, parameters)
  return [
    texelDispatch({
      shader: 'scale_index',
      reads: { params, thresholds: thresholdTexels(node, parameters) },
      output,
      params: { channels, keep: halfNumber(keep), ...thresholds },
      cost: 4 * (thresholds.last + 1),
    }),
  ]
}

/** Shapes: latent at least first + d channels, params 2 d x H x W, indexes and output d x H x W; 64 dead zones. */
function quantise(node: QuantiseNode, { parameters }: KernelContext): Dispatch[] {
  const { latent, params, indexes, output, first } = node
  const { channels } = output.shape
  return [
    texelDispatch({
      shader: 'quantise',
      reads: { latent, params, indexes, zones: zoneTexels(node, parameters) },
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

/** Everything between the entropy model's parameters and the coder, on one half of the checkerboard, in one dispatch. */
import type { DequantiseNode, Port, QuantiseNode, RequantiseNode, ScaleIndexNode, Tensor } from '../../network/graph.js'
import { halfNumber } from '../../network/tensor.js'
import { type Dispatch, groupsOf, type KernelContext } from '../dispatch.js'
import { activationShift } from './elementwise.js'
import { thresholdParams, thresholdTexels, zoneTexels } from './entropy.js'
import { portBuffer } from './ports.js'

/** Where a half's values lie in the host's array. */
export interface CodedPort {
  readonly port: Port
  /** Values before those of this half. */
  readonly first: number
}

/** Nodes of one half of a slice; at least one of `index` and `dequantise`. */
export interface HalfNodes {
  readonly index?: ScaleIndexNode
  readonly indexes?: CodedPort
  readonly quantise?: QuantiseNode
  readonly symbols?: CodedPort
  readonly dequantise?: DequantiseNode
  readonly requantise?: RequantiseNode
}

/** What has the parameters of a half, and the shape of what is made of them. */
function halfEnds({ index, dequantise }: HalfNodes): ScaleIndexNode | DequantiseNode {
  const any = index ?? dequantise
  if (!any) throw new RangeError('Expected something to code or to decode')
  return any
}

/** What half.wgsl wants of the shader that includes it. */
export function halfWork(
  nodes: HalfNodes,
  { parameters }: KernelContext,
): Pick<Dispatch, 'constants' | 'reads' | 'writes' | 'params'> {
  const { index, indexes, quantise, symbols, dequantise, requantise } = nodes
  const { output, keep } = halfEnds(nodes)
  const writes: Record<string, Tensor | ReturnType<typeof portBuffer>> = {}
  const reads: Record<string, Dispatch['reads'][string]> = {}
  if (index && indexes) {
    reads.thresholds = thresholdTexels(index, parameters)
    writes.indexes = portBuffer(indexes.port)
  }
  if (quantise && symbols) {
    reads.latent = quantise.latent
    reads.zones = zoneTexels(quantise, parameters)
    writes.symbols = portBuffer(symbols.port)
  } else if (symbols) reads.symbols = portBuffer(symbols.port)
  if (dequantise) {
    reads.base = dequantise.base
    writes.yHat = dequantise.output
    if (requantise) writes.yHatSeen = requantise.output
  }
  return {
    constants: {
      QUANTISE: quantise ? 1 : 0,
      INDEX: index ? 1 : 0,
      DEQUANTISE: dequantise ? 1 : 0,
      SEEN: requantise ? 1 : 0,
    },
    reads,
    writes,
    params: {
      ...{ halfChannels: output.shape.channels, half: halfNumber(keep), first: quantise?.first ?? 0 },
      ...(index ? thresholdParams(index, parameters) : { texels: 0, last: 0 }),
      start: ((indexes ?? symbols)?.first ?? 0) / 2,
      ...{ hasBase: dequantise?.base ? 1 : 0, seenShift: requantise ? activationShift(requantise, parameters) : 0 },
    },
  }
}

/** Shapes: params 2 d x H x W, the others d x H x W with W a multiple of 4. */
export function codeHalf(nodes: HalfNodes, context: KernelContext): Dispatch {
  const { params, output } = halfEnds(nodes)
  const { channels, height, width } = output.shape
  const work = halfWork(nodes, context)
  return {
    shader: 'code_half',
    ...work,
    reads: { params, ...work.reads },
    params: { width: width / 4, height, ...work.params },
    invocations: [width / 4, height, groupsOf(channels)],
    cost: 128 * channels * height * width,
  }
}

import type { GainNode, Parameters, RequantiseNode, RoundNode } from '../../network/graph.js'
import { halfNumber } from '../../network/tensor.js'
import { type Dispatch, type KernelContext, type Kernels, type PortBuffer, texelDispatch } from '../dispatch.js'

/** What it costs to read and write a value, in multiply-adds. */
const COST = 16

/**
 * Shapes: input and output C x H x W, or for `pool` C x 2 H x 2 W and C x H x W; addend C x H x W, factors C x 1 x 1.
 */
export const elementwiseKernels: Kernels<'scale' | 'gain' | 'pool' | 'mask' | 'add' | 'round' | 'requantise'> = {
  scale: ({ input, output, factor }) => [
    texelDispatch({ shader: 'scale', reads: { source: input }, output, params: { factor }, cost: COST }),
  ],
  gain: ({ input, factors, output }) => [
    texelDispatch({ shader: 'gain', reads: { source: input, factors }, output, cost: COST }),
  ],
  pool: ({ input, output }) => [texelDispatch({ shader: 'pool', reads: { source: input }, output, cost: COST })],
  mask: ({ input, output, keep }) => [
    texelDispatch({
      shader: 'mask',
      reads: { source: input },
      output,
      params: { keep: halfNumber(keep) },
      cost: COST,
    }),
  ],
  add: ({ input, addend, output }) => [
    texelDispatch({ shader: 'add', reads: { source: input, addend }, output, cost: COST }),
  ],
  round: ({ input, output }) => [texelDispatch({ shader: 'round', reads: { source: input }, output, cost: COST })],
  requantise: (node, { parameters }) => {
    const { input, output } = node
    const params = { shift: activationShift(node, parameters) }
    return [texelDispatch({ shader: 'requantise', reads: { source: input }, output, params, cost: COST })]
  },
}

/** Bits by which what activations are made of is shifted to the right. */
export function activationShift({ shift: name }: RequantiseNode, parameters: Parameters): number {
  const [shift = 0] = parameters.integers(name).data
  return shift
}

/** A gain whose factors stand in the host's buffer. */
export function gainOfHost({ input, output }: GainNode, factors: PortBuffer): Dispatch {
  const reads = { source: input, factors }
  return texelDispatch({ shader: 'gain', constants: { FROM_HOST: 1 }, reads, output, cost: COST })
}

/** What is rounded, and its activations in passing. */
export function roundedActivations(
  { input, output }: RoundNode,
  requantise: RequantiseNode,
  { parameters }: KernelContext,
): Dispatch {
  const dispatch = texelDispatch({
    ...{ shader: 'round', constants: { ACTIVATION: 1 }, reads: { source: input }, output, cost: COST },
    params: { activationShift: activationShift(requantise, parameters) },
  })
  return { ...dispatch, writes: { ...dispatch.writes, activation: requantise.output } }
}

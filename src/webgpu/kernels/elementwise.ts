import { halfNumber } from '../../network/tensor.js'
import { type Kernels, texelDispatch } from '../dispatch.js'

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
  requantise: ({ input, output, shift: name }, { parameters }) => {
    const [shift = 0] = parameters.integers(name).data
    return [texelDispatch({ shader: 'requantise', reads: { source: input }, output, params: { shift }, cost: COST })]
  },
}

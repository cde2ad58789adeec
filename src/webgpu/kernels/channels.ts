import type { ConcatNode, SliceNode, Tensor } from '../../network/graph.js'
import { channelsOf } from '../../network/ops/op.js'
import {
  type Action,
  type Copy,
  type Dispatch,
  foldsOf,
  groupsOf,
  type KernelContext,
  type Kernels,
  outputFolds,
  type PortBuffer,
  texelDispatch,
} from '../dispatch.js'
import { MOST_TEXTURES } from '../limits.js'

/** Shapes: input C x H x W, output c x H x W with first + c <= C. */
function slice({ input, output, first }: SliceNode, { software }: KernelContext): Action[] {
  const { channels, height, width } = output.shape
  if (software && first % 4 === 0 && (channels % 4 === 0 || first + channels === input.shape.channels)) {
    const layers = groupsOf(channels)
    const cost = 4 * channels * height * width
    return [{ copy: { from: input, fromLayer: first / 4, to: output, toLayer: 0, layers }, cost }]
  }
  return [texelDispatch({ shader: 'slice', reads: { source: input }, output, params: { first, channels }, cost: 16 })]
}

/** Shapes: inputs C_i x H x W, output sum C_i x H x W. */
function concat(node: ConcatNode, context: KernelContext): Action[] {
  return concatInto(node.inputs, node.output, context)
}

/** Most tensors that one dispatch joins. */
export const MOST_JOINED = 4

/**
 * Where all parts but the last fill whole layers, a software adapter copies them, which costs it next to nothing; a GPU
 * runs a kernel, which costs it less than copies. Other parts are joined four at a time, by way of scratch tensors.
 */
export function concatInto(inputs: readonly Tensor[], output: Tensor, context: KernelContext): Action[] {
  const { height, width } = output.shape
  if (inputs.slice(0, -1).every(({ shape }) => shape.channels % 4 === 0)) {
    const isAlike = inputs.every((input) => context.isHalf(input) === context.isHalf(output))
    return context.software && isAlike && foldsOf(output) === 1 ? copies(inputs, output) : joins(inputs, output)
  }
  const actions: Action[] = []
  let parts = inputs
  while (parts.length > MOST_JOINED) {
    const head = parts.slice(0, MOST_JOINED)
    const joined = context.scratch(`${output.name} part`, { channels: channelsOf(head), height, width })
    actions.push(join(head, joined))
    parts = [joined, ...parts.slice(MOST_JOINED)]
  }
  return [...actions, join(parts, output)]
}

function copies(inputs: readonly Tensor[], output: Tensor): Copy[] {
  let toLayer = 0
  return inputs.map((from) => {
    const { channels, height, width } = from.shape
    const layers = groupsOf(channels)
    const copy = { from, fromLayer: 0, to: output, toLayer, layers }
    toLayer += layers
    return { copy, cost: 4 * channels * height * width }
  })
}

/** Four parts at a time, each of whole layers but for the last. */
function joins(inputs: readonly Tensor[], output: Tensor): Dispatch[] {
  return Array.from({ length: Math.ceil(inputs.length / MOST_JOINED) }, (_, i) => {
    const first = MOST_JOINED * i
    return join(inputs.slice(first, first + MOST_JOINED), output, channelsOf(inputs.slice(0, first)) / 4)
  })
}

/** Up to four parts into so many layers of the output from one on, zero beyond their channels. */
export function joinAt(parts: readonly Tensor[], output: Tensor, layer: number, layers: number): Dispatch {
  const joined = join(parts, output)
  const [width, height] = joined.invocations
  return { ...joined, params: { ...joined.params, first: layer }, invocations: [width, height, layers] }
}

/** Most tensors that {@link joinScaled} takes. */
export const MOST_SCALED = MOST_TEXTURES

/** Parts of whole layers, times a factor and then times the host's, one a channel, as many as the parts have. */
export function joinScaled(parts: readonly Tensor[], output: Tensor, factor: number, factors: PortBuffer): Dispatch {
  const joined = join(parts, output, 0)
  return {
    ...joined,
    constants: { ...joined.constants, GAIN: 1 },
    reads: { ...joined.reads, factors },
    params: { ...joined.params, factor },
  }
}

/** Parts, mostly up to four, from a layer of the output on; `layer`: they are of whole layers. */
function join(parts: readonly Tensor[], output: Tensor, layer?: number): Dispatch {
  const { height, width } = output.shape
  const channels = channelsOf(parts)
  // As many for all that join few, as each number is a pipeline to compile.
  const PARTS = Math.max(MOST_JOINED, parts.length)
  const reads: Record<string, Tensor | null> = {}
  const params: Record<string, number> = { width, height, first: layer ?? 0 }
  for (let i = 0; i < PARTS; i++) {
    reads[`part${i}`] = parts[i] ?? null
    params[`end${i}`] = channelsOf(parts.slice(0, i + 1))
  }
  return {
    shader: 'concat',
    constants: { PARTS, WHOLE: layer === undefined ? 0 : 1, ...outputFolds(output) },
    reads,
    writes: { output },
    params,
    invocations: [width, height, groupsOf(channels)],
    cost: 64 * channels * height * width,
  }
}

export const channelKernels: Kernels<'slice' | 'concat'> = { slice, concat }

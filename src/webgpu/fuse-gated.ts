/**
 * The two layers with kernels of 1 that a gated context begins with, its skip and the first of its branch, read the same
 * and become one dispatch, with the outputs of both after each other in one tensor.
 */
import type { IntegerConvNode, IntegerDepthwiseNode, Node, Stage, Tensor } from '../network/graph.js'
import { type Action, groupsOf, type KernelContext } from './dispatch.js'
import { JoinedParameters } from './joined-parameters.js'
import { PART_UNIT } from './kernels/conv-tiles.js'
import { integerConv, integerDepthwise, isPointwise } from './kernels/integer-conv.js'
import type { Group, Uses } from './uses.js'

/** skip(x) + last(depthwise(first(x))) */
interface Gated {
  readonly first: IntegerConvNode
  readonly skip: IntegerConvNode
  readonly depthwise: IntegerDepthwiseNode
  readonly last: IntegerConvNode
}

/** @param maxLayers most layers of a texture */
export function gatedContexts(stage: Stage, uses: Uses, maxLayers: number): Group[] {
  return stage.nodes.flatMap((node) => {
    const gated = gatedAt(node, uses)
    if (!gated) return []
    const { first, skip, depthwise, last } = gated
    const layers = groupsOf(first.output.shape.channels) + groupsOf(skip.output.shape.channels)
    const parts: readonly Node[] = [first, skip, depthwise, last]
    const members = stage.nodes.filter((each) => parts.includes(each))
    if (members.length < parts.length || layers > maxLayers) return []
    return [{ members, actions: (context) => compute(gated, context) }]
  })
}

function gatedAt(last: Node, uses: Uses): Gated | null {
  if (last.op !== 'integerConv' || !isPointwise(last) || last.inputs.length !== 1 || !last.residual) return null
  const skip = beginning(last.residual, 'integerConv', uses)
  const depthwise = uses.madeBy(last.inputs[0] as Tensor, 'integerDepthwise')
  if (!skip || !depthwise || !uses.onlyReader(depthwise.output, 'integerConv')) return null
  const first = beginning(depthwise.input, 'integerDepthwise', uses)
  if (!first || skip.table !== null || first.inputs[0] !== skip.inputs[0]) return null
  return first.output.shape.channels % PART_UNIT === 0 ? { first, skip, depthwise, last } : null
}

/** The layer of one input that makes a tensor for one reader alone. */
function beginning(tensor: Tensor, reader: Node['op'], uses: Uses): IntegerConvNode | null {
  const conv = uses.madeBy(tensor, 'integerConv')
  if (!conv || !isPointwise(conv) || conv.inputs.length !== 1 || !uses.onlyReader(tensor, reader)) return null
  return conv.keep === null && conv.residual === null && conv.range === 'activation' ? conv : null
}

function compute({ first, skip, depthwise, last }: Gated, context: KernelContext): Action[] {
  const parameters = JoinedParameters.of(context.parameters)
  const both = { ...context, parameters }
  const { channels } = first.output.shape
  const joined = context.scratch(`${first.output.name} and skip`, {
    ...first.output.shape,
    channels: channels + skip.output.shape.channels,
  })
  return [
    ...integerConv(parameters.merge([first, skip], joined), both, { tabled: channels }),
    ...integerDepthwise({ ...depthwise, input: joined }, context),
    ...integerConv({ ...last, residual: joined }, context, { residualChannel: channels }),
  ]
}

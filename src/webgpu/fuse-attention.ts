/**
 * The projections of linear attentions side by side: queries, keys and values are made by layers alike, which become one
 * dispatch, with the outputs of all three after each other in one tensor.
 */
import type {
  IntegerConvNode,
  IntegerDepthwiseNode,
  IntegerLinearAttentionNode,
  Node,
  Stage,
  Tensor,
} from '../network/graph.js'
import { type Action, groupsOf, type KernelContext } from './dispatch.js'
import { JoinedParameters } from './joined-parameters.js'
import { integerLinearAttention } from './kernels/attention.js'
import { PART_UNIT } from './kernels/conv-tiles.js'
import { type ConvPart, integerConv, integerDepthwise, isPointwise } from './kernels/integer-conv.js'
import type { Group, Uses } from './uses.js'

/** What makes queries, keys or values: perhaps a mask, a 1x1 convolution, a depthwise one. */
interface Projection {
  readonly conv: IntegerConvNode
  readonly depthwise: IntegerDepthwiseNode
  /** What the convolution reads if it reads one tensor alone, before its mask. */
  readonly part: ConvPart | null
  readonly members: readonly Node[]
}

/** @param maxLayers most layers of a texture */
export function projectedAttentions(stage: Stage, uses: Uses, maxLayers: number): Group[] {
  return stage.nodes.flatMap((node) => {
    if (node.op !== 'integerLinearAttention') return []
    return projectedAttention(node, stage, uses, maxLayers) ?? []
  })
}

function projectedAttention(
  node: IntegerLinearAttentionNode,
  stage: Stage,
  uses: Uses,
  maxLayers: number,
): Group | null {
  const found = [node.query, node.key, node.value].map((tensor) => projection(tensor, stage, uses))
  const projections = found.filter((each) => each !== null)
  const { channels } = node.output.shape
  if (projections.length < 3 || channels % 4 !== 0 || groupsOf(3 * channels) > maxLayers) return null
  const parts = partsOf(projections)
  if (parts === null) return null
  const members = stage.nodes.filter((each) => each === node || projections.some((one) => one.members.includes(each)))
  const sources = projections.flatMap(({ conv, part }) => (part ? [part.source] : conv.inputs))
  if (!sources.every((source) => uses.isMadeBefore(source, members[0] as Node, stage))) return null
  return { members, actions: (context) => attend(node, projections, parts, context) }
}

function projection(tensor: Tensor, { nodes }: Stage, uses: Uses): Projection | null {
  const depthwise = uses.madeBy(tensor, 'integerDepthwise')
  if (!depthwise || depthwise.table !== null || !uses.onlyReader(tensor, 'integerLinearAttention')) return null
  const conv = uses.madeBy(depthwise.input, 'integerConv')
  if (!conv || !isPointwise(conv) || !uses.onlyReader(conv.output, 'integerDepthwise')) return null
  if (conv.table !== null || conv.keep !== null || conv.residual !== null || conv.range !== 'activation') return null
  const [only, ...others] = conv.inputs
  const mask = only && uses.onlyReader(only, 'integerConv') && uses.madeBy(only, 'mask')
  const part = only && others.length === 0 ? { source: mask?.input ?? only, see: mask?.keep ?? null } : null
  const members = [...(part && mask ? [mask] : []), conv, depthwise]
  return members.every((member) => nodes.includes(member)) ? { conv, depthwise, part, members } : null
}

/**
 * The parts of the convolution in place of all three; none where these read the same, so that it is an ordinary one;
 * null if no convolution can stand in place of them.
 */
function partsOf(projections: readonly Projection[]): readonly ConvPart[] | null {
  const [first] = projections as [Projection]
  const isAlike = ({ conv, members }: Projection) =>
    members.length === 2 &&
    conv.inputs.length === first.conv.inputs.length &&
    conv.inputs.every((input, i) => input === first.conv.inputs[i])
  if (projections.every(isAlike)) return []
  const parts = projections.flatMap(({ part }) => part ?? [])
  const isAsWide = ({ source }: ConvPart) => source.shape.channels === parts[0]?.source.shape.channels
  const isWhole = first.conv.output.shape.channels % PART_UNIT === 0
  return parts.length === projections.length && isWhole && parts.every(isAsWide) ? parts : null
}

function attend(
  node: IntegerLinearAttentionNode,
  projections: readonly Projection[],
  parts: readonly ConvPart[],
  context: KernelContext,
): Action[] {
  const parameters = JoinedParameters.of(context.parameters)
  const joined = { ...context, parameters }
  const { channels, height, width } = node.output.shape
  const shape = { channels: 3 * channels, height, width }
  const convolved = context.scratch(`${node.output.name} convolved`, shape)
  const projected = context.scratch(`${node.output.name} projected`, shape)
  const conv = parameters.merge(
    projections.map((each) => each.conv),
    convolved,
  )
  const depthwise = parameters.merge(
    projections.map((each) => each.depthwise),
    projected,
  )
  return [
    ...integerConv(conv, joined, parts.length > 0 ? { parts } : {}),
    ...integerDepthwise({ ...depthwise, input: convolved }, joined),
    ...integerLinearAttention(node, context, projected),
  ]
}

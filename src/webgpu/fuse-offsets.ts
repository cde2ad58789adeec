/** Two deformable convolutions of one tensor, as the branch and the skip of an upsampling block: one makes both's offsets. */
import type { ConvNode, DeformNode, Node, Stage, Tensor } from '../network/graph.js'
import { type Action, groupsOf, type KernelContext } from './dispatch.js'
import { JoinedParameters } from './joined-parameters.js'
import { conv } from './kernels/conv.js'
import { deform } from './kernels/deform.js'
import type { Group, Uses } from './uses.js'

/** A deformable convolution, and what makes its offsets of what it reads. */
interface Deformed {
  readonly node: DeformNode
  readonly offsets: ConvNode
}

/**
 * @param isFree whether a node has no other group
 * @param maxLayers most layers of a texture
 */
export function sharedOffsets(stage: Stage, uses: Uses, isFree: (node: Node) => boolean, maxLayers: number): Group[] {
  const byInput = new Map<Tensor, Deformed[]>()
  for (const node of stage.nodes) {
    const found = deformedAt(node, uses)
    if (!found || ![found.node, found.offsets].every((each) => stage.nodes.includes(each) && isFree(each))) continue
    byInput.set(found.node.input, [...(byInput.get(found.node.input) ?? []), found])
  }
  return [...byInput.values()].flatMap(([first, second, ...others]) => {
    if (!first || !second || others.length > 0) return []
    const channels = first.offsets.output.shape.channels + second.offsets.output.shape.channels
    return groupsOf(channels) <= maxLayers ? pair(first, second) : []
  })
}

/** Null unless the stride is 1: then sums are taken in the same order however many outputs there are. */
function deformedAt(node: Node, uses: Uses): Deformed | null {
  if (node.op !== 'deform' || node.stride !== 1 || !uses.onlyReader(node.offsets, 'deform')) return null
  const offsets = uses.madeBy(node.offsets, 'conv')
  if (offsets?.inputs.length !== 1 || offsets.inputs[0] !== node.input || offsets.kernel !== 3) return null
  const isPlain = offsets.residual === null && offsets.shuffle === 1 && offsets.activation === 'none'
  return isPlain && offsets.stride === 1 && offsets.padding === 1 ? { node, offsets } : null
}

/** The second is computed where it was, so that no more is held meanwhile than its offsets. */
function pair(first: Deformed, second: Deformed): Group[] {
  let joined: Tensor | null = null
  const begin = (context: KernelContext): Action[] => {
    const parameters = JoinedParameters.of(context.parameters)
    const both = [first.offsets, second.offsets]
    const { channels, ...size } = first.offsets.output.shape
    const shape = { ...size, channels: 2 * channels, half: both.every(({ output }) => context.isHalf(output)) }
    joined = context.scratch(`${first.offsets.output.name} and other`, shape)
    const join = (name: 'weight' | 'bias') =>
      parameters.stack(
        both.map((node) => node[name]),
        channels,
        first.node.input.shape.channels,
      )
    const node = { ...first.offsets, weight: join('weight'), bias: join('bias'), output: joined }
    return [...conv(node, { ...context, parameters }), ...deform({ ...first.node, offsets: joined }, context)]
  }
  const end = (context: KernelContext): Action[] => {
    if (!joined) throw new RangeError(`Expected offsets of ${second.node.output.name} to have been made`)
    return deform({ ...second.node, offsets: joined }, context, 1, first.offsets.output.shape.channels)
  }
  return [
    { members: [first.offsets, second.offsets, first.node], actions: begin },
    { members: [second.node], actions: end },
  ]
}

/**
 * Nodes that are computed together: what follows itself in the network becomes one dispatch where a kernel can do it
 * all, with the same results. The graph is as it was; nobody but the plan knows.
 */
import type { Graph, Node, Port, Stage } from '../network/graph.js'
import { type Action, groupsOf, type KernelContext, wideScratch } from './dispatch.js'
import { projectedAttentions } from './fuse-attention.js'
import { twinBranches } from './fuse-branches.js'
import { activationsOf, chainAt, made } from './fuse-chains.js'
import { codedHalves } from './fuse-coding.js'
import { gatedContexts } from './fuse-gated.js'
import { latentGroups } from './fuse-latent.js'
import { liftGroups } from './fuse-lifting.js'
import { sharedOffsets } from './fuse-offsets.js'
import { sliceInPlace, slicesInPlace } from './fuse-slices.js'
import { integerWindowAttention } from './kernels/attention.js'
import { actionsOf } from './kernels/index.js'
import { gatheredConv, integerConv } from './kernels/integer-conv.js'
import { pack, unpack } from './kernels/ports.js'
import { type Group, Uses } from './uses.js'

/** The actions of each stage: inputs unpacked, nodes, outputs packed. */
export function fusedActions(graph: Graph, context: KernelContext): Action[][] {
  const uses = new Uses(graph)
  const groups = new Map<Node | Port, Group>()
  for (const group of graph.stages.flatMap((stage) => groupsOfStage(stage, uses, context))) {
    // The last group that names a member has it: a chain comes after the half whose work it does.
    for (const member of group.members) groups.set(member, group)
  }
  return graph.stages.map(({ inputs, nodes, outputs }) => {
    const actions: Action[] = inputs.filter((port) => !groups.has(port)).map(unpack)
    const done = new Set<Group>()
    for (const node of nodes) {
      const group = groups.get(node)
      if (!group) actions.push(...actionsOf(node, context))
      else if (!done.has(group)) actions.push(...group.actions(context))
      if (group) done.add(group)
    }
    return [...actions, ...outputs.filter((port) => !groups.has(port)).map(pack)]
  })
}

function groupsOfStage(stage: Stage, uses: Uses, { software, maxLayers }: KernelContext): Group[] {
  const taken = new Set<Node>()
  const halves = codedHalves(stage, uses)
  // A software adapter likes few shapes of kernels, as each takes seconds to compile.
  if (software) return halves
  const groups: Group[] = [
    ...halves,
    ...liftGroups(stage.nodes, uses),
    ...projectedAttentions(stage, uses, maxLayers),
    ...latentGroups(stage, uses),
    ...slicesInPlace(stage.nodes, uses),
    ...gatedContexts(stage, uses, maxLayers),
    ...twinBranches(stage, uses, maxLayers),
  ]
  const take = ({ members }: Group) => {
    for (const member of members) if ('op' in member) taken.add(member)
  }
  groups.forEach(take)
  const offsets = sharedOffsets(stage, uses, (node) => !taken.has(node), maxLayers)
  offsets.forEach(take)
  groups.push(...offsets)
  for (const node of stage.nodes) {
    if (taken.has(node)) continue
    const free = new Set(stage.nodes.filter((each) => !taken.has(each)))
    const group =
      chainAt(node, stage, uses, free, halves) ?? windowsAndConv(node, uses, free) ?? convWithExtras(node, uses, free)
    if (!group) continue
    groups.push(group)
    take(group)
  }
  return groups
}

/** Attention in windows, and the convolution that each window goes through: its places are channels at once. */
function windowsAndConv(node: Node, uses: Uses, free: ReadonlySet<Node>): Group | null {
  if (node.op !== 'integerWindowAttention') return null
  const conv = uses.onlyReader(node.output, 'integerConv')
  if (!conv || !free.has(conv) || conv.inputs.length !== 1 || conv.kernel !== 5 || conv.stride !== 5) return null
  const actions = (context: KernelContext) => {
    const { height, width } = node.qkv.shape
    const channels = 25 * 4 * groupsOf(node.output.shape.channels)
    const samples = wideScratch(context, `${conv.output.name} samples`, { channels, height, width })
    return [...integerWindowAttention(node, context, samples), gatheredConv(conv, samples, context)]
  }
  return { members: [node, conv], actions }
}

/** A convolution with what it reads a slice of, and the activations that are made of its result. */
function convWithExtras(node: Node, uses: Uses, free: ReadonlySet<Node>): Group | null {
  if (node.op !== 'integerConv' || node.kernel === 5) return null
  const activations = activationsOf(node.output, uses, free)
  const slice = sliceInPlace(node, uses)
  if (!activations && !slice) return null
  const actions = (context: KernelContext) =>
    integerConv(node, context, { ...made(activations, context), ...(slice ? { slice } : {}) })
  return { members: [node, ...(activations ? [activations] : [])], actions }
}

/**
 * Two branches of the same layers side by side, as the low and the high frequencies of the analysis: each pair of layers
 * becomes one dispatch, with the channels of both after each other in one tensor.
 */
import type { ConcatNode, ConvNode, DeformNode, GdnNode, Node, Stage, Tensor } from '../network/graph.js'
import { nodeInputs } from '../network/graph.js'
import { type Action, groupsOf, type KernelContext } from './dispatch.js'
import { JoinedParameters } from './joined-parameters.js'
import { joinAt, MOST_JOINED } from './kernels/channels.js'
import { conv } from './kernels/conv.js'
import { PART_UNIT } from './kernels/conv-tiles.js'
import { deform } from './kernels/deform.js'
import { gdn } from './kernels/gdn.js'
import type { Group, Uses } from './uses.js'

/** The layers that a branch is of. */
type Layer = ConvNode | GdnNode | DeformNode

/** @param maxLayers most layers of a texture */
export function twinBranches(stage: Stage, uses: Uses, maxLayers: number): Group[] {
  return stage.nodes.flatMap((node) => {
    if (node.op !== 'concat' || node.inputs.length !== 2) return []
    const twins = new Twins(node, stage, uses)
    return twins.areAlike(maxLayers) ? [{ members: twins.members, actions: (context) => twins.actions(context) }] : []
  })
}

/** The channels of both tensors of a pair are padded to as many. */
function partChannels(pair: readonly Tensor[]): number {
  return PART_UNIT * Math.ceil(Math.max(...pair.map(({ shape }) => shape.channels)) / PART_UNIT)
}

class Twins {
  readonly #end: ConcatNode
  readonly #stage: Stage
  readonly #uses: Uses
  /** The second branch's layer, or what joins its inputs, by the first's. */
  readonly #layers = new Map<Layer, Layer>()
  readonly #begins = new Map<ConcatNode, ConcatNode>()
  /** The second branch's tensor by the first's. */
  readonly #tensors = new Map<Tensor, Tensor>()

  constructor(end: ConcatNode, stage: Stage, uses: Uses) {
    this.#end = end
    this.#stage = stage
    this.#uses = uses
  }

  /** In the order of the stage, all that is computed together. */
  get members(): Node[] {
    const members = new Set<Node>([this.#end, ...this.#layers, ...this.#begins].flat())
    return this.#stage.nodes.filter((node) => members.has(node))
  }

  /** Whether the branches are of the same layers, which nobody else reads, and what they read is there when they begin. */
  areAlike(maxLayers: number): boolean {
    const [first, second] = this.#end.inputs as [Tensor, Tensor]
    if (first.shape.channels % PART_UNIT !== 0 || !this.#pair(first, second) || this.#layers.size === 0) return false
    const { members } = this
    return (
      [...this.#tensors].every(
        (pair) =>
          pair.every((tensor) => this.#uses.readersOf(tensor).every((reader) => members.includes(reader as Node))) &&
          2 * groupsOf(partChannels(pair)) <= maxLayers,
      ) &&
      [...this.#begins]
        .flat()
        .every(
          ({ inputs }) =>
            inputs.length <= MOST_JOINED &&
            inputs.every((input) => this.#uses.isMadeBefore(input, members[0] as Node, this.#stage)),
        )
    )
  }

  #pair(first: Tensor, second: Tensor): boolean {
    if (this.#tensors.has(first)) return this.#tensors.get(first) === second
    if (first === second) return false
    this.#tensors.set(first, second)
    const [a, b] = [first, second].map((tensor) => this.#uses.makerOf(tensor))
    if (!a || !b || !('op' in a && 'op' in b) || ![a, b].every((node) => this.#stage.nodes.includes(node))) return false
    const { height, width } = first.shape
    if (height !== second.shape.height || width !== second.shape.width) return false
    if (a.op === 'concat' && b.op === 'concat') {
      this.#begins.set(a, b)
      return true
    }
    if (!isLayer(a) || !isLayer(b) || shapeOf(a) !== shapeOf(b) || first.shape.channels !== second.shape.channels) {
      return false
    }
    this.#layers.set(a, b)
    const [inputs, others] = [nodeInputs(a), nodeInputs(b)]
    return inputs.length === others.length && inputs.every((input, i) => this.#pair(input, others[i] as Tensor))
  }

  actions(context: KernelContext): Action[] {
    const parameters = JoinedParameters.of(context.parameters)
    const both = { ...context, parameters }
    const stacks = new Map<Tensor, Tensor>([[this.#end.inputs[0] as Tensor, this.#end.output]])
    const stack = (first: Tensor): Tensor => {
      const pair = [first, this.#tensors.get(first) as Tensor]
      const shape = { ...first.shape, channels: 2 * partChannels(pair), half: pair.every(context.isHalf) }
      const known = stacks.get(first) ?? context.scratch(`${first.name} and twin`, shape)
      stacks.set(first, known)
      return known
    }
    const begin = (a: ConcatNode, b: ConcatNode): Action[] => {
      const stacked = stack(a.output)
      const layers = groupsOf(stacked.shape.channels) / 2
      return [joinAt(a.inputs, stacked, 0, layers), joinAt(b.inputs, stacked, layers, layers)]
    }
    const layer = (a: Layer, b: Layer): Action[] => {
      const output = stack(a.output)
      const outputs = output.shape.channels / 2
      const inputs = stack(a.op === 'conv' ? (a.inputs[0] as Tensor) : a.input).shape.channels / 2
      const named = (first: string, second: string, none = 0) =>
        parameters.stack([first, second], outputs, inputs, none)
      switch (a.op) {
        case 'gdn': {
          const { gamma, beta } = b as GdnNode
          const sums = { gamma: named(a.gamma, gamma), beta: named(a.beta, beta, 1) }
          return gdn(
            { ...a, ...sums, input: stack(a.input), residual: a.residual && stack(a.residual), output },
            both,
            2,
          )
        }
        case 'conv': {
          const { weight, bias } = b as ConvNode
          const sums = { weight: named(a.weight, weight), bias: named(a.bias, bias) }
          const residual = a.residual && stack(a.residual)
          return conv({ ...a, ...sums, inputs: a.inputs.map(stack), residual, output }, both, 2)
        }
        case 'deform': {
          const { weight, bias } = b as DeformNode
          const sums = { weight: named(a.weight, weight), bias: named(a.bias, bias) }
          return deform({ ...a, ...sums, input: stack(a.input), offsets: stack(a.offsets), output }, both, 2)
        }
      }
    }
    return this.#stage.nodes.flatMap((node) => {
      const beginning = node.op === 'concat' && this.#begins.get(node)
      if (beginning) return begin(node as ConcatNode, beginning)
      const twin = isLayer(node) && this.#layers.get(node)
      return twin ? layer(node as Layer, twin) : []
    })
  }
}

/** Shuffled outputs would not lie part after part. */
function isLayer(node: Node): node is Layer {
  if (node.op === 'conv') return node.inputs.length === 1 && node.shuffle === 1
  return node.op === 'gdn' || (node.op === 'deform' && node.shuffle === 1)
}

/** What two layers must have in common, as text. */
function shapeOf(node: Layer): string {
  if (node.op === 'gdn') return `gdn ${node.inverse} ${node.residual !== null}`
  const { op, stride, activation } = node
  const more = node.op === 'conv' ? `${node.kernel} ${node.padding} ${node.residual !== null}` : ''
  return `${op} ${stride} ${activation} ${more}`
}

/**
 * Chains: layers that look at one position alone, each on the result of the one before, perhaps with a layer norm among
 * them, and what is made of their result in passing.
 */
import type {
  IntegerConvNode,
  IntegerLayerNormNode,
  Node,
  Port,
  RequantiseNode,
  ScaleIndexNode,
  Stage,
  Tensor,
} from '../network/graph.js'
import type { KernelContext } from './dispatch.js'
import type { CodedHalf } from './fuse-coding.js'
import { addsRaw, type Chain } from './kernels/chain-memory.js'
import { activationShift } from './kernels/elementwise.js'
import { type ConvExtras, isPointwise } from './kernels/integer-conv.js'
import { canRun, MOST_CHAIN_SOURCES, MOST_LAYERS, pointwiseChain } from './kernels/pointwise-chain.js'
import { type Group, isOp, type Uses } from './uses.js'

/**
 * The chain that begins with a node.
 *
 * @param free nodes of the stage that no other group has
 * @param halves what is made of the parameters of halves: the chain makes that of its own
 */
export function chainAt(
  node: Node,
  stage: Stage,
  uses: Uses,
  free: ReadonlySet<Node>,
  halves: readonly CodedHalf[],
): Group | null {
  const chain = new Finder(node, stage, uses, free).longest()
  if (!chain) return null
  const { layers, norm } = chain
  // A layer by itself is a convolution, in tiles that make more use of what they read.
  if (layers.length === 1 && !norm) return null
  const { output } = layers.at(-1) as IntegerConvNode
  const activations = activationsOf(output, uses, free)
  const found = halves.find(({ half }) => half.index?.params === output)
  const isThere = (tensor: Tensor | null | undefined) => !tensor || uses.isMadeBefore(tensor, node, stage)
  const canMake = ({ half }: CodedHalf) =>
    isThere(half.quantise?.latent) &&
    isThere(half.dequantise?.base) &&
    (half.index as ScaleIndexNode).output.shape.channels % 4 === 0 &&
    canRun({ ...chain, half })
  const coded = found && canMake(found) ? found : null
  const whole = coded ? { ...chain, half: coded.half } : chain
  const isStored = !coded || uses.readersOf(output).some((reader) => !coded.members.includes(reader))
  return {
    members: [
      ...(norm ? [norm.node] : []),
      ...layers,
      ...(activations ? [activations] : []),
      ...(coded ? coded.members : []),
    ],
    actions: (context) => [pointwiseChain(whole, context, made(activations, context), isStored)],
  }
}

class Finder {
  readonly #node: Node
  readonly #stage: Stage
  readonly #uses: Uses
  readonly #free: ReadonlySet<Node>

  constructor(node: Node, stage: Stage, uses: Uses, free: ReadonlySet<Node>) {
    this.#node = node
    this.#stage = stage
    this.#uses = uses
    this.#free = free
  }

  longest(): Chain | null {
    let longest: Chain | null = null
    for (let chain = this.#first(); chain && canRun(chain); chain = this.#longer(chain)) {
      if (this.#isClosed(chain)) longest = chain
    }
    return longest
  }

  #first(): Chain | null {
    const node = this.#node
    if (node.op === 'integerLayerNorm') {
      const conv = this.#pointwiseReader(node.output)
      return conv && { layers: [conv], norm: { node, before: 0 } }
    }
    if (node.op !== 'integerConv' || !isPointwise(node) || node.inputs.length > MOST_CHAIN_SOURCES) return null
    return node.inputs.slice(0, -1).every(({ shape }) => shape.channels % 4 === 0) ? { layers: [node] } : null
  }

  /** With one more layer. */
  #longer({ layers, norm }: Chain): Chain | null {
    const last = layers.at(-1) as IntegerConvNode
    if (layers.length === MOST_LAYERS || last.keep !== null || last.residual !== null || last.range === 'wide') {
      return null
    }
    const next = this.#pointwiseReader(last.output)
    if (next) return { layers: [...layers, next], ...(norm ? { norm } : {}) }
    const isFree = (use: Node | Port): use is IntegerLayerNormNode =>
      isOp(use, 'integerLayerNorm') && this.#free.has(use)
    const after = this.#uses.readersOf(last.output).find(isFree)
    if (norm || !after) return null
    const normed = this.#pointwiseReader(after.output)
    return normed && { layers: [...layers, normed], norm: { node: after, before: layers.length } }
  }

  /** The layer that reads a tensor, if nobody else does and it reads no other. */
  #pointwiseReader(tensor: Tensor): IntegerConvNode | null {
    const conv = this.#uses.onlyReader(tensor, 'integerConv')
    if (!conv || !this.#free.has(conv) || !isPointwise(conv) || conv.inputs.length !== 1) return null
    return conv.residual === tensor ? null : conv
  }

  /** Whether nobody outside needs what is in memory alone, and the residual is there when the chain begins. */
  #isClosed(chain: Chain): boolean {
    const { layers, norm } = chain
    const last = layers.at(-1) as IntegerConvNode
    if (norm && norm.before > 0) {
      const others = this.#uses.readersOf(norm.node.input).filter((use) => use !== norm.node)
      if (others.some((use) => use !== last) || (others.length > 0 && !addsRaw(chain))) return false
    }
    return !last.residual || addsRaw(chain) || this.#uses.isMadeBefore(last.residual, this.#node, this.#stage)
  }
}

/** What makes activations of a result. */
export function activationsOf(result: Tensor, uses: Uses, free: ReadonlySet<Node>): RequantiseNode | null {
  const isFree = (use: Node | Port): use is RequantiseNode => isOp(use, 'requantise') && free.has(use)
  return uses.readersOf(result).find(isFree) ?? null
}

export function made(activations: RequantiseNode | null, { parameters }: KernelContext): ConvExtras {
  if (!activations) return {}
  return { activation: { output: activations.output, shift: activationShift(activations, parameters) } }
}

/** What lies between the layers of a chain (pointwise_chain.wgsl), and where in a workgroup's memory. */
import type { IntegerConvNode, IntegerLayerNormNode } from '../../network/graph.js'
import { groupsOf } from '../dispatch.js'
import { WORKGROUP_BYTES } from '../limits.js'
import type { HalfNodes } from './code-half.js'

/** Layers that look at one position alone, each on the result of the one before. */
export interface Chain {
  readonly layers: readonly IntegerConvNode[]
  /** A layer norm of what one of the layers reads, by the layer's number. */
  readonly norm?: { readonly node: IntegerLayerNormNode; readonly before: number }
  /** What is made of the last layer's result, which is the parameters of a half of the latent. */
  readonly half?: HalfNodes
}

/** Invocations of a workgroup. */
export const CHAIN_INVOCATIONS = 128
/** Channels between two layers. */
const MOST_CHANNELS = 256
/** Positions that a workgroup may take: the more, the more use is made of each weight that is read. */
const POSITIONS = [16, 8] as const

/** Places in a workgroup's memory, as groups of four channels of all positions. */
export interface ChainMemory {
  readonly positions: number
  readonly groups: number
  /** Where each layer reads and writes; 0 for what is no memory. */
  readonly from: readonly number[]
  readonly into: readonly number[]
  /** Where the norm reads, and where those that share a position leave what they have found. */
  readonly raw: number
  readonly shares: number
}

/** Whether the chain's last layer adds what the norm reads, which is nowhere but in the workgroup's memory. */
export function addsRaw({ layers, norm }: Chain): boolean {
  return norm !== undefined && norm.before > 0 && layers.at(-1)?.residual === norm.node.input
}

/** With the most positions whose values fit; null if none do. */
export function chainMemory(chain: Chain): ChainMemory | null {
  const widths = [
    ...chain.layers.slice(0, -1).map(({ output }) => output),
    ...(chain.norm ? [chain.norm.node.input] : []),
  ]
  if (widths.some(({ shape }) => shape.channels > MOST_CHANNELS)) return null
  for (const positions of POSITIONS) {
    const memory = memoryOf(chain, positions)
    if (memory.groups * positions * 16 <= WORKGROUP_BYTES) return memory
  }
  return null
}

/** What is in memory for some time. Layer l is step 2 l, what is done to its input 2 l - 1. */
interface Held {
  readonly groups: number
  readonly born: number
  readonly dies: number
}

function memoryOf(chain: Chain, positions: number): ChainMemory {
  const { layers, norm } = chain
  const results = (chain.half ? layers : layers.slice(0, -1)).map(({ output }, l): Held => {
    const isRaw = norm?.before === l + 1
    const dies = isRaw ? (addsRaw(chain) ? 2 * (layers.length - 1) : 2 * l + 1) : 2 * l + 2
    return { groups: groupsOf(output.shape.channels), born: 2 * l, dies }
  })
  const before = norm?.before ?? 0
  const normed = norm && { groups: groupsOf(norm.node.input.shape.channels), born: 2 * before - 1, dies: 2 * before }
  // Three times what each invocation has found.
  const shares = norm && { groups: (3 * CHAIN_INVOCATIONS) / positions, born: 2 * before - 1, dies: 2 * before - 1 }
  const held = [...results, ...(normed ? [normed] : []), ...(shares ? [shares] : [])]
  const starts = placed(held)
  const startOf = (one: Held | undefined) => (one && starts.get(one)) ?? 0
  return {
    positions,
    groups: Math.max(1, endOf(starts)),
    from: layers.map((_, l) => startOf(norm && l === before ? normed : results[l - 1])),
    into: layers.map((_, l) => startOf(results[l])),
    raw: startOf(before > 0 ? results[before - 1] : normed),
    shares: startOf(shares),
  }
}

/** Where each is put: in the better of two orders, by when they are born and the largest first. */
function placed(held: readonly Held[]): ReadonlyMap<Held, number> {
  const byTime = inOrder(held.toSorted((a, b) => a.born - b.born))
  const bySize = inOrder(held.toSorted((a, b) => b.groups - a.groups))
  return endOf(bySize) < endOf(byTime) ? bySize : byTime
}

function endOf(starts: ReadonlyMap<Held, number>): number {
  return Math.max(0, ...[...starts].map(([{ groups }, start]) => start + groups))
}

/** One after the other, each as low as those allow that are held at the same time. */
function inOrder(held: readonly Held[]): ReadonlyMap<Held, number> {
  const starts = new Map<Held, number>()
  for (const one of held) {
    const others = [...starts].filter(([other]) => other.born <= one.dies && one.born <= other.dies)
    const ends = others.map(([other, start]) => start + other.groups).sort((a, b) => a - b)
    const isFree = (at: number) =>
      others.every(([other, start]) => at + one.groups <= start || start + other.groups <= at)
    starts.set(one, [0, ...ends].find(isFree) ?? 0)
  }
  return starts
}

/**
 * Which tensors may be half floats: those of the encoder's transforms, from which nothing comes but numbers that are
 * rounded to symbols. Decoders go by the symbols. What a decoder makes of them stays in floats, as all promise the same
 * pixels, to 1 of 255: half floats would keep that on tissue, but not on a checkerboard of 4 x 4 pixels. So do y and z
 * themselves, whose last bits decide how they are rounded. Sums are in floats everywhere.
 */
import type { Graph, Node, Port, Tensor } from '../network/graph.js'
import { nodeOutputs } from '../network/graph.js'
import { Uses } from './uses.js'

type OpName = Node['op']

/** Ops whose shaders write and read half floats. */
const WRITERS: ReadonlySet<OpName> = new Set<OpName>(['conv', 'gdn', 'deform', 'concat'])
const READERS: ReadonlySet<OpName> = new Set<OpName>(['conv', 'gdn', 'deform'])

/** Ops in floating point. */
const FLOATING: ReadonlySet<OpName> = new Set<OpName>([
  ...READERS,
  ...(['concat', 'slice', 'pool', 'gain', 'scale', 'liftSplit', 'liftStep', 'liftMerge'] as const),
])

export function halfTensors(graph: Graph): Set<Tensor> {
  const uses = new Uses(graph)
  const known = new Map<Tensor, boolean>()
  const isRounded = (tensor: Tensor): boolean => {
    const found = known.get(tensor)
    if (found !== undefined) return found
    const readers = uses.readersOf(tensor)
    const rounded = readers.length > 0 && readers.every((reader) => rounds(reader, tensor))
    known.set(tensor, rounded)
    return rounded
  }
  const rounds = (reader: Node | Port, tensor: Tensor): boolean => {
    if (!('op' in reader)) return false
    if (reader.op === 'round') return true
    if (reader.op === 'quantise') return reader.latent === tensor
    return FLOATING.has(reader.op) && nodeOutputs(reader).every(isRounded)
  }
  const isHalf = (tensor: Tensor): boolean => {
    const maker = uses.makerOf(tensor)
    const isBetween = uses.readersOf(tensor).every((reader) => 'op' in reader && READERS.has(reader.op))
    return maker !== undefined && 'op' in maker && WRITERS.has(maker.op) && isBetween && isRounded(tensor)
  }
  return new Set(graph.tensors.filter(isHalf))
}

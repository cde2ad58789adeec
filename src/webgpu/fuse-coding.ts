/** What lies between the parameters of a half and the coder, and y_hat that follows: one dispatch, see half.wgsl. */
import type {
  DequantiseNode,
  Half,
  Node,
  Port,
  QuantiseNode,
  RequantiseNode,
  ScaleIndexNode,
  Stage,
  Tensor,
} from '../network/graph.js'
import { halvesOf } from '../network/ports.js'
import { type CodedPort, codeHalf, type HalfNodes } from './kernels/code-half.js'
import { type Group, isOp, type Uses } from './uses.js'

/** The parts of {@link HalfNodes} that a stage has, with the adds and ports that they stand for. */
interface FoundHalf extends HalfNodes {
  readonly members: readonly (Node | Port)[]
}

/** A half as a group of its own. */
export interface CodedHalf extends Group {
  readonly half: HalfNodes
}

/**
 * Index, symbols and y_hat of each half of a slice. Both halves of an encoder's slice write into one array of the host,
 * so that they are fused both or not at all.
 */
export function codedHalves(stage: Stage, uses: Uses): CodedHalf[] {
  const found = stage.nodes.flatMap((node) => {
    if (node.op === 'scaleIndex') return encodedHalf(node, stage, uses) ?? []
    if (node.op === 'dequantise') return decodedHalf(node, stage, uses) ?? []
    return []
  })
  const counts = new Map<Node | Port, number>()
  for (const member of found.flatMap(({ members }) => members)) counts.set(member, (counts.get(member) ?? 0) + 1)
  const isWhole = (member: Node | Port) => !isOp(member, 'add') || counts.get(member) === 2
  return found
    .filter(({ members }) => members.every(isWhole))
    .map((half) => ({ half, members: half.members, actions: (context) => [codeHalf(half, context)] }))
}

/** What becomes of the parameters of a half where its symbols aren't known: in an encoder these too. */
function encodedHalf(index: ScaleIndexNode, stage: Stage, uses: Uses): FoundHalf | null {
  if (index.output.shape.width % 4 !== 0) return null
  const quantisers = uses.readersOf(index.output).filter((use): use is QuantiseNode => isOp(use, 'quantise'))
  const indexes = codedPort(index.output, index.keep, stage, uses, quantisers)
  if (!indexes || quantisers.length > 1) return null
  const members: (Node | Port)[] = [index, ...indexes.members]
  const [quantise] = quantisers
  if (!quantise) return { index, indexes, members }
  if (quantise.params !== index.params || quantise.keep !== index.keep || !stage.nodes.includes(quantise)) return null
  const readers = uses.readersOf(quantise.output).filter((use): use is DequantiseNode => isOp(use, 'dequantise'))
  const symbols = codedPort(quantise.output, quantise.keep, stage, uses, readers)
  if (!symbols || readers.length > 1 || symbols.first !== indexes.first) return null
  const [dequantise] = readers
  members.push(quantise, ...symbols.members)
  const half = { index, indexes, quantise, symbols }
  if (!dequantise) return { ...half, members }
  if (dequantise.params !== index.params || dequantise.keep !== index.keep) return null
  if (dequantise.base && !uses.isMadeBefore(dequantise.base, index, stage)) return null
  members.push(dequantise)
  return withActivations({ ...half, dequantise, members }, stage, uses)
}

/** y_hat of a half whose symbols the host gives. */
function decodedHalf(dequantise: DequantiseNode, stage: Stage, uses: Uses): FoundHalf | null {
  const port = uses.makerOf(dequantise.symbols)
  if (!port || 'op' in port || dequantise.output.shape.width % 4 !== 0) return null
  const [half, ...others] = halvesOf(port) ?? []
  if (half !== dequantise.keep || others.length > 0 || uses.readersOf(port.tensor).length !== 1) return null
  const members = [port, dequantise]
  return withActivations({ symbols: { port, first: 0 }, dequantise, members }, stage, uses)
}

function withActivations(half: FoundHalf, stage: Stage, uses: Uses): FoundHalf {
  const readers = half.dequantise ? uses.readersOf(half.dequantise.output) : []
  const requantise = readers.find((use): use is RequantiseNode => isOp(use, 'requantise') && stage.nodes.includes(use))
  return requantise ? { ...half, requantise, members: [...half.members, requantise] } : half
}

/**
 * The port through which the host reads a half's values: their own, or that of their sum with the other half's. null
 * if anybody else reads them but `others`.
 */
function codedPort(
  tensor: Tensor,
  half: Half,
  { outputs }: Stage,
  uses: Uses,
  others: readonly Node[],
): (CodedPort & { readonly members: readonly (Node | Port)[] }) | null {
  const [use, ...more] = uses.readersOf(tensor).filter((reader) => !others.includes(reader as Node))
  if (!use || more.length > 0) return null
  if (!('op' in use)) {
    const [only, ...rest] = halvesOf(use) ?? []
    return only === half && rest.length === 0 && outputs.includes(use) ? { port: use, first: 0, members: [use] } : null
  }
  if (use.op !== 'add') return null
  const [port, ...rest] = uses.readersOf(use.output)
  if (!port || 'op' in port || port.format !== 'halves' || rest.length > 0 || !outputs.includes(port)) return null
  const { channels, height, width } = tensor.shape
  return { port, first: half === 'anchor' ? 0 : (channels * height * width) / 2, members: [use, port] }
}

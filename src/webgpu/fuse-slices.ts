/** Slices that are nowhere: the convolutions that read them read what they are slices of. */
import type { IntegerConvNode, Node, Port, SliceNode, Tensor } from '../network/graph.js'
import { MOST_SOURCES } from './kernels/integer-conv.js'
import { type Group, isOp, type Uses } from './uses.js'

/** Slices of whole groups of channels which 3x3 convolutions read first, and nobody else. */
export function slicesInPlace(nodes: readonly Node[], uses: Uses): Group[] {
  return nodes
    .filter((node) => node.op === 'slice' && isInPlace(node, uses))
    .map((node) => ({ members: [node], actions: () => [] }))
}

/** The slice that a convolution reads first, if it is nowhere. */
export function sliceInPlace(conv: IntegerConvNode, uses: Uses): SliceNode | null {
  const slice = uses.madeBy(conv.inputs[0] as Tensor, 'slice')
  return slice && isInPlace(slice, uses) ? slice : null
}

function isInPlace({ first, output }: SliceNode, uses: Uses): boolean {
  const readers = uses.readersOf(output)
  const isReader = (use: Node | Port) => isOp(use, 'integerConv') && readsFirst(use, output)
  return first % 4 === 0 && output.shape.channels % 4 === 0 && readers.length > 0 && readers.every(isReader)
}

function readsFirst({ inputs, kernel, residual }: IntegerConvNode, tensor: Tensor): boolean {
  const isWhole = inputs.slice(0, -1).every(({ shape }) => shape.channels % 4 === 0)
  return (
    kernel === 3 &&
    isWhole &&
    inputs.length <= MOST_SOURCES &&
    inputs.indexOf(tensor) === 0 &&
    inputs.lastIndexOf(tensor) === 0 &&
    residual !== tensor
  )
}

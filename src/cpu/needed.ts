/**
 * Which half of the checkerboard the readers of a tensor look at.
 *
 * The entropy model's networks run on whole tensors, but a slice's anchor parameters are read at anchors only, and
 * so on back through every layer that looks at one position alone. What nobody reads need not be computed.
 */
import type { Graph, Half, Node, Tensor } from '../network/graph.js'
import { nodeInputs, nodeOutputs } from '../network/graph.js'

/** Of the tensors of which all readers want the same half: that half. */
export function neededHalves(graph: Graph): Map<Tensor, Half> {
  const needs = new Map<Tensor, Half | 'both'>()
  const want = (tensor: Tensor, half: Half | 'both') => {
    const known = needs.get(tensor)
    needs.set(tensor, known === undefined || known === half ? half : 'both')
  }
  for (const stage of [...graph.stages].reverse()) {
    for (const { tensor } of stage.outputs) want(tensor, 'both')
    for (const node of [...stage.nodes].reverse()) {
      for (const [i, tensor] of nodeInputs(node).entries()) want(tensor, wanted(node, i, needs))
    }
  }
  return new Map([...needs].filter((entry): entry is [Tensor, Half] => entry[1] !== 'both'))
}

/** What a node reads of its input `i`, given what is read of its output. */
function wanted(node: Node, i: number, needs: ReadonlyMap<Tensor, Half | 'both'>): Half | 'both' {
  const output = needs.get(nodeOutputs(node)[0] as Tensor) ?? 'both'
  switch (node.op) {
    case 'integerConv': {
      if (node.shuffle !== 1) return 'both'
      // The residual shows everywhere, the convolution only where it is kept.
      if (i === node.inputs.length) return output
      return node.kernel === 1 && node.stride === 1 && node.padding === 0 ? (node.keep ?? output) : 'both'
    }
    case 'scaleIndex':
    case 'mask':
      return node.keep
    case 'quantise':
      return node.keep
    case 'dequantise':
      return i === 2 ? opposite(node.keep) : node.keep
    case 'integerLayerNorm':
    case 'requantise':
    case 'add':
    case 'scale':
    case 'round':
    case 'slice':
    case 'concat':
      return output
    case 'gain':
      return i === 0 ? output : 'both'
    default:
      return 'both'
  }
}

function opposite(half: Half): Half {
  return half === 'anchor' ? 'nonAnchor' : 'anchor'
}

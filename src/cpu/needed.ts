/**
 * What the readers of a tensor need of it: half of the checkerboard or all, every bit or as much as pixels show.
 *
 * The entropy model's networks run on whole tensors, but a slice's anchor parameters are read at anchors only, and
 * so on back through every layer that looks at one position alone. What nobody reads need not be computed.
 */
import type { Graph, Half, Tensor } from '../network/graph.js'
import { describe } from '../network/ops/index.js'

/** The half that all readers of a tensor want, for each tensor of which they want the same one. */
export function neededHalves(graph: Graph): Map<Tensor, Half> {
  const needs = new Map<Tensor, Half | 'all'>()
  const want = (tensor: Tensor, positions: Half | 'all') => {
    const known = needs.get(tensor)
    needs.set(tensor, known === undefined || known === positions ? positions : 'all')
  }
  for (const stage of [...graph.stages].reverse()) {
    for (const { tensor } of stage.outputs) want(tensor, 'all')
    for (const node of [...stage.nodes].reverse()) {
      const { inputs, outputs } = describe(node)
      const wanted = needs.get(outputs[0] as Tensor) ?? 'all'
      for (const { tensor, positions } of inputs) want(tensor, positions === 'output' ? wanted : positions)
    }
  }
  return new Map([...needs].filter((entry): entry is [Tensor, Half] => entry[1] !== 'all'))
}

/**
 * The tensors from which pixels follow and nothing else: the synthesis. All others may decide what is coded, and keep
 * every bit.
 */
export function pixelTensors(graph: Graph): Set<Tensor> {
  const exact = new Set<Tensor>()
  const found = new Set<Tensor>()
  for (const stage of [...graph.stages].reverse()) {
    for (const { tensor, format } of stage.outputs) (format === 'rgb8' ? found : exact).add(tensor)
    for (const node of [...stage.nodes].reverse()) {
      const { inputs, outputs } = describe(node)
      const isExact = outputs.some((tensor) => exact.has(tensor) || !found.has(tensor))
      for (const { tensor } of inputs) (isExact ? exact : found).add(tensor)
    }
  }
  return new Set([...found].filter((tensor) => !exact.has(tensor)))
}

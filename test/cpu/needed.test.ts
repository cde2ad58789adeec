/** What of the network only pixels follow from: that alone may be computed in ways whose last bits differ. */
import test from 'ava'
import { flatten } from '../../src/cpu/flatten.js'
import { pixelTensors } from '../../src/cpu/needed.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import { type Graph, type Node, nodeOutputs } from '../../src/network/graph.js'
import { nanoModel } from '../network/golden.js'

const model = await nanoModel()
const { config, parameters } = model

/** Names of the parameters of a node that has another way where only pixels follow from it. */
function parametersOf(node: Node): string[] {
  return node.op === 'conv' ? [node.weight] : node.op === 'liftStep' ? [node.net] : []
}

/** Those of the nodes from which only pixels follow. */
function forPixels(graph: Graph): Set<string> {
  const tensors = pixelTensors(graph)
  const nodes = graph.stages.flatMap((stage) => stage.nodes)
  return new Set(
    nodes.flatMap((node) => (nodeOutputs(node).every((tensor) => tensors.has(tensor)) ? parametersOf(node) : [])),
  )
}

function convolutions(graph: Graph, prefix: string): Set<string> {
  const nodes = graph.stages.flatMap((stage) => stage.nodes)
  return new Set(nodes.flatMap(parametersOf).filter((name) => name.startsWith(prefix)))
}

test('only pixels follow from the synthesis, and from nothing before it', (t) => {
  const checked = encoderGraph(config, parameters, 128, 64, true).graph
  const decoder = decoderGraph(config, parameters, 128, 64).graph
  t.true(convolutions(checked, 'g_s.lift.').size > 0)
  t.true(convolutions(checked, 'g_a.').size > 10 && convolutions(checked, 'g_s.').size > 10)
  t.deepEqual(forPixels(checked), convolutions(checked, 'g_s.'))
  t.deepEqual(forPixels(decoder), convolutions(decoder, 'g_s.'))
  t.deepEqual(forPixels(encoderGraph(config, parameters, 128, 64).graph), new Set())
})

test('the addon is told of each convolution and lifting step', (t) => {
  const { graph } = encoderGraph(config, parameters, 128, 64, true)
  const plain = { ...graph, stages: graph.stages.slice(0, 1) }
  const [withPixels, without] = [flatten(graph, parameters), flatten(plain, parameters)]
  t.notDeepEqual(withPixels.program, without.program)
  // All that a synthesis adds comes after: the stage of the symbols is the same, but for the number of stages.
  t.deepEqual(withPixels.program.subarray(1, without.program.length), without.program.subarray(1))
})

test('a tensor that is also read for something else keeps every bit', (t) => {
  const { graph } = encoderGraph(config, parameters, 64, 64, true)
  const [symbols, synthesis] = graph.stages as [Graph['stages'][0], Graph['stages'][0]]
  const inner = synthesis.nodes.find(({ op }) => op === 'conv')
  const [tensor] = inner ? nodeOutputs(inner) : []
  if (!tensor) return t.fail()
  t.true(pixelTensors(graph).has(tensor))
  const read = { ...synthesis, outputs: [...synthesis.outputs, { tensor, format: 'float' as const }] }
  t.false(pixelTensors({ ...graph, stages: [symbols, read] }).has(tensor))
})

/**
 * The graph against the training code: the whole network of the nano preset, run by the interpreter, meets the golden
 * vectors tensor by tensor, the integer ones exactly. Where this fails the graph is wrong; where only a backend's test
 * fails, the backend is.
 */
import test, { type ExecutionContext } from 'ava'
import { gainsAt } from '../../src/codec/gain.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { Graph, PortData, Tensor } from '../../src/network/graph.js'
import { isAnchor, nanoGolden, nanoModel, relativeError, rgbOf } from './golden.js'
import { firstDifference, integerVectors } from './golden-integers.js'
import { Interpreter } from './interpreter.js'

/** The interpreter works in double precision, PyTorch in single. */
const TOLERANCE = 2e-5

const model = await nanoModel()
const golden = nanoGolden()
const [, height = 0, width = 0] = golden.get('x').shape
const gains = gainsAt(model, golden.quality)

function named(graph: Graph, name: string): Tensor {
  const tensor = graph.tensors.findLast((t) => t.name === name)
  if (!tensor) throw new Error(`no tensor ${name} in the graph`)
  return tensor
}

function checkIntegers(t: ExecutionContext, graph: Graph, run: Interpreter): Set<string> {
  const vectors = integerVectors(graph, golden, model.config)
  for (const vector of vectors) {
    const actual = run.value(vector.tensor)
    const expected = golden.get(vector.name).data
    const at = firstDifference(vector, actual, expected)
    t.is(at, -1, `${vector.name} at ${at}: ${actual[at]}, expected ${expected[at]}`)
  }
  return new Set(vectors.map(({ name }) => name))
}

test('the encoder graph gives every tensor of the training code', async (t) => {
  const plan = encoderGraph(model.config, model.parameters, height, width)
  const run = new Interpreter(plan.graph, model.parameters)
  const inputs = new Map<Tensor, PortData>([[plan.image, rgbOf(golden.get('x').data, height, width)]])
  if (plan.gain && gains) inputs.set(plan.gain, gains.forward)
  await run.run(0, inputs)
  for (const [tensor, vector] of [
    ['y', 'y'],
    ['h_a.net.8', 'z'],
  ] as const) {
    const error = relativeError(run.value(named(plan.graph, tensor)), golden.get(vector).data)
    t.true(error < TOLERANCE, `${vector}: relative error ${error}`)
  }
  const checked = checkIntegers(t, plan.graph, run)
  t.log(`${checked.size} integer tensors`)
  for (const name of ['z_hat', 'hyper', 'r.1', 'index.0', 'params_n.1', 'y_hat.0']) t.true(checked.has(name), name)
})

test("the decoder graph gives the training code's image from its symbols", async (t) => {
  const plan = decoderGraph(model.config, model.parameters, height, width)
  const run = new Interpreter(plan.graph, model.parameters)
  let inputs = new Map<Tensor, PortData>([[plan.z, Int16Array.from(golden.get('z_hat').data)]])
  for (const [stage, { half, symbols }] of plan.halves.entries()) {
    await run.run(stage, inputs)
    const both = golden.get(`r.${stage >> 1}`).data
    const own = Int16Array.from(both).filter(
      (_, i) => isAnchor(i, symbols.shape.height, symbols.shape.width) === (half === 'anchor'),
    )
    inputs = new Map([[symbols, own]])
  }
  if (plan.gain && gains) inputs.set(plan.gain, gains.inverse)
  await run.run(plan.halves.length, inputs)
  const checked = checkIntegers(t, plan.graph, run)
  // Encoder and decoder together leave no integer vector out.
  const encoder = integerVectors(
    encoderGraph(model.config, model.parameters, height, width).graph,
    golden,
    model.config,
  )
  for (const { name } of encoder) checked.add(name)
  t.deepEqual(
    [...golden.integers].filter((name) => !checked.has(name)),
    [],
  )
  const error = relativeError(run.value(plan.image), golden.get('x_hat').data)
  t.true(error < TOLERANCE, `x_hat: relative error ${error}`)
})

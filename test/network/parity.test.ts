/**
 * The graph against PyTorch: the whole network of the nano preset, run by the interpreter, meets the golden
 * vectors tensor by tensor. Where this fails the graph is wrong; where only a backend's test fails, the backend is.
 */
import test from 'ava'
import { gainsAt } from '../../src/codec/gain.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { Graph, PortData, Tensor } from '../../src/network/graph.js'
import { isAnchor, nanoGolden, nanoModel, relativeError, rgbOf } from './golden.js'
import { Interpreter } from './interpreter.js'

/** The interpreter works in double precision, PyTorch in single. */
const tolerance = 2e-5

const model = nanoModel()
const golden = nanoGolden()
const [, height = 0, width = 0] = golden.get('x').shape
const gains = gainsAt(model, golden.quality)

function named(graph: Graph, name: string): Tensor {
  const tensor = graph.tensors.findLast((t) => t.name === name)
  if (!tensor) throw new Error(`no tensor ${name} in the graph`)
  return tensor
}

test('the encoder graph gives every tensor of PyTorch', async (t) => {
  const plan = encoderGraph(model.config, model.parameters, height, width)
  const run = new Interpreter(plan.graph, model.parameters)
  const inputs = new Map<Tensor, PortData>([[plan.image, rgbOf(golden.get('x').data, height, width)]])
  if (plan.gain && gains) inputs.set(plan.gain, gains.forward)
  await run.run(0, inputs)

  const names: [tensor: string, golden: string][] = [
    ['y', 'y'],
    ['h_a.net.8', 'z'],
    ['z_hat', 'z_hat'],
    ['h_s.net.10', 'hyper'],
  ]
  for (let i = 0; i < model.config.slices; i++) {
    names.push([`mem.local.${i}.mlp.2`, `local.${i}`])
    names.push([`mem.ep_a.${i}.6`, `params_a.${i}`], [`mem.ep_n.${i}.6`, `params_n.${i}`])
    names.push([`mem.lrp_a.${i}.4`, `y_hat_a.${i}`], [`r.${i}`, `r.${i}`])
    if (i < model.config.slices - 1) names.push([`mem.lrp_n.${i}.4`, `y_hat.${i}`])
    if (i > 0) {
      names.push([`mem.inter.${i}.mlp.4`, `inter.${i}`], [`mem.channel.${i}.4`, `channel.${i}`])
      names.push([`mem.intra.${i}.mlp.4`, `intra.${i}`])
    }
  }
  for (const [tensor, vector] of names) {
    const actual = run.value(named(plan.graph, tensor))
    const expected = golden.get(vector).data
    if (/^(local|params_n)/.test(vector)) {
      // Nobody needs these at anchors, and PyTorch does not compute them there.
      for (const i of expected.keys()) if (isAnchor(i, height / 16, width / 16)) expected[i] = actual[i] as number
    }
    const error = relativeError(actual, expected)
    t.true(error < tolerance, `${vector}: relative error ${error}`)
  }
})

test("the decoder graph gives PyTorch's image from its symbols", async (t) => {
  const plan = decoderGraph(model.config, model.parameters, height, width)
  const run = new Interpreter(plan.graph, model.parameters)
  let inputs = new Map<Tensor, PortData>([[plan.z, Int16Array.from(golden.get('z_hat').data)]])
  for (const [stage, { half, symbols }] of plan.halves.entries()) {
    await run.run(stage, inputs)
    const both = golden.get(`r.${stage >> 1}`).data
    const own = Int16Array.from(both, (value, i) =>
      isAnchor(i, symbols.shape.height, symbols.shape.width) === (half === 'anchor') ? value : 0,
    )
    inputs = new Map([[symbols, own]])
  }
  if (plan.gain && gains) inputs.set(plan.gain, gains.inverse)
  await run.run(plan.halves.length, inputs)
  t.true(relativeError(run.value(named(plan.graph, 'y_hat scaled')), golden.get('y_hat').data) < tolerance)
  const error = relativeError(run.value(plan.image), golden.get('x_hat').data)
  t.true(error < tolerance, `x_hat: relative error ${error}`)
})

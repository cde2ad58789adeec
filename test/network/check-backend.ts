/**
 * The whole network on a backend against PyTorch's golden vectors, in float32 both. A backend's test calls this
 * for each device it finds.
 *
 * Single precision sums in other orders differ in the last bits, so a residual that lies next to a half may round
 * the other way, and everything coded after it follows; hence encoders are compared by how many symbols agree, and
 * contexts and pixels are compared on the decoder's side, where the symbols are PyTorch's own.
 */
import type { ExecutionContext } from 'ava'
import { gainsAt } from '../../src/codec/gain.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { Backend, Graph, Half, PortData, Tensor } from '../../src/network/graph.js'
import { isAnchor, nanoGolden, nanoModel, relativeError, rgbOf } from './golden.js'

/**
 * Largest error allowed relative to the largest value of a tensor. Measured: 3.1e-6 at most, on llvmpipe, SwiftShader
 * and the CPU backend's instruction sets, with every symbol and every pixel PyTorch's.
 */
const tolerance = 2e-5

const model = nanoModel()
const golden = nanoGolden()
const [, height = 0, width = 0] = golden.get('x').shape

function named(graph: Graph, name: string): Tensor {
  const tensor = graph.tensors.findLast((t) => t.name === name)
  if (!tensor) throw new Error(`no tensor ${name} in the graph`)
  return tensor
}

/** The graph with float outputs for the named tensors, each in the stage that makes it. */
function exposing(graph: Graph, tensors: readonly Tensor[]): Graph {
  const stages = graph.stages.map((stage) => {
    const made = tensors.filter((tensor) => stage.nodes.some((node) => 'output' in node && node.output === tensor))
    return { ...stage, outputs: [...stage.outputs, ...made.map((tensor) => ({ tensor, format: 'float' as const }))] }
  })
  return { ...graph, stages }
}

export async function checkNetwork(t: ExecutionContext, backend: Backend): Promise<void> {
  await checkEncoder(t, backend)
  await checkDecoder(t, backend)
}

async function checkEncoder(t: ExecutionContext, backend: Backend): Promise<void> {
  const plan = encoderGraph(model.config, model.parameters, height, width)
  const compared = [
    ['y', 'y'],
    ['h_a.net.8', 'z'],
  ].map(([name, vector]) => ({ tensor: named(plan.graph, name as string), vector: vector as string }))
  const graph = exposing(
    plan.graph,
    compared.map(({ tensor }) => tensor),
  )
  const executable = await backend.compile(graph, model.parameters)
  const inputs = new Map<Tensor, PortData>([[plan.image, rgbOf(golden.get('x').data, height, width)]])
  if (plan.gain) inputs.set(plan.gain, gainsAt(model, golden.quality)?.forward as Float32Array)
  const outputs = await executable.run(0, inputs)
  const again = await executable.run(0, inputs)
  for (const [tensor, data] of outputs) t.deepEqual(again.get(tensor), data, `${tensor.name} differs between two runs`)
  executable.close()

  for (const { tensor, vector } of compared) {
    const error = relativeError(outputs.get(tensor) as PortData, golden.get(vector).data)
    t.true(error < tolerance, `encoder ${vector}: relative error ${error}`)
  }
  let agreeing = 0
  let all = 0
  const count = (actual: PortData, expected: ArrayLike<number>) => {
    all += expected.length
    for (const [i, value] of actual.entries()) if (value === expected[i]) agreeing++
  }
  count(outputs.get(plan.z) as PortData, golden.get('z_hat').data)
  for (const [i, { symbols }] of plan.slices.entries()) {
    count(outputs.get(symbols) as PortData, golden.get(`r.${i}`).data)
  }
  t.true(agreeing / all > 0.999, `${all - agreeing} of ${all} symbols differ from PyTorch's`)
}

async function checkDecoder(t: ExecutionContext, backend: Backend): Promise<void> {
  const plan = decoderGraph(model.config, model.parameters, height, width)
  const vectors: { tensor: Tensor; vector: string; half: Half | null }[] = []
  const expose = (name: string, vector: string, half: Half | null = null) =>
    vectors.push({ tensor: named(plan.graph, name), vector, half })
  for (let i = 0; i < model.config.slices; i++) {
    expose(`mem.local.${i}.mlp.2`, `local.${i}`, 'nonAnchor')
    expose(`mem.ep_a.${i}.6`, `params_a.${i}`)
    expose(`mem.ep_n.${i}.6`, `params_n.${i}`, 'nonAnchor')
    expose(`mem.lrp_a.${i}.4`, `y_hat_a.${i}`)
    expose(`mem.lrp_n.${i}.4`, `y_hat.${i}`)
    if (i === 0) continue
    expose(`mem.inter.${i}.mlp.4`, `inter.${i}`)
    expose(`mem.channel.${i}.4`, `channel.${i}`)
    expose(`mem.intra.${i}.mlp.4`, `intra.${i}`)
  }
  const graph = exposing(
    plan.graph,
    vectors.map(({ tensor }) => tensor),
  )
  const executable = await backend.compile(graph, model.parameters)

  const found = new Map<Tensor, PortData>()
  let inputs = new Map<Tensor, PortData>([[plan.z, Int16Array.from(golden.get('z_hat').data)]])
  for (let stage = 0; stage <= plan.halves.length; stage++) {
    if (stage === plan.halves.length && plan.gain) {
      inputs.set(plan.gain, gainsAt(model, golden.quality)?.inverse as Float32Array)
    }
    for (const [tensor, data] of await executable.run(stage, inputs)) found.set(tensor, data)
    const next = plan.halves[stage]
    if (!next) break
    const { shape } = next.symbols
    const own = Int16Array.from(golden.get(`r.${stage >> 1}`).data, (value, i) =>
      isAnchor(i, shape.height, shape.width) === (next.half === 'anchor') ? value : 0,
    )
    inputs = new Map([[next.symbols, own]])
  }
  executable.close()

  for (const { tensor, vector, half } of vectors) {
    const expected = golden.get(vector).data
    const actual = found.get(tensor) as PortData
    for (const i of expected.keys()) {
      const { shape } = tensor
      const counts = half === null || isAnchor(i, shape.height, shape.width) === (half === 'anchor')
      if (!counts) expected[i] = actual[i] as number
    }
    const error = relativeError(actual, expected)
    t.true(error < tolerance, `decoder ${vector}: relative error ${error}`)
  }
  const image = found.get(plan.image) as PortData
  const expected = rgbOf(golden.get('x_hat').data, height, width)
  const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - (image[i] as number))), 0)
  t.true(worst <= 1, `pixels differ by ${worst} of 255 from PyTorch's`)
}

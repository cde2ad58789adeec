/**
 * The whole network on a backend against the golden vectors, and transforms of two widths, which the golden model
 * doesn't have, against the interpreter. A backend's test calls this for each device it finds.
 *
 * Analysis and synthesis are float32 in another order of summing than PyTorch's: they differ in the last bits, so that
 * a residual next to a half may round the other way, and everything coded after it follows. Hence encoders are
 * compared by how many symbols agree, and the integers of the entropy model on the decoder's side, where the symbols
 * are given: exactly.
 */
import type { ExecutionContext } from 'ava'
import { presets } from '../../bench/src/speed/presets.js'
import { noise, randomParameters } from '../../bench/src/speed/random-model.js'
import { gainsAt } from '../../src/codec/gain.js'
import { GraphBuilder } from '../../src/network/builder.js'
import { type DecoderGraph, decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { Backend, Graph, Half, PortData, Shape, Tensor } from '../../src/network/graph.js'
import { analysis, synthesis } from '../../src/network/transforms.js'
import { isAnchor, nanoGolden, nanoModel, relativeError, rgbOf } from './golden.js'
import { firstDifference, integerVectors } from './golden-integers.js'
import { interpreter } from './interpreter.js'

/**
 * Largest error allowed relative to the largest value of a tensor. Measured: 3.1e-6 at most, on llvmpipe, SwiftShader
 * and the CPU backend's instruction sets, with every symbol and every pixel PyTorch's.
 */
const TOLERANCE = 2e-5

const model = await nanoModel()
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
  for (const transforms of deepTransforms) await checkDeep(t, backend, await transforms)
}

const deepTransforms = [true, false].map(withDeepTransforms)

/**
 * g_a and g_s of a random network twice as wide at 1/8 of the resolution, of an image and of a latent that are not each
 * other's.
 */
async function withDeepTransforms(ls: boolean) {
  const config = { ...presets.nano, deep: 2 * presets.nano.N, ls }
  const parameters = randomParameters(config)
  const g = new GraphBuilder(parameters)
  const shape = { channels: 3, height: 64, width: 128 }
  const x = g.input('x', shape, 'rgb8')
  const yHat = g.input('y_hat', { channels: config.M, height: 4, width: 8 }, 'float')
  const [y, xHat] = [analysis(g, config, x), synthesis(g, config, yHat)]
  g.endStage('transforms', [
    { tensor: y, format: 'float' },
    { tensor: xHat, format: 'float' },
  ])
  const inputs = new Map<Tensor, PortData>([
    [x, Uint8Array.from(noise(3 * 64 * 128, 1), (v) => 128 + 127 * v)],
    [yHat, noise(config.M * 4 * 8, 4)],
  ])
  const graph = g.finish()
  // Once for all backends, as it takes long.
  const expected = await (await interpreter().compile(graph, parameters)).run(0, inputs)
  return { title: `two widths, ls ${ls}`, graph, parameters, inputs, expected, y, xHat }
}

async function checkDeep(
  t: ExecutionContext,
  backend: Backend,
  { title, graph, parameters, inputs, expected, y, xHat }: Awaited<ReturnType<typeof withDeepTransforms>>,
): Promise<void> {
  const executable = await backend.compile(graph, parameters)
  const outputs = await executable.run(0, inputs)
  executable.close()
  for (const tensor of [y, xHat]) {
    const error = relativeError(outputs.get(tensor) as PortData, expected.get(tensor) as PortData)
    t.true(error < TOLERANCE, `${title}, ${tensor === y ? 'y' : 'x_hat'}: relative error ${error}`)
  }
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
    t.true(error < TOLERANCE, `encoder ${vector}: relative error ${error}`)
  }
  let agreeing = 0
  let all = 0
  const count = (actual: PortData, expected: ArrayLike<number>) => {
    all += expected.length
    for (const [i, value] of actual.entries()) if (value === expected[i]) agreeing++
  }
  count(outputs.get(plan.z) as PortData, golden.get('z_hat').data)
  for (const [i, { symbols }] of plan.slices.entries()) {
    const [first, second] = (['anchor', 'nonAnchor'] as const).map((half) =>
      ofHalf(golden.get(`r.${i}`).data, symbols.shape, half),
    ) as [Int16Array, Int16Array]
    count(outputs.get(symbols) as PortData, [...first, ...second])
  }
  t.true(agreeing / all > 0.999, `${all - agreeing} of ${all} symbols differ from PyTorch's`)
}

async function checkDecoder(t: ExecutionContext, backend: Backend): Promise<void> {
  const plan = decoderGraph(model.config, model.parameters, height, width)
  const vectors = integerVectors(plan.graph, golden, model.config)
  t.true(vectors.length > 40, `only ${vectors.length} integer vectors`)
  // Once as it is, where a backend may fuse and leave out what nobody reads, and once with every tensor an output.
  const plain = await decode(backend, plan, plan.graph)
  const found = await decode(
    backend,
    plan,
    exposing(
      plan.graph,
      vectors.map(({ tensor }) => tensor),
    ),
  )
  for (const vector of vectors) {
    if (vector.tensor === plan.z) continue
    const actual = found.get(vector.tensor) as PortData
    const expected = golden.get(vector.name).data
    const at = firstDifference(vector, actual, expected)
    t.is(at, -1, `decoder ${vector.name} at ${at}: ${actual[at]}, expected ${expected[at]}`)
  }
  for (const [i, { half, indexes }] of plan.halves.entries()) {
    const expected = ofHalf(golden.get(`index.${i >> 1}`).data, indexes.shape, half)
    t.deepEqual(plain.get(indexes), expected, `indexes of ${half} ${i >> 1}`)
  }
  const expected = rgbOf(golden.get('x_hat').data, height, width)
  for (const outputs of [plain, found]) {
    const image = outputs.get(plan.image) as PortData
    const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - (image[i] as number))), 0)
    t.true(worst <= 1, `pixels differ by ${worst} of 255 from PyTorch's`)
  }
}

/** All outputs of all stages, decoding the golden symbols. */
async function decode(backend: Backend, plan: DecoderGraph, graph: Graph): Promise<Map<Tensor, PortData>> {
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
    inputs = new Map([[next.symbols, ofHalf(golden.get(`r.${stage >> 1}`).data, next.symbols.shape, next.half)]])
  }
  executable.close()
  return found
}

/** The values of one half, in coding order. */
function ofHalf(values: ArrayLike<number>, { height, width }: Shape, half: Half): Int16Array {
  return Int16Array.from(values).filter((_, i) => isAnchor(i, height, width) === (half === 'anchor'))
}

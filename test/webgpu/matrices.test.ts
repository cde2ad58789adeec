/** Convolutions by matrix units: where they are used, that they give the same numbers, and what their trial decides. */
import test from 'ava'
import { create } from 'webgpu'
import { DeviceError } from '../../src/errors.js'
import { loadModel } from '../../src/model/model.js'
import { GraphBuilder } from '../../src/network/builder.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { Graph, Parameters, PortData, Tensor } from '../../src/network/graph.js'
import { findAdapters, pickAdapter } from '../../src/webgpu/adapters.js'
import { WebGpuBackend } from '../../src/webgpu/backend.js'
import { type Dispatch, isCopy } from '../../src/webgpu/dispatch.js'
import { type CompileWith, matricesPay, trialWork } from '../../src/webgpu/matrix-trial.js'
import { MATRIX_FEATURES, type MatrixUnits, matrixUnits } from '../../src/webgpu/matrix-units.js'
import { plan } from '../../src/webgpu/plan.js'
import { loadShader } from '../../src/webgpu/shader.js'
import { Fixture, noise } from '../cpu/random-graph.js'
import { testWithModel } from '../data.js'

// Before any test is declared, as ava wants it.
const offering = (await findAdapters())
  .filter(({ adapter }) => matrixUnits(adapter))
  .map(({ description }) => description)

/** As NVIDIA's GPUs have them. */
const UNITS: MatrixUnits = { rows: 16, columns: 16, depth: 16, lanes: 32 }

/** A backend with all features that runs nothing; kept for the life of the process, as Dawn wants it. */
const nowhere = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis'])

function dispatches(graph: Graph, parameters: Parameters, matrices: MatrixUnits | null): Dispatch[] {
  const kind = { software: false, maxLayers: 2048, batch: 1, halfFloats: true }
  const { stages } = plan(graph, { parameters, ...kind, matrices })
  return stages.flat().filter((action): action is Dispatch => !isCopy(action))
}

testWithModel(
  [],
  'nearly all products of the transforms are made by matrix units, and the shaders are right WGSL',
  async (t) => {
    const { config, parameters } = await loadModel()
    const adapter = await nowhere.requestAdapter()
    const device = await adapter?.requestDevice({ requiredFeatures: [...MATRIX_FEATURES] })
    for (const build of [encoderGraph, decoderGraph]) {
      const { graph } = build(config, parameters, 256, 256)
      const all = dispatches(graph, parameters, UNITS).filter(({ shader }) => shader.startsWith('conv'))
      const own = all.filter(({ shader }) => shader === 'conv_matrix')
      const cost = (some: readonly Dispatch[]) => some.reduce((sum, dispatch) => sum + dispatch.cost, 0)
      t.true(cost(own) > 0.8 * cost(all.filter(({ constants }) => constants.GDN !== 1)), `${cost(own)} of ${cost(all)}`)
      t.false(dispatches(graph, parameters, null).some(({ shader }) => shader === 'conv_matrix'))
      for (const constants of new Map(own.map((each) => [JSON.stringify(each.constants), each.constants])).values()) {
        const module = device?.createShaderModule({ code: loadShader('conv_matrix', constants).code })
        t.deepEqual((await module?.getCompilationInfo())?.messages, [])
      }
    }
    device?.destroy()
  },
)

/** Random half floats. */
const halves = (length: number, scale: number) =>
  noise(length, 1, length).map((value) => (Math.round(value * 1023) / 1024) * scale)

interface Work {
  readonly graph: Graph
  readonly parameters: Parameters
  readonly inputs: ReadonlyMap<Tensor, PortData>
}

/** Layers of all the shapes that go to matrix units, on sizes that fill no tile. */
function layers(): Work {
  const parameters = new Fixture()
  const add = (name: string, outputs: number, inputs: number, kernel: number) => {
    const products = inputs * kernel ** 2
    const data = halves(outputs * products, 2 ** -Math.round(Math.log2(products) / 2))
    parameters.values(`${name}.weight`, [outputs, inputs, kernel, kernel], data)
    parameters.values(`${name}.bias`, [outputs], halves(outputs, 0.5))
  }
  const g = new GraphBuilder(parameters)
  const input = g.input('input', { channels: 21, height: 13, width: 37 }, 'float')
  add('plain', 48, 21, 3)
  add('wide', 68, 48, 1)
  add('skip', 68, 68, 3)
  add('bent', 40, 68, 3)
  add('bent.offset', 27, 68, 3)
  add('shuffled', 4 * 20, 40, 3)
  const plain = g.conv('plain', input, { activation: 'gelu' })
  const wide = g.conv('wide', plain)
  const skip = g.conv('skip', wide, { activation: 'gelu', residual: wide })
  const bent = g.deform('bent', skip, 2, 'none', 1)
  const shuffled = g.conv('shuffled', bent, { shuffle: 2 })
  const outputs = [plain, wide, skip, bent, shuffled]
  g.endStage(
    'all',
    outputs.map((tensor) => ({ tensor, format: 'float' as const })),
  )
  return { graph: g.finish(), parameters, inputs: new Map([[input, noise(21 * 13 * 37, 2)]]) }
}

function relativeDifference(actual: Float32Array, expected: Float32Array): number {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return actual.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] as number))), 0) / largest
}

if (offering.length === 0) test.skip('no adapter of this machine offers matrix units', (t) => t.pass())

async function opened(name: string, matrices: boolean): Promise<WebGpuBackend> {
  const { description, adapter } = await pickAdapter(name)
  return WebGpuBackend.open({ description: { ...description, software: false }, adapter }, { matrices })
}

for (const { name } of offering) {
  test.serial(`${name}: the same numbers as without, but for the order of sums`, async (t) => {
    t.timeout(240_000)
    const { graph, parameters, inputs } = layers()
    t.is(dispatches(graph, parameters, UNITS).filter(({ shader }) => shader === "conv_matrix").length, 5)
    const run = async (matrices: boolean) => {
      using backend = await opened(name, matrices)
      return await (await backend.compile(graph, parameters)).run(0, inputs)
    }
    const [expected, actual] = [await run(false), await run(true)]
    t.is(expected.size, 5)
    for (const [tensor, values] of expected) {
      const difference = relativeDifference(actual.get(tensor) as Float32Array, values as Float32Array)
      t.true(difference < 4e-6, `${tensor.name}: ${difference}`)
    }
  })
}

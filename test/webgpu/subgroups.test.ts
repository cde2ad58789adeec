/** Convolutions that use subgroups: which do, that they give the same numbers, and what their trial decides. */
import test from 'ava'
import { create } from 'webgpu'
import { DeviceError } from '../../src/errors.js'
import { loadModel } from '../../src/model/model.js'
import { GraphBuilder } from '../../src/network/builder.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { Graph, Parameters, PortData, Tensor } from '../../src/network/graph.js'
import { type FoundAdapter, findAdapters } from '../../src/webgpu/adapters.js'
import { WebGpuBackend } from '../../src/webgpu/backend.js'
import { type Dispatch, isCopy } from '../../src/webgpu/dispatch.js'
import { plan } from '../../src/webgpu/plan.js'
import { loadShader } from '../../src/webgpu/shader.js'
import { type CompileWith, fastestUse, trialWork } from '../../src/webgpu/subgroup-trial.js'
import {
  MATRIX_FEATURES,
  type MatrixUnits,
  NO_SUBGROUPS,
  type SubgroupUse,
  subgroupsOf,
} from '../../src/webgpu/subgroups.js'
import { Fixture, noise } from '../cpu/random-graph.js'
import { testWithModel } from '../data.js'
import { relativeError } from '../network/golden.js'
import { asGpu, UNITS } from './as-gpu.js'

// Before any test is declared, as ava wants it.
const adapters = await findAdapters()
const having = (what: keyof SubgroupUse) =>
  adapters.filter((each) => subgroupsOf(each)[what]).map(({ description }) => description.name)

/** A backend with all features that runs nothing; kept for the life of the process, as Dawn wants it. */
const nowhere = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis'])

function dispatches(graph: Graph, parameters: Parameters, matrices: MatrixUnits | null, shuffles = false): Dispatch[] {
  const kind = { software: false, maxLayers: 2048, batch: 1, halfFloats: true }
  const { stages } = plan(graph, { parameters, ...kind, subgroups: { shuffles, matrices } })
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

/** Random parameters whose weights are half floats, and their sums about as large as what they are made of. */
class Layers extends Fixture {
  add(name: string, outputs: number, inputs: number, kernel: number): void {
    const products = inputs * kernel ** 2
    const data = halves(outputs * products, 2 ** -Math.round(Math.log2(products) / 2))
    this.values(`${name}.weight`, [outputs, inputs, kernel, kernel], data)
    this.values(`${name}.bias`, [outputs], halves(outputs, 0.5))
  }
}

const SHAPE = { channels: 21, height: 13, width: 37 }
const inputOf = (seed: number) => noise(SHAPE.channels * SHAPE.height * SHAPE.width, 2, seed)

/** Layers that read floats, of all the shapes that go to matrix units, on sizes that fill no tile. */
function floatLayers(): Work {
  const parameters = new Layers()
  parameters.add('plain', 48, 21, 3)
  parameters.add('wide', 68, 48, 1)
  parameters.add('skip', 68, 68, 3)
  parameters.add('bent', 40, 68, 3)
  parameters.add('bent.offset', 27, 68, 3)
  parameters.add('shuffled', 4 * 20, 40, 3)
  const g = new GraphBuilder(parameters)
  const input = g.input('input', SHAPE, 'float')
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
  return { graph: g.finish(), parameters, inputs: new Map([[input, inputOf(1)]]) }
}

/** Layers that read half floats, as what comes of them is rounded: two branches, side by side, and what follows them. */
function halfLayers(): Work {
  const parameters = new Layers()
  for (const branch of ['low', 'high'] as const) {
    parameters.add(`${branch}.first`, 48, 32, 3)
    parameters.add(`${branch}.second`, 48, 48, 3)
    parameters.add(`${branch}.third`, 32, 48, 3)
  }
  parameters.add('down', 48, 64, 3)
  parameters.add('last', 24, 48, 1)
  const large = parameters.get('last.weight').data
  for (let i = 0; i < large.length; i++) large[i] = (large[i] as number) * 1024
  const g = new GraphBuilder(parameters)
  const input = g.input('input', SHAPE, 'float')
  const [few, many] = [g.slice('few', input, 0, 11), g.slice('many', input, 0, 21)]
  const begun = { low: [few, many], high: [many, few] } as const
  const branches = (['low', 'high'] as const).map((branch) => {
    const first = g.conv(`${branch}.first`, g.concat(`${branch} begin`, begun[branch]), { activation: 'gelu' })
    const second = g.conv(`${branch}.second`, first, { activation: 'gelu', residual: first })
    return g.conv(`${branch}.third`, second, { stride: 2 })
  })
  const down = g.conv('down', g.concat('both', branches), { stride: 2, activation: 'gelu' })
  const last = g.round('rounded', g.conv('last', down))
  g.endStage('all', [{ tensor: last, format: 'int16' }])
  return { graph: g.finish(), parameters, inputs: new Map([[input, inputOf(1)]]) }
}

const matrixCount = ({ graph, parameters }: Work) =>
  dispatches(graph, parameters, UNITS).filter(({ shader }) => shader === 'conv_matrix').length

test('which layers go to matrix units: all of half floats, of floats but those of stride 2 with a kernel of 3', (t) => {
  t.is(matrixCount(floatLayers()), 5)
  // Those of the branches are one dispatch each for both.
  t.is(matrixCount(halfLayers()), 5)
})

async function opened(name: string, subgroups: 'none' | 'shuffles' | 'matrices'): Promise<WebGpuBackend> {
  return WebGpuBackend.open(await asGpu(name), { subgroups })
}

/** Convolutions whose neighbouring tiles share columns: of few and many inputs, and of more than fill all shares alike. */
function sharingLayers(): Work {
  const parameters = new Layers()
  parameters.add('first', 40, 21, 3)
  parameters.add('second', 8, 40, 3)
  parameters.add('third', 4 * 7, 8, 3)
  const g = new GraphBuilder(parameters)
  const input = g.input('input', SHAPE, 'float')
  const third = g.conv('third', g.conv('second', g.conv('first', input)), { shuffle: 2 })
  g.endStage('all', [{ tensor: third, format: 'float' }])
  return { graph: g.finish(), parameters, inputs: new Map([[input, inputOf(1)]]) }
}

test('tiles share what they read in convolutions of stride 1 whose taps overlap', (t) => {
  const { graph, parameters } = floatLayers()
  const shared = dispatches(graph, parameters, null, true).map(({ constants }) => constants)
  t.deepEqual(
    shared.flatMap(({ K, S, SHUFFLE }) => (K === undefined ? [] : [`${K} ${S} ${SHUFFLE ?? 0}`])),
    ['3 1 1', '1 1 0', '3 1 1', '3 2 0', '1 1 0', '3 1 1'],
  )
})

if (having('shuffles').length === 0) test.skip('no adapter of this machine has subgroups', (t) => t.pass())
for (const name of having('shuffles')) {
  test.serial(`${name}: what tiles share is the same to the bit`, async (t) => {
    t.timeout(240_000)
    const { graph, parameters, inputs } = sharingLayers()
    const run = async (subgroups: 'none' | 'shuffles') => {
      using backend = await opened(name, subgroups)
      t.is(backend.subgroups.shuffles, subgroups === 'shuffles')
      return [...(await (await backend.compile(graph, parameters)).run(0, inputs)).values()][0] as Float32Array
    }
    const [plain, shared] = [await run('none'), await run('shuffles')]
    t.deepEqual(shared, plain)
    t.true(plain.every(Number.isFinite) && plain.some((value) => value !== 0))
  })
}

if (having('matrices').length === 0) test.skip('no adapter of this machine offers matrix units', (t) => t.pass())
for (const name of having('matrices')) {
  test.serial(`${name}: floats are the same as without, but for the order of sums`, async (t) => {
    t.timeout(240_000)
    const { graph, parameters, inputs } = floatLayers()
    const run = async (subgroups: 'none' | 'matrices') => {
      using backend = await opened(name, subgroups)
      return await (await backend.compile(graph, parameters)).run(0, inputs)
    }
    const [expected, actual] = [await run('none'), await run('matrices')]
    t.is(expected.size, 5)
    for (const [tensor, values] of expected) {
      const difference = relativeError(actual.get(tensor) as Float32Array, values as Float32Array)
      t.true(difference < 4e-6, `${tensor.name}: ${difference}`)
    }
  })

  test.serial(`${name}: half floats are nearly always the same, and those of a batch as alone`, async (t) => {
    t.timeout(240_000)
    const { graph, parameters, inputs } = halfLayers()
    const [input] = inputs.keys() as Iterable<Tensor>
    const tiles = [1, 2].map((seed) => new Map([[input as Tensor, inputOf(seed)]]))
    const run = async (subgroups: 'none' | 'matrices', batch: number) => {
      using backend = await opened(name, subgroups)
      const executable = await backend.compile(graph, parameters, batch)
      const found: number[][] = []
      for (let first = 0; first < tiles.length; first += batch) {
        for (const outputs of (await executable.runBatch?.(0, tiles.slice(first, first + batch))) ?? []) {
          found.push([...([...(outputs?.values() ?? [])][0] as Int16Array)])
        }
      }
      return found
    }
    const [plain, alone, together] = [await run('none', 1), await run('matrices', 1), await run('matrices', 2)]
    t.deepEqual(together, alone)
    const [expected, actual] = [plain.flat(), alone.flat()]
    const others = expected.filter((value, i) => value !== actual[i]).length
    const largest = Math.max(...expected.map((value, i) => Math.abs(value - (actual[i] as number))))
    t.true(
      Math.max(...expected) > 50 && largest <= 1 && others < expected.length / 20,
      `${others} of ${expected.length}, by ${largest}, of up to ${Math.max(...expected)}`,
    )
  })
}

/** What a trial's executables give in place of the right values, and how long they take; plain ones take 10. */
interface Tried {
  readonly made: Float32Array | Error
  readonly milliseconds: number
}

const RIGHT = Float32Array.of(1, -3, 0.5)
const ALL: SubgroupUse = { shuffles: true, matrices: UNITS }

async function trial(shuffles: Tried, matrices: Tried, offered = ALL): Promise<SubgroupUse & { left: number }> {
  let [clock, left] = [0, 0]
  const compile: CompileWith = async (graph, _, use) => {
    left++
    const plain = { made: RIGHT, milliseconds: 10 }
    const { made, milliseconds } = use.matrices ? matrices : use.shuffles ? shuffles : plain
    const run = async () => {
      clock += milliseconds
      if (made instanceof Error) throw made
      return new Map(graph.stages[0]?.outputs.map(({ tensor }) => [tensor, made]))
    }
    return { run, close: () => void left-- }
  }
  return { ...(await fastestUse(offered, compile, () => clock)), left }
}

test('a trial lets subgroups be used where they are right and faster, and only there', async (t) => {
  const [fast, slow] = [9, 10].map((milliseconds) => ({ made: RIGHT, milliseconds })) as [Tried, Tried]
  const faster = { made: Float32Array.of(1, -3.0001, 0.5), milliseconds: 8 }
  const none = { shuffles: false, matrices: null, left: 0 }
  t.deepEqual(await trial(slow, slow), none)
  t.deepEqual(await trial(fast, slow), { ...none, shuffles: true })
  t.deepEqual(await trial(fast, faster), { ...none, shuffles: true, matrices: UNITS })
  t.deepEqual(await trial(slow, faster), { ...none, matrices: UNITS })
  t.deepEqual(await trial(faster, fast), { ...none, shuffles: true })
  t.deepEqual(await trial(fast, faster, { shuffles: true, matrices: null }), { ...none, shuffles: true })
  t.deepEqual(await trial(fast, faster, NO_SUBGROUPS), none)
  const values = [
    [1, -3, 0.5004],
    [1, -3, Number.NaN],
    [1, -3],
    [0, 0, 0],
  ].map((each) => Float32Array.from(each))
  for (const made of [...values, new DeviceError('ERR_SHADER', 'refused')]) {
    const wrong = { made, milliseconds: 1 }
    t.deepEqual(await trial(wrong, wrong), none)
    t.deepEqual(await trial(fast, wrong), { ...none, shuffles: true })
  }
  const mistaken = { made: new TypeError('a mistake'), milliseconds: 1 }
  await t.throwsAsync(trial(fast, mistaken), { instanceOf: TypeError })
})

test('the layers of a trial go to matrix units, but for those of few channels', (t) => {
  const { graph, parameters, inputs } = trialWork()
  const layers = dispatches(graph, parameters, UNITS).filter(({ shader }) => shader.startsWith('conv'))
  t.deepEqual(
    layers.map(({ shader }) => shader),
    ['conv', ...new Array(layers.length - 2).fill('conv_matrix'), 'conv'],
  )
  t.true(layers.length > 8 && inputs.size === 1)
  t.deepEqual(
    layers.filter(({ constants }) => constants.DEFORM === 1).map(({ constants }) => constants.COLUMNS),
    [192],
  )
  t.is(dispatches(graph, parameters, null).filter(({ shader }) => shader === 'deform').length, 1)
})

test('matrices are taken in the largest shape that kernels are made for, of subgroups of one size', (t) => {
  const config = (
    componentType: string,
    resultComponentType: string,
    [M, N, K]: readonly [number, number, number],
  ) => ({ componentType, resultComponentType, M, N, K })
  const configs = [
    config('f16', 'f16', [16, 16, 16]),
    config('f16', 'f32', [16, 8, 8]),
    config('f16', 'f32', [16, 8, 16]),
    config('f16', 'f32', [32, 32, 16]),
    config('u8', 'u32', [16, 16, 32]),
  ]
  const found = (features: readonly string[], subgroupMinSize: number, subgroupMaxSize: number, some: object[]) => {
    const info = { subgroupMinSize, subgroupMaxSize, subgroupMatrixConfigs: some }
    return subgroupsOf({ description: { features }, adapter: { info } } as unknown as FoundAdapter).matrices
  }
  t.deepEqual(found(MATRIX_FEATURES, 32, 32, configs), { rows: 16, columns: 8, depth: 16, lanes: 32 })
  t.is(found(MATRIX_FEATURES, 32, 64, configs), null)
  t.is(found(MATRIX_FEATURES.slice(1), 32, 32, configs), null)
  t.is(found(MATRIX_FEATURES, 32, 32, configs.slice(0, 1)), null)
})

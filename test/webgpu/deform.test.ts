/** Deformable convolutions in one dispatch: where they are, in which shapes, and that their numbers are right. */
import test, { type ExecutionContext } from 'ava'
import { openCpu } from '../../src/cpu/backend.js'
import { GraphBuilder } from '../../src/network/builder.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { Graph, Tensor } from '../../src/network/graph.js'
import { findAdapters } from '../../src/webgpu/adapters.js'
import { WebGpuBackend } from '../../src/webgpu/backend.js'
import { type Dispatch, isCopy } from '../../src/webgpu/dispatch.js'
import { type PlanContext, plan } from '../../src/webgpu/plan.js'
import { subgroupsOf } from '../../src/webgpu/subgroups.js'
import { Fixture, noise } from '../cpu/random-graph.js'
import { nanoModel, relativeError } from '../network/golden.js'
import { asGpu, UNITS } from './as-gpu.js'

// Before any test is declared, as ava wants it.
const withUnits = (await findAdapters())
  .filter((each) => subgroupsOf(each).matrices)
  .map(({ description }) => description.name)

const GPU = { software: false, maxLayers: 2048, batch: 1 } as const

function dispatches(graph: Graph, context: PlanContext): Dispatch[] {
  return plan(graph, context)
    .stages.flat()
    .filter((action): action is Dispatch => !isCopy(action))
}

test('a GPU keeps the samples of upsampling blocks to its workgroups; those of the encoder are a tensor', async (t) => {
  const { config, parameters } = await nanoModel()
  const [encoder, decoder] = [encoderGraph, decoderGraph].map((build) => build(config, parameters, 64, 64).graph)
  const shaders = (graph: Graph | undefined, context: Partial<PlanContext>) => {
    const all = dispatches(graph as Graph, { ...GPU, parameters, ...context })
    const names = all.map(({ shader, constants }) => (constants.DEFORM === 1 ? 'matrices' : shader))
    return ['deform', 'matrices', 'deform_gather'].map((name) => names.filter((each) => each === name).length)
  }
  t.deepEqual(shaders(decoder, {}), [6, 0, 0])
  const matrices = { subgroups: { shuffles: false, matrices: UNITS } }
  t.deepEqual(shaders(decoder, { ...matrices, halfFloats: true }), [0, 6, 0])
  // Matrix units multiply half floats.
  t.deepEqual(shaders(decoder, matrices), [6, 0, 0])
  t.deepEqual(shaders(decoder, { software: true }), [0, 0, 6])
  const [whole, multiplied, gathered] = shaders(encoder, { ...matrices, halfFloats: true })
  t.deepEqual([whole, multiplied], [0, 0])
  t.true(Number(gathered) > 0)
})

interface Sizes {
  readonly channels: number
  readonly outputs: number
  readonly height: number
  readonly width: number
}

/** The branch and the skip of an upsampling block; `halves` names those whose weights are half floats. */
function upsampling({ channels, outputs, height, width }: Sizes, halves: readonly string[]) {
  const parameters = new Fixture()
  for (const [i, name] of ['up', 'skip'].entries()) {
    const weights = noise(4 * outputs * channels * 9, 0.05, i + 1)
    const stored = halves.includes(name) ? weights.map((value) => Math.round(1024 * value) / 1024) : weights
    parameters.values(`${name}.weight`, [4 * outputs, channels, 3, 3], stored)
    parameters.parameter(`${name}.bias`, [4 * outputs])
    parameters.parameter(`${name}.offset.weight`, [27, channels, 3, 3], 0.2)
    parameters.parameter(`${name}.offset.bias`, [27], 2)
  }
  const g = new GraphBuilder(parameters)
  const input = g.input('input', { channels, height, width }, 'float')
  const up = g.deform('up', input, 1, 'gelu', 2)
  const skip = g.deform('skip', input, 1, 'none', 2)
  g.endStage('all', [
    { tensor: up, format: 'float' },
    { tensor: skip, format: 'float' },
  ])
  const tiles = [1, 2].map(
    (seed) => new Map<Tensor, Float32Array>([[input, noise(channels * height * width, 2, seed)]]),
  )
  return { graph: g.finish(), parameters, tiles }
}

/** Compares a GPU's numbers with the processor's, and those of tiles together with those of each alone. */
async function compare(
  t: ExecutionContext,
  { graph, parameters, tiles }: ReturnType<typeof upsampling>,
  adapterName: string | undefined,
  subgroups: 'none' | 'matrices',
): Promise<void> {
  using gpu = await WebGpuBackend.open(await asGpu(adapterName), { halfFloats: true, subgroups })
  using processor = await openCpu()
  const expected = await processor.compile(graph, parameters)
  const alone = await gpu.compile(graph, parameters)
  const together = await (await gpu.compile(graph, parameters, 2)).runBatch?.(0, tiles)
  for (const [i, tile] of tiles.entries()) {
    const outputs = await alone.run(0, tile)
    t.deepEqual(together?.[i], outputs)
    for (const [tensor, right] of await expected.run(0, tile)) {
      const error = relativeError(outputs.get(tensor) as Float32Array, right as Float32Array)
      t.true(right.some((value) => Math.abs(value) > 0.4) && error < 1e-5, `${tensor.name}: ${error}`)
    }
  }
}

// 70 tiles of 8 x 4 positions keep a GPU busy, nine don't; 24 blocks make no whole rounds of 48. 35 channels are a chunk of
// 32, and one that isn't full.
for (const [sizes, blocks] of [
  [{ channels: 5, outputs: 48, height: 38, width: 50 }, 3],
  [{ channels: 5, outputs: 24, height: 38, width: 50 }, 1],
  [{ channels: 35, outputs: 48, height: 11, width: 19 }, 1],
] as const) {
  test.serial(`by plain sums, ${JSON.stringify(sizes)}, blocks an invocation: ${blocks}`, async (t) => {
    t.timeout(120_000)
    const work = upsampling(sizes, ['up'])
    const whole = dispatches(work.graph, { ...GPU, parameters: work.parameters, halfFloats: true })
    t.deepEqual(
      whole
        .filter(({ shader }) => shader === 'deform')
        .map(({ constants, params }) => [constants.TO, constants.HALF_WEIGHTS ?? 0, params.firstOffset]),
      [
        [blocks, 1, 0],
        [blocks, 0, 27],
      ],
    )
    await compare(t, work, undefined, 'none')
  })
}

// 80 tiles of 16 x 4 positions keep a GPU busy, twelve don't. 32 channels are two chunks of a tap.
for (const [sizes, columns] of [
  [{ channels: 16, outputs: 48, height: 61, width: 65 }, 192],
  [{ channels: 16, outputs: 24, height: 61, width: 65 }, 96],
  [{ channels: 32, outputs: 48, height: 13, width: 37 }, 64],
] as const) {
  const title = `by matrix units, ${JSON.stringify(sizes)}, outputs a workgroup: ${columns}`
  test(title, (t) => {
    const { graph, parameters } = upsampling(sizes, ['up', 'skip'])
    const subgroups = { shuffles: false, matrices: UNITS }
    const all = dispatches(graph, { ...GPU, parameters, halfFloats: true, subgroups })
    t.deepEqual(
      all.filter(({ constants }) => constants.DEFORM === 1).map(({ constants }) => constants.COLUMNS),
      [columns, columns],
    )
  })
  for (const name of withUnits) {
    test.serial(`${name}: ${title}`, async (t) => {
      t.timeout(240_000)
      await compare(t, upsampling(sizes, ['up', 'skip']), name, 'matrices')
    })
  }
}
if (withUnits.length === 0) test.skip('no adapter of this machine offers matrix units', (t) => t.pass())

/** Deformable convolutions in one dispatch: where they are, in which shapes, and that their numbers are right. */
import test from 'ava'
import { openCpu } from '../../src/cpu/backend.js'
import { GraphBuilder } from '../../src/network/builder.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { Graph, Tensor } from '../../src/network/graph.js'
import { pickAdapter } from '../../src/webgpu/adapters.js'
import { WebGpuBackend } from '../../src/webgpu/backend.js'
import { type Dispatch, isCopy } from '../../src/webgpu/dispatch.js'
import { type PlanContext, plan } from '../../src/webgpu/plan.js'
import { Fixture, noise } from '../cpu/random-graph.js'
import { nanoModel } from '../network/golden.js'

const GPU = { software: false, maxLayers: 2048, batch: 1 } as const
const UNITS = { rows: 16, columns: 16, depth: 16, lanes: 32 }

function dispatches(graph: Graph, context: PlanContext): Dispatch[] {
  return plan(graph, context)
    .stages.flat()
    .filter((action): action is Dispatch => !isCopy(action))
}

test('a GPU keeps the samples of upsampling blocks to its workgroups, but with matrix units; those of the encoder are a tensor', async (t) => {
  const { config, parameters } = await nanoModel()
  const [encoder, decoder] = [encoderGraph, decoderGraph].map((build) => build(config, parameters, 64, 64).graph)
  const shaders = (graph: Graph | undefined, context: Partial<PlanContext>) => {
    const all = dispatches(graph as Graph, { ...GPU, parameters, ...context })
    return ['deform', 'deform_gather'].map((name) => all.filter(({ shader }) => shader === name).length)
  }
  t.deepEqual(shaders(decoder, {}), [6, 0])
  t.deepEqual(shaders(decoder, { subgroups: { shuffles: true, matrices: null } }), [6, 0])
  t.deepEqual(shaders(decoder, { subgroups: { shuffles: false, matrices: UNITS } }), [0, 6])
  t.deepEqual(shaders(decoder, { software: true }), [0, 6])
  const [whole, gathered] = shaders(encoder, {})
  t.is(whole, 0)
  t.true(Number(gathered) > 0)
})

/** The branch and the skip of an upsampling block. */
function upsampling(channels: number, outputs: number, height: number, width: number) {
  const parameters = new Fixture()
  for (const [i, name] of ['up', 'skip'].entries()) {
    // Weights of the branch are half floats, those of the skip aren't.
    const weights = noise(4 * outputs * channels * 9, i === 0 ? 64 : 0.05, i + 1)
    parameters.values(
      `${name}.weight`,
      [4 * outputs, channels, 3, 3],
      i === 0 ? weights.map((v) => Math.round(v) / 1024) : weights,
    )
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
  return { graph: g.finish(), parameters, input }
}

// 70 tiles of 8 x 4 positions keep a GPU busy, nine don't; 24 blocks make no whole rounds of 48. 35 channels are a chunk of
// 32, and one that isn't full.
for (const [channels, outputs, height, width, blocks] of [
  [5, 48, 38, 50, 3],
  [5, 24, 38, 50, 1],
  [35, 48, 11, 19, 1],
] as const) {
  test.serial(
    `${channels} channels to ${4 * outputs} at ${height} x ${width} positions, ${blocks === 1 ? 'a block' : `${blocks} blocks`} an invocation`,
    async (t) => {
      t.timeout(120_000)
      const { graph, parameters, input } = upsampling(channels, outputs, height, width)
      const whole = dispatches(graph, { ...GPU, parameters, halfFloats: true }).filter(
        ({ shader }) => shader === 'deform',
      )
      t.deepEqual(
        whole.map(({ constants, params }) => [constants.TO, constants.HALF_WEIGHTS ?? 0, params.firstOffset]),
        [
          [blocks, 1, 0],
          [blocks, 0, 27],
        ],
      )
      const tiles = [1, 2].map(
        (seed) => new Map<Tensor, Float32Array>([[input, noise(channels * height * width, 2, seed)]]),
      )
      const { description, adapter } = await pickAdapter()
      using gpu = await WebGpuBackend.open(
        { description: { ...description, software: false }, adapter },
        { halfFloats: true, subgroups: 'none' },
      )
      using processor = await openCpu()
      const expected = await processor.compile(graph, parameters)
      const alone = await gpu.compile(graph, parameters)
      const together = await (await gpu.compile(graph, parameters, 2)).runBatch?.(0, tiles)
      for (const [i, tile] of tiles.entries()) {
        const outputsOf = await alone.run(0, tile)
        t.deepEqual(together?.[i], outputsOf)
        for (const [tensor, right] of await expected.run(0, tile)) {
          const actual = outputsOf.get(tensor) as Float32Array
          let [largest, worst] = [0, 0]
          for (const [j, value] of (right as Float32Array).entries()) {
            largest = Math.max(largest, Math.abs(value))
            worst = Math.max(worst, Math.abs(value - (actual[j] as number)))
          }
          t.true(largest > 0.5 && worst < 1e-5 * largest, `${tensor.name}: ${worst} of ${largest}`)
        }
      }
    },
  )
}

/** What the plan makes one dispatch of: how many are left, and that a graph which shows its tensors is not fused. */
import test from 'ava'
import { presets } from '../../bench/src/speed/presets.js'
import { randomParameters } from '../../bench/src/speed/random-model.js'
import { loadModel } from '../../src/model/model.js'
import { GraphBuilder } from '../../src/network/builder.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { ModelConfig } from '../../src/network/config.js'
import type { Graph, Parameters, Tensor } from '../../src/network/graph.js'
import { type Dispatch, isCopy } from '../../src/webgpu/dispatch.js'
import { type GraphWork, plan, workOf } from '../../src/webgpu/plan.js'
import type { MatrixUnits } from '../../src/webgpu/subgroups.js'
import { testWithModel } from '../data.js'
import { nanoModel } from '../network/golden.js'
import { UNITS } from './as-gpu.js'

const limits = {
  maxTextureDimension2D: 8192,
  maxTextureArrayLayers: 2048,
  maxBufferSize: 2 ** 28,
  maxStorageBufferBindingSize: 2 ** 27,
}

/** Names of the shaders that a plan for a GPU dispatches; "half" for one that makes indexes for the host. */
async function shadersOf(change: (graph: Graph) => Graph = (graph) => graph): Promise<string[]> {
  const { config, parameters } = await nanoModel()
  const { graph } = encoderGraph(config, parameters, 64, 128)
  const { stages } = plan(change(graph), { parameters, software: false, maxLayers: 2048, batch: 1 })
  return stages.flat().map((action) => (isCopy(action) ? 'copy' : action.constants.INDEX ? 'half' : action.shader))
}

/** The encoder of tiles that are checked while they are written. */
const checkedEncoderGraph: typeof encoderGraph = (config, parameters, height, width) =>
  encoderGraph(config, parameters, height, width, true)

/** Dispatches and bytes a pixel of a tile by itself: to encode, to encode and check, to decode. */
function worksOf(
  config: ModelConfig,
  parameters: Parameters,
  side: number,
  matrices: MatrixUnits | null = null,
): GraphWork[] {
  const kind = { software: false, halfFloats: true, subgroups: { shuffles: false, matrices } }
  return [encoderGraph, checkedEncoderGraph, decoderGraph].map((build) => {
    const { graph } = build(config, parameters, side, side)
    const { actions, bytes } = workOf(graph, parameters, { ...kind, limits })
    return { actions, bytes: bytes / side ** 2 }
  })
}

testWithModel([], 'a tile of the model that ships takes few dispatches, the same for every size of tile', async (t) => {
  const { config, parameters } = await loadModel()
  for (const side of [64, 512]) {
    const works = worksOf(config, parameters, side)
    t.deepEqual(
      works.map(({ actions }) => actions),
      [151, 192, 157],
    )
    // What they read and write of tensors, but for what doesn't grow with the tile.
    const [encode = 0, checked = 0, decode = 0] = works.map(({ bytes }) => bytes)
    t.true(encode < 2400 && checked < 3500 && decode < 2200, `${encode}, ${checked} and ${decode} bytes a pixel`)
    t.true(checked < 1.6 * encode)
    t.deepEqual(worksOf(config, parameters, side, UNITS), works)
  }
})

test('a tile of preset m takes 200 at most', (t) => {
  const [encode, checked, decode] = worksOf(presets.m, randomParameters(presets.m), 64) as [
    GraphWork,
    GraphWork,
    GraphWork,
  ]
  t.deepEqual([encode.actions, decode.actions], [182, 190])
  t.true(checked.bytes < 1.6 * encode.bytes, `${checked.bytes} and ${encode.bytes} bytes a pixel`)
})

test('weights at the ends of the lifting take no dispatch and no pipeline more', (t) => {
  const { nano } = presets
  const parameters = randomParameters(nano)
  const dispatches = (ends: boolean, software: boolean) =>
    [encoderGraph, decoderGraph].map((build) => {
      const { graph } = build({ ...nano, ends }, parameters, 64, 64)
      const { stages } = plan(graph, { parameters, software, maxLayers: 2048, batch: 1 })
      return stages.flat().map((action) => (isCopy(action) ? 'copy' : [action.shader, action.constants]))
    })
  for (const software of [false, true]) t.deepEqual(dispatches(true, software), dispatches(false, software))
})

test('two lifting steps are made at once only where they weigh the ends alike', (t) => {
  const parameters = randomParameters(presets.nano)
  const dispatches = (...lasts: (number | null)[]) => {
    const g = new GraphBuilder(parameters)
    const half = (name: string) => g.input(name, { channels: 3, height: 8, width: 8 }, 'float')
    const outputs = lasts.map((last, i) =>
      g.liftStep(half(`source ${i}`), half(`target ${i}`), {
        ...({ axis: 'rows', factor: 0.5, neighbour: 'next', sign: 1, net: 'g_a.lift.nets.0' } as const),
        ...(last !== null && { ends: { source: 1, first: 1, last } }),
      }),
    )
    g.endStage(
      'steps',
      outputs.map((tensor) => ({ tensor, format: 'float' })),
    )
    const { stages } = plan(g.finish(), { parameters, software: false, maxLayers: 2048, batch: 1 })
    return stages.flat().filter((action) => !isCopy(action) && action.shader === 'lift_step').length
  }
  t.is(dispatches(null, null), 1)
  t.is(dispatches(0.5, 0.5), 1)
  t.is(dispatches(null, 1), 1)
  t.is(dispatches(null, 0.5), 2)
  t.is(dispatches(0.25, 0.5), 2)
})

test('a GPU runs no shader whose work another does on the way', async (t) => {
  const shaders = await shadersOf()
  for (const name of ['mask', 'add', 'scale', 'scale_index', 'quantise', 'dequantise', 'lift_split', 'unfold']) {
    t.false(shaders.includes(name), name)
  }
  for (const name of ['slice', 'integer_layer_norm', 'requantise', 'code_half']) t.false(shaders.includes(name), name)
  t.true(shaders.includes('half') && shaders.includes('lift_step'))
})

test('a tensor that the host reads is made, whatever could have been fused', async (t) => {
  const shown = (name: string) => (graph: Graph) => {
    const tensor = graph.tensors.find((each) => each.name === name) as Tensor
    const stages = graph.stages.map((stage) => ({
      ...stage,
      outputs: [...stage.outputs, { tensor, format: 'float' as const }],
    }))
    return { ...graph, stages }
  }
  const shaders = await shadersOf(shown('r.0 anchor'))
  t.deepEqual(
    ['quantise', 'scale_index', 'half'].map((name) => shaders.filter((each) => each === name).length),
    // Both halves of the first slice, whose sum is an output, are not fused; those of the second are.
    [2, 2, 2],
  )
  t.true((await shadersOf(shown('mem.intra.1.qkv.q.0'))).includes('half'))
})

test('a batch is as many dispatches as a tile, each with more layers', async (t) => {
  const { config, parameters } = await nanoModel()
  const { graph } = decoderGraph(config, parameters, 64, 64)
  const of = (batch: number) =>
    plan(graph, { parameters, software: false, maxLayers: 2048, batch }).stages.flat() as Dispatch[]
  const [one, eight] = [of(1), of(8)]
  t.is(one.length, eight.length)
  for (const [i, { invocations, cost, constants }] of eight.entries()) {
    const [x, y, z] = (one[i] as Dispatch).invocations
    t.deepEqual(invocations, [x, y, 8 * z])
    t.is(cost, 8 * (one[i] as Dispatch).cost)
    t.is(constants.BATCH, 8)
  }
})

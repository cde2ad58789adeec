/** Weights that half floats hold exactly, as those of models: where they are stored so, and that nothing else changes. */
import test from 'ava'
import { GraphBuilder } from '../../src/network/builder.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { Graph, Parameters } from '../../src/network/graph.js'
import { LEAST_HALF_EXPONENT } from '../../src/network/half-precision.js'
import { WebGpuBackend } from '../../src/webgpu/backend.js'
import { type Dispatch, isCopy } from '../../src/webgpu/dispatch.js'
import { plan } from '../../src/webgpu/plan.js'
import { Fixture, noise } from '../cpu/random-graph.js'
import { nanoModel } from '../network/golden.js'
import { asGpu } from './as-gpu.js'

/** The convolutions of a graph as a GPU is handed them. */
function convolutions(graph: Graph, parameters: Parameters, halfFloats: boolean): Dispatch[] {
  const { stages } = plan(graph, { parameters, software: false, maxLayers: 2048, batch: 1, halfFloats })
  return stages.flat().filter((action): action is Dispatch => !isCopy(action) && action.shader === 'conv')
}

const isStoredSo = ({ constants }: Dispatch) => constants.HALF_WEIGHTS === 1

test('all weights of the transforms of a model are half floats on a GPU, but the squares of GDN', async (t) => {
  const { config, parameters } = await nanoModel()
  for (const build of [encoderGraph, decoderGraph]) {
    const { graph } = build(config, parameters, 64, 64)
    const layers = convolutions(graph, parameters, true)
    t.true(layers.length > 10)
    t.true(layers.every((layer) => isStoredSo(layer) === (layer.constants.GDN !== 1)))
    t.false(convolutions(graph, parameters, false).some(isStoredSo))
  }
})

/** Random half floats, every fourth of them so small that it is subnormal. */
function halves(length: number): Float32Array {
  return noise(length, 1, length).map((value, i) => {
    const step = i % 4 === 0 ? 2 ** LEAST_HALF_EXPONENT : 2 ** -11
    return Math.round(value * 1023) * step
  })
}

test.serial(
  'weights in half floats give the same numbers to the bit; where one is none, none of its layer are',
  async (t) => {
    const parameters = new Fixture()
    const add = (name: string, shape: readonly number[]) => {
      const length = shape.reduce((product, size) => product * size, 1)
      parameters.values(`${name}.weight`, shape, halves(length))
      parameters.values(`${name}.bias`, [shape[0] as number], halves(shape[0] as number))
      return parameters.get(`${name}.weight`).data
    }
    add('wide', [12, 9, 3, 3])
    add('bent', [8, 12, 3, 3])
    add('bent.offset', [27, 12, 3, 3])
    const odd = add('odd', [5, 8, 1, 1])
    odd[7] = 1 + 2 ** -11
    const g = new GraphBuilder(parameters)
    const input = g.input('input', { channels: 9, height: 7, width: 10 }, 'float')
    const bent = g.deform('bent', g.conv('wide', input, { activation: 'gelu' }), 2, 'none', 1)
    g.endStage('all', [
      { tensor: bent, format: 'float' },
      { tensor: g.conv('odd', bent), format: 'float' },
    ])
    const graph = g.finish()
    t.deepEqual(convolutions(graph, parameters, true).map(isStoredSo), [true, true, true, false])
    const inputs = new Map([[input, noise(9 * 7 * 10, 2)]])
    const run = async (halfFloats: boolean) => {
      using backend = await WebGpuBackend.open(await asGpu(), { halfFloats, subgroups: 'none' })
      return [...(await (await backend.compile(graph, parameters)).run(0, inputs)).values()]
    }
    const [stored, plain] = [await run(true), await run(false)]
    t.deepEqual(stored, plain)
    t.true(plain.length === 2 && plain.every((values) => values.some((value) => value !== 0)))
  },
)

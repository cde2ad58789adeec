/** Random networks of integer layers on every adapter, and with a GPU's tiles: exactly the interpreter's numbers. */
import type { ExecutionContext } from 'ava'
import { GraphBuilder } from '../../src/network/builder.js'
import type { PortData } from '../../src/network/graph.js'
import type { WebGpuBackend } from '../../src/webgpu/backend.js'
import { type Dispatch, isCopy } from '../../src/webgpu/dispatch.js'
import { plan } from '../../src/webgpu/plan.js'
import { Fixture, size } from '../cpu/random-graph.js'
import {
  Dice,
  type RandomNetwork,
  randomChain,
  randomGated,
  randomLatents,
  randomNetwork,
  randomNorms,
} from '../cpu/random-integers.js'
import { interpreter } from '../network/interpreter.js'
import { onEachAdapter, withOtherTiles } from './adapters.js'

for (const [seed, [height, width]] of (
  [
    [1, 1],
    [9, 6],
    [5, 17],
  ] as const
).entries()) {
  const title = `a random network on ${height} x ${width}`
  const check = (t: ExecutionContext, backend: WebGpuBackend) =>
    checkNetwork(t, backend, randomNetwork(seed + 1, 16, height, width, 4))
  onEachAdapter(title, check)
  withOtherTiles(title, check)
}

// Which have a GPU's kernels alone.
withOtherTiles('projections side by side', (t, backend) => checkNetwork(t, backend, randomNetwork(4, 0, 5, 7, 8, 4)))

withOtherTiles('a chain too wide for the positions of most', async (t, backend) => {
  const network = randomChain(6, [224, 160, 128, 9], 5, 7)
  t.deepEqual(chainsOf(network, backend), [{ LAYERS: 4, NORM: 4, RES: 0, P: 8 }])
  await checkNetwork(t, backend, network)
})

for (const [channels, P, height, width] of [
  [13, 16, 5, 7],
  [128, 8, 3, 11],
] as const) {
  withOtherTiles(`layer norms of ${channels} channels in chains`, async (t, backend) => {
    const network = randomNorms(channels, channels, height, width)
    t.deepEqual(chainsOf(network, backend), [
      { LAYERS: 3, NORM: 1, RES: 2, P },
      ...new Array(3).fill({ LAYERS: 1, NORM: 0, RES: 0, P: 16 }),
      { LAYERS: 2, NORM: 0, RES: 1, P },
    ])
    await checkNetwork(t, backend, network)
  })
}

onEachAdapter('5x5 sums of the largest weights, of which no two taps may be added in floats', async (t, backend) => {
  const parameters = new Fixture()
  const dice = new Dice(3)
  parameters.integerValues('conv.weight', [5, 7, 5, 5], dice.list(5 * 7 * 25, -2047, 2047))
  parameters.integerValues('conv.bias', [5], dice.list(5, -(2 ** 20), 2 ** 20))
  parameters.integerValues('conv.shift', [5], dice.list(5, 14, 18))
  parameters.integerValues('conv.table', [1], Int32Array.of(0))
  parameters.integerValues('table.0', [4096], dice.list(4096, -2048, 2047))
  const g = new GraphBuilder(parameters)
  const input = g.input('input', { channels: 7, height: 6, width: 9 }, 'float')
  g.endStage('all', [{ tensor: g.integerConv('conv', [input], 5, { table: true }), format: 'float' }])
  const inputs = new Map([[input, Float32Array.from(dice.list(size(input.shape), -2048, 2047))]])
  await checkNetwork(t, backend, { graph: g.finish(), parameters, inputs })
})

withOtherTiles('a skip beside the first layer of what it goes around', async (t, backend) => {
  const network = randomGated(8, 9, 6)
  t.deepEqual(
    dispatchesOf(network, backend, /^integer/).map(({ shader }) => shader),
    ['integer_conv', 'integer_depthwise', 'integer_conv'],
  )
  await checkNetwork(t, backend, network)
})

withOtherTiles('latents between layers', async (t, backend) => {
  const network = randomLatents(9, 9, 6)
  t.deepEqual(
    dispatchesOf(network, backend, /^(?!unpack_float|pack|integer_conv)/).map(({ shader }) => shader),
    ['requantise', 'requantise', 'requantise', 'concat', 'gain', 'round', 'unpack_int16'],
  )
  await checkNetwork(t, backend, network)
})

/** What a network is planned as, by shader. */
function dispatchesOf({ graph, parameters }: RandomNetwork, { adapter }: WebGpuBackend, shader: RegExp): Dispatch[] {
  const { stages } = plan(graph, { parameters, software: adapter.software, maxLayers: 256, batch: 1 })
  return stages.flat().filter((action): action is Dispatch => !isCopy(action) && shader.test(action.shader))
}

/** Its chains, by the constants that make them. */
function chainsOf(network: RandomNetwork, backend: WebGpuBackend): unknown[] {
  return dispatchesOf(network, backend, /^pointwise_chain$/).map(({ constants: { LAYERS, NORM, RES, P } }) => {
    return { LAYERS, NORM, RES, P }
  })
}

async function checkNetwork(
  t: ExecutionContext,
  backend: WebGpuBackend,
  { graph, parameters, inputs }: RandomNetwork,
): Promise<void> {
  const expected = await (await interpreter().compile(graph, parameters)).run(0, inputs)
  const executable = await backend.compile(graph, parameters)
  const outputs = await executable.run(0, inputs)
  executable.close()
  for (const [tensor, data] of expected) {
    const actual = outputs.get(tensor) as PortData
    const at = data.findIndex((value, i) => value !== actual[i])
    t.is(at, -1, `${tensor.name} at ${at}: ${actual[at]}, expected ${data[at]}`)
  }
}

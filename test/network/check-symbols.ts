/**
 * What `round` and `quantise` make of any float, on a backend: an int16 symbol, which the host reads as the network
 * does.
 */
import type { ExecutionContext } from 'ava'
import { type Backend, DEAD_ZONE_TABLE, type Graph, type Tensor } from '../../src/network/graph.js'

const { NaN: nan, POSITIVE_INFINITY: infinity } = Number
/** The dead zone of the index in use; others are of no use. */
const [ZONE, INDEX] = [0.75, 63]
/** Values, their symbols, and those with the dead zone if others; null where the device decides which. */
const CASES: readonly (readonly [value: number, symbol: number | null, past?: number])[] = [
  [0.5, 0],
  [1.5, 2, 1],
  [-2.5, -2],
  [-3.6, -4, -3],
  [-3.75, -4],
  [0.74, 1, 0],
  [-0.76, -1],
  [0, 0],
  [32766.5, 32766],
  [32767.4, 32767],
  [32768, 32767],
  [-32768, -32767],
  [1e9, 32767],
  [-3e38, -32767],
  [infinity, null],
  [-infinity, null],
  [nan, null],
  [-nan, null],
]

export async function checkSymbols(t: ExecutionContext, backend: Backend): Promise<void> {
  const width = 2 * CASES.length
  const shape = { channels: 1, height: 1, width }
  const tensors: Tensor[] = []
  const tensor = (channels = 1): Tensor => {
    const made = { id: tensors.length, name: `t${tensors.length}`, shape: { ...shape, channels } }
    tensors.push(made)
    return made
  }
  const [input, params, indexes, rounded, anchors] = [tensor(), tensor(2), tensor(), tensor(), tensor()]
  const graph: Graph = {
    tensors,
    stages: [
      {
        name: 'all',
        inputs: [input, params, indexes].map((each) => ({ tensor: each, format: 'float' })),
        nodes: [
          { op: 'round', input, output: rounded },
          {
            op: 'quantise',
            latent: input,
            first: 0,
            params,
            indexes,
            deadZones: DEAD_ZONE_TABLE,
            output: anchors,
            keep: 'anchor',
          },
        ],
        outputs: [rounded, anchors].map((each) => ({ tensor: each, format: 'int16' })),
      },
    ],
  }
  /** The same as floats: what the rest of the network sees. */
  const seen: Graph = {
    tensors,
    stages: graph.stages.map((stage) => ({
      ...stage,
      outputs: stage.outputs.map((port) => ({ ...port, format: 'float' })),
    })),
  }
  // Each case at an even and at an odd column, the anchors.
  const values = Float32Array.from({ length: width }, (_, i) => CASES[i >> 1]?.[0] as number)
  const inputs = new Map([
    [input, values],
    [params, new Float32Array(2 * width)],
    [indexes, new Float32Array(width).fill(INDEX)],
  ])
  const run = async (of: Graph) => {
    const absent = (name: string) => {
      throw new Error(`no parameter ${name}`)
    }
    const zones = { shape: [64], data: new Float32Array(64).fill(Number.NaN).fill(ZONE, INDEX) }
    const get = (name: string) => (name === DEAD_ZONE_TABLE ? zones : absent(name))
    const executable = await backend.compile(of, { get, integers: absent })
    const outputs = await executable.run(0, inputs)
    executable.close()
    return outputs
  }
  const [packed, floats] = [await run(graph), await run(seen)]
  for (const output of [rounded, anchors]) {
    const symbols = Array.from(packed.get(output) as Int16Array)
    t.deepEqual(
      symbols,
      Array.from(floats.get(output) as Float32Array, (v) => v + 0),
    )
    for (const [i, symbol] of symbols.entries()) {
      const [value, nearest, past = nearest] = CASES[i >> 1] as (typeof CASES)[number]
      const expected = output === anchors ? past : nearest
      const what = `${output === rounded ? 'round' : 'quantise'} of ${value} gives ${symbol}`
      if (output === anchors && i % 2 === 0) t.is(symbol, 0, what)
      else if (expected === null) t.true(symbol >= -32767 && symbol <= 32767, what)
      else t.is(symbol, expected, what)
    }
  }
}

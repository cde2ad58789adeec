/** Tiles that are computed together come out as each does alone, to the bit, for every size of batch. */
import type { ExecutionContext } from 'ava'
import { gainsAt } from '../../src/codec/gain.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { Executable, Graph, Parameters, Port, PortData, Tensor } from '../../src/network/graph.js'
import { portElements } from '../../src/network/ports.js'
import type { WebGpuBackend } from '../../src/webgpu/backend.js'
import { nanoModel } from '../network/golden.js'
import { withOtherTiles } from './adapters.js'

type Values = ReadonlyMap<Tensor, PortData>

interface Work {
  readonly graph: Graph
  readonly parameters: Parameters
  /** Factors of the graph's gains. */
  readonly gains: Float32Array
}

/** Both graphs of a small model, in which every op is. */
async function work(): Promise<Work[]> {
  const { config, parameters, ...rest } = await nanoModel()
  const gains = gainsAt({ config, parameters, ...rest }, 60)
  if (!gains) throw new Error('a model of one rate')
  const { graph: encoder } = encoderGraph(config, parameters, 64, 128, true)
  const { graph: decoder } = decoderGraph(config, parameters, 64, 128)
  return [
    { graph: encoder, parameters, gains: gains.forward },
    { graph: decoder, parameters, gains: gains.inverse },
  ]
}

/** Inputs of a stage, others for each tile. */
function inputsOf({ graph, gains }: Work, index: number, tile: number): Values {
  const arrayOf = (port: Port): PortData => {
    const length = portElements(port)
    if (port.format === 'float') return gains.map((v) => v * (1 + tile / 8))
    if (port.format === 'rgb8') return Uint8Array.from({ length }, (_, i) => (i * (7 + tile) + i * i * 3) % 251)
    return Int16Array.from({ length }, (_, i) => ((i * (5 + tile)) % 7) - 3)
  }
  return new Map(graph.stages[index]?.inputs.map((port) => [port.tensor, arrayOf(port)]))
}

/** The outputs of all stages for each of so many tiles, by way of an executable for `batch` of them. */
async function runAll(backend: WebGpuBackend, one: Work, tiles: number, batch: number): Promise<Values[]> {
  const { graph, parameters } = one
  const executable: Executable = await backend.compile(graph, parameters, batch)
  const found = Array.from({ length: tiles }, () => new Map<Tensor, PortData>())
  for (let first = 0; first < tiles; first += batch) {
    const own = found.slice(first, first + batch)
    for (const index of graph.stages.keys()) {
      const inputs = own.map((_, i) => inputsOf(one, index, first + i))
      const outputs = await executable.runBatch?.(index, inputs)
      for (const [i, values] of own.entries()) for (const [tensor, data] of outputs?.[i] ?? []) values.set(tensor, data)
    }
  }
  executable.close()
  return found
}

async function checkBatches(t: ExecutionContext, backend: WebGpuBackend, batches: readonly number[]): Promise<void> {
  for (const one of await work()) {
    const most = Math.max(...batches)
    const expected = await runAll(backend, one, most, 1)
    t.notDeepEqual(expected[0], expected[1], 'the tiles are different ones')
    for (const batch of batches) {
      // The last batch isn't full.
      const actual = await runAll(backend, one, batch === most ? most : most - 1, batch)
      for (const [tile, outputs] of actual.entries()) {
        const alone = expected[tile] as Values
        t.is(outputs.size, alone.size)
        for (const [tensor, data] of outputs) {
          const at = data.findIndex((value, i) => value !== alone.get(tensor)?.[i])
          t.is(at, -1, `tile ${tile} of a batch of ${batch}: ${tensor.name} differs at ${at}`)
        }
      }
    }
  }
}

withOtherTiles('a batch of 2, 4 or 8', (t, backend) => checkBatches(t, backend, [2, 4, 8]))

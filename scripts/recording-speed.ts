/**
 * How long JavaScript's thread is at work for a tile's network on a GPU: it hands over the tile, records the dispatches
 * and takes the results. On Dawn's null device, which takes everything and does nothing, so that it runs anywhere; what a
 * GPU's driver does in the same calls comes on top, and `bench speed` has both.
 *
 *     npx tsx scripts/recording-speed.ts [--side 256] [--repeats 50]
 *
 * Prints a line of JSON for each preset, direction and size of batch. Milliseconds are those of a tile, in the best and in
 * the median run.
 */
import { parseArgs } from 'node:util'
import { presets } from '../bench/src/speed/presets.js'
import { randomParameters } from '../bench/src/speed/random-model.js'
import { decoderGraph, encoderGraph } from '../src/network/cleric.js'
import type { Graph } from '../src/network/graph.js'
import { ARRAY_OF, portElements } from '../src/network/ports.js'
import { requestFrom } from '../src/webgpu/adapters.js'
import { WebGpuBackend } from '../src/webgpu/backend.js'

const { values: options } = parseArgs({
  options: { side: { type: 'string', default: '256' }, repeats: { type: 'string', default: '50' } },
})
const [side, repeats] = [Number(options.side), Number(options.repeats)]

const adapter = await requestFrom(['backend=null'])
if (!adapter) throw new Error('This build of Dawn has no null device')
const common = { kind: 'webgpu', name: 'null', backend: 'vulkan', software: false, description: '' } as const
using backend = await WebGpuBackend.open({
  description: { ...common, features: [...adapter.features], limits: adapter.limits },
  adapter,
})

/** Zeros for all inputs of a stage. */
function inputsOf({ stages }: Graph, stage: number) {
  const ports = stages[stage]?.inputs ?? []
  return new Map(ports.map((port) => [port.tensor, new ARRAY_OF[port.format](portElements(port))] as const))
}

for (const preset of ['s', 'm'] as const) {
  const config = presets[preset]
  const parameters = randomParameters(config)
  for (const [direction, build] of Object.entries({ encode: encoderGraph, decode: decoderGraph })) {
    const { graph } = build(config, parameters, side, side)
    for (const batch of new Set([1, backend.batchOf(graph, parameters)])) {
      const executable = await backend.compile(graph, parameters, batch)
      const times: number[] = []
      for (let i = 0; i < repeats; i++) {
        const before = backend.hostSeconds
        for (const stage of graph.stages.keys()) {
          await executable.runBatch?.(
            stage,
            Array.from({ length: batch }, () => inputsOf(graph, stage)),
          )
        }
        times.push((1000 * (backend.hostSeconds - before)) / batch)
      }
      executable.close()
      times.sort((a, b) => a - b)
      const { actions: dispatches } = backend.workOf(graph, parameters)
      const [best, median] = [times[0], times[repeats >> 1]]
      console.log(JSON.stringify({ preset, direction, side, batch, dispatches, best, median }))
    }
  }
}

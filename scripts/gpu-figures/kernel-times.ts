/**
 * What each dispatch of a tile takes on the device: every one in a pass of its own, between two timestamps. Passes don't
 * overlap then, so that the sum is somewhat over what a tile takes.
 */
import { timing } from '../../bench/src/speed/clock.js'
import { gainsAt } from '../../src/codec/gain.js'
import type { Model } from '../../src/model/model.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { Graph, Parameters, PortData, Tensor } from '../../src/network/graph.js'
import { ARRAY_OF, portElements } from '../../src/network/ports.js'
import { WebGpuBackend } from '../../src/webgpu/backend.js'
import { isCopy, isTensor, operandsOf } from '../../src/webgpu/dispatch.js'
import { pipelineKey } from '../../src/webgpu/pipelines.js'
import { plan } from '../../src/webgpu/plan.js'
import { type TimedAdapter, timedAdapter } from './timed-device.js'

interface TimedDispatch {
  readonly key: string
  readonly output: string
  readonly shape: string
  readonly microseconds: number
  readonly multiplyAdds: number
}

const QUALITY = 60
const FULL = { encode: encoderGraph, decode: decoderGraph } as const

/**
 * @param repeats runs, of which each dispatch's median is taken
 * @returns microseconds of a tile (a batch's, over its tiles) by kernel and by dispatch, longest first
 */
export async function timeKernels(
  model: Model,
  image: { readonly data: Uint8Array; readonly width: number; readonly height: number },
  batch: number,
  repeats: number,
  name: string | undefined,
): Promise<object> {
  const timed = await timedAdapter(name)
  if (timed === null) return { batch, skipped: 'the adapter has no timestamps' }
  using backend = await WebGpuBackend.open(timed.found)
  const result: Record<string, object> = {}
  for (const direction of ['encode', 'decode'] as const) {
    const built = FULL[direction](model.config, model.parameters, image.height, image.width)
    const own = Math.min(batch, backend.batchOf(built.graph, model.parameters))
    const inputs = new Map<Tensor, PortData>()
    const gains = gainsAt(model, QUALITY)
    if (built.gain && gains) inputs.set(built.gain, direction === 'encode' ? gains.forward : gains.inverse)
    if (direction === 'encode') inputs.set(built.image, image.data)
    const dispatches = await timeGraph(backend, timed, built.graph, model.parameters, { batch: own, repeats, inputs })
    result[direction] = { batch: own, ...summary(dispatches) }
  }
  return { device: backend.name, tile: image.width, ...result }
}

/** Times all dispatches of all stages; what a stage is fed that `inputs` doesn't have is zeros. */
async function timeGraph(
  backend: WebGpuBackend,
  timed: TimedAdapter,
  graph: Graph,
  parameters: Parameters,
  run: { readonly batch: number; readonly repeats: number; readonly inputs: ReadonlyMap<Tensor, PortData> },
): Promise<TimedDispatch[]> {
  const { batch } = run
  const executable = await backend.compile(graph, parameters, batch)
  const { subgroups } = backend
  const { software, limits } = backend.adapter
  const maxLayers = limits.maxTextureArrayLayers
  const planned = plan(graph, { parameters, software, halfFloats: !software, subgroups, maxLayers, batch })
  const all: TimedDispatch[] = []
  try {
    for (const [index, stage] of graph.stages.entries()) {
      const own = new Map(
        stage.inputs.map((port) => {
          const zeros = () => new ARRAY_OF[port.format](portElements(port))
          return [port.tensor, run.inputs.get(port.tensor) ?? zeros()] as const
        }),
      )
      const actions = (planned.stages[index] ?? []).filter((action) => !isCopy(action))
      const runs: number[][] = []
      for (let i = 0; i <= run.repeats; i++) {
        timed.restart()
        await executable.runBatch?.(index, new Array(batch).fill(own))
        const times = await timed.nanoseconds()
        if (times.length !== actions.length) throw new Error(`${times.length} times of ${actions.length} dispatches`)
        if (i > 0) runs.push(times)
      }
      for (const [i, action] of actions.entries()) {
        if (isCopy(action)) continue
        const [first] = operandsOf(action).writes
        const tensor = first && (isTensor(first) ? first : first.port.tensor)
        all.push({
          key: pipelineKey(action),
          output: `${stage.name}: ${tensor?.name}`,
          shape: tensor ? [tensor.shape.channels, tensor.shape.height, tensor.shape.width].join(' x ') : '',
          microseconds: timing(runs.map((times) => times[i] as number)).median / 1000 / batch,
          multiplyAdds: action.cost / batch,
        })
      }
    }
  } finally {
    executable.close()
  }
  return all
}

function summary(dispatches: readonly TimedDispatch[]): object {
  const kernels = new Map<string, { count: number; microseconds: number; multiplyAdds: number }>()
  for (const { key, microseconds, multiplyAdds } of dispatches) {
    const [shader = key] = key.split(' ')
    const sum = kernels.get(shader) ?? { count: 0, microseconds: 0, multiplyAdds: 0 }
    kernels.set(shader, {
      count: sum.count + 1,
      microseconds: sum.microseconds + microseconds,
      multiplyAdds: sum.multiplyAdds + multiplyAdds,
    })
  }
  const longest = <T extends { microseconds: number }>(all: readonly T[]) =>
    [...all].sort((a, b) => b.microseconds - a.microseconds)
  return {
    dispatches: dispatches.length,
    microseconds: dispatches.reduce((sum, { microseconds }) => sum + microseconds, 0),
    kernels: longest([...kernels].map(([shader, sum]) => ({ shader, ...sum }))),
    each: longest(dispatches),
  }
}

/**
 * What a GPU is handed for a tile's network, counted, so that it runs anywhere: dispatches, and bytes of tensors that they
 * read and write, a tensor once for each, not of weights; and multiply-adds of its products, thousands of millions.
 *
 *     npx tsx scripts/gpu-work.ts [--side 512] [--preset s] [--dispatches]
 *
 * Prints a line of JSON for each preset and graph: to encode, to encode with the pixels that a decoder will make
 * ("checked"), to decode. With `--dispatches` a line for each dispatch of the synthesis instead, the most bytes first.
 * Needs the built package (`npm run build`), as it counts multiply-adds through the bench.
 */
import { parseArgs } from 'node:util'
import { presets } from '../bench/src/speed/presets.js'
import { randomParameters } from '../bench/src/speed/random-model.js'
import { multiplyAdds } from '../bench/src/speed/work.js'
import { decoderGraph, encoderGraph } from '../src/network/cleric.js'
import type { Graph, Parameters, Tensor } from '../src/network/graph.js'
import { isCopy, type LaidShape, operandsOf, tensorsOf } from '../src/webgpu/dispatch.js'
import { plan, workOf } from '../src/webgpu/plan.js'
import { texelBytes } from '../src/webgpu/textures.js'

const { values: options } = parseArgs({
  options: {
    side: { type: 'string', default: '512' },
    preset: { type: 'string' },
    dispatches: { type: 'boolean', default: false },
  },
})
const side = Number(options.side)
const MIB = 2 ** 20
/** As large GPUs have them; every device has 256 layers. */
const limits = {
  maxTextureDimension2D: 8192,
  maxTextureArrayLayers: 2048,
  maxBufferSize: 2 ** 28,
  maxStorageBufferBindingSize: 2 ** 27,
}
if (options.preset && !Object.hasOwn(presets, options.preset))
  throw new RangeError(`No preset is named ${options.preset}`)
const kind = { software: false, halfFloats: true } as const

function synthesisOf(graph: Graph, parameters: Parameters) {
  const { maxTextureArrayLayers: maxLayers } = limits
  const { stages, slots, slotOf } = plan(graph, { parameters, ...kind, maxLayers, batch: 1 })
  const laid = (tensor: Tensor): LaidShape => slots[slotOf.get(tensor) as number] ?? tensor.shape
  const lines = (stages.at(-1) ?? []).map((action) => {
    const { reads, writes } = operandsOf(action)
    const sized = (operands: typeof reads) =>
      [...tensorsOf(operands)].map((tensor) => {
        const shape = laid(tensor)
        const { channels, height, width, half } = shape
        return {
          name: tensor.name,
          of: `${channels}x${height}x${width}${half ? ' halves' : ''}`,
          bytes: texelBytes(shape),
        }
      })
    const [read, written] = [sized(reads), sized(writes)]
    const bytes = [...read, ...written].reduce((sum, each) => sum + each.bytes, 0)
    const describe = (each: (typeof read)[number]) => `${each.name} ${each.of} ${(each.bytes / MIB).toFixed(1)}`
    const shader = isCopy(action) ? 'copy' : action.shader
    return { mib: bytes / MIB, shader, read: read.map(describe), written: written.map(describe) }
  })
  return lines.sort((a, b) => b.mib - a.mib)
}

for (const [preset, config] of Object.entries(presets)) {
  if (options.preset ? preset !== options.preset : !['s', 'm'].includes(preset)) continue
  const parameters = randomParameters(config)
  const graphs = {
    encode: encoderGraph(config, parameters, side, side).graph,
    checked: encoderGraph(config, parameters, side, side, true).graph,
    decode: decoderGraph(config, parameters, side, side).graph,
  }
  if (options.dispatches) {
    for (const line of synthesisOf(graphs.decode, parameters)) console.log(JSON.stringify({ preset, ...line }))
    continue
  }
  for (const [direction, graph] of Object.entries(graphs)) {
    const { actions, bytes } = workOf(graph, parameters, { ...kind, limits })
    const nodes = graph.stages.flatMap((stage) => stage.nodes)
    const sums = nodes.reduce((sum, node) => sum + multiplyAdds(node, parameters), 0) / 1e9
    const work = { dispatches: actions, mib: Math.round(bytes / MIB), perPixel: Math.round(bytes / side ** 2) }
    console.log(JSON.stringify({ preset, direction, side, ...work, multiplyAdds: Number(sums.toFixed(1)) }))
  }
}

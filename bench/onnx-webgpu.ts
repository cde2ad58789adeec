/**
 * The WebGPU backend beside onnxruntime-node's WebGPU provider on one convolution, 3x3, 48 to 48 channels, by turns:
 * `npx tsx bench/onnx-webgpu.ts --runtime DIR [--adapter swiftshader] [--size 128] [--runs 3]`
 *
 * onnxruntime-node is no dependency of ours: DIR is a folder where `npm install onnxruntime-node` was run. On Linux it
 * asks for Vulkan adapters only, so that it can't run on llvmpipe by OpenGL ES; of two it takes its own choice.
 * GFLOP/s by wall clock, and by processor time over all cores, which other processes disturb less.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import type { Graph, Node, Parameters, Tensor } from '../src/network/graph.js'
import { openWebGpu } from '../src/webgpu/backend.js'
import { nameOf, onnxModel } from './onnx-model.js'
import { onnxRuntime } from './onnx-runtime.js'

const { values: options } = parseArgs({
  options: {
    runtime: { type: 'string' },
    adapter: { type: 'string', default: 'swiftshader' },
    size: { type: 'string', default: '128' },
    runs: { type: 'string', default: '3' },
  },
})

const channels = 48
const size = Number(options.size)
const waves = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * i) / 20)
const tensor = (id: number, name: string): Tensor => ({ id, name, shape: { channels, height: size, width: size } })
const [x, y] = [tensor(0, 'x'), tensor(1, 'y')]
const node: Node = {
  op: 'conv',
  inputs: [x],
  output: y,
  weight: 'weight',
  bias: 'bias',
  kernel: 3,
  stride: 1,
  padding: 1,
  activation: 'none',
  shuffle: 1,
  residual: null,
}
const port = (t: Tensor) => ({ tensor: t, format: 'float' }) as const
const graph: Graph = {
  tensors: [x, y],
  stages: [{ name: 'conv', inputs: [port(x)], nodes: [node], outputs: [port(y)] }],
}
const parameters: Parameters = {
  get: (name) =>
    name === 'bias'
      ? { shape: [channels], data: waves(channels) }
      : { shape: [channels, channels, 3, 3], data: waves(channels * channels * 9) },
  integers(name) {
    throw new Error(`no integers ${name}`)
  },
}

// First: it settles where the Vulkan loader looks for drivers, for the other one as well.
const backend = await openWebGpu({ adapter: options.adapter })
const executable = await backend.compile(graph, parameters)
const ort = onnxRuntime('bench/onnx-webgpu.ts', options.runtime)
const session = await ort.InferenceSession.create(onnxModel(graph, parameters), { executionProviders: ['webgpu'] })
const input = waves(channels * size * size)
const feeds = { [nameOf(x)]: new ort.Tensor('float32', input, [1, channels, size, size]) }

const timed = async <T>(run: () => Promise<T>) => {
  const [start, used] = [performance.now(), process.cpuUsage()]
  const result = await run()
  const { user, system } = process.cpuUsage(used)
  return { result, wall: performance.now() - start, busy: (user + system) / 1000 / availableParallelism() }
}
const ours = { wall: [] as number[], busy: [] as number[] }
const onnx = { wall: [] as number[], busy: [] as number[] }
let worst = 0
for (let i = 0; i <= Number(options.runs); i++) {
  const a = await timed(() => executable.run(0, new Map([[x, input]])))
  const b = await timed(() => session.run(feeds))
  const expected = b.result[nameOf(y)]?.data as Float32Array
  const actual = a.result.get(y) as Float32Array
  worst = actual.reduce((most, v, p) => Math.max(most, Math.abs(v - (expected[p] as number))), worst)
  if (i === 0) continue // warms up
  for (const [times, { wall, busy }] of [
    [ours, a],
    [onnx, b],
  ] as const) {
    times.wall.push(wall)
    times.busy.push(busy)
  }
}
const speed = (ms: number) => (2 * size * size * channels * channels * 9) / ms / 1e6
const show = ({ wall, busy }: typeof ours) =>
  `${speed(Math.min(...wall)).toFixed(2)} GFLOP/s, ${speed(Math.min(...busy)).toFixed(2)} by processor time`
console.log(`${backend.name}: ours ${show(ours)}; onnxruntime ${show(onnx)}`)
console.log(
  `${(Math.min(...onnx.wall) / Math.min(...ours.wall)).toFixed(1)} times as fast, ${(Math.min(...onnx.busy) / Math.min(...ours.busy)).toFixed(1)} by processor time; largest difference ${worst.toExponential(1)}`,
)
backend.close()

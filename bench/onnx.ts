/**
 * The CPU backend beside onnxruntime-node's CPU provider on the same graph, by turns:
 * `npx tsx bench/onnx.ts --runtime DIR [--threads 2] [--size 512] [--model FILE] [--runs 7]`
 *
 * onnxruntime-node is no dependency of ours: DIR is a folder where `npm install onnxruntime-node` was run.
 */
import { parseArgs } from 'node:util'
import { gainsAt } from '../src/codec/gain.js'
import { openCpu } from '../src/cpu/backend.js'
import { loadModel } from '../src/model/model.js'
import { decoderGraph, encoderGraph } from '../src/network/cleric.js'
import type { Graph, PortData, Tensor } from '../src/network/graph.js'
import { nameOf, onnxModel } from './onnx-model.js'
import { onnxRuntime } from './onnx-runtime.js'

const { values: options } = parseArgs({
  options: {
    runtime: { type: 'string' },
    threads: { type: 'string', default: '2' },
    model: { type: 'string' },
    size: { type: 'string', default: '512' },
    runs: { type: 'string', default: '7' },
  },
})
const ort = onnxRuntime('bench/onnx.ts', options.runtime)
const threads = Number(options.threads)
const size = Number(options.size)

async function compare(
  title: string,
  graph: Graph,
  inputs: ReadonlyMap<Tensor, PortData>,
  compared: Tensor,
): Promise<void> {
  const backend = await openCpu({ threads })
  const executable = await backend.compile(graph, model.parameters)
  const session = await ort.InferenceSession.create(onnxModel(graph, model.parameters), {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  })
  const feeds = Object.fromEntries(
    [...inputs].map(([tensor, data]) => [
      nameOf(tensor),
      new ort.Tensor('float32', floats(tensor, data), dims(tensor)),
    ]),
  )
  const times: [ours: number[], onnx: number[]] = [[], []]
  let worst = 0
  for (let i = 0; i <= Number(options.runs); i++) {
    const start = performance.now()
    let outputs = new Map<Tensor, PortData>()
    for (const [n, stage] of graph.stages.entries()) {
      outputs = await executable.run(
        n,
        new Map(stage.inputs.map(({ tensor }) => [tensor, inputs.get(tensor) as PortData])),
      )
    }
    const middle = performance.now()
    const others = await session.run(feeds)
    const end = performance.now()
    // The first run warms up.
    if (i === 0) {
      const expected = others[nameOf(compared)]?.data as Float32Array
      const actual = floats(compared, outputs.get(compared) as PortData)
      const bytes = compared.shape.channels === 3
      worst = actual.reduce((most, v, p) => {
        const other = expected[p] as number
        return Math.max(most, Math.abs(v - (bytes ? Math.max(0, Math.min(1, other)) : other)))
      }, 0)
      continue
    }
    times[0].push(middle - start)
    times[1].push(end - middle)
  }
  backend.close()
  const [ours, onnx] = times.map((list) => [...list].sort((a, b) => a - b)) as [number[], number[]]
  const show = (list: number[]) => `best ${list[0]?.toFixed(0)} ms, median ${list[list.length >> 1]?.toFixed(0)} ms`
  const ratio = ((onnx[onnx.length >> 1] as number) / (ours[ours.length >> 1] as number)).toFixed(2)
  console.log(`${title}: ours ${show(ours)}; onnxruntime ${show(onnx)}; ${ratio} times as fast by medians`)
  console.log(`  ${compared.name}: largest difference ${worst.toExponential(1)}`)
}

const dims = ({ shape }: Tensor) => [1, shape.channels, shape.height, shape.width]

/** Port data as planes of float32; bytes as fractions of 255. */
function floats({ shape }: Tensor, data: PortData): Float32Array {
  if (!(data instanceof Uint8Array)) return Float32Array.from(data)
  const area = shape.height * shape.width
  return Float32Array.from(data, (_, i) => (data[(i % area) * 3 + Math.floor(i / area)] as number) / 255)
}

const model = await loadModel(options.model)
const gains = gainsAt(model, 60)
const encoder = encoderGraph(model.config, model.parameters, size, size)
// Smooth: what the network is for, and what keeps the offsets of the deformable convolutions small.
const pixels = Uint8Array.from({ length: 3 * size * size }, (_, i) => {
  const [x, y] = [Math.floor(i / 3) % size, Math.floor(i / 3 / size)]
  return 160 + 50 * Math.sin(x / 9 + (i % 3)) * Math.cos(y / 7) + 20 * Math.sin(x * y)
})
const encoderInputs = new Map<Tensor, PortData>([[encoder.image, pixels]])
if (encoder.gain && gains) encoderInputs.set(encoder.gain, gains.forward)
const latent = encoder.graph.tensors.find(({ name }) => name === 'y') as Tensor
const stages = encoder.graph.stages.map((stage) => ({
  ...stage,
  outputs: [...stage.outputs, { tensor: latent, format: 'float' as const }],
}))
await compare(`encode ${size} x ${size}`, { ...encoder.graph, stages }, encoderInputs, latent)

const decoder = decoderGraph(model.config, model.parameters, size, size)
const decoderInputs = new Map<Tensor, PortData>()
for (const { tensor } of decoder.graph.stages.flatMap(({ inputs }) => inputs)) {
  const { channels, height, width } = tensor.shape
  const symbols = Int16Array.from({ length: channels * height * width }, (_, i) => ((i * 7919) % 5) - 2)
  decoderInputs.set(tensor, tensor === decoder.gain && gains ? gains.inverse : symbols)
}
await compare(`decode ${size} x ${size}`, decoder.graph, decoderInputs, decoder.image)

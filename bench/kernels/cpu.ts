/**
 * The CPU backend alone: `npx tsx bench/kernels/cpu.ts [--threads 2] [--isa avx2] [--model FILE] [--size 512] [--only tile]`.
 *
 * Multiply-adds a second of single kernels, then encoding and decoding of a tile with the time of each kind of node.
 * Fastest and median of several runs: the median shows what else the machine is doing.
 */
import { parseArgs } from 'node:util'
import {
  type CpuBackend,
  type CpuExecutable,
  decoderGraph,
  encoderGraph,
  type Graph,
  GraphBuilder,
  gainsAt,
  type IntegerParameter,
  loadModel,
  type Model,
  type Node,
  nodeInputs,
  nodeOutputs,
  openCpu,
  type Parameter,
  type Parameters,
  type PortData,
  type Shape,
  type Tensor,
} from 'cleric/internal'
import { noise } from '../src/speed/random-model.js'
import { multiplyAdds } from '../src/speed/work.js'

const { values: options } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    isa: { type: 'string' },
    model: { type: 'string' },
    size: { type: 'string', default: '512' },
    runs: { type: 'string', default: '7' },
    only: { type: 'string', default: 'kernels,integers,tile' },
  },
})
const runs = Number(options.runs)

/** Parameters of any shape asked for by `shapes`, small and random but the same every time. */
function randomParameters(shapes: Readonly<Record<string, readonly number[]>>): Parameters {
  const made = new Map<string, Parameter | IntegerParameter>()
  const make = <T extends Float32Array | Int32Array>(name: string, values: (length: number) => T) => {
    const known = made.get(name) as { shape: readonly number[]; data: T } | undefined
    if (known) return known
    const shape = shapes[name]
    if (!shape) throw new Error(`no parameter ${name}`)
    const parameter = { shape, data: values(shape.reduce((a, b) => a * b, 1)) }
    made.set(name, parameter as Parameter | IntegerParameter)
    return parameter
  }
  return {
    get: (name) => make(name, (length) => noise(length, 0.05)),
    integers: (name) => make(name, (length) => integersOf(name, length)),
  }
}

/** Parameters of integer layers that keep activations at a few hundred. */
function integersOf(name: string, length: number): Int32Array {
  if (name.endsWith('.shift')) return new Int32Array(length).fill(13)
  if (name.endsWith('.exp'))
    return Int32Array.from({ length }, (_, i) => 2 ** 14 * Math.exp(-i / 400) * Number(i < 4095))
  if (name.endsWith('.table')) return new Int32Array(length)
  if (name.startsWith('table.')) return Int32Array.from({ length }, (_, i) => (i < 2048 ? 0 : i - 2048))
  return Int32Array.from(noise(length, 300))
}

const milliseconds = (seconds: number) => `${(seconds * 1e3).toFixed(1)} ms`
const rate = (macs: number, seconds: number) => `${(macs / seconds / 1e9).toFixed(0)} GMAC/s`

function sorted(values: number[]): { best: number; median: number } {
  const ascending = [...values].sort((a, b) => a - b)
  return { best: ascending[0] ?? 0, median: ascending[ascending.length >> 1] ?? 0 }
}

async function kernel(
  backend: CpuBackend,
  title: string,
  shape: Shape,
  shapes: Readonly<Record<string, readonly number[]>>,
  build: (g: GraphBuilder, x: Tensor) => Tensor,
  scale = 1,
): Promise<void> {
  const parameters = randomParameters(shapes)
  const g = new GraphBuilder(parameters)
  const x = g.input('x', shape, 'float')
  const y = build(g, x)
  g.endStage('all', [{ tensor: y, format: 'float' }])
  const executable = await backend.compile(g.finish(), parameters)
  const input = noise(shape.channels * shape.height * shape.width, scale)
  const times: number[] = []
  let macs = 0
  for (let i = 0; i < 3 * runs; i++) {
    await executable.run(0, new Map([[x, input]]))
    // The last node is the one that is measured; before it stands what it needs, after it a change of layout.
    const measured = executable.timings(0).findLast(({ node }) => node)
    if (measured?.node) macs = multiplyAdds(measured.node, parameters)
    times.push(measured?.seconds ?? 0)
  }
  executable.close()
  const { best, median } = sorted(times)
  console.log(
    `${title.padEnd(40)} ${milliseconds(best).padStart(9)}  ${rate(macs, best)}, median ${rate(macs, median)}`,
  )
}

async function kernels(backend: CpuBackend): Promise<void> {
  const conv = (o: number, i: number, k: number) => ({ 'c.weight': [o, i, k, k], 'c.bias': [o] })
  for (const n of [48, 96, 192]) {
    const shape = { channels: n, height: 128, width: 128 }
    await kernel(backend, `conv3x3 ${n}, 128 x 128`, shape, conv(n, n, 3), (g, x) =>
      g.conv('c', x, { activation: 'gelu' }),
    )
    await kernel(backend, `conv3x3 ${n}, stride 2`, shape, conv(n, n, 3), (g, x) => g.conv('c', x, { stride: 2 }))
    await kernel(backend, `conv1x1 ${n}`, shape, conv(n, n, 1), (g, x) => g.conv('c', x))
  }
  const shape = { channels: 48, height: 128, width: 128 }
  await kernel(backend, 'conv3x3 256, 32 x 32', { channels: 256, height: 32, width: 32 }, conv(256, 256, 3), (g, x) =>
    g.conv('c', x, { activation: 'gelu' }),
  )
  const offset = { 'c.offset.weight': [27, 48, 3, 3], 'c.offset.bias': [27] }
  await kernel(backend, 'DCNv2 48 -> 48, stride 2', shape, { ...conv(48, 48, 3), ...offset }, (g, x) =>
    g.deform('c', x, 2, 'gelu', 1),
  )
  await kernel(backend, 'DCNv2 48 -> 192, shuffle', shape, { ...conv(192, 48, 3), ...offset }, (g, x) =>
    g.deform('c', x, 1, 'gelu', 2),
  )
  await kernel(backend, 'GDN 48', shape, { 'n.beta': [48], 'n.gamma': [48, 48] }, (g, x) => g.gdn('n', x, false, x))
  for (const hidden of [8, 32]) {
    const net = {
      'l.conv1.weight': [hidden, 1, 3, 3],
      'l.conv1.bias': [hidden],
      'l.conv2.weight': [hidden, hidden, 3, 3],
      'l.conv2.bias': [hidden],
      'l.conv3.weight': [1, hidden, 1, 1],
      'l.conv3.bias': [1],
    }
    const title = `lifting step, ${hidden} hidden, 3 x 256 x 256`
    await kernel(backend, title, { channels: 3, height: 256, width: 256 }, net, (g, x) =>
      g.liftStep(x, x, { axis: 'rows', factor: 0.5, neighbour: 'next', sign: 1, net: 'l' }),
    )
  }
}

/** Integer layers at the sizes of a tile of 512 x 512: the latent is 32 x 32. */
async function integerKernels(backend: CpuBackend): Promise<void> {
  const layer = (o: number, i: number, k: number) => ({
    'c.weight': [o, i, k, k],
    'c.bias': [o],
    'c.shift': [o],
    'c.table': [1],
    'table.0': [4096],
  })
  const measure = (
    title: string,
    channels: number,
    shapes: Readonly<Record<string, readonly number[]>>,
    build: (g: GraphBuilder, x: Tensor) => Tensor,
    side = 32,
  ) => kernel(backend, title, { channels, height: side, width: side }, shapes, build, 1000)
  for (const [k, inputs, outputs] of [
    [1, 1152, 128],
    [1, 192, 192],
    [3, 64, 64],
    [3, 512, 64],
    [3, 192, 512],
    [5, 192, 192],
  ] as const) {
    const title = `integer conv${k}x${k} ${inputs} -> ${outputs}, 32 x 32`
    await measure(title, inputs, layer(outputs, inputs, k), (g, x) => g.integerConv('c', x, k, { table: true }))
  }
  const small = layer(512, 128, 3)
  await measure('integer conv3x3 128 -> 512, 8 x 8', 128, small, (g, x) => g.integerConv('c', x, 3, { table: true }), 8)
  const depthwise = { ...layer(256, 256, 3), 'c.weight': [256, 1, 3, 3] }
  await measure('integer depthwise 256', 256, depthwise, (g, x) => g.integerDepthwise('c', x, true))
  const attention = { 'a.shift': [1], 'a.exp': [4096], 'a.bias': [81, 2] }
  await measure('integer window attention 64, 2 heads', 192, attention, (g, x) => g.integerWindowAttention('a', x, 2))
  await measure('integer linear attention 192, 6 heads', 192, attention, (g, x) =>
    g.integerLinearAttention('a', [x, x, x], 6, false),
  )
}

/** Time of a tile by kind of node, and of the whole. */
async function tile(
  title: string,
  backend: CpuBackend,
  graph: Graph,
  model: Model,
  inputsOf: (stage: number) => Map<Tensor, PortData>,
): Promise<void> {
  const start = performance.now()
  const executable: CpuExecutable = await backend.compile(graph, model.parameters)
  console.log(
    `\n${title}: compiled in ${(performance.now() - start).toFixed(0)} ms, ${(executable.bytes / 2 ** 20).toFixed(0)} MiB`,
  )
  const totals: number[] = []
  // Each node's fastest run: what else the machine does hits some nodes in some runs.
  const fastest = graph.stages.map(() => [] as number[])
  for (let i = 0; i < runs; i++) {
    const began = performance.now()
    for (const stage of graph.stages.keys()) await executable.run(stage, inputsOf(stage))
    totals.push((performance.now() - began) / 1e3)
    for (const [stage, times] of fastest.entries()) {
      for (const [n, { seconds }] of executable.timings(stage).entries()) {
        times[n] = Math.min(times[n] ?? Number.POSITIVE_INFINITY, seconds)
      }
    }
  }
  const kinds = new Map<string, { seconds: number; macs: number; count: number }>()
  for (const [stage, times] of fastest.entries()) {
    for (const [n, { node }] of executable.timings(stage).entries()) {
      const macs = node ? multiplyAdds(node, model.parameters) : 0
      for (const kind of ['sum of nodes, each at its fastest', nodeKind(node)]) {
        const entry = kinds.get(kind) ?? { seconds: 0, macs: 0, count: 0 }
        entry.seconds += times[n] ?? 0
        entry.macs += macs
        entry.count++
        kinds.set(kind, entry)
      }
    }
  }
  executable.close()
  const { best, median } = sorted(totals)
  console.log(`${title}: best ${milliseconds(best)}, median ${milliseconds(median)}`)
  for (const [kind, { seconds, macs, count }] of [...kinds].sort((a, b) => b[1].seconds - a[1].seconds)) {
    if (seconds < 2e-4) continue
    const gflops = macs > 0 ? rate(macs, seconds) : ''
    console.log(`  ${kind.padEnd(34)} ${String(count).padStart(4)} ${milliseconds(seconds).padStart(10)}  ${gflops}`)
  }
}

function nodeKind(node: Node | null): string {
  if (node === null) return 'change of layout'
  const { height, channels } = (nodeOutputs(node)[0] as Tensor).shape
  const from = nodeInputs(node)[0]?.shape.height
  if (node.op === 'conv' || node.op === 'integerConv')
    return `${node.op}${node.kernel}x${node.kernel} ${from} -> ${height}, ${channels} channels`
  return node.op === 'deform' ? `deform ${from} -> ${height}` : node.op
}

const backend = await openCpu({ threads: Number(options.threads), ...(options.isa ? { isa: options.isa } : {}) })
console.log(backend.name)
if (options.only.includes('kernels')) await kernels(backend)
if (options.only.includes('integers')) await integerKernels(backend)
if (options.only.includes('tile')) await tiles()
backend.close()

async function tiles(): Promise<void> {
  const model = await loadModel(options.model)
  const size = Number(options.size)
  const gains = gainsAt(model, 60)
  const bytes = Uint8Array.from(noise(3 * size * size, 1), (v) => 128 + 127 * v)
  const encoder = encoderGraph(model.config, model.parameters, size, size)
  await tile(`encode ${size} x ${size}`, backend, encoder.graph, model, () => {
    const inputs = new Map<Tensor, PortData>([[encoder.image, bytes]])
    if (encoder.gain && gains) inputs.set(encoder.gain, gains.forward)
    return inputs
  })
  const decoder = decoderGraph(model.config, model.parameters, size, size)
  await tile(`decode ${size} x ${size}`, backend, decoder.graph, model, (stage) => {
    const inputs = new Map<Tensor, PortData>()
    for (const { tensor } of decoder.graph.stages[stage]?.inputs ?? []) {
      const { channels, height, width } = tensor.shape
      if (tensor === decoder.gain && gains) inputs.set(tensor, gains.inverse)
      else inputs.set(tensor, Int16Array.from(noise(channels * height * width, 3)))
    }
    return inputs
  })
}

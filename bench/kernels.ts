/**
 * Speed of the WGSL kernels on an adapter: `npx tsx bench/kernels.ts [--adapter NAME] [--repeat N]`.
 *
 * A stage runs one node REPEAT times and reads one number back; a stage that
 * only reads is subtracted. GFLOP/s counts two operations a multiply-add of the
 * op's definition (a DCNv2's main product, a lifting step's convolutions).
 * The last figure is by processor time over all cores, which other processes
 * disturb less: what a software adapter would reach on a machine of its own.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import type { Graph, Node, Parameters, Shape, Tensor } from '../src/network/graph.js'
import { openWebGpu } from '../src/webgpu/backend.js'

const REPEAT = 4

const { values: options } = parseArgs({
  options: {
    adapter: { type: 'string' },
    repeat: { type: 'string', default: '9' },
    only: { type: 'string', default: '' },
  },
})

interface Bench {
  readonly name: string
  readonly inputs: readonly Shape[]
  readonly output: Shape
  readonly node: (inputs: readonly Tensor[], output: Tensor) => Node
  readonly multiplyAdds: number
  readonly parameters: Readonly<Record<string, readonly number[]>>
}

function conv(
  label: string,
  from: number,
  to: number,
  size: number,
  kernel: 1 | 3,
  stride: 1 | 2,
  shuffle: 1 | 2 = 1,
): Bench {
  const out = size / stride
  const outputs = to * shuffle * shuffle
  return {
    name: label,
    inputs: [{ channels: from, height: size, width: size }],
    output: { channels: to, height: out * shuffle, width: out * shuffle },
    node: (inputs, output) => ({
      op: 'conv',
      inputs,
      output,
      weight: 'weight',
      bias: 'bias',
      kernel,
      stride,
      padding: kernel === 1 ? 0 : 1,
      activation: 'gelu',
      shuffle,
      residual: null,
    }),
    multiplyAdds: out * out * outputs * from * kernel * kernel,
    parameters: { weight: [outputs, from, kernel, kernel], bias: [outputs] },
  }
}

/** With a table for its activation; weights of 9 bits. */
function integerConv(label: string, from: number, to: number, size: number, kernel: 1 | 3 | 5, table = true): Bench {
  return {
    name: label,
    inputs: [{ channels: from, height: size, width: size }],
    output: { channels: to, height: size, width: size },
    node: (inputs, output) => ({
      op: 'integerConv',
      inputs,
      output,
      weight: 'weight',
      bias: 'bias',
      shift: 'shift',
      table: table ? 'table' : null,
      kernel,
      stride: 1,
      padding: (kernel >> 1) as 0 | 1 | 2,
      shuffle: 1,
      range: 'activation',
      residual: null,
      keep: null,
    }),
    multiplyAdds: size * size * to * from * kernel * kernel,
    parameters: { weight: [to, from, kernel, kernel], bias: [to], shift: [to], table: [4096] },
  }
}

function deform(label: string, from: number, to: number, size: number, stride: 1 | 2): Bench {
  const out = size / stride
  return {
    name: label,
    inputs: [
      { channels: from, height: size, width: size },
      { channels: 27, height: out, width: out },
    ],
    output: { channels: to, height: out, width: out },
    node: ([input, offsets], output) => ({
      op: 'deform',
      input: input as Tensor,
      offsets: offsets as Tensor,
      output,
      weight: 'weight',
      bias: 'bias',
      stride,
      activation: 'gelu',
      shuffle: 1,
    }),
    multiplyAdds: out * out * to * from * 9,
    parameters: { weight: [to, from, 3, 3], bias: [to] },
  }
}

function lifting(label: string, c: number, height: number, width: number): Bench {
  const shape = { channels: 3, height, width }
  return {
    name: label,
    inputs: [shape, shape],
    output: shape,
    node: ([source, target], output) => ({
      op: 'liftStep',
      source: source as Tensor,
      target: target as Tensor,
      output,
      axis: 'rows',
      factor: 0.5,
      neighbour: 'next',
      sign: 1,
      net: 'net',
    }),
    multiplyAdds: 3 * height * width * (9 * c + 9 * c * c + c),
    parameters: {
      'net.conv1.weight': [c, 1, 3, 3],
      'net.conv1.bias': [c],
      'net.conv2.weight': [c, c, 3, 3],
      'net.conv2.bias': [c],
      'net.conv3.weight': [1, c, 1, 1],
      'net.conv3.bias': [1],
    },
  }
}

function gdn(label: string, channels: number, size: number): Bench {
  const shape = { channels, height: size, width: size }
  return {
    name: label,
    inputs: [shape],
    output: shape,
    node: ([input], output) => ({
      op: 'gdn',
      input: input as Tensor,
      output,
      beta: 'beta',
      gamma: 'gamma',
      inverse: false,
      residual: null,
    }),
    multiplyAdds: channels * channels * size * size,
    parameters: { beta: [channels], gamma: [channels, channels] },
  }
}

const benches: Bench[] = [
  conv('conv3x3 N=48 128x128', 48, 48, 128, 3, 1),
  conv('conv3x3 N=96 128x128', 96, 96, 128, 3, 1),
  conv('conv3x3 N=192 128x128', 192, 192, 128, 3, 1),
  conv('conv3x3 N=256 16x16', 256, 256, 16, 3, 1),
  conv('conv1x1 N=48 128x128', 48, 48, 128, 1, 1),
  conv('conv1x1 N=192 128x128', 192, 192, 128, 1, 1),
  conv('conv1x1 640 to 128 16x16', 640, 128, 16, 1, 1),
  conv('conv3x3 stride 2 N=48 256x256', 48, 48, 256, 3, 2),
  integerConv('integer conv3x3 N=48 128x128', 48, 48, 128, 3),
  integerConv('integer conv3x3 N=256 16x16', 256, 256, 16, 3),
  integerConv('integer conv1x1 640 to 128 16x16', 640, 128, 16, 1),
  integerConv('integer conv1x1 640 to 128 64x64', 640, 128, 64, 1),
  conv('conv1x1 640 to 128 64x64', 640, 128, 64, 1, 1),
  integerConv('integer conv5x5 64 to 128 16x16', 64, 128, 16, 5, false),
  conv('conv3x3 shuffle N=48 64x64', 48, 48, 64, 3, 1, 2),
  deform('DCNv2 N=48 128x128', 48, 48, 128, 1),
  deform('DCNv2 stride 2 N=48 256x256', 48, 48, 256, 2),
  gdn('GDN N=48 128x128', 48, 128),
  lifting('lifting step c=8 256x128', 8, 128, 256),
]

function random(length: number, scale: number): Float32Array {
  let state = 12345
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    return (state / 2 ** 31 - 1) * scale
  })
}

const backend = await openWebGpu(options.adapter === undefined ? {} : { adapter: options.adapter })
console.log(`${backend.name}; GFLOP/s of the fastest and the median of ${options.repeat} runs`)

for (const bench of benches.filter(({ name }) => name.includes(options.only))) {
  const tensors: Tensor[] = []
  const tensor = (name: string, shape: Shape): Tensor => {
    const made = { id: tensors.length, name, shape }
    tensors.push(made)
    return made
  }
  const inputs = bench.inputs.map((shape, i) => tensor(`input ${i}`, shape))
  const outputs = Array.from({ length: REPEAT }, (_, i) => tensor(`output ${i}`, bench.output))
  const small = tensor('small', { channels: 1, height: 1, width: 1 })
  const read: Node = { op: 'slice', input: tensor('seed', small.shape), first: 0, output: small }
  const port = (t: Tensor) => ({ tensor: t, format: 'float' }) as const
  const graph: Graph = {
    tensors,
    stages: [
      { name: 'upload', inputs: [...inputs, read.input].map(port), nodes: [], outputs: [] },
      { name: 'read', inputs: [], nodes: [read], outputs: [port(small)] },
      {
        name: 'run',
        inputs: [],
        nodes: [...outputs.map((output) => bench.node(inputs, output)), read],
        outputs: [port(small)],
      },
    ],
  }
  const parameters: Parameters = {
    get(name) {
      const shape = bench.parameters[name] ?? []
      const length = shape.reduce((a, b) => a * b, 1)
      return { shape, data: random(length, 1 / Math.sqrt(length)) }
    },
    integers(name) {
      const shape = bench.parameters[name] ?? []
      const length = shape.reduce((a, b) => a * b, 1)
      const scale = { weight: 255, bias: 2 ** 18, shift: 0, table: 2047 }[name] ?? 0
      return { shape, data: Int32Array.from(random(length, scale), (v) => (name === 'shift' ? 12 : Math.round(v))) }
    },
  }
  const executable = await backend.compile(graph, parameters)
  const size = ({ channels, height, width }: Shape) => channels * height * width
  const isInteger = bench.node(inputs, outputs[0] as Tensor).op.startsWith('integer')
  const values = (t: Tensor) => random(size(t.shape), isInteger ? 2047 : 1).map((v) => (isInteger ? Math.round(v) : v))
  await executable.run(0, new Map([...inputs, read.input].map((t) => [t, values(t)])))
  const time = async (stage: number) => {
    const [start, used] = [performance.now(), process.cpuUsage()]
    await executable.run(stage, new Map())
    const { user, system } = process.cpuUsage(used)
    return { wall: performance.now() - start, busy: (user + system) / 1000 / availableParallelism() }
  }
  const { wall: first } = await time(2)
  const times: number[] = []
  const busy: number[] = []
  for (let i = 0; i < Number(options.repeat); i++) {
    const idle = await time(1)
    const run = await time(2)
    times.push((run.wall - idle.wall) / REPEAT)
    busy.push((run.busy - idle.busy) / REPEAT)
  }
  times.sort((a, b) => a - b)
  busy.sort((a, b) => a - b)
  const speed = (ms: number | undefined) => ((2 * bench.multiplyAdds) / (ms ?? Number.NaN) / 1e6).toFixed(1)
  const [fastest, median] = [times[0], times[times.length >> 1]]
  console.log(
    `${bench.name.padEnd(32)} ${speed(fastest).padStart(6)} ${speed(median).padStart(6)}   median ${median?.toFixed(2)} ms, first run ${first.toFixed(0)} ms, by processor time ${speed(busy[busy.length >> 1])}`,
  )
  executable.close()
}
backend.close()

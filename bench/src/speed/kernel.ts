/** Times one layer on any device, and measures how fast the device is at most. */
import {
  type Backend,
  CpuBackend,
  type Graph,
  type Node,
  type Parameters,
  type Shape,
  type Tensor,
} from 'cleric/internal'
import { timing } from './clock.js'
import { noise } from './random-model.js'
import { multiplyAdds } from './work.js'

/** A layer with its inputs; `parameters` are shapes by name. */
export interface Kernel {
  readonly name: string
  readonly inputs: readonly Shape[]
  readonly output: Shape
  readonly node: (inputs: readonly Tensor[], output: Tensor) => Node
  readonly parameters: Readonly<Record<string, readonly number[]>>
}

/** Milliseconds a run of the layer. */
export interface KernelTiming {
  readonly multiplyAdds: number
  /** By wall clock. */
  readonly best: number
  readonly median: number
  /** By processor time over all cores, which other processes disturb less. */
  readonly busyMedian: number
  /** The first run, with all that is made for it. */
  readonly first: number
}

/** Runs of the layer in one stage: at least, and at most. */
const [FEWEST, MOST] = [4, 256]
/** Milliseconds that they take together, as far as `most` go: what a call costs, a few on a GPU, must weigh little. */
const ENOUGH = 100

/** A convolution with GELU, as the networks have them. */
export function convolution(
  name: string,
  inputs: number,
  outputs: number,
  size: number,
  kernel: 1 | 3,
  stride: 1 | 2 = 1,
  shuffle: 1 | 2 = 1,
): Kernel {
  const out = size / stride
  return {
    name,
    inputs: [{ channels: inputs, height: size, width: size }],
    output: { channels: outputs, height: out * shuffle, width: out * shuffle },
    node: (tensors, output) => ({
      op: 'conv',
      inputs: tensors,
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
    parameters: {
      weight: [outputs * shuffle * shuffle, inputs, kernel, kernel],
      bias: [outputs * shuffle * shuffle],
    },
  }
}

/**
 * Runs a layer `runs` times. A stage that only reads a number back is subtracted from one that runs the layer some
 * times and reads it.
 *
 * @param cores what processor time is divided by
 */
export async function timeKernel(backend: Backend, kernel: Kernel, runs: number, cores = 1): Promise<KernelTiming> {
  const { best, first } = await timeRepeated(backend, kernel, 1, FEWEST, cores)
  // A negative `best` is one that the call's own time hides.
  const repeat = best * MOST < ENOUGH ? MOST : Math.max(FEWEST, Math.ceil(ENOUGH / best))
  return { ...(await timeRepeated(backend, kernel, runs, repeat, cores)), first }
}

async function timeRepeated(
  backend: Backend,
  kernel: Kernel,
  runs: number,
  repeat: number,
  cores: number,
): Promise<KernelTiming> {
  const tensors: Tensor[] = []
  const tensor = (name: string, shape: Shape): Tensor => {
    const made = { id: tensors.length, name, shape }
    tensors.push(made)
    return made
  }
  const inputs = kernel.inputs.map((shape, i) => tensor(`input ${i}`, shape))
  const outputs = Array.from({ length: repeat }, (_, i) => tensor(`output ${i}`, kernel.output))
  const one = { channels: 1, height: 1, width: 1 }
  const seed = tensor('seed', one)
  const [loaded, idle, done] = ['loaded', 'idle', 'done'].map((name) => tensor(name, one)) as [Tensor, Tensor, Tensor]
  const read = (output: Tensor): Node => ({ op: 'slice', input: seed, first: 0, output })
  const port = (t: Tensor) => ({ tensor: t, format: 'float' }) as const
  const graph: Graph = {
    tensors,
    stages: [
      { name: 'upload', inputs: [...inputs, seed].map(port), nodes: [], outputs: [] },
      // Waits until all is there.
      { name: 'loaded', inputs: [], nodes: [read(loaded)], outputs: [port(loaded)] },
      { name: 'read', inputs: [], nodes: [read(idle)], outputs: [port(idle)] },
      {
        name: 'run',
        inputs: [],
        nodes: [...outputs.map((output) => kernel.node(inputs, output)), read(done)],
        outputs: [port(done)],
      },
    ],
  }
  const parameters = parametersOf(kernel)
  const node = kernel.node(inputs, outputs[0] as Tensor)
  const isInteger = node.op.startsWith('integer')
  const values = ({ shape }: Tensor) => {
    const floats = noise(shape.channels * shape.height * shape.width, isInteger ? 2047 : 1)
    return isInteger ? floats.map(Math.round) : floats
  }
  const executable = await backend.compile(graph, parameters)
  try {
    const given = new Map([...inputs, seed].map((t) => [t, values(t)]))
    const time = async (stage: number) => {
      const [start, used] = [performance.now(), process.cpuUsage()]
      await executable.run(stage, new Map())
      const { user, system } = process.cpuUsage(used)
      return { wall: performance.now() - start, busy: (user + system) / 1000 / cores }
    }
    let first = 0
    const wall: number[] = []
    const busy: number[] = []
    for (let i = 0; i <= runs; i++) {
      await executable.run(0, given)
      await executable.run(1, new Map())
      const reading = await time(2)
      const all = await time(3)
      if (i === 0) first = all.wall
      else {
        wall.push((all.wall - reading.wall) / repeat)
        busy.push((all.busy - reading.busy) / repeat)
      }
    }
    const { best, median } = timing(wall)
    return { multiplyAdds: multiplyAdds(node, parameters), best, median, busyMedian: timing(busy).median, first }
  } finally {
    executable.close()
  }
}

function parametersOf(kernel: Kernel): Parameters {
  const shapeOf = (name: string) => kernel.parameters[name] ?? []
  const lengthOf = (name: string) => shapeOf(name).reduce((a, b) => a * b, 1)
  return {
    get: (name) => ({ shape: shapeOf(name), data: noise(lengthOf(name), 1 / Math.sqrt(lengthOf(name))) }),
    integers(name) {
      const scale = { weight: 255, bias: 2 ** 18, shift: 0, table: 2047 }[name] ?? 0
      const data = Int32Array.from(noise(lengthOf(name), scale), (v) => (name === 'shift' ? 12 : Math.round(v)))
      return { shape: shapeOf(name), data }
    },
  }
}

/** What a device's other figures are shares of. */
export interface Peak {
  /** Two operations a multiply-add. */
  readonly gflops: number
  /** What was measured. */
  readonly kernel: string
}

/**
 * The processor's multiply-adds in registers; of a WebGPU adapter, which doesn't tell, the fastest of some large
 * layers.
 */
export async function measurePeak(backend: Backend, seconds: number, side = 256): Promise<Peak> {
  if (backend instanceof CpuBackend) {
    // Long enough to meet a moment in which all cores are free.
    const gflops = (await fastest(async () => -(await backend.peak()), Math.max(seconds, 0.5))) / -1e9
    return { gflops, kernel: `float32 multiply-adds in registers, ${backend.isa}` }
  }
  let peak: Peak = { gflops: 0, kernel: 'none' }
  const layers = [
    [48, 2 * side, 3],
    [192, side, 3],
    [192, side, 1],
    [256, side / 4, 3],
  ] as const
  for (const [channels, size, kernel] of layers) {
    const name = `the fastest layer, conv${kernel}x${kernel}, ${channels} channels, ${size} x ${size}`
    const layer = convolution(name, channels, channels, size, kernel)
    let macs = 0
    const best = await fastest(async () => {
      const result = await timeKernel(backend, layer, 2)
      macs = result.multiplyAdds
      return result.best > 0 ? result.best : Number.POSITIVE_INFINITY
    }, seconds / layers.length)
    const gflops = (2 * macs) / best / 1e6
    if (gflops > peak.gflops) peak = { gflops, kernel: name }
  }
  return peak
}

/** The least value within so many seconds. */
async function fastest(run: () => Promise<number>, seconds: number): Promise<number> {
  const started = performance.now()
  let best = Number.POSITIVE_INFINITY
  do best = Math.min(best, await run())
  while (performance.now() - started < seconds * 1000)
  return best
}

/**
 * Whether convolutions that use subgroups are right on a device, and faster. Matrix units are an experimental feature, and
 * drivers are compilers too: what they make of it is known once it has run there.
 */
import { DeviceError } from '../errors.js'
import { GraphBuilder } from '../network/builder.js'
import type { Executable, Graph, Parameter, Parameters, PortData, Tensor } from '../network/graph.js'
import { portElements } from '../network/ports.js'
import { NO_SUBGROUPS, type SubgroupUse } from './subgroups.js'

/** Channels of the layers that are timed, and their side: about those of a tile of the model that ships, in its wide part. */
const CHANNELS = 96
const SIDE = 128
/** Channels that come from the host and go back there. */
const ENDS = 8
/** Pairs of a convolution with a kernel of 3 and one of 1. */
const PAIRS = 4
const RUNS = 3
/** Milliseconds after which no further run begins. */
const PATIENCE = 300
/**
 * In parts of the largest value. Sums in floats, in another order, differ by 1.5 millionths here. Units that cut off what
 * they add may be off by ten times as much, one term in place of two would be by a thousand times.
 */
const TOLERANCE = 5e-5

/** Makes an executable whose convolutions use so much of subgroups. */
export type CompileWith = (
  graph: Graph,
  parameters: Parameters,
  use: SubgroupUse,
) => Promise<Pick<Executable, 'run' | 'close'>>

/** Random numbers of half precision in [-scale, scale], the same each time. */
function random(length: number, scale: number): Float32Array {
  const step = 2 ** (Math.floor(Math.log2(scale)) - 9)
  let state = length
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.round(((state / 2 ** 31 - 1) * scale) / step) * step
  })
}

/** Layers like the transforms', and something to run through them. */
export function trialWork(): { graph: Graph; parameters: Parameters; inputs: ReadonlyMap<Tensor, PortData> } {
  const made = new Map<string, Parameter>()
  const parameters: Parameters = {
    get: (name) => made.get(name) as Parameter,
    integers: (name) => {
      throw new RangeError(`Expected a parameter of floats but received "${name}"`)
    },
  }
  const g = new GraphBuilder(parameters)
  const add = (name: string, inputs: number, outputs: number, kernel: 1 | 3) => {
    const products = inputs * kernel ** 2
    // Sums of so many products are about as large as what they are made of.
    const weight = random(outputs * products, Math.sqrt(3 / products))
    made.set(`${name}.weight`, { shape: [outputs, inputs, kernel, kernel], data: weight })
    made.set(`${name}.bias`, { shape: [outputs], data: random(outputs, 0.1) })
  }
  const layer = (name: string, input: Tensor, outputs: number, kernel: 1 | 3) => {
    add(name, input.shape.channels, outputs, kernel)
    return g.conv(name, input, { activation: kernel === 1 ? 'none' : 'gelu' })
  }
  const input = g.input('input', { channels: ENDS, height: SIDE, width: SIDE }, 'float')
  let last = layer('begin', input, CHANNELS, 1)
  for (let i = 0; i < PAIRS; i++) {
    last = layer(`pair ${i} of 3`, last, CHANNELS, 3)
    last = layer(`pair ${i} of 1`, last, CHANNELS, 1)
  }
  // As in upsampling blocks, with as many outputs as one workgroup of matrix units makes at most.
  add('bent.offset', CHANNELS, 27, 3)
  add('bent', CHANNELS, 2 * CHANNELS, 3)
  last = g.deform('bent', last, 1, 'none', 2)
  const output = layer('end', last, ENDS, 1)
  g.endStage('trial', [{ tensor: output, format: 'float' }])
  const inputs = new Map([[input, random(portElements({ tensor: input, format: 'float' }), 1)]])
  return { graph: g.finish(), parameters, inputs }
}

interface Measured {
  readonly milliseconds: number
  readonly values: Float32Array
}

/**
 * The fastest of nothing, shuffles, and matrices, each only where the same layers come out as without. Nothing, too, where
 * the device fails at it: it may be lost then.
 *
 * @param offered what the device has
 * @param now milliseconds
 */
export async function fastestUse(
  offered: SubgroupUse,
  compile: CompileWith,
  now: () => number = () => performance.now(),
): Promise<SubgroupUse> {
  let best = NO_SUBGROUPS
  if (!offered.shuffles && !offered.matrices) return best
  const { graph, parameters, inputs } = trialWork()
  const measure = async (use: SubgroupUse): Promise<Measured | null> => {
    try {
      const executable = await compile(graph, parameters, use)
      try {
        return await run(executable, inputs, now)
      } finally {
        executable.close()
      }
    } catch (error) {
      if (error instanceof DeviceError) return null
      throw error
    }
  }
  const plain = await measure(best)
  if (!plain) return best
  let least = plain.milliseconds
  const consider = async (use: SubgroupUse) => {
    const measured = await measure(use)
    if (!measured || measured.milliseconds >= least || !areAlike(measured.values, plain.values)) return
    best = use
    least = measured.milliseconds
  }
  if (offered.shuffles) await consider({ shuffles: true, matrices: null })
  if (offered.matrices) await consider({ ...best, matrices: offered.matrices })
  return best
}

async function run(
  executable: Pick<Executable, 'run'>,
  inputs: ReadonlyMap<Tensor, PortData>,
  now: () => number,
): Promise<Measured> {
  let [milliseconds, values] = [Number.POSITIVE_INFINITY, new Float32Array(0)]
  const start = now()
  // The first run is slower: memory is touched for the first time. One more is enough on a slow device.
  for (let i = 0; i <= RUNS && (i < 2 || now() - start < PATIENCE); i++) {
    const began = now()
    const outputs = await executable.run(0, inputs)
    if (i > 0) milliseconds = Math.min(milliseconds, now() - began)
    values = [...outputs.values()][0] as Float32Array<ArrayBuffer>
  }
  return { milliseconds, values }
}

function areAlike(actual: Float32Array, expected: Float32Array): boolean {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const isNear = (value: number, i: number) => Math.abs(value - (expected[i] as number)) <= TOLERANCE * largest
  return largest > 0 && actual.length === expected.length && actual.every(isNear)
}

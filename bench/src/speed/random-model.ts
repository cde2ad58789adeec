/**
 * A model of a preset without a file: random weights, the same every time, for counting and for timing. It encodes and
 * decodes like a trained one, only badly: activations stay of the usual size, deformable convolutions look around the
 * pixel, and the integer layers keep what is asked of them (`src/network/ops`).
 */

import {
  DEAD_ZONE_TABLE,
  DEFAULT_ERRORS,
  type IntegerParameter,
  loadModel,
  type Model,
  type ModelConfig,
  type Parameter,
  type Parameters,
  RSQRT_TABLE,
} from 'cleric/internal'
import { parameterShapes } from './presets.js'

/** Magnitude of all integer weights: what the largest layer of `paper` can have without leaving 32 bits. */
const INTEGER_MOST = 64
/**
 * All integer weights are the beginning of one list, as 85 million would fill memory otherwise: as long as `paper`
 * needs it.
 */
const POOL_LENGTH = 2 ** 23

/** Plain rounding: scales mean nothing here. */
const ZONES: Parameter = { shape: [64], data: new Float32Array(64).fill(0.5) }

let pool: Int32Array | null = null

/** Uniform in [-scale, scale). */
export function noise(length: number, scale: number): Float32Array {
  const values = new Float32Array(length)
  let state = 1
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    values[i] = (state / 0x40000000 - 1) * scale
  }
  return values
}

/** Random parameters of every name that a network of this configuration has. */
export function randomParameters(config: ModelConfig): Parameters {
  const shapes = parameterShapes(config)
  const floats = new Map<string, Parameter>()
  const integers = new Map<string, IntegerParameter>()
  return {
    get: (name) => kept(floats, name, () => (name === DEAD_ZONE_TABLE ? ZONES : floatOf(name, shapeOf(shapes, name)))),
    integers: (name) => kept(integers, name, () => integerOf(name, shapes)),
  }
}

/** A whole model; the tables of its coder are those of the model that ships. */
export async function randomModel(config: ModelConfig): Promise<Model> {
  const { yTables } = await loadModel()
  // A scale of about 1.
  const one = (list: Int32Array) => new Int32Array(config.Z).fill(list[18] as number)
  const zTables = {
    values: yTables.values,
    offset: one(yTables.offset),
    size: one(yTables.size),
    min: one(yTables.min),
  }
  return {
    name: `${config.preset}, random weights`,
    hash: '0'.repeat(64),
    config,
    parameters: randomParameters(config),
    yTables,
    zTables,
    tissueErrors: DEFAULT_ERRORS,
  }
}

function kept<T>(made: Map<string, T>, name: string, make: () => T): T {
  const known = made.get(name)
  if (known !== undefined) return known
  const value = make()
  made.set(name, value)
  return value
}

function shapeOf(shapes: ReadonlyMap<string, readonly number[]>, name: string): readonly number[] {
  const shape = shapes.get(name)
  if (!shape) throw new RangeError(`Expected a parameter of the preset but received ${name}`)
  return shape
}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, side) => product * side, 1)

function floatOf(name: string, shape: readonly number[]): Parameter {
  const length = sizeOf(shape)
  if (name.endsWith('.beta')) return { shape, data: new Float32Array(length).fill(1) }
  if (name.endsWith('.gamma')) return { shape, data: new Float32Array(length).fill(0.02) }
  if (name.startsWith('log_')) return { shape, data: new Float32Array(length) }
  if (!name.endsWith('.weight')) return { shape, data: noise(length, 0.05) }
  // Half the variance that keeps activations as they are, since residual blocks add to them.
  const scale = Math.sqrt(1.5 / (length / (shape[0] as number)))
  return { shape, data: noise(length, name.endsWith('.offset.weight') ? scale / 2 : scale) }
}

function integerOf(name: string, shapes: ReadonlyMap<string, readonly number[]>): IntegerParameter {
  const list = (data: Int32Array): IntegerParameter => ({ shape: [data.length], data })
  const table = (f: (i: number) => number, length = 4096) => list(Int32Array.from({ length }, (_, i) => f(i)))
  const gelu = (v: number) => v / (1 + Math.exp(-v / 150))
  switch (name) {
    case RSQRT_TABLE:
      return table((j) => Math.min(65535, Math.round(2 ** 23 / Math.sqrt((j + 128.5) * 128))), 384)
    case 'scales.thresholds':
      return table((i) => (i === 63 ? 2 ** 30 : 3 + 41 * i), 64)
    case 'table.0':
      return table((i) => Math.round(gelu(i - 2048)))
    case 'table.1':
      return table((i) => Math.round(32 * Math.tanh((i - 2048) / 700)))
  }
  const [, layer = '', kind = ''] = /^(.*)\.(\w+)$/.exec(name) ?? []
  switch (kind) {
    case 'exp':
      return table((i) => (i === 4095 ? 0 : Math.round(2 ** 14 * Math.exp(-i / 400))))
    case 'epsilon':
      return list(Int32Array.of(100))
    case 'table':
      return list(Int32Array.of(/\.lrp_[an]\.\d+\.4$/.test(layer) ? 1 : 0))
    case 'shift':
      return list(shiftOf(layer, shapes))
    case 'weight':
    case 'bias': {
      const shape = shapeOf(shapes, name)
      return { shape, data: integerNoise(sizeOf(shape)) }
    }
    default:
      throw new RangeError(`Expected a parameter of the preset but received ${name}`)
  }
}

function shiftOf(layer: string, shapes: ReadonlyMap<string, readonly number[]>): Int32Array {
  const weight = shapes.get(`${layer}.weight`)
  if (!weight) {
    if (layer.endsWith('.attention')) return Int32Array.of(14)
    // y_hat, in 1/64, and z, as they are read.
    return Int32Array.of(layer.startsWith('mem.y_hat') ? 2 : 0)
  }
  const outputs = weight[0] as number
  // What brings a sum of so many products back to the size of an activation. A norm brings 2^14 to 2^9.
  const inputs = sizeOf(weight) / outputs
  const shift = weight.length === 1 ? 11 : Math.max(1, Math.round(Math.log2(Math.sqrt(inputs) * INTEGER_MOST)) - 1)
  return new Int32Array(outputs).fill(shift)
}

function integerNoise(length: number): Int32Array {
  pool ??= new Int32Array(noise(POOL_LENGTH, INTEGER_MOST))
  if (length > pool.length) throw new RangeError(`Expected at most ${pool.length} weights in a layer, not ${length}`)
  return pool.subarray(0, length)
}

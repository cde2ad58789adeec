/**
 * The oracle: every op of the graph in plain, slow, obvious loops (the integer ones: integer-ops.ts). Backends are
 * compared with it, and it with the training code's golden vectors.
 */
import {
  type Activation,
  type Backend,
  type Executable,
  type Graph,
  LATENT_STEPS,
  type LiftStepNode,
  type Node,
  type Parameters,
  type PortData,
  type Shape,
  type Tensor,
} from '../../src/network/graph.js'
import { type IntegerNode, integerOp, isInteger, kept, type ValueAt } from './integer-ops.js'

type Values = Float64Array

/** A backend that interprets graphs; also keeps every tensor for a test to look at. */
export function interpreter(): Backend {
  return {
    kind: 'cpu',
    name: 'interpreter',
    tilesInFlight: 1,
    isLost: false,
    compile: async (graph, parameters) => new Interpreter(graph, parameters),
    close() {},
  }
}

export class Interpreter implements Executable {
  readonly #graph: Graph
  readonly #parameters: Parameters
  readonly #values = new Map<Tensor, Values>()

  constructor(graph: Graph, parameters: Parameters) {
    this.#graph = graph
    this.#parameters = parameters
  }

  async run(index: number, inputs: ReadonlyMap<Tensor, PortData>): Promise<Map<Tensor, PortData>> {
    const stage = this.#graph.stages[index]
    if (!stage) throw new RangeError(`no stage ${index}`)
    for (const { tensor, format } of stage.inputs) {
      const data = inputs.get(tensor)
      if (!data) throw new Error(`input ${tensor.name} is missing`)
      this.#values.set(tensor, format === 'rgb8' ? planar(data, tensor.shape) : Float64Array.from(data))
    }
    for (const node of stage.nodes) this.#run(node)
    const outputs = new Map<Tensor, PortData>()
    for (const { tensor, format } of stage.outputs) {
      const values = this.value(tensor)
      if (format === 'rgb8') outputs.set(tensor, interleaved(values, tensor.shape))
      else outputs.set(tensor, format === 'int16' ? Int16Array.from(values) : Float32Array.from(values))
    }
    return outputs
  }

  close(): void {
    this.#values.clear()
  }

  /** Values of any tensor computed so far, channels x height x width. */
  value(tensor: Tensor): Values {
    const values = this.#values.get(tensor)
    if (!values) throw new Error(`tensor ${tensor.name} was not computed`)
    return values
  }

  #parameter(name: string): Float32Array {
    return this.#parameters.get(name).data
  }

  #run(node: Node): void {
    if (isInteger(node)) {
      const at = (tensor: Tensor, c: number, y: number, x: number) => this.#at(tensor, c, y, x)
      const integers = (name: string) => this.#parameters.integers(name).data
      this.#set(node.output, integerOp(node, { at, integers }))
      return
    }
    if (node.op !== 'liftSplit') {
      this.#set(node.output, this.#evaluate(node))
      return
    }
    const rows = node.axis === 'rows'
    for (const [parity, out] of [node.even, node.odd].entries()) {
      this.#set(out, (c, y, x) => this.#at(node.input, c, rows ? 2 * y + parity : y, rows ? x : 2 * x + parity))
    }
  }

  /** The value of a node's output at (channel, row, column). */
  #evaluate(node: Exclude<Node, IntegerNode | { op: 'liftSplit' }>): ValueAt {
    switch (node.op) {
      case 'conv': {
        const padded = concat(node.inputs.map((t) => ({ values: this.value(t), shape: t.shape })))
        const weight = this.#parameter(node.weight)
        const bias = this.#parameter(node.bias)
        const { kernel: k, stride, padding, shuffle } = node
        return (c, y, x) => {
          const o = shuffle === 2 ? c * 4 + (y % 2) * 2 + (x % 2) : c
          const py = Math.floor(y / shuffle)
          const px = Math.floor(x / shuffle)
          const rest = node.residual ? this.#at(node.residual, c, y, x) : 0
          let sum = bias[o] as number
          for (let i = 0; i < padded.shape.channels; i++) {
            for (let ky = 0; ky < k; ky++) {
              for (let kx = 0; kx < k; kx++) {
                const v = read(padded.values, padded.shape, i, py * stride + ky - padding, px * stride + kx - padding)
                sum += v * (weight[((o * padded.shape.channels + i) * k + ky) * k + kx] as number)
              }
            }
          }
          return rest + activate(node.activation, sum)
        }
      }
      case 'deform': {
        const weight = this.#parameter(node.weight)
        const bias = this.#parameter(node.bias)
        const { shuffle, stride } = node
        const inner = node.input.shape.channels
        return (c, y, x) => {
          const o = shuffle === 2 ? c * 4 + (y % 2) * 2 + (x % 2) : c
          const py = Math.floor(y / shuffle)
          const px = Math.floor(x / shuffle)
          let sum = bias[o] as number
          for (let t = 0; t < 9; t++) {
            const sy = py * stride + ((t / 3) | 0) - 1 + this.#at(node.offsets, t, py, px)
            const sx = px * stride + (t % 3) - 1 + this.#at(node.offsets, 9 + t, py, px)
            const m = 1 / (1 + Math.exp(-this.#at(node.offsets, 18 + t, py, px)))
            const y0 = Math.floor(sy)
            const x0 = Math.floor(sx)
            const fy = sy - y0
            const fx = sx - x0
            for (let i = 0; i < inner; i++) {
              const v =
                (1 - fy) * ((1 - fx) * this.#at(node.input, i, y0, x0) + fx * this.#at(node.input, i, y0, x0 + 1)) +
                fy * ((1 - fx) * this.#at(node.input, i, y0 + 1, x0) + fx * this.#at(node.input, i, y0 + 1, x0 + 1))
              sum += m * v * (weight[(o * inner + i) * 9 + t] as number)
            }
          }
          return activate(node.activation, sum)
        }
      }
      case 'gdn': {
        const beta = this.#parameter(node.beta)
        const gamma = this.#parameter(node.gamma)
        const n = node.input.shape.channels
        return (c, y, x) => {
          let norm = (beta[c] as number) ** 2
          for (let j = 0; j < n; j++) norm += (gamma[c * n + j] as number) ** 2 * this.#at(node.input, j, y, x) ** 2
          const v = this.#at(node.input, c, y, x)
          const rest = node.residual ? this.#at(node.residual, c, y, x) : 0
          return rest + (node.inverse ? v * Math.sqrt(norm) : v / Math.sqrt(norm))
        }
      }
      case 'liftMerge': {
        const rows = node.axis === 'rows'
        return (c, y, x) => {
          const from = (rows ? y : x) % 2 === 0 ? node.even : node.odd
          return this.#at(from, c, rows ? y >> 1 : y, rows ? x : x >> 1)
        }
      }
      case 'liftStep':
        return this.#liftStep(node)
      case 'scale':
        return (c, y, x) => node.factor * this.#at(node.input, c, y, x)
      case 'gain':
        return (c, y, x) => this.#at(node.input, c, y, x) * this.#at(node.factors, c, 0, 0)
      case 'pool':
        return (c, y, x) => {
          let sum = 0
          for (let t = 0; t < 4; t++) sum += this.#at(node.input, c, 2 * y + (t >> 1), 2 * x + (t & 1))
          return sum / 4
        }
      case 'mask':
        return (c, y, x) => (kept(node.keep, y, x) ? this.#at(node.input, c, y, x) : 0)
      case 'add':
        return (c, y, x) => this.#at(node.input, c, y, x) + this.#at(node.addend, c, y, x)
      case 'round':
        return (c, y, x) => toSymbol(this.#at(node.input, c, y, x))
      case 'scaleIndex': {
        const table = this.#parameters.integers(node.table).data
        return (c, y, x) => {
          if (!kept(node.keep, y, x)) return 0
          const scale = this.#at(node.params, c, y, x)
          return table.subarray(0, table.length - 1).reduce((n, level) => n + (level < scale ? 1 : 0), 0)
        }
      }
      case 'quantise': {
        const d = node.output.shape.channels
        const zones = this.#parameter(node.deadZones)
        return (c, y, x) => {
          if (!kept(node.keep, y, x)) return 0
          const mean = this.#at(node.params, d + c, y, x) / LATENT_STEPS
          const v = this.#at(node.latent, node.first + c, y, x) - mean
          const zone = zones[this.#at(node.indexes, c, y, x)] as number
          return Math.abs(v) < zone ? 0 : toSymbol(Math.sign(v) * Math.floor(Math.abs(v) + 1 - zone))
        }
      }
      case 'dequantise': {
        const d = node.output.shape.channels
        return (c, y, x) => {
          if (kept(node.keep, y, x)) {
            return LATENT_STEPS * this.#at(node.symbols, c, y, x) + this.#at(node.params, d + c, y, x)
          }
          return node.base ? this.#at(node.base, c, y, x) : 0
        }
      }
      case 'slice':
        return (c, y, x) => this.#at(node.input, node.first + c, y, x)
      case 'concat': {
        const whole = concat(node.inputs.map((t) => ({ values: this.value(t), shape: t.shape })))
        return (c, y, x) => read(whole.values, whole.shape, c, y, x)
      }
    }
  }

  #liftStep(node: LiftStepNode): ValueAt {
    const { channels, height, width } = node.source.shape
    const rows = node.axis === 'rows'
    const [length, lines] = rows ? [height, width] : [width, height]
    const sample = (t: Tensor, c: number, i: number, j: number) => (rows ? this.#at(t, c, i, j) : this.#at(t, c, j, i))
    const weights = (layer: string) => this.#parameter(`${node.net}.${layer}.weight`)
    const biases = (layer: string) => this.#parameter(`${node.net}.${layer}.bias`)
    const hiddenCount = biases('conv1').length
    const layer = (from: Values[], w: Float32Array, b: Float32Array) =>
      Array.from({ length: b.length }, (_, o) => {
        const out = new Float64Array(length * lines)
        for (let i = 0; i < length; i++) {
          for (let j = 0; j < lines; j++) {
            let sum = b[o] as number
            for (const [n, plane] of from.entries()) {
              const shape = { channels: 1, height: length, width: lines }
              for (let t = 0; t < 9; t++) {
                const v = read(plane, shape, 0, i + ((t / 3) | 0) - 1, j + (t % 3) - 1)
                sum += v * (w[(o * from.length + n) * 9 + t] as number)
              }
            }
            out[i * lines + j] = Math.tanh(sum)
          }
        }
        return out
      })
    const updates = Array.from({ length: channels }, (_, c) => {
      const f = new Float64Array(length * lines)
      for (let i = 0; i < length; i++) {
        const other = node.neighbour === 'next' ? Math.min(i + 1, length - 1) : Math.max(i - 1, 0)
        for (let j = 0; j < lines; j++) {
          f[i * lines + j] = node.factor * (sample(node.source, c, i, j) + sample(node.source, c, other, j))
        }
      }
      const hidden = layer(layer([f], weights('conv1'), biases('conv1')), weights('conv2'), biases('conv2'))
      const last = weights('conv3')
      return f.map((value, p) => {
        let sum = value + (biases('conv3')[0] as number)
        for (let n = 0; n < hiddenCount; n++) sum += (last[n] as number) * (hidden[n]?.[p] as number)
        return sum
      })
    })
    return (c, y, x) => {
      const update = updates[c]?.[rows ? y * lines + x : x * lines + y] as number
      return this.#at(node.target, c, y, x) + node.sign * update
    }
  }

  #at(tensor: Tensor, c: number, y: number, x: number): number {
    return read(this.value(tensor), tensor.shape, c, y, x)
  }

  #set(tensor: Tensor, value: ValueAt): void {
    const { channels, height, width } = tensor.shape
    const values = new Float64Array(channels * height * width)
    let p = 0
    for (let c = 0; c < channels; c++) {
      for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) values[p++] = value(c, y, x)
    }
    this.#values.set(tensor, values)
  }
}

function read(values: Values, shape: Shape, c: number, y: number, x: number): number {
  if (y < 0 || x < 0 || y >= shape.height || x >= shape.width) return 0
  return values[(c * shape.height + y) * shape.width + x] as number
}

function concat(parts: readonly { values: Values; shape: Shape }[]): { values: Values; shape: Shape } {
  const { height, width } = (parts[0] as { shape: Shape }).shape
  const channels = parts.reduce((sum, part) => sum + part.shape.channels, 0)
  const values = new Float64Array(channels * height * width)
  let at = 0
  for (const part of parts) {
    values.set(part.values, at)
    at += part.values.length
  }
  return { values, shape: { channels, height, width } }
}

export function roundEven(v: number): number {
  const r = Math.round(v)
  return Math.abs(v % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r
}

function toSymbol(v: number): number {
  return Number.isNaN(v) ? 0 : Math.max(-32767, Math.min(32767, roundEven(v)))
}

function activate(activation: Activation, v: number): number {
  return activation === 'gelu' ? 0.5 * v * (1 + erf(v / Math.SQRT2)) : v
}

/** erf by its Maclaurin series, and by the continued fraction of erfc from 3 on: near double precision. */
export function erf(x: number): number {
  const a = Math.abs(x)
  if (a < 3) {
    let term = x
    let sum = x
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum) && n < 200; n++) {
      term *= (-x * x) / n
      sum += term / (2 * n + 1)
    }
    return (2 / Math.sqrt(Math.PI)) * sum
  }
  let fraction = a
  for (let n = 60; n > 0; n--) fraction = a + n / 2 / fraction
  const erfc = Math.exp(-a * a) / Math.sqrt(Math.PI) / fraction
  return Math.sign(x) * (1 - erfc)
}

function planar(data: PortData, { channels, height, width }: Shape): Values {
  const values = new Float64Array(channels * height * width)
  for (let p = 0; p < height * width; p++) {
    for (let c = 0; c < channels; c++) values[c * height * width + p] = (data[p * channels + c] as number) / 255
  }
  return values
}

function interleaved(values: Values, { channels, height, width }: Shape): Uint8Array {
  const data = new Uint8Array(channels * height * width)
  for (let p = 0; p < height * width; p++) {
    for (let c = 0; c < channels; c++) {
      const v = Math.max(0, Math.min(1, values[c * height * width + p] as number))
      data[p * channels + c] = roundEven(v * 255)
    }
  }
  return data
}

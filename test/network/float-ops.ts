/** The floating point ops in plain, slow, obvious loops, in double precision. */
import {
  type Activation,
  LATENT_STEPS,
  type LiftStepNode,
  type OpName,
  type Shape,
  type Tensor,
} from '../../src/network/graph.js'
import { type Evaluators, kept, read, type Sources, type ValueAt } from './evaluators.js'
import type { IntegerOpName } from './integer-ops.js'

export const floatOps: Evaluators<Exclude<OpName, IntegerOpName>> = {
  conv(node, { values, at, floats }) {
    const padded = joined(node.inputs.map((t) => ({ values: values(t), shape: t.shape })))
    const weight = floats(node.weight)
    const bias = floats(node.bias)
    const { kernel: k, stride, padding, shuffle } = node
    const { channels, height, width } = padded.shape
    const pixels = padded.values
    return (c, y, x) => {
      const o = shuffle === 2 ? c * 4 + (y % 2) * 2 + (x % 2) : c
      const top = Math.floor(y / shuffle) * stride - padding
      const left = Math.floor(x / shuffle) * stride - padding
      const rest = node.residual ? at(node.residual, c, y, x) : 0
      let sum = bias[o] as number
      // The rows and columns of the kernel that lie in the image; the others see zeros.
      const [firstRow, lastRow] = [Math.max(0, -top), Math.min(k, height - top)]
      const [firstColumn, lastColumn] = [Math.max(0, -left), Math.min(k, width - left)]
      for (let i = 0; i < channels; i++) {
        for (let ky = firstRow; ky < lastRow; ky++) {
          const row = (i * height + top + ky) * width + left
          const taps = ((o * channels + i) * k + ky) * k
          for (let kx = firstColumn; kx < lastColumn; kx++) {
            sum += (pixels[row + kx] as number) * (weight[taps + kx] as number)
          }
        }
      }
      return rest + activate(node.activation, sum)
    }
  },
  deform(node, { at, floats, values }) {
    const weight = floats(node.weight)
    const bias = floats(node.bias)
    const { shuffle, stride, offsets, input } = node
    const inner = input.shape.channels
    const plane = values(input)
    /** What the taps see, times their masks: all input channels of tap 0, then of tap 1, and so on. */
    const sampled = (py: number, px: number): Float64Array => {
      const samples = new Float64Array(9 * inner)
      for (let t = 0; t < 9; t++) {
        const sy = py * stride + ((t / 3) | 0) - 1 + at(offsets, t, py, px)
        const sx = px * stride + (t % 3) - 1 + at(offsets, 9 + t, py, px)
        const m = 1 / (1 + Math.exp(-at(offsets, 18 + t, py, px)))
        const y0 = Math.floor(sy)
        const x0 = Math.floor(sx)
        const fy = sy - y0
        const fx = sx - x0
        for (let i = 0; i < inner; i++) {
          const pixel = (y: number, x: number) => read(plane, input.shape, i, y, x)
          const v =
            (1 - fy) * ((1 - fx) * pixel(y0, x0) + fx * pixel(y0, x0 + 1)) +
            fy * ((1 - fx) * pixel(y0 + 1, x0) + fx * pixel(y0 + 1, x0 + 1))
          samples[t * inner + i] = m * v
        }
      }
      return samples
    }
    // The same for every output channel.
    const known = new Map<number, Float64Array>()
    return (c, y, x) => {
      const o = shuffle === 2 ? c * 4 + (y % 2) * 2 + (x % 2) : c
      const [py, px] = [Math.floor(y / shuffle), Math.floor(x / shuffle)]
      const place = py * offsets.shape.width + px
      const samples = known.get(place) ?? sampled(py, px)
      known.set(place, samples)
      let sum = bias[o] as number
      for (let t = 0; t < 9; t++) {
        for (let i = 0; i < inner; i++) {
          sum += (samples[t * inner + i] as number) * (weight[(o * inner + i) * 9 + t] as number)
        }
      }
      return activate(node.activation, sum)
    }
  },
  gdn(node, { at, floats }) {
    const beta = floats(node.beta)
    const gamma = floats(node.gamma)
    const n = node.input.shape.channels
    return (c, y, x) => {
      let norm = (beta[c] as number) ** 2
      for (let j = 0; j < n; j++) norm += (gamma[c * n + j] as number) ** 2 * at(node.input, j, y, x) ** 2
      const v = at(node.input, c, y, x)
      const rest = node.residual ? at(node.residual, c, y, x) : 0
      return rest + (node.inverse ? v * Math.sqrt(norm) : v / Math.sqrt(norm))
    }
  },
  liftSplit: ({ input, axis }, { at }) =>
    [0, 1].map(
      (parity) => (c: number, y: number, x: number) =>
        axis === 'rows' ? at(input, c, 2 * y + parity, x) : at(input, c, y, 2 * x + parity),
    ),
  liftMerge(node, { at }) {
    const rows = node.axis === 'rows'
    return (c, y, x) => {
      const from = (rows ? y : x) % 2 === 0 ? node.even : node.odd
      return at(from, c, rows ? y >> 1 : y, rows ? x : x >> 1)
    }
  },
  liftStep,
  scale:
    (node, { at }) =>
    (c, y, x) =>
      node.factor * at(node.input, c, y, x),
  gain:
    (node, { at }) =>
    (c, y, x) =>
      at(node.input, c, y, x) * at(node.factors, c, 0, 0),
  pool(node, { at }) {
    return (c, y, x) => {
      let sum = 0
      for (let t = 0; t < 4; t++) sum += at(node.input, c, 2 * y + (t >> 1), 2 * x + (t & 1))
      return sum / 4
    }
  },
  mask:
    (node, { at }) =>
    (c, y, x) =>
      kept(node.keep, y, x) ? at(node.input, c, y, x) : 0,
  add:
    (node, { at }) =>
    (c, y, x) =>
      at(node.input, c, y, x) + at(node.addend, c, y, x),
  round:
    (node, { at }) =>
    (c, y, x) =>
      toSymbol(at(node.input, c, y, x)),
  scaleIndex(node, { at, integers }) {
    const table = integers(node.table)
    return (c, y, x) => {
      if (!kept(node.keep, y, x)) return 0
      const scale = at(node.params, c, y, x)
      return table.subarray(0, table.length - 1).reduce((n, level) => n + (level < scale ? 1 : 0), 0)
    }
  },
  quantise(node, { at, floats }) {
    const d = node.output.shape.channels
    const zones = floats(node.deadZones)
    return (c, y, x) => {
      if (!kept(node.keep, y, x)) return 0
      const mean = at(node.params, d + c, y, x) / LATENT_STEPS
      const v = at(node.latent, node.first + c, y, x) - mean
      const zone = zones[at(node.indexes, c, y, x)] as number
      return Math.abs(v) < zone ? 0 : toSymbol(Math.sign(v) * Math.floor(Math.abs(v) + 1 - zone))
    }
  },
  dequantise(node, { at }) {
    const d = node.output.shape.channels
    return (c, y, x) => {
      if (kept(node.keep, y, x)) {
        return LATENT_STEPS * at(node.symbols, c, y, x) + at(node.params, d + c, y, x)
      }
      return node.base ? at(node.base, c, y, x) : 0
    }
  },
  slice:
    (node, { at }) =>
    (c, y, x) =>
      at(node.input, node.first + c, y, x),
  concat(node, { values }) {
    const whole = joined(node.inputs.map((t) => ({ values: values(t), shape: t.shape })))
    return (c, y, x) => read(whole.values, whole.shape, c, y, x)
  },
}

function liftStep(node: LiftStepNode, { at, floats }: Sources): ValueAt {
  const { channels, height, width } = node.source.shape
  const rows = node.axis === 'rows'
  const [length, lines] = rows ? [height, width] : [width, height]
  const sample = (t: Tensor, c: number, i: number, j: number) => (rows ? at(t, c, i, j) : at(t, c, j, i))
  const weights = (layer: string) => floats(`${node.net}.${layer}.weight`)
  const biases = (layer: string) => floats(`${node.net}.${layer}.bias`)
  const hiddenCount = biases('conv1').length
  const shape = { channels: 1, height: length, width: lines }
  const layer = (from: Float64Array[], w: Float32Array, b: Float32Array) =>
    Array.from({ length: b.length }, (_, o) => {
      const out = new Float64Array(length * lines)
      for (let i = 0; i < length; i++) {
        for (let j = 0; j < lines; j++) {
          let sum = b[o] as number
          for (let n = 0; n < from.length; n++) {
            const plane = from[n] as Float64Array
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
  const ends = node.ends ?? { source: 1, first: 1, last: 1 }
  const isLast = (i: number) => i === length - 1
  const weight = (i: number) => (i === 0 ? ends.first : 1) * (isLast(i) ? ends.last : 1)
  const updates = Array.from({ length: channels }, (_, c) => {
    const v = (i: number, j: number) => (isLast(i) ? ends.source : 1) * sample(node.source, c, i, j)
    const f = new Float64Array(length * lines)
    for (let i = 0; i < length; i++) {
      const other = node.neighbour === 'next' ? Math.min(i + 1, length - 1) : Math.max(i - 1, 0)
      for (let j = 0; j < lines; j++) f[i * lines + j] = node.factor * (v(i, j) + v(other, j))
    }
    const hidden = layer(layer([f], weights('conv1'), biases('conv1')), weights('conv2'), biases('conv2'))
    const last = weights('conv3')
    return f.map((value, p) => {
      let sum = value + (biases('conv3')[0] as number)
      for (let n = 0; n < hiddenCount; n++) sum += (last[n] as number) * (hidden[n]?.[p] as number)
      return weight(Math.floor(p / lines)) * sum
    })
  })
  return (c, y, x) => {
    const update = updates[c]?.[rows ? y * lines + x : x * lines + y] as number
    return at(node.target, c, y, x) + node.sign * update
  }
}

function joined(parts: readonly { values: Float64Array; shape: Shape }[]): { values: Float64Array; shape: Shape } {
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

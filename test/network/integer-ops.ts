/**
 * The integer ops in plain arithmetic on whole numbers, independent of the oracle that the golden vectors come from.
 * JavaScript's numbers hold integers to 2^53, so nothing wraps here; what would not fit the backends' 32 bits throws.
 */
import {
  type IntegerConvNode,
  type IntegerDepthwiseNode,
  type IntegerLayerNormNode,
  type IntegerLinearAttentionNode,
  type IntegerWindowAttentionNode,
  type OpName,
  type Range,
  RSQRT_TABLE,
} from '../../src/network/graph.js'
import { type Evaluators, kept, type Sources, type ValueAt } from './evaluators.js'

export const integerOps = {
  integerConv: conv,
  integerDepthwise: depthwise,
  integerLayerNorm: layerNorm,
  integerWindowAttention: windowAttention,
  integerLinearAttention: linearAttention,
  requantise: (node, { at, integers }) => {
    const [shift = 0] = integers(node.shift)
    return (c, y, x) => clamp(rshift(at(node.input, c, y, x), shift), 'activation')
  },
} satisfies Partial<Evaluators<OpName>>

export type IntegerOpName = keyof typeof integerOps

function i32(v: number): number {
  if (!Number.isInteger(v) || Math.abs(v) >= 2 ** 31) throw new RangeError(`${v} is no 32-bit integer`)
  return v
}

function u32(v: number): number {
  if (!Number.isInteger(v) || v < 0 || v >= 2 ** 32) throw new RangeError(`${v} is no unsigned 32-bit integer`)
  return v
}

/** v / 2^s rounded to the nearest integer, halves up. */
function rshift(v: number, s: number): number {
  return s === 0 ? i32(v) : Math.floor(i32(i32(v) + 2 ** (s - 1)) / 2 ** s)
}

function clamp(v: number, range: Range): number {
  return range === 'activation' ? Math.max(-2048, Math.min(2047, v)) : Math.max(-(2 ** 20), Math.min(2 ** 20, v))
}

function divide(a: number, b: number): number {
  return Math.floor(u32(a) / u32(b))
}

/** An accumulator to what a layer gives: shifted, and looked up or clamped. */
function finish(node: IntegerConvNode | IntegerDepthwiseNode, { integers }: Sources, range: Range) {
  const shift = integers(node.shift)
  const table = node.table === null ? null : integers(node.table)
  return (sum: number, o: number): number => {
    const v = rshift(sum, shift[o] as number)
    return table ? (table[clamp(v, 'activation') + 2048] as number) : clamp(v, range)
  }
}

function conv(node: IntegerConvNode, sources: Sources): ValueAt {
  const weight = sources.integers(node.weight)
  const bias = sources.integers(node.bias)
  const { kernel: k, stride, padding, shuffle, range } = node
  const result = finish(node, sources, range)
  const inputs = node.inputs.map((tensor) => ({ shape: tensor.shape, values: sources.values(tensor) }))
  const inner = node.inputs.reduce((sum, tensor) => sum + tensor.shape.channels, 0)
  const convolve = (o: number, y: number, x: number): number => {
    let sum = bias[o] as number
    let i = 0
    const [top, left] = [y * stride - padding, x * stride - padding]
    for (const { shape, values } of inputs) {
      const { height, width } = shape
      // The rows and columns of the kernel that lie in the image; the others see zeros.
      const [firstRow, lastRow] = [Math.max(0, -top), Math.min(k, height - top)]
      const [firstColumn, lastColumn] = [Math.max(0, -left), Math.min(k, width - left)]
      for (let c = 0; c < shape.channels; c++, i++) {
        for (let ky = firstRow; ky < lastRow; ky++) {
          const row = (c * height + top + ky) * width + left
          const taps = ((o * inner + i) * k + ky) * k
          for (let kx = firstColumn; kx < lastColumn; kx++) {
            sum += (weight[taps + kx] as number) * (values[row + kx] as number)
          }
        }
      }
    }
    return result(i32(sum), o)
  }
  return (c, y, x) => {
    const o = shuffle === 2 ? c * 4 + (y % 2) * 2 + (x % 2) : c
    const skipped = node.keep !== null && !kept(node.keep, y, x)
    const v = skipped ? 0 : convolve(o, Math.floor(y / shuffle), Math.floor(x / shuffle))
    if (!node.residual) return v
    const sum = sources.at(node.residual, c, y, x) + v
    return range === 'activation' ? clamp(sum, range) : sum
  }
}

function depthwise(node: IntegerDepthwiseNode, sources: Sources): ValueAt {
  const weight = sources.integers(node.weight)
  const bias = sources.integers(node.bias)
  const result = finish(node, sources, 'activation')
  return (c, y, x) => {
    let sum = bias[c] as number
    for (let t = 0; t < 9; t++) {
      sum += sources.at(node.input, c, y + Math.floor(t / 3) - 1, x + (t % 3) - 1) * (weight[c * 9 + t] as number)
    }
    return result(sum, c)
  }
}

function layerNorm(node: IntegerLayerNormNode, { at, integers }: Sources): ValueAt {
  const [weight, bias, shift] = [integers(node.weight), integers(node.bias), integers(node.shift)]
  const epsilon = integers(node.epsilon)[0] as number
  const rsqrt = integers(RSQRT_TABLE)
  const { channels, width } = node.input.shape
  const columns = new Map<number, number[]>()
  const normalised = (y: number, x: number): number[] => {
    const position = y * width + x
    const known = columns.get(position)
    if (known) return known
    const column = normalise(
      Array.from({ length: channels }, (_, c) => at(node.input, c, y, x)),
      epsilon,
      rsqrt,
    )
    columns.set(position, column)
    return column
  }
  return (c, y, x) => {
    const sum = (normalised(y, x)[c] as number) * (weight[c] as number) + (bias[c] as number)
    return clamp(rshift(sum, shift[c] as number), 'activation')
  }
}

/** N of IntegerLayerNormNode, in 2^-14 of the vector's norm. */
function normalise(x: readonly number[], epsilon: number, rsqrt: Int32Array): number[] {
  const count = x.length
  const largest = Math.max(...x.map(Math.abs))
  if (largest === 0) return x.map(() => 0)
  const e = Math.floor(Math.log2(largest)) + 1 - 11
  const scaled = x.map((v) => (e > 0 ? rshift(v, e) : v * 2 ** -e))
  const sum = scaled.reduce((a, b) => a + b, 0)
  const mean = divide(4 * (sum + 2048 * count) + Math.floor(count / 2), count) - 8192
  const centred = scaled.map((v) => 4 * v - mean)
  const spread = centred.reduce((a, u) => a + Math.floor((u * u + 8) / 16), 0)
  const variance = u32(spread + Math.floor(epsilon / 2 ** (10 + 2 * e)))
  if (variance === 0) return x.map(() => 0)
  let t = -7
  while (Math.floor(variance / 4 ** t) >= 2 ** 16) t++
  const w = Math.floor(variance / 4 ** t)
  if (w < 2 ** 14) throw new RangeError(`no t for a variance of ${variance}`)
  const g0 = rsqrt[Math.floor(w / 128) - 128] as number
  const h = Math.floor(u32(g0 * g0) / 2 ** 16)
  const p = Math.floor(u32(w * h) / 2 ** 16)
  const g = Math.floor(u32(g0 * (3 * 2 ** 14 - p)) / 2 ** 15)
  return centred.map((u) => rshift(u * g, t + 11))
}

function windowAttention(node: IntegerWindowAttentionNode, { at, integers }: Sources): ValueAt {
  const [bias, exp] = [integers(node.bias), integers(node.exp)]
  const shift = integers(node.shift)[0] as number
  const { heads, qkv } = node
  const d = qkv.shape.channels / 3
  const hd = d / heads
  const anchor = (y: number, x: number) =>
    y >= 0 && x >= 0 && y < qkv.shape.height && x < qkv.shape.width && kept('anchor', y, x)
  const weightsOf = (head: number, oy: number, ox: number): number[] => {
    const [wy, wx] = [Math.floor(oy / 5) - 2, Math.floor(ox / 5) - 2]
    const [qr, qc] = [oy % 5, ox % 5]
    const logits = Array.from({ length: 25 }, (_, t) => {
      const [kr, kc] = [Math.floor(t / 5), t % 5]
      let dot = 0
      for (let j = head * hd; j < (head + 1) * hd; j++) {
        dot += at(qkv, j, wy + qr, wx + qc) * at(qkv, d + j, wy + kr, wx + kc)
      }
      const both = anchor(wy + qr, wx + qc) && anchor(wy + kr, wx + kc)
      const relative = (qr - kr + 4) * 9 + (qc - kc + 4)
      return i32(rshift(dot, shift) + (bias[relative * heads + head] as number) - (both ? 0 : 65536))
    })
    return softmax(logits, exp, 16)
  }
  const kept25 = new Map<string, number[]>()
  return (c, oy, ox) => {
    const head = Math.floor(c / hd)
    const key = `${head} ${oy} ${ox}`
    const weights = kept25.get(key) ?? weightsOf(head, oy, ox)
    kept25.set(key, weights)
    const [wy, wx] = [Math.floor(oy / 5) - 2, Math.floor(ox / 5) - 2]
    const sum = weights.reduce((a, p, t) => a + p * at(qkv, 2 * d + c, wy + Math.floor(t / 5), wx + (t % 5)), 0)
    return rshift(sum, 16)
  }
}

/** exp[M - v] over its sum, in 2^-bits, rounded; of none, as on an image of one pixel, none. */
function softmax(logits: readonly number[], exp: Int32Array, bits: number): number[] {
  const top = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
  const powers = logits.map((v) => exp[Math.min(4095, i32(top - v))] as number)
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((e) => divide(e * 2 ** bits + Math.floor(sum / 2), sum))
}

function linearAttention(node: IntegerLinearAttentionNode, { at, integers }: Sources): ValueAt {
  const exp = integers(node.exp)
  const shift = integers(node.shift)[0] as number
  const { channels, height, width } = node.query.shape
  const hd = channels / node.heads
  const places = Array.from({ length: height * width }, (_, p) => [Math.floor(p / width), p % width] as const)
  const counted = places.filter(([y, x]) => !node.split || kept('anchor', y, x))
  const soft = Array.from({ length: channels }, (_, c) =>
    softmax(
      counted.map(([y, x]) => at(node.key, c, y, x)),
      exp,
      17,
    ),
  )
  /** context[j][i] is that of value channel j and key channel i of its head. */
  const context = Array.from({ length: channels }, (_, j) => {
    const values = counted.map(([y, x]) => at(node.value, j, y, x))
    const first = Math.floor(j / hd) * hd
    return Array.from({ length: hd }, (_, i) => {
      const weights = soft[first + i] as number[]
      return rshift(
        values.reduce((sum, v, p) => sum + v * (weights[p] as number), 0),
        11,
      )
    })
  })
  return (c, y, x) => {
    if (node.split && !kept('nonAnchor', y, x)) return 0
    const first = Math.floor(c / hd) * hd
    const weights = softmax(
      Array.from({ length: hd }, (_, i) => at(node.query, first + i, y, x)),
      exp,
      12,
    )
    const sum = weights.reduce((a, p, i) => a + p * (context[c]?.[i] as number), 0)
    return clamp(rshift(sum, shift), 'activation')
  }
}

/**
 * The graph's nodes in ONNX operators, the way an exporter would write them. Integer layers become the floating point
 * ones that they stand for: rounding and clamping are left out, steps and shifts are multiplied into weights.
 */
import {
  type Activation,
  endsOf,
  type Half,
  type IntegerConvNode,
  type IntegerDepthwiseNode,
  type IntegerLinearAttentionNode,
  type IntegerWindowAttentionNode,
  LATENT_STEPS,
  type LiftStepNode,
  type Node,
  type Parameters,
  type Tensor,
} from 'cleric/internal'
import { nameOf, type OnnxBuilder } from './builder.js'
import { expStep, tableSteps } from './steps.js'

interface ConvSettings {
  readonly kernel: number
  readonly stride?: number
  readonly padding?: number
  readonly group?: number
}

export class OnnxNodes {
  readonly #b: OnnxBuilder
  readonly #parameters: Parameters

  constructor(builder: OnnxBuilder, parameters: Parameters) {
    this.#b = builder
    this.#parameters = parameters
  }

  add(node: Node): void {
    const b = this.#b
    if (node.op === 'liftSplit') {
      for (const [parity, out] of [node.even, node.odd].entries()) {
        const [axis, end] = node.axis === 'rows' ? [2, node.input.shape.height] : [3, node.input.shape.width]
        this.#slice(nameOf(node.input), axis, parity, end, 2, nameOf(out))
      }
      return
    }
    const out = nameOf(node.output)
    const { channels, height, width } = node.output.shape
    switch (node.op) {
      case 'conv': {
        const { kernel, stride, padding } = node
        const weight = this.#parameter(node.weight)
        const y = this.#conv(this.#joined(node.inputs), weight, this.#parameter(node.bias), { kernel, stride, padding })
        this.#finish(this.#shuffled(this.#activated(y, node.activation), node.shuffle), node.residual, out)
        return
      }
      case 'integerConv': {
        const { kernel, stride, padding } = node
        const inner = node.inputs.reduce((sum, { shape }) => sum + shape.channels, 0)
        const shape = [channels * node.shuffle ** 2, inner, kernel, kernel]
        let y = this.#integerConv(this.#joined(node.inputs), node, shape, { kernel, stride, padding })
        y = this.#shuffled(y, node.shuffle)
        if (node.keep) y = b.node('Mul', [y, this.#half(node.keep, node.output)])
        this.#finish(y, node.residual, out)
        return
      }
      case 'integerDepthwise': {
        const settings = { kernel: 3, padding: 1, group: channels }
        const y = this.#integerConv(nameOf(node.input), node, [channels, 1, 3, 3], settings)
        b.node('Identity', [y], {}, out)
        return
      }
      case 'requantise':
        b.node('Mul', [nameOf(node.input), b.scalar(2 ** -this.#single(node.shift))], {}, out)
        return
      case 'deform': {
        const offsets = nameOf(node.offsets)
        // ONNX wants dy and dx of each tap side by side.
        const order = Array.from({ length: 18 }, (_, i) => (i % 2) * 9 + (i >> 1))
        const shifts = b.node('Gather', [offsets, b.integers(order)], { axis: 1 })
        const mask = b.node('Sigmoid', [this.#slice(offsets, 1, 18, 27)])
        const inputs = [nameOf(node.input), this.#parameter(node.weight), shifts, this.#parameter(node.bias), mask]
        const y = b.node('DeformConv', inputs, {
          kernel_shape: [3, 3],
          pads: [1, 1, 1, 1],
          strides: [node.stride, node.stride],
        })
        b.node('Identity', [this.#shuffled(this.#activated(y, node.activation), node.shuffle)], {}, out)
        return
      }
      case 'gdn': {
        const x = nameOf(node.input)
        const gamma = this.#squared(node.gamma, [channels, channels, 1, 1])
        const norm = this.#conv(b.node('Mul', [x, x]), gamma, this.#squared(node.beta, [channels]), { kernel: 1 })
        const y = b.node(node.inverse ? 'Mul' : 'Div', [x, b.node('Sqrt', [norm])])
        this.#finish(y, node.residual, out)
        return
      }
      case 'liftMerge': {
        const rows = node.axis === 'rows'
        const shape = b.integers(rows ? [1, channels, height / 2, 1, width] : [1, channels, height, width / 2, 1])
        const parts = [node.even, node.odd].map((part) => b.node('Reshape', [nameOf(part), shape]))
        const both = b.node('Concat', parts, { axis: rows ? 3 : 4 })
        b.node('Reshape', [both, b.integers([1, channels, height, width])], {}, out)
        return
      }
      case 'liftStep':
        this.#liftStep(node)
        return
      case 'scale':
        b.node('Mul', [nameOf(node.input), b.scalar(node.factor)], {}, out)
        return
      case 'gain':
        b.node('Mul', [nameOf(node.input), nameOf(node.factors)], {}, out)
        return
      case 'pool':
        b.node('AveragePool', [nameOf(node.input)], { kernel_shape: [2, 2], strides: [2, 2] }, out)
        return
      case 'integerLayerNorm': {
        const last = b.node('Transpose', [nameOf(node.input)], { perm: [0, 2, 3, 1] })
        const shift = this.#integers(node.shift)
        // onnxruntime normalises to unit variance; the integer norm gives 2^14 times a vector of norm 1.
        const unit = 2 ** 14 / Math.sqrt(channels)
        const weights = [
          this.#derived(node.weight, [channels], (w, c) => unit * w * 2 ** -(shift[c] as number)),
          this.#derived(node.bias, [channels], (v, c) => v * 2 ** -(shift[c] as number)),
        ]
        // onnxruntime adds epsilon to the mean of the squares; the integer norm adds it to 2^10 times their sum.
        const epsilon = { float: this.#single(node.epsilon) / 1024 / channels }
        const normed = b.node('LayerNormalization', [last, ...weights], { axis: -1, epsilon })
        b.node('Transpose', [normed], { perm: [0, 3, 1, 2] }, out)
        return
      }
      case 'integerWindowAttention':
        this.#windowAttention(node)
        return
      case 'integerLinearAttention':
        this.#linearAttention(node)
        return
      case 'mask':
        b.node('Mul', [nameOf(node.input), this.#half(node.keep, node.output)], {}, out)
        return
      case 'add':
        b.node('Add', [nameOf(node.input), nameOf(node.addend)], {}, out)
        return
      case 'round':
        b.node('Round', [nameOf(node.input)], {}, out)
        return
      case 'scaleIndex':
        b.node('Mul', [this.#slice(nameOf(node.params), 1, 0, channels), this.#half(node.keep, node.output)], {}, out)
        return
      case 'quantise': {
        // To the nearest: dead zones go by the index of the scale, which is left out too.
        const y = this.#slice(nameOf(node.latent), 1, node.first, node.first + channels)
        const rest = b.node('Round', [b.node('Sub', [y, this.#means(node.params, 1 / LATENT_STEPS)])])
        b.node('Mul', [rest, this.#half(node.keep, node.output)], {}, out)
        return
      }
      case 'dequantise': {
        const symbols = b.node('Mul', [nameOf(node.symbols), b.scalar(LATENT_STEPS)])
        const scaled = b.node('Mul', [
          b.node('Add', [symbols, this.#means(node.params, 1)]),
          this.#half(node.keep, node.output),
        ])
        const other = node.keep === 'anchor' ? 'nonAnchor' : 'anchor'
        const base = node.base ? b.node('Mul', [nameOf(node.base), this.#half(other, node.output)]) : null
        b.node(base ? 'Add' : 'Identity', base ? [scaled, base] : [scaled], {}, out)
        return
      }
      case 'slice':
        this.#slice(nameOf(node.input), 1, node.first, node.first + channels, 1, out)
        return
      case 'concat':
        b.node('Concat', node.inputs.map(nameOf), { axis: 1 }, out)
    }
  }

  #parameter(name: string, shape?: readonly number[]): string {
    const { shape: own, data } = this.#parameters.get(name)
    return this.#b.constant(name, shape ?? own, () => data)
  }

  #integers(name: string): Int32Array {
    return this.#parameters.integers(name).data
  }

  #single(name: string): number {
    return this.#integers(name)[0] as number
  }

  /** An integer parameter with each value changed. */
  #derived(name: string, shape: readonly number[], change: (value: number, i: number) => number): string {
    return this.#b.constant(name, shape, () => Float32Array.from(this.#integers(name), change))
  }

  #joined(inputs: readonly Tensor[]): string {
    if (inputs.length === 1) return nameOf(inputs[0] as Tensor)
    return this.#b.node('Concat', inputs.map(nameOf), { axis: 1 })
  }

  #finish(y: string, residual: Tensor | null, out: string): void {
    this.#b.node(residual ? 'Add' : 'Identity', residual ? [y, nameOf(residual)] : [y], {}, out)
  }

  #means(params: Tensor, factor: number): string {
    const { channels } = params.shape
    const means = this.#slice(nameOf(params), 1, channels / 2, channels)
    return factor === 1 ? means : this.#b.node('Mul', [means, this.#b.scalar(factor)])
  }

  /** A convolution with its shifts in the weights, and its activation. */
  #integerConv(
    x: string,
    node: IntegerConvNode | IntegerDepthwiseNode,
    shape: readonly number[],
    settings: ConvSettings,
  ): string {
    const shift = this.#integers(node.shift)
    const steps = node.table === null ? null : tableSteps(this.#integers(node.table))
    const unit = steps?.input ?? 1
    const row = shape.slice(1).reduce((a, n) => a * n, 1)
    const factor = (o: number) => unit * 2 ** -(shift[o] as number)
    const weight = this.#derived(node.weight, shape, (w, i) => w * factor(Math.floor(i / row)))
    const bias = this.#derived(node.bias, [shift.length], (v, o) => v * factor(o))
    const y = this.#conv(x, weight, bias, settings)
    if (!steps) return y
    return this.#b.node('Mul', [this.#b.node(steps.activation, [y]), this.#b.scalar(1 / steps.output)])
  }

  #squared(name: string, shape: readonly number[]): string {
    return this.#b.constant(`${name} squared`, shape, () => this.#parameters.get(name).data.map((v) => v * v))
  }

  #conv(x: string, weight: string, bias: string, { kernel, stride = 1, padding = 0, group = 1 }: ConvSettings): string {
    return this.#b.node('Conv', [x, weight, bias], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
      group,
    })
  }

  #activated(x: string, activation: Activation): string {
    if (activation === 'none') return x
    return this.#b.node('Gelu', [x])
  }

  #shuffled(x: string, shuffle: 1 | 2): string {
    return shuffle === 1 ? x : this.#b.node('DepthToSpace', [x], { blocksize: 2, mode: 'CRD' })
  }

  #slice(x: string, axis: number, from: number, to: number, step = 1, output?: string): string {
    const lists = [[from], [to], [axis], [step]].map((list) => this.#b.integers(list))
    return this.#b.node('Slice', [x, ...lists], {}, output)
  }

  /** 1 on the half, 0 elsewhere. */
  #half(half: Half, { shape: { height, width } }: Tensor): string {
    return this.#b.constant(`${half} ${height} ${width}`, [1, 1, height, width], () =>
      Float32Array.from({ length: height * width }, (_, p) => (inHalf(half, p, width) ? 1 : 0)),
    )
  }

  #liftStep(node: LiftStepNode): void {
    const b = this.#b
    const { channels, height, width } = node.source.shape
    const rows = node.axis === 'rows'
    const [axis, length] = rows ? [2, height] : [3, width]
    /** x times `first` at the first place along the axis and `last` at the last one. */
    const weighed = (x: string, first: number, last: number) => {
      if (first === 1 && last === 1) return x
      const weights = b.constant(`ends ${axis} ${length} ${first} ${last}`, rows ? [1, 1, length, 1] : [length], () => {
        const values = new Float32Array(length).fill(1)
        values[0] = first
        values[length - 1] = last * (length === 1 ? first : 1)
        return values
      })
      return b.node('Mul', [x, weights])
    }
    const ends = endsOf(node)
    const v = weighed(nameOf(node.source), 1, ends.source)
    const shifted =
      node.neighbour === 'next'
        ? [this.#slice(v, axis, 1, length), this.#slice(v, axis, length - 1, length)]
        : [this.#slice(v, axis, 0, 1), this.#slice(v, axis, 0, length - 1)]
    const sum = b.node('Add', [v, b.node('Concat', shifted, { axis })])
    let f = b.node('Mul', [sum, b.scalar(node.factor)])
    // The channels are the batch of a net of one channel.
    f = b.node('Transpose', [f], { perm: rows ? [1, 0, 2, 3] : [1, 0, 3, 2] })
    const layer = (x: string, name: string, kernel: number) =>
      this.#conv(x, this.#parameter(`${node.net}.${name}.weight`), this.#parameter(`${node.net}.${name}.bias`), {
        kernel,
        padding: kernel >> 1,
      })
    const hidden = b.node('Tanh', [layer(b.node('Tanh', [layer(f, 'conv1', 3)]), 'conv2', 3)])
    const added = b.node('Transpose', [b.node('Add', [f, layer(hidden, 'conv3', 1)])], {
      perm: rows ? [1, 0, 2, 3] : [1, 0, 3, 2],
    })
    const update = weighed(added, ends.first, ends.last)
    b.node(node.sign === 1 ? 'Add' : 'Sub', [nameOf(node.target), update], {}, nameOf(node.output))
    void channels
  }

  /** Only windows centred at non-anchors, as on every device of ours. */
  #windowAttention(node: IntegerWindowAttentionNode): void {
    const b = this.#b
    const { height, width } = node.qkv.shape
    const d = node.output.shape.channels
    const { heads } = node
    const size = d / heads
    const step = expStep(this.#integers(node.exp))
    const centres = positions('nonAnchor', height, width)
    const p = centres.length
    const columns = width + 4
    const window = centres.flatMap((at) =>
      Array.from(
        { length: 25 },
        (_, t) => (Math.floor(at / width) + Math.floor(t / 5)) * columns + (at % width) + (t % 5),
      ),
    )
    const padded = b.node('Pad', [nameOf(node.qkv), b.integers([0, 0, 2, 2, 0, 0, 2, 2])])
    const flat = b.node('Reshape', [padded, b.integers([3 * d, (height + 4) * columns])])
    const index = b.constant(`windows ${height} ${width}`, [window.length], () => BigInt64Array.from(window, BigInt))
    const gathered = b.node('Reshape', [
      b.node('Gather', [flat, index], { axis: 1 }),
      b.integers([3, heads, size, p, 25]),
    ])
    const part = (i: number, perm: number[]) =>
      b.node('Transpose', [b.node('Reshape', [this.#slice(gathered, 0, i, i + 1), b.integers([heads, size, p, 25])])], {
        perm,
      })
    const scores = b.node('MatMul', [part(0, [0, 2, 3, 1]), part(1, [0, 2, 1, 3])])
    const bias = b.constant(`${node.bias} pairs`, [heads, 1, 25, 25], () => {
      const table = this.#integers(node.bias)
      return Float32Array.from({ length: heads * 625 }, (_, i) => {
        const [head, q, k] = [Math.floor(i / 625), Math.floor(i / 25) % 25, i % 25]
        const relative = (Math.floor(q / 5) - Math.floor(k / 5) + 4) * 9 + (q % 5) - (k % 5) + 4
        return step * (table[relative * heads + head] as number)
      })
    })
    const penalty = b.constant(`penalty ${height} ${width}`, [1, p, 25, 25], () => {
      const anchor = (at: number, t: number) => {
        const [y, x] = [Math.floor(at / width) + Math.floor(t / 5) - 2, (at % width) + (t % 5) - 2]
        return y >= 0 && x >= 0 && y < height && x < width && (y + x) % 2 === 1
      }
      return Float32Array.from({ length: p * 625 }, (_, i) => {
        const at = centres[Math.floor(i / 625)] as number
        return anchor(at, Math.floor(i / 25) % 25) && anchor(at, i % 25) ? 0 : -100
      })
    })
    const scaled = b.node('Mul', [scores, b.scalar(step * 2 ** -this.#single(node.shift))])
    const weights = b.node('Softmax', [b.node('Add', [b.node('Add', [scaled, bias]), penalty])], { axis: -1 })
    const mixed = b.node('MatMul', [weights, part(2, [0, 2, 3, 1])])
    const channelsFirst = b.node('Reshape', [
      b.node('Transpose', [mixed], { perm: [0, 3, 2, 1] }),
      b.integers([d, 25, p]),
    ])
    const all = b.node('Reshape', [
      this.#spread(channelsFirst, [d, 25, 1], 2, centres, height * width),
      b.integers([d, 5, 5, height, width]),
    ])
    const blocks = b.node('Transpose', [all], { perm: [0, 3, 1, 4, 2] })
    b.node('Reshape', [blocks, b.integers([1, d, 5 * height, 5 * width])], {}, nameOf(node.output))
  }

  #linearAttention(node: IntegerLinearAttentionNode): void {
    const b = this.#b
    const { channels, height, width } = node.output.shape
    const { heads, split } = node
    const area = height * width
    const all = Array.from({ length: area }, (_, i) => i)
    const [keys, queries] = split
      ? [positions('anchor', height, width), positions('nonAnchor', height, width)]
      : [all, all]
    const take = (tensor: Tensor, at: readonly number[]) => {
      const flat = b.node('Reshape', [nameOf(tensor), b.integers([heads, channels / heads, area])])
      if (at === all) return flat
      const index = b.constant(`positions ${at[0]} ${height} ${width}`, [at.length], () =>
        BigInt64Array.from(at, BigInt),
      )
      return b.node('Gather', [flat, index], { axis: 2 })
    }
    const step = b.scalar(expStep(this.#integers(node.exp)))
    const key = b.node('Softmax', [b.node('Mul', [take(node.key, keys), step])], { axis: 2 })
    const context = b.node('MatMul', [take(node.value, keys), b.node('Transpose', [key], { perm: [0, 2, 1] })])
    const query = b.node('Softmax', [b.node('Mul', [take(node.query, queries), step])], { axis: 1 })
    // 2^17 and 2^12 of the weights, less the shifts by 11 and by the node's.
    let result = b.node('Mul', [b.node('MatMul', [context, query]), b.scalar(2 ** (18 - this.#single(node.shift)))])
    if (split) result = this.#spread(result, [heads, channels / heads, 1], 2, queries, area)
    b.node('Reshape', [result, b.integers([1, channels, height, width])], {}, nameOf(node.output))
  }

  /** Columns to the positions `at` of `area`, zeros elsewhere. */
  #spread(x: string, zeroShape: readonly number[], axis: number, at: readonly number[], area: number): string {
    const b = this.#b
    const zero = b.constant(
      `zeros ${zeroShape.join()}`,
      zeroShape,
      () => new Float32Array(zeroShape.reduce((p, q) => p * q, 1)),
    )
    const from = new Array<number>(area).fill(at.length)
    for (const [i, position] of at.entries()) from[position] = i
    const index = b.constant(`spread ${at[0]} ${area}`, [area], () => BigInt64Array.from(from, BigInt))
    return b.node('Gather', [b.node('Concat', [x, zero], { axis }), index], { axis })
  }
}

function inHalf(half: Half, position: number, width: number): boolean {
  return ((Math.floor(position / width) + (position % width)) % 2 === 1) === (half === 'anchor')
}

function positions(half: Half, height: number, width: number): number[] {
  return Array.from({ length: height * width }, (_, i) => i).filter((i) => inHalf(half, i, width))
}

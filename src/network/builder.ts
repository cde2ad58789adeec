/**
 * Builds a {@link Graph} node by node: infers shapes, and has every node checked by the table of ops, so that a model
 * file whose tensors do not fit its configuration fails here, by name, before any device sees it.
 */

import { checkNode, checkParameterShape, checkParameterValues, checkShape, misfit } from './check.js'
import type { Graph, Node, Port, Stage } from './graph.js'
import { type Activation, type ConvGeometry, convolvedSize, shuffledShape } from './ops/convolution.js'
import { pooledShape } from './ops/elementwise.js'
import { DEAD_ZONE_TABLE } from './ops/entropy.js'
import type { Range } from './ops/integer-layers.js'
import type { Axis, LiftSplitNode, LiftStepNode } from './ops/lifting.js'
import { channelsOf, integers } from './ops/op.js'
import type { Parameters } from './parameters.js'
import type { Half, Shape, Tensor } from './tensor.js'

export interface ConvOptions {
  readonly stride?: 1 | 2
  readonly activation?: Activation
  readonly shuffle?: 1 | 2
  readonly residual?: Tensor
}

export interface IntegerConvOptions {
  /** 5: over the windows of an attention, without padding. */
  readonly stride?: 1 | 5
  /** Whether the layer's activation, a table of the model, is applied. */
  readonly table?: boolean
  readonly shuffle?: 1 | 2
  /** Default: activation. */
  readonly range?: Range
  readonly residual?: Tensor
  readonly keep?: Half
}

/** Name of the list of thresholds between the scales of the coder's tables. */
const SCALE_THRESHOLDS = 'scales.thresholds'

/** The padding with which a kernel keeps the size of the image. */
const PADDING = { 1: 0, 3: 1, 5: 2 } as const

export class GraphBuilder {
  readonly #parameters: Parameters
  readonly #tensors: Tensor[] = []
  readonly #stages: Stage[] = []
  #inputs: Port[] = []
  #nodes: Node[] = []

  constructor(parameters: Parameters) {
    this.#parameters = parameters
  }

  /** A tensor that the host supplies to the stage being built. */
  input(name: string, shape: Shape, format: Port['format']): Tensor {
    const tensor = this.#tensor(name, shape)
    this.#inputs.push({ tensor, format })
    return tensor
  }

  /** Ends the stage being built; the next call starts another. */
  endStage(name: string, outputs: readonly Port[]): void {
    this.#stages.push({ name, inputs: this.#inputs, nodes: this.#nodes, outputs })
    this.#inputs = []
    this.#nodes = []
  }

  finish(): Graph {
    return { tensors: this.#tensors, stages: this.#stages }
  }

  /** Convolution `name`.weight, `name`.bias. */
  conv(name: string, input: Tensor, options: ConvOptions = {}): Tensor {
    const weight = this.#parameters.get(`${name}.weight`).shape
    const [channels = 0, , kernel] = weight
    if (kernel !== 1 && kernel !== 3) {
      throw misfit(`${name}.weight`, weight, `a convolution of ${input.shape.channels} channels`)
    }
    const { stride = 1, shuffle = 1, activation = 'none', residual = null } = options
    const geometry = { kernel, stride, padding: kernel === 1 ? 0 : 1, shuffle } as const
    return this.#add({
      op: 'conv',
      inputs: [input],
      output: this.#tensor(name, convolved(input.shape, channels, geometry)),
      weight: `${name}.weight`,
      bias: `${name}.bias`,
      ...geometry,
      activation,
      residual,
    })
  }

  /** Convolution of integers (kernel 1: or linear layer) `name` over the concatenation of `inputs`. */
  integerConv(
    name: string,
    inputs: Tensor | readonly Tensor[],
    kernel: 1 | 3 | 5,
    options: IntegerConvOptions = {},
  ): Tensor {
    // A copy: the caller may go on filling its list.
    const list = 'id' in inputs ? [inputs] : [...inputs]
    const [channels = 0] = this.#parameters.integers(`${name}.weight`).shape
    const { stride = 1, shuffle = 1, range = 'activation', residual = null, keep = null } = options
    const padding = stride === 1 ? PADDING[kernel] : 0
    const geometry = { kernel, stride, padding, shuffle } as const
    return this.#add({
      op: 'integerConv',
      inputs: list,
      output: this.#tensor(name, convolved((list[0] as Tensor).shape, channels, geometry)),
      weight: `${name}.weight`,
      bias: `${name}.bias`,
      shift: `${name}.shift`,
      table: options.table ? this.#activationTable(name) : null,
      ...geometry,
      range,
      residual,
      keep,
    })
  }

  /** `count` integer convolutions `name`.0, `name`.2, ... with activations between; the last one takes `last`. */
  chain(
    name: string,
    inputs: Tensor | readonly Tensor[],
    kernel: 1 | 3,
    count: number,
    last: IntegerConvOptions = {},
  ): Tensor {
    let x = inputs
    for (let i = 0; i < count - 1; i++) x = this.integerConv(`${name}.${2 * i}`, x, kernel, { table: true })
    return this.integerConv(`${name}.${2 * (count - 1)}`, x, kernel, last)
  }

  /** @param table whether the layer's activation, a table of the model, is applied */
  integerDepthwise(name: string, input: Tensor, table = false): Tensor {
    return this.#add({
      op: 'integerDepthwise',
      input,
      output: this.#tensor(name, input.shape),
      weight: `${name}.weight`,
      bias: `${name}.bias`,
      shift: `${name}.shift`,
      table: table ? this.#activationTable(name) : null,
    })
  }

  /** @param label the output's name where several are made alike */
  requantise(name: string, input: Tensor, label = name): Tensor {
    return this.#add({ op: 'requantise', input, output: this.#tensor(label, input.shape), shift: `${name}.shift` })
  }

  integerLayerNorm(name: string, input: Tensor): Tensor {
    return this.#add({
      op: 'integerLayerNorm',
      input,
      output: this.#tensor(name, input.shape),
      weight: `${name}.weight`,
      bias: `${name}.bias`,
      shift: `${name}.shift`,
      epsilon: `${name}.epsilon`,
    })
  }

  integerWindowAttention(name: string, qkv: Tensor, heads: number): Tensor {
    const { channels, height, width } = qkv.shape
    return this.#add({
      op: 'integerWindowAttention',
      qkv,
      output: this.#tensor(name, { channels: Math.floor(channels / 3), height: height * 5, width: width * 5 }),
      bias: `${name}.bias`,
      shift: `${name}.shift`,
      exp: `${name}.exp`,
      heads,
    })
  }

  integerLinearAttention(
    name: string,
    [query, key, value]: readonly [Tensor, Tensor, Tensor],
    heads: number,
    split: boolean,
  ): Tensor {
    return this.#add({
      op: 'integerLinearAttention',
      query,
      key,
      value,
      output: this.#tensor(name, query.shape),
      shift: `${name}.shift`,
      exp: `${name}.exp`,
      heads,
      split,
    })
  }

  /** DCNv2 `name`, its offset conv included. */
  deform(name: string, input: Tensor, stride: 1 | 2, activation: Activation, shuffle: 1 | 2): Tensor {
    const offsets = this.conv(`${name}.offset`, input, { stride })
    const [channels = 0] = this.#parameters.get(`${name}.weight`).shape
    return this.#add({
      op: 'deform',
      input,
      offsets,
      output: this.#tensor(name, shuffledShape({ ...offsets.shape, channels }, shuffle)),
      weight: `${name}.weight`,
      bias: `${name}.bias`,
      stride,
      activation,
      shuffle,
    })
  }

  gdn(name: string, input: Tensor, inverse: boolean, residual: Tensor): Tensor {
    const output = this.#tensor(name, input.shape)
    return this.#add({ op: 'gdn', input, output, beta: `${name}.beta`, gamma: `${name}.gamma`, inverse, residual })
  }

  liftSplit(name: string, input: Tensor, axis: Axis): [even: Tensor, odd: Tensor] {
    const { channels, height, width } = input.shape
    const half =
      axis === 'rows'
        ? { channels, height: Math.floor(height / 2), width }
        : { channels, height, width: Math.floor(width / 2) }
    const even = this.#tensor(`${name}.even`, half)
    const odd = this.#tensor(`${name}.odd`, half)
    this.#push({ op: 'liftSplit', input, even, odd, axis })
    return [even, odd]
  }

  liftMerge(name: string, even: Tensor, odd: Tensor, axis: Axis): Tensor {
    const { channels, height, width } = even.shape
    const whole = axis === 'rows' ? { channels, height: height * 2, width } : { channels, height, width: width * 2 }
    return this.#add({ op: 'liftMerge', even, odd, output: this.#tensor(name, whole), axis })
  }

  liftStep(
    source: Tensor,
    target: Tensor,
    step: Pick<LiftStepNode, 'axis' | 'factor' | 'neighbour' | 'sign' | 'net' | 'ends'>,
  ): Tensor {
    return this.#add({ op: 'liftStep', source, target, output: this.#tensor(step.net, target.shape), ...step })
  }

  scale(input: Tensor, factor: number): Tensor {
    return this.#add({ op: 'scale', input, output: this.#tensor(`${input.name} scaled`, input.shape), factor })
  }

  gain(name: string, input: Tensor, factors: Tensor): Tensor {
    return this.#add({ op: 'gain', input, factors, output: this.#tensor(name, input.shape) })
  }

  pool(input: Tensor): Tensor {
    return this.#add({ op: 'pool', input, output: this.#tensor(`${input.name} pooled`, pooledShape(input.shape)) })
  }

  mask(input: Tensor, keep: Half): Tensor {
    return this.#add({ op: 'mask', input, output: this.#tensor(`${input.name} ${keep}`, input.shape), keep })
  }

  add(name: string, input: Tensor, addend: Tensor): Tensor {
    return this.#add({ op: 'add', input, addend, output: this.#tensor(name, input.shape) })
  }

  round(name: string, input: Tensor): Tensor {
    return this.#add({ op: 'round', input, output: this.#tensor(name, input.shape) })
  }

  scaleIndex(name: string, params: Tensor, keep: Half): Tensor {
    const output = this.#tensor(name, { ...params.shape, channels: Math.floor(params.shape.channels / 2) })
    return this.#add({ op: 'scaleIndex', params, output, table: SCALE_THRESHOLDS, keep })
  }

  /** @param indexes from {@link scaleIndex} */
  quantise(name: string, latent: Tensor, first: number, params: Tensor, indexes: Tensor, keep: Half): Tensor {
    const output = this.#tensor(name, indexes.shape)
    return this.#add({ op: 'quantise', latent, first, params, indexes, deadZones: DEAD_ZONE_TABLE, output, keep })
  }

  dequantise(name: string, symbols: Tensor, params: Tensor, base: Tensor | null, keep: Half): Tensor {
    return this.#add({ op: 'dequantise', symbols, params, base, output: this.#tensor(name, symbols.shape), keep })
  }

  slice(name: string, input: Tensor, first: number, channels: number): Tensor {
    return this.#add({ op: 'slice', input, first, output: this.#tensor(name, { ...input.shape, channels }) })
  }

  concat(name: string, inputs: readonly Tensor[]): Tensor {
    const output = this.#tensor(name, { ...(inputs[0] as Tensor).shape, channels: channelsOf(inputs) })
    return this.#add({ op: 'concat', inputs: [...inputs], output })
  }

  /** Fails unless a tensor has as many channels as its use wants. */
  expectChannels(tensor: Tensor, channels: number): void {
    checkShape(tensor.name, tensor.shape, { ...tensor.shape, channels })
  }

  #tensor(name: string, shape: Shape): Tensor {
    const tensor = { id: this.#tensors.length, name, shape }
    this.#tensors.push(tensor)
    return tensor
  }

  #add(node: Exclude<Node, LiftSplitNode>): Tensor {
    this.#push(node)
    return node.output
  }

  #push(node: Node): void {
    checkNode(node, this.#parameters)
    this.#nodes.push(node)
  }

  /** Name of the activation table that a layer goes by: its parameter `name`.table is the table's number. */
  #activationTable(name: string): string {
    const number = integers(`${name}.table`, [1], 0, 65535)
    checkParameterShape(number, this.#parameters)
    checkParameterValues(number, this.#parameters)
    return `table.${this.#parameters.integers(number.name).data[0]}`
  }
}

/** The shape of a convolution's output: of `channels` channels before the shuffle. */
function convolved(input: Shape, channels: number, geometry: ConvGeometry): Shape {
  return shuffledShape({ channels, ...convolvedSize(input, geometry) }, geometry.shuffle)
}

/**
 * Builds a {@link Graph} node by node: infers shapes, and checks each parameter's shape against its use and that
 * tensors which meet fit each other, so that a model file whose tensors do not fit its configuration fails here,
 * by name, before any device sees it.
 */

import { CorruptDataError, UnsupportedError } from '../errors.js'
import type { Activation, Axis, Graph, Half, Node, Parameters, Port, Range, Shape, Stage, Tensor } from './graph.js'
import { deadZoneTable } from './graph.js'
import { expectShape, IntegerParameters, misfit } from './integer-parameters.js'

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
const scaleThresholds = 'scales.thresholds'
const scaleCount = 64
/** What the integer arithmetic of an attention is proven for. */
const maxHeadWidth = 256
const maxAttendedPositions = 4096
const maxNormChannels = 512

export class GraphBuilder {
  readonly #parameters: Parameters
  readonly #integers: IntegerParameters
  readonly #tensors: Tensor[] = []
  readonly #stages: Stage[] = []
  #inputs: Port[] = []
  #nodes: Node[] = []

  constructor(parameters: Parameters) {
    this.#parameters = parameters
    this.#integers = new IntegerParameters(parameters)
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
    const { channels } = input.shape
    const weight = this.#parameters.get(`${name}.weight`).shape
    const [outputs = 0, inner, kernel = 1, kernelWidth = kernel] = weight
    if (weight.length !== 4 || inner !== channels || (kernel !== 1 && kernel !== 3) || kernel !== kernelWidth) {
      throw misfit(`${name}.weight`, weight, `a convolution of ${channels} channels`)
    }
    this.#expect(`${name}.bias`, [outputs])
    const { stride = 1, shuffle = 1, activation = 'none', residual = null } = options
    const padding = kernel === 1 ? 0 : 1
    const output = this.#tensor(name, convolved(name, input.shape, outputs, { kernel, stride, padding, shuffle }))
    if (residual) this.#meet(name, residual.shape, output.shape)
    const parameters = { weight: `${name}.weight`, bias: `${name}.bias` }
    return this.#add(
      { op: 'conv', inputs: [input], output, ...parameters, kernel, stride, padding, activation, shuffle, residual },
      output,
    )
  }

  /** Convolution of integers (kernel 1: or linear layer) `name` over the concatenation of `inputs`. */
  integerConv(
    name: string,
    inputs: Tensor | readonly Tensor[],
    kernel: 1 | 3 | 5,
    options: IntegerConvOptions = {},
  ): Tensor {
    // A copy: the caller may go on filling its list.
    const list = Array.isArray(inputs) ? [...(inputs as readonly Tensor[])] : [inputs as Tensor]
    const channels = list.reduce((sum, tensor) => sum + tensor.shape.channels, 0)
    const outputs = this.#integers.convolution(name, channels, kernel)
    const { stride = 1, shuffle = 1, range = 'activation', residual = null, keep = null } = options
    const padding = stride === 1 ? ((kernel >> 1) as 0 | 1 | 2) : 0
    const shape = convolved(name, (list[0] as Tensor).shape, outputs, { kernel, stride, padding, shuffle })
    const output = this.#tensor(name, shape)
    if (residual) this.#meet(name, residual.shape, output.shape)
    return this.#add(
      {
        op: 'integerConv',
        inputs: list,
        output,
        weight: `${name}.weight`,
        bias: `${name}.bias`,
        shift: `${name}.shift`,
        table: options.table ? this.#integers.activationTable(name) : null,
        kernel,
        stride,
        padding,
        shuffle,
        range,
        residual,
        keep,
      },
      output,
    )
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
    this.#integers.depthwise(name, input.shape.channels)
    const output = this.#tensor(name, input.shape)
    return this.#add(
      {
        op: 'integerDepthwise',
        input,
        output,
        weight: `${name}.weight`,
        bias: `${name}.bias`,
        shift: `${name}.shift`,
        table: table ? this.#integers.activationTable(name) : null,
      },
      output,
    )
  }

  /** @param label the output's name where several are made alike */
  requantise(name: string, input: Tensor, label = name): Tensor {
    const output = this.#tensor(label, input.shape)
    return this.#add({ op: 'requantise', input, output, shift: this.#integers.shift(name) }, output)
  }

  integerLayerNorm(name: string, input: Tensor): Tensor {
    const { channels } = input.shape
    atMost(channels, maxNormChannels, `${name}: channels`)
    this.#integers.layerNorm(name, channels)
    const output = this.#tensor(name, input.shape)
    const [weight, bias, shift] = [`${name}.weight`, `${name}.bias`, `${name}.shift`]
    return this.#add({ op: 'integerLayerNorm', input, output, weight, bias, shift, epsilon: `${name}.epsilon` }, output)
  }

  integerWindowAttention(name: string, qkv: Tensor, heads: number): Tensor {
    const { height, width } = qkv.shape
    if (qkv.shape.channels % 3 !== 0) {
      throw misfit(`${qkv.name}.weight`, [qkv.shape.channels], 'queries, keys and values')
    }
    const channels = qkv.shape.channels / 3
    checkHeads(channels, heads, name)
    const bias = this.#integers.positionBias(name, heads)
    const shift = this.#integers.shift(name)
    const exp = this.#integers.exponentials(name)
    const output = this.#tensor(name, { channels, height: height * 5, width: width * 5 })
    return this.#add({ op: 'integerWindowAttention', qkv, output, bias, shift, exp, heads }, output)
  }

  integerLinearAttention(
    name: string,
    [query, key, value]: readonly [Tensor, Tensor, Tensor],
    heads: number,
    split: boolean,
  ): Tensor {
    const { channels, height, width } = query.shape
    for (const { shape } of [key, value]) this.#meet(name, shape, query.shape)
    checkHeads(channels, heads, name)
    atMost(height * width, maxAttendedPositions, `${name}: positions`)
    const shift = this.#integers.shift(name)
    const exp = this.#integers.exponentials(name)
    const output = this.#tensor(name, query.shape)
    return this.#add({ op: 'integerLinearAttention', query, key, value, output, shift, exp, heads, split }, output)
  }

  /** DCNv2 `name`, its offset conv included. */
  deform(name: string, input: Tensor, stride: 1 | 2, activation: Activation, shuffle: 1 | 2): Tensor {
    const offsets = this.conv(`${name}.offset`, input, { stride })
    if (offsets.shape.channels !== 27) throw misfit(`${name}.offset.weight`, [offsets.shape.channels], '27 outputs')
    const weight = this.#parameters.get(`${name}.weight`).shape
    const outputs = weight[0] ?? 0
    this.#expect(`${name}.weight`, [outputs, input.shape.channels, 3, 3])
    this.#expect(`${name}.bias`, [outputs])
    const output = this.#tensor(name, shuffled(name, { ...offsets.shape, channels: outputs }, shuffle))
    return this.#add(
      {
        op: 'deform',
        input,
        offsets,
        output,
        weight: `${name}.weight`,
        bias: `${name}.bias`,
        stride,
        activation,
        shuffle,
      },
      output,
    )
  }

  gdn(name: string, input: Tensor, inverse: boolean, residual: Tensor): Tensor {
    const { channels } = input.shape
    this.#expect(`${name}.beta`, [channels])
    this.#expect(`${name}.gamma`, [channels, channels])
    this.#meet(name, residual.shape, input.shape)
    const output = this.#tensor(name, input.shape)
    return this.#add(
      { op: 'gdn', input, output, beta: `${name}.beta`, gamma: `${name}.gamma`, inverse, residual },
      output,
    )
  }

  liftSplit(name: string, input: Tensor, axis: Axis): [even: Tensor, odd: Tensor] {
    const { channels, height, width } = input.shape
    const half = axis === 'rows' ? { channels, height: height / 2, width } : { channels, height, width: width / 2 }
    const even = this.#tensor(`${name}.even`, half)
    const odd = this.#tensor(`${name}.odd`, half)
    this.#nodes.push({ op: 'liftSplit', input, even, odd, axis })
    return [even, odd]
  }

  liftMerge(name: string, even: Tensor, odd: Tensor, axis: Axis): Tensor {
    const { channels, height, width } = even.shape
    const output = this.#tensor(
      name,
      axis === 'rows' ? { channels, height: height * 2, width } : { channels, height, width: width * 2 },
    )
    return this.#add({ op: 'liftMerge', even, odd, output, axis }, output)
  }

  liftStep(
    source: Tensor,
    target: Tensor,
    step: { axis: Axis; factor: number; neighbour: 'next' | 'previous'; sign: 1 | -1; net: string },
  ): Tensor {
    const hidden = this.#parameters.get(`${step.net}.conv1.weight`).shape[0] ?? 0
    this.#expect(`${step.net}.conv1.weight`, [hidden, 1, 3, 3])
    this.#expect(`${step.net}.conv1.bias`, [hidden])
    this.#expect(`${step.net}.conv2.weight`, [hidden, hidden, 3, 3])
    this.#expect(`${step.net}.conv2.bias`, [hidden])
    this.#expect(`${step.net}.conv3.weight`, [1, hidden, 1, 1])
    this.#expect(`${step.net}.conv3.bias`, [1])
    const output = this.#tensor(step.net, target.shape)
    return this.#add({ op: 'liftStep', source, target, output, ...step }, output)
  }

  scale(input: Tensor, factor: number): Tensor {
    const output = this.#tensor(`${input.name} scaled`, input.shape)
    return this.#add({ op: 'scale', input, output, factor }, output)
  }

  gain(name: string, input: Tensor, factors: Tensor): Tensor {
    this.#meet(name, input.shape, { ...input.shape, channels: factors.shape.channels })
    const output = this.#tensor(name, input.shape)
    return this.#add({ op: 'gain', input, factors, output }, output)
  }

  pool(input: Tensor): Tensor {
    const { channels, height, width } = input.shape
    const output = this.#tensor(`${input.name} pooled`, { channels, height: height / 2, width: width / 2 })
    return this.#add({ op: 'pool', input, output }, output)
  }

  mask(input: Tensor, keep: Half): Tensor {
    const output = this.#tensor(`${input.name} ${keep}`, input.shape)
    return this.#add({ op: 'mask', input, output, keep }, output)
  }

  add(name: string, input: Tensor, addend: Tensor): Tensor {
    this.#meet(name, addend.shape, input.shape)
    const output = this.#tensor(name, input.shape)
    return this.#add({ op: 'add', input, addend, output }, output)
  }

  round(name: string, input: Tensor): Tensor {
    const output = this.#tensor(name, input.shape)
    return this.#add({ op: 'round', input, output }, output)
  }

  scaleIndex(name: string, params: Tensor, keep: Half): Tensor {
    const table = this.#integers.thresholds(scaleThresholds, scaleCount)
    const output = this.#tensor(name, halved(params.shape))
    return this.#add({ op: 'scaleIndex', params, output, table, keep }, output)
  }

  /** @param indexes from {@link scaleIndex} */
  quantise(name: string, latent: Tensor, first: number, params: Tensor, indexes: Tensor, keep: Half): Tensor {
    this.#expect(deadZoneTable, [scaleCount])
    this.#meet(name, indexes.shape, halved(params.shape))
    const output = this.#tensor(name, indexes.shape)
    return this.#add({ op: 'quantise', latent, first, params, indexes, deadZones: deadZoneTable, output, keep }, output)
  }

  dequantise(name: string, symbols: Tensor, params: Tensor, base: Tensor | null, keep: Half): Tensor {
    this.#meet(name, params.shape, { ...symbols.shape, channels: 2 * symbols.shape.channels })
    if (base) this.#meet(name, base.shape, symbols.shape)
    const output = this.#tensor(name, symbols.shape)
    return this.#add({ op: 'dequantise', symbols, params, base, output, keep }, output)
  }

  slice(name: string, input: Tensor, first: number, channels: number): Tensor {
    const output = this.#tensor(name, { ...input.shape, channels })
    return this.#add({ op: 'slice', input, first, output }, output)
  }

  concat(name: string, inputs: readonly Tensor[]): Tensor {
    const channels = inputs.reduce((sum, tensor) => sum + tensor.shape.channels, 0)
    const output = this.#tensor(name, { ...(inputs[0] as Tensor).shape, channels })
    return this.#add({ op: 'concat', inputs: [...inputs], output }, output)
  }

  #tensor(name: string, shape: Shape): Tensor {
    const tensor = { id: this.#tensors.length, name, shape }
    this.#tensors.push(tensor)
    return tensor
  }

  #add(node: Node, output: Tensor): Tensor {
    this.#nodes.push(node)
    return output
  }

  /** Fails unless a tensor has as many channels as its use wants. */
  expectChannels(tensor: Tensor, channels: number): void {
    this.#meet(tensor.name, tensor.shape, { ...tensor.shape, channels })
  }

  #meet(name: string, found: Shape, wanted: Shape): void {
    const text = ({ channels, height, width }: Shape) => `${channels} x ${height} x ${width}`
    if (text(found) === text(wanted)) return
    throw new CorruptDataError(
      'ERR_MODEL_CORRUPT',
      `The parameters do not fit each other: ${name} meets ${text(found)} where ${text(wanted)} is needed`,
    )
  }

  #expect(name: string, shape: readonly number[]): void {
    expectShape(name, this.#parameters.get(name).shape, shape)
  }
}

function convolved(
  name: string,
  { height, width }: Shape,
  channels: number,
  { kernel, stride, padding, shuffle }: { kernel: number; stride: number; padding: number; shuffle: 1 | 2 },
): Shape {
  const outputs = (length: number) => Math.floor((length + 2 * padding - kernel) / stride) + 1
  return shuffled(name, { channels, height: outputs(height), width: outputs(width) }, shuffle)
}

function shuffled(name: string, shape: Shape, factor: 1 | 2): Shape {
  if (shape.channels % (factor * factor) !== 0) throw misfit(`${name}.weight`, [shape.channels], 'a pixel shuffle')
  return {
    channels: shape.channels / (factor * factor),
    height: shape.height * factor,
    width: shape.width * factor,
  }
}

function halved(shape: Shape): Shape {
  return { ...shape, channels: shape.channels / 2 }
}

function checkHeads(channels: number, heads: number, name: string): void {
  if (channels % heads !== 0) {
    throw new UnsupportedError('ERR_MODEL_UNSUPPORTED', `${name}: ${channels} channels do not divide by ${heads} heads`)
  }
  atMost(channels / heads, maxHeadWidth, `${name}: channels a head`)
}

function atMost(value: number, most: number, what: string): void {
  if (value > most)
    throw new UnsupportedError('ERR_MODEL_UNSUPPORTED', `${what}: ${value}, at most ${most} are supported`)
}

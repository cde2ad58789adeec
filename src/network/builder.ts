/**
 * Builds a {@link Graph} node by node: infers shapes, and checks each parameter's shape against its use and that
 * tensors which meet fit each other, so that a model file whose tensors do not fit its configuration fails here,
 * by name, before any device sees it.
 */

import { CorruptDataError, UnsupportedError } from '../errors.js'
import { scaleThresholds } from '../model/model.js'
import type { Activation, Axis, ConvNode, Graph, Half, Node, Parameters, Port, Shape, Stage, Tensor } from './graph.js'

export interface ConvOptions {
  readonly stride?: 1 | 2 | 5
  /** Default: kernel / 2, so that stride 1 keeps the size. */
  readonly padding?: 0 | 1 | 2
  readonly activation?: Activation
  readonly shuffle?: 1 | 2
  readonly scale?: number
  readonly residual?: Tensor
  readonly keep?: Half
}

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

  /** Convolution (or linear layer) `name`.weight, `name`.bias over the concatenation of `inputs`. */
  conv(name: string, inputs: Tensor | readonly Tensor[], options: ConvOptions = {}): Tensor {
    // A copy: the caller may go on filling its list.
    const list = Array.isArray(inputs) ? [...(inputs as readonly Tensor[])] : [inputs as Tensor]
    const channels = list.reduce((sum, tensor) => sum + tensor.shape.channels, 0)
    const weight = this.#parameters.get(`${name}.weight`).shape
    const [outputs = 0, inner, kernel = 1, kernelWidth = kernel] = weight
    if (inner !== channels || (kernel !== 1 && kernel !== 3 && kernel !== 5) || kernel !== kernelWidth) {
      throw misfit(`${name}.weight`, weight, `a convolution of ${channels} channels`)
    }
    const { stride = 1, padding = (kernel >> 1) as 0 | 1 | 2, shuffle = 1, residual = null } = options
    const { height, width } = (list[0] as Tensor).shape
    const shape = shuffled(
      name,
      {
        channels: outputs,
        height: Math.floor((height + 2 * padding - kernel) / stride) + 1,
        width: Math.floor((width + 2 * padding - kernel) / stride) + 1,
      },
      shuffle,
    )
    this.#expect(`${name}.bias`, [outputs])
    if (residual) this.#meet(name, shape, residual.shape)
    const node: ConvNode = {
      op: 'conv',
      inputs: list,
      output: this.#tensor(name, shape),
      weight: `${name}.weight`,
      bias: `${name}.bias`,
      kernel,
      stride,
      padding,
      activation: options.activation ?? 'none',
      shuffle,
      scale: options.scale ?? 1,
      residual,
      keep: options.keep ?? null,
    }
    return this.#add(node, node.output)
  }

  /** A chain of convolutions `name`.0, `name`.2, ... with GELU between; the last one takes `last`. */
  chain(name: string, inputs: Tensor | readonly Tensor[], count: number, last: ConvOptions = {}): Tensor {
    let x = inputs
    for (let i = 0; i < count - 1; i++) x = this.conv(`${name}.${2 * i}`, x, { activation: 'gelu' })
    return this.conv(`${name}.${2 * (count - 1)}`, x, last)
  }

  depthwise(name: string, input: Tensor, activation: Activation = 'none'): Tensor {
    this.#expect(`${name}.weight`, [input.shape.channels, 1, 3, 3])
    this.#expect(`${name}.bias`, [input.shape.channels])
    const output = this.#tensor(name, input.shape)
    return this.#add(
      { op: 'depthwise', input, output, weight: `${name}.weight`, bias: `${name}.bias`, activation },
      output,
    )
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

  layerNorm(name: string, input: Tensor): Tensor {
    this.#expect(`${name}.weight`, [input.shape.channels])
    this.#expect(`${name}.bias`, [input.shape.channels])
    const output = this.#tensor(name, input.shape)
    return this.#add({ op: 'layerNorm', input, output, weight: `${name}.weight`, bias: `${name}.bias` }, output)
  }

  windowAttention(bias: string, qkv: Tensor, heads: number): Tensor {
    const { channels, height, width } = qkv.shape
    if (channels % 3 !== 0) throw misfit(`${qkv.name}.weight`, [channels], 'queries, keys and values')
    const output = this.#tensor(`${bias} attention`, {
      channels: channels / 3,
      height: height * 5,
      width: width * 5,
    })
    checkHeads(output.shape.channels, heads, bias)
    this.#expect(bias, [81, heads])
    return this.#add({ op: 'windowAttention', qkv, output, bias, heads }, output)
  }

  linearAttention(
    name: string,
    [query, key, value]: readonly [Tensor, Tensor, Tensor],
    heads: number,
    split: boolean,
  ): Tensor {
    this.#meet(name, key.shape, query.shape)
    this.#meet(name, value.shape, query.shape)
    checkHeads(query.shape.channels, heads, name)
    const output = this.#tensor(name, query.shape)
    return this.#add({ op: 'linearAttention', query, key, value, output, heads, split }, output)
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
    const output = this.#tensor(name, halved(params.shape))
    return this.#add({ op: 'scaleIndex', params, output, table: scaleThresholds, keep }, output)
  }

  quantise(name: string, latent: Tensor, first: number, params: Tensor, keep: Half): Tensor {
    const output = this.#tensor(name, halved(params.shape))
    return this.#add({ op: 'quantise', latent, first, params, output, keep }, output)
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
    const found = this.#parameters.get(name).shape
    if (found.length !== shape.length || found.some((length, i) => length !== shape[i])) {
      throw misfit(name, found, `[${shape.join(', ')}]`)
    }
  }
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
}

function misfit(name: string, shape: readonly number[], wanted: string): CorruptDataError {
  return new CorruptDataError(
    'ERR_MODEL_CORRUPT',
    `Parameter ${name} has shape [${shape.join(', ')}], which does not fit ${wanted}`,
  )
}

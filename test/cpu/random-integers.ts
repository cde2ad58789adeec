/** Random networks of integer layers, with parameters as large as the proofs of their sums allow. */
import { GraphBuilder } from '../../src/network/builder.js'
import type { Graph, Half, PortData, Shape, Tensor } from '../../src/network/graph.js'
import { DEAD_ZONE_TABLE, RSQRT_TABLE } from '../../src/network/graph.js'
import { Fixture, size } from './random-graph.js'

/** Integers, the same for the same seed. */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = (seed * 2654435761 + 12345) >>> 0
  }

  /** In [least, most]. */
  next(least: number, most: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0
    return least + Math.floor((this.#state / 2 ** 32) * (most - least + 1))
  }

  chance(part: number): boolean {
    return this.next(1, 1000) <= part * 1000
  }

  list(length: number, least: number, most: number): Int32Array {
    return Int32Array.from({ length }, () => this.next(least, most))
  }

  of<T>(values: readonly T[]): T {
    return values[this.next(0, values.length - 1)] as T
  }
}

export interface RandomNetwork {
  readonly graph: Graph
  readonly parameters: Fixture
  readonly inputs: ReadonlyMap<Tensor, PortData>
}

/**
 * `layers` layers on a height x width latent, each reading what some before it made; all that nobody reads comes out.
 * The channels of a head are a multiple of `headUnit`.
 *
 * @param attentions more layers: linear attentions with their projections, as the entropy model has them
 */
export function randomNetwork(
  seed: number,
  layers: number,
  height: number,
  width: number,
  headUnit = 1,
  attentions = 0,
): RandomNetwork {
  return new NetworkGenerator(seed, height, width, headUnit).run(layers, attentions)
}

/** Layers with kernels of 1 after each other, of these many channels, on a height x width latent. */
export function randomChain(seed: number, widths: readonly number[], height: number, width: number): RandomNetwork {
  return new NetworkGenerator(seed, height, width, 1).chain(widths)
}

/**
 * Layer norms among layers with kernels of 1, as the entropy model has them: of any integers, and of a layer's result that
 * the last layer adds.
 *
 * @param channels of what is normed
 */
export function randomNorms(seed: number, channels: number, height: number, width: number): RandomNetwork {
  return new NetworkGenerator(seed, height, width, 1).norms(channels)
}

/** A skip beside 1x1, depthwise and 1x1, as the entropy model's contexts end. */
export function randomGated(seed: number, height: number, width: number): RandomNetwork {
  return new NetworkGenerator(seed, height, width, 1).gated()
}

/** What happens to latents between the layers: slices put together, scaled, taken apart, rounded, activations made. */
export function randomLatents(seed: number, height: number, width: number): RandomNetwork {
  return new NetworkGenerator(seed, height, width, 1).latents()
}

class NetworkGenerator {
  readonly #dice: Dice
  /** Draws the latents that an encoder quantises. */
  readonly #latents: Dice
  readonly #fixture = new Fixture()
  readonly #g = new GraphBuilder(this.#fixture)
  readonly #inputs = new Map<Tensor, PortData>()
  readonly #shape: Omit<Shape, 'channels'>
  readonly #headUnit: number
  readonly #activations: Tensor[] = []
  readonly #wide: Tensor[] = []
  readonly #unread = new Set<Tensor>()
  #count = 0

  constructor(seed: number, height: number, width: number, headUnit: number) {
    this.#dice = new Dice(seed)
    this.#latents = new Dice(seed + 1000)
    this.#shape = { height, width }
    this.#headUnit = headUnit
    const { list, of } = { list: this.#dice.list.bind(this.#dice), of: this.#dice.of.bind(this.#dice) }
    const byValue = (f: (v: number) => number) => Int32Array.from({ length: 4096 }, (_, i) => Math.round(f(i - 2048)))
    this.#fixture.integerValues('table.0', [4096], list(4096, -2048, 2047))
    this.#fixture.integerValues(
      'table.1',
      [4096],
      byValue((v) => v / (1 + Math.exp(-v / 150))),
    )
    this.#fixture.integerValues(
      'table.2',
      [4096],
      byValue((v) => 2040 * Math.tanh(v / 700)),
    )
    const roots = Int32Array.from({ length: 384 }, (_, j) =>
      Math.min(65535, Math.round(2 ** 23 / Math.sqrt((j + 128.5) * 128))),
    )
    this.#fixture.integerValues(RSQRT_TABLE, [384], roots)
    const thresholds = Int32Array.from({ length: 64 }, (_, i) => (i === 63 ? 2 ** 30 : 3 + 41 * i))
    this.#fixture.integerValues('scales.thresholds', [64], thresholds)
    // Halfway between two steps of a mean, so that no device meets a tie.
    const zones = Float32Array.from({ length: 64 }, (_, i) => (65 + 2 * Math.floor(i / 1.4)) / 128)
    this.#fixture.values(DEAD_ZONE_TABLE, [64], zones)
    for (let i = 0; i < 3; i++) this.#wide.push(this.#input(of([1, 4, 19, 48]), of([300, 2 ** 12, 2 ** 22])))
    for (const tensor of [...this.#wide]) this.#requantise(tensor)
  }

  run(layers: number, attentions: number): RandomNetwork {
    const kinds = [
      () => this.#conv({}),
      () => this.#conv({}),
      () => this.#conv({ channels: this.#dice.of([2, 34]), wide: true }),
      () => this.#depthwise(),
      () => this.#norm(),
      () => this.#requantise(this.#dice.of(this.#wide)),
      () => this.#window(),
      () => this.#linear(),
      () => this.#move(),
      () => this.#entropy(),
    ]
    for (let i = 0; i < layers; i++) this.#dice.of(kinds)()
    for (let i = 0; i < attentions; i++) this.#projected(i % 2 === 1)
    return this.#finished()
  }

  chain(widths: readonly number[]): RandomNetwork {
    let last = this.#activation()
    for (const channels of widths) {
      last = this.#read(this.#conv({ inputs: [last], channels, wide: false, half: null }))
    }
    this.#unread.add(last)
    return this.#finished()
  }

  norms(channels: number): RandomNetwork {
    const layer = (input: Tensor, outputs: number, residual: Tensor | null = null) =>
      this.#conv({ inputs: [this.#read(input)], channels: outputs, wide: false, half: null, residual })
    const first = layer(this.#activation(), channels)
    const shared = layer(this.#activation(), channels)
    for (const wide of [...this.#wide]) layer(this.#norm(wide), 3 * channels)
    layer(layer(this.#norm(first), 2 * channels), channels, this.#read(first))
    // Which somebody else reads too, so that it isn't in a workgroup's memory alone.
    layer(layer(this.#norm(shared), 2 * channels), channels, this.#read(shared))
    layer(shared, 3)
    return this.#finished()
  }

  gated(): RandomNetwork {
    const input = this.#activation()
    const layer = (from: Tensor, channels: number, more: { table?: boolean; residual: Tensor | null }) =>
      this.#conv({ inputs: [this.#read(from)], channels, wide: false, half: null, ...more })
    const skip = layer(input, 13, { table: false, residual: null })
    const hidden = this.#depthwise(layer(input, 24, { table: true, residual: null }))
    layer(hidden, 13, { residual: this.#read(skip) })
    return this.#finished()
  }

  latents(): RandomNetwork {
    const g = this.#g
    const whole = g.concat(
      this.#name(),
      [4, 12, 8, 4, 4, 8].map((channels) => this.#input(channels, 2 ** 15)),
    )
    const factors = (channels: number) => {
      const tensor = g.input(`factors ${this.#inputs.size}`, { channels, height: 1, width: 1 }, 'float')
      this.#inputs.set(
        tensor,
        Float32Array.from(this.#dice.list(channels, 1, 2 ** 20), (v) => v / 2 ** 17),
      )
      return tensor
    }
    this.#unread.add(g.gain(this.#name(), g.scale(whole, 1 / 64), factors(40)))
    const scaled = g.gain(this.#name(), this.#input(8, 2 ** 15), factors(8))
    const rounded = g.round(this.#name(), scaled)
    this.#unread.add(rounded)
    const activations = this.#requantise(rounded)
    const symbols = g.input('symbols', { ...this.#shape, channels: 8 }, 'int16')
    this.#inputs.set(symbols, Int16Array.from(this.#dice.list(size(symbols.shape), -32767, 32767)))
    this.#requantise(symbols)
    const wide = this.#read(this.#conv({ inputs: [this.#activation()], channels: 21, wide: false, half: null }))
    const slice = g.slice(this.#name(), wide, 8, 12)
    for (const more of [[], [wide], [activations, wide]]) {
      const name = this.#name()
      const inputs = [slice, ...more]
      const channels = inputs.reduce((sum, { shape }) => sum + shape.channels, 0)
      this.#sums(name, 9, [9, channels, 3, 3])
      this.#made(g.integerConv(name, inputs, 3))
    }
    return this.#finished()
  }

  /** All that nobody reads comes out. */
  #finished(): RandomNetwork {
    this.#g.endStage(
      'all',
      [...this.#unread].map((tensor) => ({ tensor, format: 'float' })),
    )
    return { graph: this.#g.finish(), parameters: this.#fixture, inputs: this.#inputs }
  }

  #input(channels: number, most: number, dice = this.#dice): Tensor {
    const tensor = this.#g.input(`input ${this.#inputs.size}`, { ...this.#shape, channels }, 'float')
    this.#inputs.set(tensor, Float32Array.from(dice.list(size(tensor.shape), -most, most)))
    return tensor
  }

  #name(): string {
    return `layer.${this.#count++}`
  }

  #read<T extends Tensor>(tensor: T): T {
    this.#unread.delete(tensor)
    return tensor
  }

  #made(tensor: Tensor, wide = false): Tensor {
    this.#unread.add(tensor)
    ;(wide ? this.#wide : this.#activations).push(tensor)
    return tensor
  }

  #activation(): Tensor {
    // Mostly a young one, so that the network is deep.
    return this.#read(this.#dice.of(this.#activations.slice(this.#dice.chance(0.7) ? -4 : 0)))
  }

  /** Weight, bias and shift of `outputs` sums of `inputs` products. */
  #sums(name: string, outputs: number, shape: readonly number[]): void {
    const inputs = shape.reduce((a, b) => a * b, 1) / outputs
    const f = this.#fixture
    // Half of 2^31 at most, with a bias of a quarter; now and then that large in truth.
    const most = Math.min(2047, Math.floor(2 ** 30 / 2048 / inputs))
    const weight = this.#dice.list(outputs * inputs, -most, most)
    const extreme = this.#dice.chance(0.1)
    f.integerValues(`${name}.weight`, shape, extreme ? weight.map((w) => (w < 0 ? -most : most)) : weight)
    // About what brings such a sum to 11 bits.
    const usual = Math.max(1, Math.round(Math.log2(Math.sqrt(inputs) * most)) - 1)
    const bias = extreme ? 2 ** 29 : 2 ** Math.min(29, usual + 9)
    f.integerValues(`${name}.bias`, [outputs], this.#dice.list(outputs, -bias, bias))
    const shifts = this.#dice.list(outputs, Math.max(1, usual - 1), usual + 1)
    f.integerValues(`${name}.shift`, [outputs], this.#dice.chance(0.05) ? shifts.fill(1) : shifts)
    f.integerValues(`${name}.table`, [1], this.#dice.list(1, 0, 2))
  }

  #conv(fixed: {
    channels?: number
    wide?: boolean
    /** Whether it has neither a table nor a residual. */
    plain?: boolean
    inputs?: Tensor[]
    half?: Half | null
    /** Default: perhaps one of those that fit. */
    residual?: Tensor | null
    /** Default: perhaps. */
    table?: boolean
  }): Tensor {
    const name = this.#name()
    const { dice } = { dice: this.#dice }
    const inputs = fixed.inputs ?? Array.from({ length: dice.next(1, 3) }, () => this.#activation())
    const kernel = fixed.inputs ? 1 : dice.of([1, 1, 3, 5] as const)
    const outputs = fixed.channels ?? dice.of([1, 5, 16, 23, 49, 70])
    const wide = fixed.wide ?? dice.chance(0.2)
    const inner = inputs.reduce((sum, tensor) => sum + tensor.shape.channels, 0)
    this.#sums(name, outputs, [outputs, inner, kernel, kernel])
    const alike = [...this.#activations, ...(dice.chance(0.3) ? this.#wide : [])].filter(
      ({ shape }) => shape.channels === outputs && shape.height === this.#shape.height,
    )
    const isPlain = fixed.plain ?? false
    const drawn = !isPlain && alike.length > 0 && dice.chance(0.5) ? this.#read(dice.of(alike)) : null
    const residual = fixed.residual === undefined ? drawn : fixed.residual
    const keep = fixed.half === undefined && dice.chance(0.3) ? dice.of(['anchor', 'nonAnchor'] as const) : undefined
    return this.#made(
      this.#g.integerConv(name, inputs, kernel, {
        table: fixed.table ?? (!isPlain && dice.chance(0.5)),
        range: wide ? 'wide' : 'activation',
        ...(residual ? { residual } : {}),
        ...(keep ? { keep } : {}),
      }),
      wide,
    )
  }

  #depthwise(given?: Tensor): Tensor {
    const name = this.#name()
    const input = given ? this.#read(given) : this.#activation()
    this.#sums(name, input.shape.channels, [input.shape.channels, 1, 3, 3])
    return this.#made(this.#g.integerDepthwise(name, input, this.#dice.chance(0.5)))
  }

  #norm(given?: Tensor): Tensor {
    const name = this.#name()
    const input = given
      ? this.#read(given)
      : this.#dice.chance(0.5)
        ? this.#activation()
        : this.#read(this.#dice.of(this.#wide))
    const { channels } = input.shape
    const f = this.#fixture
    f.integerValues(`${name}.weight`, [channels], this.#dice.list(channels, -32767, 32767))
    f.integerValues(`${name}.bias`, [channels], this.#dice.list(channels, -(2 ** 26), 2 ** 26))
    f.integerValues(`${name}.shift`, [channels], this.#dice.list(channels, 15, 19))
    f.integerValues(`${name}.epsilon`, [1], Int32Array.of(this.#dice.of([0, 1, 800, 2 ** 20 - 1])))
    return this.#made(this.#g.integerLayerNorm(name, input))
  }

  #requantise(input: Tensor): Tensor {
    const name = this.#name()
    this.#fixture.integerValues(`${name}.shift`, [1], Int32Array.of(this.#dice.of([0, 1, 3, 11])))
    return this.#made(this.#g.requantise(name, this.#read(input)))
  }

  /** Softmax parameters of an attention whose logits are `shift` bits too long. */
  #softmax(name: string, shift: number): void {
    const step = this.#dice.of([0.001, 0.01, 0.3])
    const exp = Int32Array.from({ length: 4096 }, (_, i) =>
      i === 4095 ? 0 : Math.round(2 ** 14 * Math.exp(-i * step)),
    )
    this.#fixture.integerValues(`${name}.exp`, [4096], exp)
    this.#fixture.integerValues(`${name}.shift`, [1], Int32Array.of(shift))
  }

  /** A window attention, and the convolution that fuses its windows; only those round non-anchors are read. */
  #window(): void {
    const heads = this.#dice.of([1, 2])
    const channels = heads * this.#headWidth([1, 5, 8, 17, 32])
    const qkv = this.#conv({ channels: 3 * channels, wide: false, inputs: [this.#activation()], half: null })
    const name = this.#name()
    this.#softmax(name, this.#dice.next(8, 16))
    this.#fixture.integerValues(`${name}.bias`, [81, heads], this.#dice.list(81 * heads, -2000, 2000))
    const windows = this.#g.integerWindowAttention(name, this.#read(qkv), heads)
    const fusion = this.#name()
    this.#sums(fusion, 7, [7, channels, 5, 5])
    const fused = this.#g.integerConv(fusion, windows, 5, { stride: 5 })
    this.#made(this.#g.mask(fused, 'nonAnchor'))
  }

  #headWidth(widths: readonly number[]): number {
    return Math.ceil(this.#dice.of(widths) / this.#headUnit) * this.#headUnit
  }

  #linear(): void {
    const heads = this.#dice.of([1, 3])
    const channels = heads * this.#headWidth([1, 4, 16, 33])
    const part = () => this.#read(this.#conv({ channels, wide: false, inputs: [this.#activation()], half: null }))
    const parts = [part(), part(), part()] as const
    const name = this.#name()
    this.#softmax(name, this.#dice.next(11, 18))
    this.#made(this.#g.integerLinearAttention(name, parts, heads, this.#dice.chance(0.5)))
  }

  /** A linear attention as the entropy model has it: projections of the same tensors, or of one each, perhaps masked. */
  #projected(isApart: boolean): void {
    const heads = this.#dice.of([1, 2])
    const channels = heads * this.#headWidth([1, 4, 16])
    const [a, b] = [this.#activation(), this.#activation()]
    const project = (inputs: Tensor[]) => {
      const conv = this.#conv({ channels, wide: false, plain: true, inputs, half: null })
      const name = this.#name()
      this.#sums(name, channels, [channels, 1, 3, 3])
      return this.#read(this.#g.integerDepthwise(name, this.#read(conv), false))
    }
    const parts = isApart
      ? ([
          project([this.#g.mask(a, 'nonAnchor')]),
          project([this.#g.mask(a, 'anchor')]),
          project([this.#dice.chance(0.7) ? a : b]),
        ] as const)
      : ([project([a, b]), project([a, b]), project([a, b])] as const)
    const name = this.#name()
    this.#softmax(name, this.#dice.next(11, 18))
    this.#made(this.#g.integerLinearAttention(name, parts, heads, isApart))
  }

  #move(): void {
    const input = this.#activation()
    const first = this.#dice.next(0, input.shape.channels - 1)
    const channels = this.#dice.next(1, input.shape.channels - first)
    const sliced = this.#g.slice(this.#name(), input, first, channels)
    const other = this.#dice.chance(0.5) ? this.#activation() : this.#read(this.#dice.of(this.#wide))
    // With a wide part the whole is wide.
    const wide = this.#wide.includes(other)
    this.#made(this.#g.concat(this.#name(), [sliced, other]), wide)
    this.#made(this.#g.mask(this.#activation(), this.#dice.of(['anchor', 'nonAnchor'])))
  }

  /** Symbols, as an encoder finds them and as the host would read them, and the latent that follows. */
  #entropy(): void {
    const params = this.#dice.of(this.#wide.filter(({ shape }) => shape.channels % 2 === 0).concat(this.#params()))
    const channels = this.#read(params).shape.channels / 2
    const keep = this.#dice.of(['anchor', 'nonAnchor'] as const)
    const indexes = this.#g.scaleIndex(this.#name(), params, keep)
    this.#unread.add(indexes)
    const first = this.#latents.next(0, 5)
    const latent = this.#input(first + channels + this.#latents.next(0, 3), 300, this.#latents)
    this.#unread.add(this.#g.quantise(this.#name(), latent, first, params, indexes, keep))
    const symbols = this.#input(channels, 300)
    const base = this.#dice.chance(0.5) ? this.#input(channels, 2 ** 15) : null
    this.#made(this.#g.dequantise(this.#name(), symbols, params, base, keep), true)
  }

  #params(): Tensor {
    return this.#conv({ channels: 12, wide: true, half: null })
  }
}

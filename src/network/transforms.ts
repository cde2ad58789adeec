/**
 * The transforms g_a, g_s, h_a, h_s and their blocks (docs/network.md, "Lifting", "Blocks", "Transforms").
 */

import type { ConvOptions, GraphBuilder } from './builder.js'
import type { ModelConfig } from './config.js'
import type { Axis, LiftEnds, Tensor } from './graph.js'

/**
 * Lifting factors of the CDF 9/7 wavelet and its normalisation (Cohen, Daubechies, Feauveau 1992; Daubechies, Sweldens
 * 1998).
 */
const CDF97 = [-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971] as const
const CDF97_K = 1.230174104914001

/**
 * How many times more of a constant the first predict step leaves in an odd sample inside than in the last one, whose one
 * neighbour counts once.
 */
const LAST_ODD = (1 + 2 * CDF97[0]) / (1 + CDF97[0])

/**
 * The weights of steps 0 to 3 at the ends of a row of samples, where a model has its own. CDF 9/7 counts the one
 * neighbour of the last odd sample twice, by which noise in the subbands comes back 1.7 dB stronger in that row or
 * column than inside, and 0.75 dB in the first. Here it counts once, and whatever reads that sample makes up for it, so
 * that a constant still has no high band. In the second update the last odd sample counts 0.872 in the last even one,
 * and the first odd one 0.75 in the first even one: with these the noise there is least, 0.3 and 0.0 dB.
 */
const ENDS = [
  { source: 1, first: 1, last: 1 / 2 },
  { source: LAST_ODD, first: 1, last: 1 },
  { source: 1, first: 1, last: 1 / LAST_ODD },
  { source: 0.872 / CDF97[3], first: 0.75 / (2 * CDF97[3]), last: 1 },
] as const satisfies readonly LiftEnds[]

/** DCNv2, or a plain conv of the same size where the model has no DRB. */
function deformable(g: GraphBuilder, config: ModelConfig, name: string, x: Tensor, options: ConvOptions): Tensor {
  if (!config.drb) return g.conv(name, x, options)
  return g.deform(name, x, options.stride ?? 1, options.activation ?? 'none', options.shuffle ?? 1)
}

/** @param outputs channels that the block must have */
function drbs(g: GraphBuilder, config: ModelConfig, name: string, x: Tensor, outputs: number): Tensor {
  const inner = deformable(g, config, `${name}.conv1`, x, { stride: 2, activation: 'gelu' })
  const outer = g.conv(`${name}.conv2`, inner)
  g.expectChannels(outer, outputs)
  return g.gdn(`${name}.gdn`, outer, false, g.conv(`${name}.skip`, x, { stride: 2 }))
}

/** @param outputs channels that the block must have */
function drbu(g: GraphBuilder, config: ModelConfig, name: string, x: Tensor, outputs: number): Tensor {
  const up = deformable(g, config, `${name}.up`, x, { activation: 'gelu', shuffle: 2 })
  const inner = g.conv(`${name}.conv`, up)
  g.expectChannels(inner, outputs)
  return g.gdn(`${name}.igdn`, inner, true, deformable(g, config, `${name}.skip`, x, { shuffle: 2 }))
}

/** @param outputs channels, where they aren't those of `x` the skip is a 1x1 conv: in the first block of a branch */
function r2b(g: GraphBuilder, name: string, x: Tensor, iterations: number, outputs = x.shape.channels): Tensor {
  let y = x
  for (let i = 0; i < iterations; i++) {
    const residual = outputs !== x.shape.channels ? g.conv(`${name}.skip`, y) : y
    const inner = g.conv(`${name}.conv1`, y, { activation: 'gelu' })
    y = g.conv(`${name}.conv2`, inner, { activation: 'gelu', residual })
  }
  return y
}

/** A level's 1-D passes by the nets of one side, `g_a` or `g_s`. */
class Lifting {
  readonly #g: GraphBuilder
  readonly #nets: string
  readonly #hasEnds: boolean

  constructor(g: GraphBuilder, config: ModelConfig, side: 'g_a' | 'g_s') {
    this.#g = g
    this.#nets = `${side}.lift.nets`
    this.#hasEnds = config.ends === true
  }

  /** (low, high) halves along the axis. */
  forward(x: Tensor, axis: Axis): [low: Tensor, high: Tensor] {
    const g = this.#g
    let [e, o] = g.liftSplit(this.#nets, x, axis)
    o = this.#step(0, e, o, axis, 1)
    e = this.#step(1, o, e, axis, 1)
    o = this.#step(2, e, o, axis, 1)
    e = this.#step(3, o, e, axis, 1)
    return [g.scale(e, 1 / CDF97_K), g.scale(o, CDF97_K / 2)]
  }

  /** The inverse of {@link forward}: the steps backwards with the signs flipped. */
  inverse(low: Tensor, high: Tensor, axis: Axis): Tensor {
    const g = this.#g
    let e = g.scale(low, CDF97_K)
    let o = g.scale(high, 2 / CDF97_K)
    e = this.#step(3, o, e, axis, -1)
    o = this.#step(2, e, o, axis, -1)
    e = this.#step(1, o, e, axis, -1)
    o = this.#step(0, e, o, axis, -1)
    return g.liftMerge(this.#nets, e, o, axis)
  }

  /** Step k: predict steps (0 and 2) look at the next even sample, update steps (1 and 3) at the previous odd one. */
  #step(k: 0 | 1 | 2 | 3, source: Tensor, target: Tensor, axis: Axis, sign: 1 | -1): Tensor {
    return this.#g.liftStep(source, target, {
      axis,
      factor: CDF97[k],
      neighbour: k % 2 === 0 ? 'next' : 'previous',
      sign,
      net: `${this.#nets}.${k >> 1}`,
      ...(this.#hasEnds && { ends: ENDS[k] }),
    })
  }
}

/** The subbands of one 2-D level, 3 channels at half size each. */
interface Subbands {
  readonly ll: Tensor
  readonly lh: Tensor
  readonly hl: Tensor
  readonly hh: Tensor
}

/** One 2-D level of x, by the nets of g_a: rows first, then the columns of both halves. */
export function lifting(g: GraphBuilder, config: ModelConfig, x: Tensor): Subbands {
  const passes = new Lifting(g, config, 'g_a')
  const [low, high] = passes.forward(x, 'rows')
  const [ll, lh] = passes.forward(low, 'columns')
  const [hl, hh] = passes.forward(high, 'columns')
  return { ll, lh, hl, hh }
}

/** What {@link lifting} made the subbands of, by the nets of g_s: its inverse where they are those of g_a. */
export function inverseLifting(g: GraphBuilder, config: ModelConfig, { ll, lh, hl, hh }: Subbands): Tensor {
  const passes = new Lifting(g, config, 'g_s')
  const low = passes.inverse(ll, lh, 'columns')
  const high = passes.inverse(hl, hh, 'columns')
  return passes.inverse(low, high, 'rows')
}

function branch(g: GraphBuilder, config: ModelConfig, name: string, x: Tensor): Tensor {
  let y = r2b(g, `${name}.0`, x, 1, config.N)
  g.expectChannels(y, config.N)
  y = drbs(g, config, `${name}.1`, y, config.N)
  y = r2b(g, `${name}.2`, y, config.iters)
  y = drbs(g, config, `${name}.3`, y, config.deep)
  y = r2b(g, `${name}.4`, y, config.iters)
  return g.conv(`${name}.5`, y, { stride: 2 })
}

/** g_a: x, 3 x H x W in [0, 1], to the latent y, M x H/16 x W/16 (before the gain). */
export function analysis(g: GraphBuilder, config: ModelConfig, x: Tensor): Tensor {
  if (config.ls) {
    const { ll, lh, hl, hh } = lifting(g, config, x)
    const mean = g.pool(x)
    const low = branch(g, config, 'g_a.low', g.concat('g_a.low input', [ll, mean]))
    const high = branch(g, config, 'g_a.high', g.concat('g_a.high input', [lh, hl, hh, mean]))
    const y = g.concat('y', [low, high])
    g.expectChannels(y, config.M)
    return y
  }
  let y = x
  for (const [i, width] of [config.N, config.N, config.deep].entries()) {
    y = drbs(g, config, `g_a.net.${2 * i}`, y, width)
    y = r2b(g, `g_a.net.${2 * i + 1}`, y, config.iters)
  }
  y = g.conv('g_a.net.6', y, { stride: 2 })
  g.expectChannels(y, config.M)
  return y
}

/** g_s: y_hat, M x H/16 x W/16, to x_hat, 3 x H x W (not clamped). */
export function synthesis(g: GraphBuilder, config: ModelConfig, yHat: Tensor): Tensor {
  let x = yHat
  for (const [i, width] of [config.deep, config.N, config.N].entries()) {
    x = r2b(g, `g_s.net.${2 * i}`, x, config.iters, i === 0 && config.narrow ? width : x.shape.channels)
    x = drbu(g, config, `g_s.net.${2 * i + 1}`, x, width)
  }
  if (!config.ls) {
    x = r2b(g, 'g_s.net.6', x, config.iters)
    x = g.conv('g_s.net.7', x, { shuffle: 2 })
    g.expectChannels(x, 3)
    return x
  }
  const bands = g.conv('g_s.net.6', x)
  g.expectChannels(bands, 12)
  const band = (name: string, i: number) => g.slice(`g_s.${name}`, bands, 3 * i, 3)
  return inverseLifting(g, config, { ll: band('ll', 0), lh: band('lh', 1), hl: band('hl', 2), hh: band('hh', 3) })
}

/** h_a: y to z, Z x H/64 x W/64. */
export function hyperAnalysis(g: GraphBuilder, y: Tensor): Tensor {
  let z = y
  for (const [layer, stride] of [
    [0, 1],
    [2, 1],
    [4, 2],
    [6, 1],
  ] as const) {
    z = g.conv(`h_a.net.${layer}`, z, { stride, activation: 'gelu' })
  }
  return g.conv('h_a.net.8', z, { stride: 2 })
}

/** h_s, in integers: z_hat to the hyper scales and means, activations, 2M x H/16 x W/16. */
export function hyperSynthesis(g: GraphBuilder, zHat: Tensor): Tensor {
  let x = g.requantise('h_s.input', zHat)
  for (const [layer, shuffle] of [
    [0, 1],
    [2, 2],
    [5, 1],
    [7, 2],
  ] as const) {
    x = g.integerConv(`h_s.net.${layer}`, x, 3, { table: true, shuffle })
  }
  return g.integerConv('h_s.net.10', x, 3)
}

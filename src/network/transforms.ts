/**
 * The transforms g_a, g_s, h_a, h_s and their blocks (docs/network.md, "Lifting", "Blocks", "Transforms").
 */

import type { ConvOptions, GraphBuilder } from './builder.js'
import type { ModelConfig } from './config.js'
import type { Axis, Tensor } from './graph.js'

/**
 * Lifting factors of the CDF 9/7 wavelet and its normalisation (Cohen, Daubechies, Feauveau 1992; Daubechies, Sweldens
 * 1998).
 */
const CDF97 = [-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971] as const
const CDF97_K = 1.230174104914001

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

/** Step k (0..3) of a 1-D pass: predict steps look at the next even sample, update steps at the previous odd one. */
function step(g: GraphBuilder, nets: string, k: number, source: Tensor, target: Tensor, axis: Axis, sign: 1 | -1) {
  return g.liftStep(source, target, {
    axis,
    factor: CDF97[k] as number,
    neighbour: k % 2 === 0 ? 'next' : 'previous',
    sign,
    net: `${nets}.${k >> 1}`,
  })
}

/** One 1-D pass of the forward lifting: (low, high) halves along the axis. */
function liftForward(g: GraphBuilder, nets: string, x: Tensor, axis: Axis): [low: Tensor, high: Tensor] {
  let [e, o] = g.liftSplit(nets, x, axis)
  o = step(g, nets, 0, e, o, axis, 1)
  e = step(g, nets, 1, o, e, axis, 1)
  o = step(g, nets, 2, e, o, axis, 1)
  e = step(g, nets, 3, o, e, axis, 1)
  return [g.scale(e, 1 / CDF97_K), g.scale(o, CDF97_K / 2)]
}

/** The inverse of {@link liftForward}: the steps backwards with the signs flipped. */
function liftInverse(g: GraphBuilder, nets: string, low: Tensor, high: Tensor, axis: Axis): Tensor {
  let e = g.scale(low, CDF97_K)
  let o = g.scale(high, 2 / CDF97_K)
  e = step(g, nets, 3, o, e, axis, -1)
  o = step(g, nets, 2, e, o, axis, -1)
  e = step(g, nets, 1, o, e, axis, -1)
  o = step(g, nets, 0, e, o, axis, -1)
  return g.liftMerge(nets, e, o, axis)
}

/** The subbands of one 2-D level, 3 channels at half size each: rows first, then the columns of both halves. */
export function lifting(g: GraphBuilder, x: Tensor): { ll: Tensor; lh: Tensor; hl: Tensor; hh: Tensor } {
  const nets = 'g_a.lift.nets'
  const [low, high] = liftForward(g, nets, x, 'rows')
  const [ll, lh] = liftForward(g, nets, low, 'columns')
  const [hl, hh] = liftForward(g, nets, high, 'columns')
  return { ll, lh, hl, hh }
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
    const { ll, lh, hl, hh } = lifting(g, x)
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
  const [ll, lh, hl, hh] = ['ll', 'lh', 'hl', 'hh'].map((name, i) => g.slice(`g_s.${name}`, bands, 3 * i, 3)) as [
    Tensor,
    Tensor,
    Tensor,
    Tensor,
  ]
  const nets = 'g_s.lift.nets'
  const low = liftInverse(g, nets, ll, lh, 'columns')
  const high = liftInverse(g, nets, hl, hh, 'columns')
  return liftInverse(g, nets, low, high, 'rows')
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

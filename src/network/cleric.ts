/**
 * The graphs of a tile: encoding in one stage, and one more for what a decoder will show; decoding in stages
 * between which the host decodes symbols. Each of the two may end in y_hat instead of pixels and symbols.
 */

import { GraphBuilder } from './builder.js'
import type { ModelConfig } from './config.js'
import { EntropyModel } from './entropy.js'
import type { Graph, Half, Parameters, Shape, Tensor } from './graph.js'
import { analysis, hyperAnalysis, hyperSynthesis, synthesis } from './transforms.js'

/** Inputs are padded to a multiple of this. */
export const PAD_MULTIPLE = 64

/** Host side of the stage "synthesis", which ends a decoder graph, and an encoder graph that knows its pixels. */
export interface Reconstruction {
  /** float, M x 1 x 1, what y_hat is multiplied by; null for a model of one rate. */
  readonly gain: Tensor | null
  /** rgb8, 3 x H x W. */
  readonly image: Tensor
}

/** Host side of an encoder graph: the stage "encode", and, if it was asked for, "synthesis". */
export interface EncoderGraph {
  readonly graph: Graph
  /** rgb8, 3 x H x W. */
  readonly image: Tensor
  /** float, M x 1 x 1, what y is multiplied by; null for a model of one rate. */
  readonly gain: Tensor | null
  /** int16, Z x H/64 x W/64. */
  readonly z: Tensor
  /** Per slice, d x H/16 x W/16, both halves in coding order: symbols r and indices into the scale table. */
  readonly slices: readonly { readonly symbols: Tensor; readonly indexes: Tensor }[]
  /** The pixels that a decoder makes of these symbols; null if they weren't asked for. */
  readonly reconstruction: Reconstruction | null
}

/** The ports through which the host gives a decoder its symbols: those of the stage "hyper", then of two a slice. */
export interface SymbolPorts {
  /** int16, Z x H/64 x W/64: input of stage 0. */
  readonly z: Tensor
  /**
   * In coding order; `indexes` comes out of stage n, `symbols` goes into stage n + 1. That half of d x H/16 x W/16.
   */
  readonly halves: readonly { readonly half: Half; readonly indexes: Tensor; readonly symbols: Tensor }[]
}

/** Host side of a decoder graph: the last stage, "synthesis", ends in the image. */
export interface DecoderGraph extends SymbolPorts, Reconstruction {
  readonly graph: Graph
}

/** Host side of a decoder graph without g_s: the last stage, "latent", ends in y_hat. */
export interface LatentDecoderGraph extends SymbolPorts {
  readonly graph: Graph
  /** float, M x H/16 x W/16, before the inverse gain: multiples of 1/64, the same on every device. */
  readonly yHat: Tensor
}

/** Host side of an encoder graph that gives no symbols but the y_hat that a decoder makes of them: the stage "latent". */
export interface LatentEncoderGraph {
  readonly graph: Graph
  /** rgb8, 3 x H x W. */
  readonly image: Tensor
  /** float, M x 1 x 1, what y is multiplied by; null for a model of one rate. */
  readonly gain: Tensor | null
  /** As in {@link LatentDecoderGraph}. */
  readonly yHat: Tensor
}

const HALF_FORMATS = { anchor: 'anchors', nonAnchor: 'nonAnchors' } as const

/**
 * @param height of the padded tile, a multiple of 64
 * @param width likewise
 * @param isReconstructing whether the encoder also makes the pixels that a decoder will make: y_hat is there anyway, in
 *   integers that are the decoder's, so that it costs no more than g_s
 */
export function encoderGraph(
  config: ModelConfig,
  parameters: Parameters,
  height: number,
  width: number,
  isReconstructing = false,
): EncoderGraph {
  const g = new GraphBuilder(parameters)
  const slices: { symbols: Tensor; indexes: Tensor }[] = []
  const join = (i: number, a: CodedHalf, n: CodedHalf) => {
    const symbols = g.add(`r.${i}`, a.symbols, n.symbols)
    slices.push({ symbols, indexes: g.add(`index.${i}`, a.indexes, n.indexes) })
  }
  const { image, gain, z, mem } = quantise(g, config, { height, width }, isReconstructing, join)
  const coded = slices.flatMap(({ symbols, indexes }) => [symbols, indexes])
  g.endStage('encode', [
    { tensor: z, format: 'int16' },
    ...coded.map((tensor) => ({ tensor, format: 'halves' }) as const),
  ])
  const reconstruction = isReconstructing ? reconstruct(g, config, mem) : null
  return { graph: g.finish(), image, gain, z, slices, reconstruction }
}

/** See {@link encoderGraph}. */
export function latentEncoderGraph(
  config: ModelConfig,
  parameters: Parameters,
  height: number,
  width: number,
): LatentEncoderGraph {
  const g = new GraphBuilder(parameters)
  const { image, gain, mem } = quantise(g, config, { height, width }, true)
  const yHat = endInLatent(g, mem)
  return { graph: g.finish(), image, gain, yHat }
}

/** What one half of a slice is coded as. */
interface CodedHalf {
  readonly symbols: Tensor
  readonly indexes: Tensor
}

/**
 * An image to its symbols, slice by slice.
 *
 * @param isComplete whether the last slice's y_hat is made too, which no other symbols need
 * @param onSlice hears of the symbols of each slice
 */
function quantise(
  g: GraphBuilder,
  config: ModelConfig,
  { height, width }: Omit<Shape, 'channels'>,
  isComplete: boolean,
  onSlice = (_slice: number, _anchors: CodedHalf, _others: CodedHalf) => {},
) {
  const image = g.input('x', { channels: 3, height, width }, 'rgb8')
  const gain = config.levels > 0 ? g.input('gain', { channels: config.M, height: 1, width: 1 }, 'float') : null
  const transformed = analysis(g, config, image)
  const y = gain ? g.gain('y', transformed, gain) : transformed
  const z = g.round('z_hat', hyperAnalysis(g, y))
  g.expectChannels(z, config.Z)
  const mem = new EntropyModel(g, config, hyperSynthesis(g, z))

  for (let i = 0; i < config.slices; i++) {
    const code = (half: Half, params: Tensor) => {
      const indexes = g.scaleIndex(`index.${i} ${half}`, params, half)
      return { indexes, symbols: g.quantise(`r.${i} ${half}`, y, i * mem.width, params, indexes, half) }
    }
    const paramsA = mem.anchorParams()
    const a = code('anchor', paramsA)
    const anchors = mem.decodeHalf(a.symbols, paramsA, 'anchor', null)
    const paramsN = mem.nonAnchorParams(anchors)
    const n = code('nonAnchor', paramsN)
    if (i < config.slices - 1 || isComplete) mem.endSlice(mem.decodeHalf(n.symbols, paramsN, 'nonAnchor', anchors))
    onSlice(i, a, n)
  }
  return { image, gain, z, mem }
}

/** The end of a stage "latent", and of its graph. */
function endInLatent(g: GraphBuilder, mem: EntropyModel): Tensor {
  const yHat = mem.latent()
  g.endStage('latent', [{ tensor: yHat, format: 'float' }])
  return yHat
}

/** The stage "synthesis": the pixels of y_hat. */
function reconstruct(g: GraphBuilder, config: ModelConfig, mem: EntropyModel): Reconstruction {
  const gain = config.levels > 0 ? g.input('inverse gain', { channels: config.M, height: 1, width: 1 }, 'float') : null
  const yHat = mem.latent()
  const image = synthesis(g, config, gain ? g.gain('y_hat scaled', yHat, gain) : yHat)
  g.endStage('synthesis', [{ tensor: image, format: 'rgb8' }])
  return { gain, image }
}

/** See {@link encoderGraph}. */
export function decoderGraph(config: ModelConfig, parameters: Parameters, height: number, width: number): DecoderGraph {
  const g = new GraphBuilder(parameters)
  const { mem, ...ports } = dequantise(g, config, { height, width })
  const { gain, image } = reconstruct(g, config, mem)
  return { graph: g.finish(), ...ports, gain, image }
}

/** See {@link encoderGraph}. */
export function latentDecoderGraph(
  config: ModelConfig,
  parameters: Parameters,
  height: number,
  width: number,
): LatentDecoderGraph {
  const g = new GraphBuilder(parameters)
  const { mem, ...ports } = dequantise(g, config, { height, width })
  const yHat = endInLatent(g, mem)
  return { graph: g.finish(), ...ports, yHat }
}

/** Symbols from the host to y_hat; the stage that the last of them begin isn't ended. */
function dequantise(
  g: GraphBuilder,
  config: ModelConfig,
  { height, width }: Omit<Shape, 'channels'>,
): SymbolPorts & { readonly mem: EntropyModel } {
  const z = g.input('z_hat', { channels: config.Z, height: height / 64, width: width / 64 }, 'int16')
  const mem = new EntropyModel(g, config, hyperSynthesis(g, z))
  const shape = { channels: mem.width, height: height / 16, width: width / 16 }

  const halves: { half: Half; indexes: Tensor; symbols: Tensor }[] = []
  /** Ends a stage where the host decodes one half's symbols, and begins the next with them. */
  const receive = (half: Half, params: Tensor): Tensor => {
    const i = halves.length >> 1
    const indexes = g.scaleIndex(`index.${i} ${half}`, params, half)
    g.endStage(halves.length === 0 ? 'hyper' : `half ${halves.length - 1}`, [
      { tensor: indexes, format: HALF_FORMATS[half] },
    ])
    const symbols = g.input(`r.${i} ${half}`, shape, HALF_FORMATS[half])
    halves.push({ half, indexes, symbols })
    return symbols
  }
  for (let i = 0; i < config.slices; i++) {
    const paramsA = mem.anchorParams()
    const anchors = mem.decodeHalf(receive('anchor', paramsA), paramsA, 'anchor', null)
    const paramsN = mem.nonAnchorParams(anchors)
    mem.endSlice(mem.decodeHalf(receive('nonAnchor', paramsN), paramsN, 'nonAnchor', anchors))
  }
  return { z, halves, mem }
}

/**
 * Fails unless the parameters fit the configuration, as they then do at every size.
 *
 * @throws CorruptDataError ERR_MODEL_CORRUPT, naming a parameter
 * @throws UnsupportedError ERR_MODEL_UNSUPPORTED for a configuration whose channels don't divide by its heads
 */
export function checkParameters(config: ModelConfig, parameters: Parameters): void {
  encoderGraph(config, parameters, PAD_MULTIPLE, PAD_MULTIPLE)
  decoderGraph(config, parameters, PAD_MULTIPLE, PAD_MULTIPLE)
}

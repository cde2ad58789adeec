/**
 * What a tile should cost: by the coder's tables (`tableBits`), and by the model's own estimate (`estimateBits`).
 *
 * The model's own estimate of a tile's bits, in double precision: the discretised Gaussian of every latent
 * symbol at its exact scale and mean, and the factorised prior of the hyper-latent (docs/network.md, "Entropy model").
 */
import type { CdfTables } from '../../src/entropy/rans.js'
import type { Model } from '../../src/model/model.js'
import type { EncoderGraph } from '../../src/network/cleric.js'
import type { Graph, PortData, QuantiseNode, Tensor } from '../../src/network/graph.js'
import { erf } from '../network/float-ops.js'

/** The coder has 16-bit frequencies: no symbol is cheaper to miss than this. */
const leastProbability = 2 ** -16

/**
 * The 64 scales of the coder's tables go from the least to the largest in equal ratios
 * (training/cleric_training/integer/tables.py).
 */
const [leastScale, largestScale] = [0.11, 256]

/**
 * What one unit of the network's scales stands for, from the last threshold, which lies between the last two scales.
 */
function scaleUnit(model: Model): number {
  const thresholds = model.parameters.integers('scales.thresholds').data
  return (leastScale * (largestScale / leastScale) ** (62.5 / 63)) / (thresholds[62] as number)
}

/** The encoder graph with what the estimate needs as further outputs. */
export function withParameterOutputs(plan: EncoderGraph): Graph {
  const [stage] = plan.graph.stages
  if (!stage) throw new Error('no stage')
  const extra = quantisers(plan).flatMap(({ params, output }) => [params, output])
  const outputs = [...stage.outputs, ...extra.map((tensor) => ({ tensor, format: 'float' as const }))]
  return { ...plan.graph, stages: [{ ...stage, outputs }] }
}

function quantisers(plan: EncoderGraph): QuantiseNode[] {
  return plan.graph.stages.flatMap(({ nodes }) => nodes.filter((node): node is QuantiseNode => node.op === 'quantise'))
}

/** Bits of z and y, from the outputs of a run of {@link withParameterOutputs}. */
export function estimateBits(model: Model, plan: EncoderGraph, outputs: ReadonlyMap<Tensor, PortData>): number {
  const unit = scaleUnit(model)
  let bits = hyperBits(model, plan.z, outputs.get(plan.z) as PortData)
  for (const { params, output, keep } of quantisers(plan)) {
    const values = outputs.get(params) as PortData
    const symbols = outputs.get(output) as PortData
    const { height, width } = output.shape
    for (const [i, symbol] of symbols.entries()) {
      const position = i % (height * width)
      const anchor = (Math.floor(position / width) + (position % width)) % 2 === 1
      if (anchor !== (keep === 'anchor')) continue
      const scale = Math.max((values[i] as number) * unit, leastScale)
      const cdf = (v: number) => 0.5 * (1 + erf(v / scale / Math.SQRT2))
      bits -= Math.log2(Math.max(cdf(0.5 - Math.abs(symbol)) - cdf(-0.5 - Math.abs(symbol)), leastProbability))
    }
  }
  return bits
}

/**
 * Bits of all symbols under the tables that code them, outliers with their escape and bypass bits
 * (native/entropy/rans.h).
 */
export function tableBits(model: Model, plan: EncoderGraph, outputs: ReadonlyMap<Tensor, PortData>): number {
  const area = plan.z.shape.height * plan.z.shape.width
  let bits = 0
  for (const [i, value] of (outputs.get(plan.z) as PortData).entries()) {
    bits += symbolBits(model.zTables, Math.floor(i / area), value)
  }
  for (const { symbols, indexes } of plan.slices) {
    const index = outputs.get(indexes) as PortData
    for (const [i, value] of (outputs.get(symbols) as PortData).entries()) {
      bits += symbolBits(model.yTables, index[i] as number, value)
    }
  }
  return bits
}

function symbolBits({ values, offset, size, min }: CdfTables, table: number, value: number): number {
  const [first, least, last] = [offset[table] as number, min[table] as number, (size[table] as number) - 1]
  const cost = (symbol: number) =>
    16 - Math.log2((values[first + symbol + 1] as number) - (values[first + symbol] as number))
  if (value >= least && value < least + last) return cost(value - least)
  const overshoot = value < least ? least - 1 - value : value - (least + last)
  return cost(last) + 2 + 2 * Math.floor(Math.log2(overshoot + 1))
}

function hyperBits(model: Model, tensor: Tensor, z: PortData): number {
  const { height, width } = tensor.shape
  let bits = 0
  for (const [i, value] of z.entries()) {
    const channel = Math.floor(i / (height * width))
    const low = logit(model, channel, value - 0.5)
    const high = logit(model, channel, value + 0.5)
    // Differences of sigmoids are exact on the side where both are small.
    const sign = low + high > 0 ? -1 : 1
    const p = Math.abs(1 / (1 + Math.exp(-sign * high)) - 1 / (1 + Math.exp(-sign * low)))
    bits -= Math.log2(Math.max(p, leastProbability))
  }
  return bits
}

/** Logit of the factorised prior's cumulative distribution (Balle et al. 2018, appendix 6.1). */
function logit(model: Model, channel: number, x: number): number {
  let hidden = [x]
  for (let layer = 0; layer < 5; layer++) {
    const weight = model.parameters.get(`z_prior.h${layer}`)
    const bias = model.parameters.get(`z_prior.b${layer}`)
    const [, rows = 0, columns = 0] = weight.shape
    const previous = hidden
    hidden = Array.from({ length: rows }, (_, r) => {
      let sum = bias.data[channel * rows + r] as number
      for (let c = 0; c < columns; c++) {
        sum += Math.log1p(Math.exp(weight.data[(channel * rows + r) * columns + c] as number)) * (previous[c] as number)
      }
      if (layer === 4) return sum
      const gate = model.parameters.get(`z_prior.a${layer}`).data[channel * rows + r] as number
      return sum + Math.tanh(gate) * Math.tanh(sum)
    })
  }
  return hidden[0] as number
}

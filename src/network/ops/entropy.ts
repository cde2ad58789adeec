/** From the entropy model's parameters to what the coder takes, and from its symbols back. */
import { badParameter } from '../parameters.js'
import { type Half, halfNumber, type Shape, type Tensor } from '../tensor.js'
import { floats, integers, type Ops, output, reads, shapedAs } from './op.js'

/**
 * Entropy parameters to what the coder needs, on one half (zero elsewhere): `index` of the scale in the
 * model's table, which is the number of entries of `table`, a rising list of thresholds, below the scale (at most
 * its last index); params = [scale (d), mean (d)], wide integers, means in 1/64. Parameter: table, I32.
 */
export interface ScaleIndexNode {
  readonly op: 'scaleIndex'
  readonly params: Tensor
  readonly output: Tensor
  readonly table: string
  readonly keep: Half
}

/**
 * Symbols on one half, zero elsewhere: with v = y - mean / 64 and t the entry of `deadZones` at the scale's index,
 * r = sign(v) floor(|v| + 1 - t), or 0 for |v| < t, clamped as in RoundNode. y, a float, is channels
 * [first, first + d) of `latent`. Parameter: deadZones, float [64], 0.5 (plain rounding) to 1.25.
 */
export interface QuantiseNode {
  readonly op: 'quantise'
  readonly latent: Tensor
  readonly first: number
  readonly params: Tensor
  /** What a ScaleIndexNode makes of `params`. */
  readonly indexes: Tensor
  readonly deadZones: string
  readonly output: Tensor
  readonly keep: Half
}

/** 64 symbols + mean on one half, y_hat in 1/64; elsewhere `base`, or zero without one. */
export interface DequantiseNode {
  readonly op: 'dequantise'
  readonly symbols: Tensor
  readonly params: Tensor
  readonly base: Tensor | null
  readonly output: Tensor
  readonly keep: Half
}

/**
 * Name of the parameter `deadZones` of {@link QuantiseNode}, which is no tensor of a model file: it follows from the
 * coder's tables.
 */
export const DEAD_ZONE_TABLE = 'dead zones'

/** Steps of a mean and of y_hat in one step of the latent. */
export const LATENT_STEPS = 64

/** Scales of the coder's tables. */
const SCALES = 64
/** What a list of thresholds ends with: out of any scale's reach. */
const LAST_THRESHOLD = 2 ** 30

/** [scale, mean] of d channels each. */
function paramsOf({ shape }: Tensor): Shape {
  return { ...shape, channels: 2 * shape.channels }
}

export type EntropyNode = ScaleIndexNode | QuantiseNode | DequantiseNode

export const entropy: Ops<EntropyNode> = {
  scaleIndex: {
    inputs: ({ params, keep }) => reads([params], { positions: keep }),
    outputs: output,
    shapes: ({ params, output: indexes }) => [[params, paramsOf(indexes)]],
    parameters: ({ table }) => [integers(table, [SCALES], 0, LAST_THRESHOLD)],
    integers: ({ keep }) => [halfNumber(keep)],
    proof: ({ table }, valuesOf) => {
      const thresholds = valuesOf(table)
      for (let i = 1; i < thresholds.length; i++) {
        const rises = (thresholds[i] as number) > (thresholds[i - 1] as number)
        if (!rises) throw badParameter(table, `does not rise at ${i}`)
      }
      const last = thresholds.at(-1)
      if (last !== LAST_THRESHOLD) throw badParameter(table, `ends with ${last}, not ${LAST_THRESHOLD}`)
    },
  },
  quantise: {
    inputs: ({ latent, params, indexes, keep }) => reads([latent, params, indexes], { positions: keep }),
    outputs: output,
    shapes: ({ latent, first, params, indexes, output: symbols }) => [
      [params, paramsOf(symbols)],
      ...shapedAs(symbols, indexes),
      [latent, { ...symbols.shape, channels: Math.max(latent.shape.channels, first + symbols.shape.channels) }],
    ],
    parameters: ({ deadZones }) => [floats(deadZones, [SCALES])],
    integers: ({ keep, first }) => [halfNumber(keep), first],
  },
  dequantise: {
    inputs: ({ symbols, params, base, keep }) => [
      ...reads([symbols, params], { positions: keep }),
      ...reads(base ? [base] : [], { positions: keep === 'anchor' ? 'nonAnchor' : 'anchor' }),
    ],
    outputs: output,
    shapes: ({ symbols, params, base, output: yHat }) => [...shapedAs(yHat, symbols, base), [params, paramsOf(yHat)]],
    integers: ({ keep }) => [halfNumber(keep)],
  },
}

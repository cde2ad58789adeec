/**
 * The sizes and switches of a CLERIC network (docs/network.md), read from a model file's `config` and checked once,
 * here.
 */
import { CorruptDataError, UnsupportedError } from '../errors.js'

export interface ModelConfig {
  /** Name of the preset the model was made from, for people. */
  readonly preset: string
  /** Transform width N, at 1/2 and 1/4 of the resolution. */
  readonly N: number
  /** Transform width at 1/8 of the resolution: N unless the file says otherwise. */
  readonly deep: number
  /** Latent channels M, a multiple of `slices`. */
  readonly M: number
  /** Hyper-latent channels Z. */
  readonly Z: number
  /** Channel slices S of the entropy model; d = M / S channels a slice. */
  readonly slices: number
  /** Hidden width c of the lifting nets. */
  readonly lift: number
  /** Iterations T of the recurrent residual blocks; 1 with R2B off. */
  readonly iters: number
  /** Deformable convolutions; off: plain 3x3. */
  readonly drb: boolean
  /** Learned lifting scheme; off: MLIC++'s transforms. */
  readonly ls: boolean
  /** Whether the lifting steps have weights of their own at the ends of a row of samples. */
  readonly ends?: boolean
  /** Whether g_s narrows in its first block instead of the second, as MLIC++ of 2023 does. */
  readonly narrow?: boolean
  /** Hidden widths of the channel context, the entropy parameters and the latent residual prediction. */
  readonly chan: readonly number[]
  readonly ep: readonly number[]
  readonly lrp: readonly number[]
  /** Gain levels L of a variable-rate model, 0 for a model of one rate. */
  readonly levels: number
}

/**
 * What a configuration may hold. `hyper` and `taper` are widths of the entropy model that its tensors tell by their shapes. One
 * that holds more is of a network that is computed in another way: the same weights would make other pixels.
 */
const FIELDS: ReadonlySet<string> = new Set([
  ...['preset', 'N', 'deep', 'M', 'Z', 'slices', 'lift', 'iters', 'drb', 'ls', 'r2b', 'ends', 'narrow', 'taper'],
  ...['chan', 'ep', 'lrp', 'levels', 'hyper'],
])

/** Far above preset `paper`, and low enough that nothing overflows. */
const MAX_WIDTH = 4096

/**
 * Parses and checks the JSON of a model's configuration.
 *
 * @throws CorruptDataError ERR_MODEL_CORRUPT naming the field that is wrong; UnsupportedError ERR_MODEL_UNSUPPORTED
 * naming one that isn't known
 */
export function parseConfig(json: string): ModelConfig {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    throw new CorruptDataError('ERR_MODEL_CORRUPT', 'The model configuration is not JSON', { cause: error })
  }
  if (typeof value !== 'object' || value === null) throw bad('the whole', value)
  const fields = value as Record<string, unknown>

  const unknown = Object.keys(fields).find((name) => !FIELDS.has(name))
  if (unknown !== undefined) {
    const name = JSON.stringify(unknown.slice(0, 80))
    const message = `The model configuration has ${name}, which this version of cleric doesn't know: a later one may`
    throw new UnsupportedError('ERR_MODEL_UNSUPPORTED', message)
  }

  const integer = (name: string, min: number, max: number): number => {
    const v = fields[name]
    if (typeof v !== 'number' || !Number.isInteger(v) || v < min || v > max) throw bad(name, v)
    return v
  }
  const flag = (name: string): boolean => {
    const v = fields[name]
    if (typeof v !== 'boolean') throw bad(name, v)
    return v
  }
  const widths = (name: string): number[] => {
    const v = fields[name]
    if (!Array.isArray(v) || v.length === 0 || v.length > 8) throw bad(name, v)
    return v.map((width: unknown) => {
      if (typeof width !== 'number' || !Number.isInteger(width) || width < 1 || width > MAX_WIDTH) throw bad(name, v)
      return width
    })
  }

  const N = integer('N', 1, MAX_WIDTH)
  const config: ModelConfig = {
    preset: typeof fields.preset === 'string' ? fields.preset : 'custom',
    N,
    deep: fields.deep === undefined ? N : integer('deep', 1, MAX_WIDTH),
    M: integer('M', 2, MAX_WIDTH),
    Z: integer('Z', 1, MAX_WIDTH),
    slices: integer('slices', 1, 64),
    lift: integer('lift', 1, 256),
    // R2B switched off is one iteration.
    iters: fields.r2b === false ? 1 : integer('iters', 1, 16),
    drb: flag('drb'),
    ls: flag('ls'),
    ...(fields.ends !== undefined && { ends: flag('ends') }),
    ...(fields.narrow !== undefined && { narrow: flag('narrow') }),
    chan: widths('chan'),
    ep: widths('ep'),
    lrp: widths('lrp'),
    levels: integer('levels', 0, 64),
  }
  if (config.M % config.slices !== 0) throw bad('slices', config.slices)
  // Two attention heads a slice, and channel groups of four on every device.
  if ((config.M / config.slices) % 4 !== 0) throw bad('M', config.M)
  if (config.levels === 1) throw bad('levels', config.levels)
  if (config.ends && !config.ls) throw bad('ends', config.ends)
  return config
}

function bad(name: string, value: unknown): CorruptDataError {
  const shown = JSON.stringify(value) ?? 'undefined'
  return new CorruptDataError('ERR_MODEL_CORRUPT', `The model configuration has a bad ${name}: ${shown.slice(0, 80)}`)
}

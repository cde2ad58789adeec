/**
 * Any rate from one model: the step of every latent channel at a quality (docs/network.md, "Any rate from one model").
 */
import type { Model } from '../model/model.js'

/** Default quality, from 0 (smallest) to 100 (best). */
export const DEFAULT_QUALITY = 60

export interface Gains {
  /** Factors of y before the hyper-encoder, [M]. */
  readonly forward: Float32Array
  /** Factors of y_hat before the synthesis, [M]. */
  readonly inverse: Float32Array
}

/**
 * 2^log_gain[q] and 2^(log_inv[q] - log_gain[q]), the logs interpolated linearly between the model's gain levels.
 *
 * @param quality 0..100, which spans the gain levels linearly
 * @returns null for a model of one rate
 */
export function gainsAt(model: Model, quality: number): Gains | null {
  const { levels, M } = model.config
  if (levels === 0) return null
  const q = (quality / 100) * (levels - 1)
  const low = Math.min(Math.floor(q), levels - 2)
  const t = q - low
  const logGain = model.parameters.get('log_gain').data
  const logInverse = model.parameters.get('log_inv').data
  const mix = (values: Float32Array, c: number) =>
    (1 - t) * (values[low * M + c] as number) + t * (values[(low + 1) * M + c] as number)
  const forward = new Float32Array(M)
  const inverse = new Float32Array(M)
  for (let c = 0; c < M; c++) {
    const log = mix(logGain, c)
    forward[c] = 2 ** log
    inverse[c] = 2 ** (mix(logInverse, c) - log)
  }
  return { forward, inverse }
}

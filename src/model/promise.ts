/**
 * What a model promises: the error that it has on tissue, at most, at a quality. A tile with more error shows something
 * that the model wasn't made for.
 *
 * A model file states it in its metadata, as `tissue_errors`: JSON of [quality, mean squared error] pairs, of 8-bit
 * values, from quality 0 to 100. It was measured on images of tissue: the error that one tile of a thousand exceeds,
 * and half as much again (`scripts/tissue-errors.ts`).
 */
import { CorruptDataError } from '../errors.js'

export const PROMISE_KEY = 'tissue_errors'

/** Pairs of quality and mean squared error, by ascending quality, the first 0 and the last 100. */
export type TissueErrors = readonly (readonly [quality: number, mse: number])[]

/** For models that don't say: what the model that ships with cleric was measured to have. */
export const DEFAULT_ERRORS: TissueErrors = [
  [0, 232],
  [20, 133],
  [40, 83.2],
  [60, 57],
  [80, 47.7],
  [100, 44],
]

const MOST_PAIRS = 64

/** @throws CorruptDataError ERR_MODEL_CORRUPT */
export function parseTissueErrors(text: string | undefined): TissueErrors {
  if (text === undefined) return DEFAULT_ERRORS
  const corrupt = () => new CorruptDataError('ERR_MODEL_CORRUPT', `The model's metadata ${PROMISE_KEY} makes no sense`)
  let pairs: unknown
  try {
    pairs = JSON.parse(text)
  } catch {
    throw corrupt()
  }
  if (!Array.isArray(pairs) || pairs.length < 2 || pairs.length > MOST_PAIRS || !pairs.every(isPair)) throw corrupt()
  const qualities = pairs.map(([quality]) => quality)
  const isAscending = qualities.every((quality, i) => i === 0 || quality > (qualities[i - 1] as number))
  if (!isAscending || qualities[0] !== 0 || qualities.at(-1) !== 100) throw corrupt()
  return pairs
}

function isPair(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every((number) => Number.isFinite(number)) && value[1] > 0
}

/** The error promised at a quality of 0 to 100: its logarithm is interpolated between the pairs. */
export function promisedError(errors: TissueErrors, quality: number): number {
  const above = Math.max(
    1,
    errors.findIndex(([at]) => at >= quality),
  )
  const [[low, less], [high, more]] = [errors[above - 1], errors[above]] as [[number, number], [number, number]]
  const t = (quality - low) / (high - low)
  return Math.exp((1 - t) * Math.log(less) + t * Math.log(more))
}

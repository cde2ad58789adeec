/** What a codec does to what pathologists' programs look for: nuclei, and how much of each stain there is. */
import type { Measure } from './measure.js'
import { agreement, detectNuclei } from './nuclei.js'
import { separateStains } from './stains.js'

/** All against the same computed from the original. */
export interface TissueErrors {
  /** F1 score of the nuclei found, 0 to 1. */
  readonly f1: number
  /** Relative error of their number; negative: too few. */
  readonly countError: number
  /** Mean absolute error of a pixel's density over the mean density. */
  readonly haematoxylin: number
  readonly eosin: number
}

const FIELDS = ['f1', 'countError', 'haematoxylin', 'eosin'] as const

export const tissue: Measure<TissueErrors> = {
  against(original) {
    const { width, height } = original
    const stains = separateStains(original)
    const nuclei = detectNuclei(stains.haematoxylin, width, height)
    return (decoded) => {
      const { haematoxylin, eosin } = separateStains(decoded)
      return {
        ...agreement(nuclei, detectNuclei(haematoxylin, width, height)),
        haematoxylin: relativeError(stains.haematoxylin, haematoxylin),
        eosin: relativeError(stains.eosin, eosin),
      }
    }
  },
  parse(json) {
    const values = FIELDS.map((field) => json[field])
    if (!values.every((value) => typeof value === 'number')) return null
    const [f1, countError, haematoxylin, eosin] = values as [number, number, number, number]
    return { f1, countError, haematoxylin, eosin }
  },
}

function relativeError(expected: Float32Array, found: Float32Array): number {
  let [error, density] = [0, 0]
  for (let i = 0; i < expected.length; i++) {
    error += Math.abs((found[i] as number) - (expected[i] as number))
    density += Math.max(0, expected[i] as number)
  }
  return density === 0 ? 0 : error / density
}

/** How near a decoded image is to the original: what `bench rd` measures. */
import { msSsim, psnr } from 'cleric'
import type { Measure } from './measure.js'

export interface Quality {
  /** dB over the three channels; Infinity if the image came back unchanged. */
  readonly psnr: number
  /** 0 to 1; null if a side is shorter than 176 pixels. */
  readonly msSsim: number | null
}

export const quality: Measure<Quality> = {
  against: (original) => (decoded) => ({ psnr: psnr(original, decoded), msSsim: msSsim(original, decoded) }),
  parse({ psnr, msSsim }) {
    const isNumber = (value: unknown): value is number | null => value === null || typeof value === 'number'
    // JSON has no infinity.
    return isNumber(psnr) && isNumber(msSsim) ? { psnr: psnr ?? Number.POSITIVE_INFINITY, msSsim } : null
  },
}

/** How near an archive's tiles come to the slide, for people. */
import type { CheckSummary } from '../archive/tile-checks.js'
import type { PayloadKind } from '../codec/bitstream.js'
import { decibels } from './quantities.js'

export const CODEC_NAMES: Readonly<Record<PayloadKind | 'unknown', string>> = {
  cleric: 'CLERIC',
  avif: 'AVIF',
  webp: 'lossless WebP',
  jpeg: 'JPEG',
  palette: 'palette',
  source: 'kept from the slide',
  unknown: 'unknown',
}

/** One line: the PSNR of tiles, and by what they are stored. */
export function checksText({ psnr, codecs }: CheckSummary): string {
  const { least, p1, p10, p50 } = psnr
  const stored = Object.entries(codecs).map(([codec, count]) => `${count} ${CODEC_NAMES[codec as PayloadKind]}`)
  const levels = `least ${decibels(least)}, 1 % to ${decibels(p1)}, 10 % to ${decibels(p10)}, median ${decibels(p50)}`
  return `${levels}; ${stored.join(', ')}`
}

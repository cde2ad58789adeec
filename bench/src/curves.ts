/** What the measured points come to: mean curves, and BD-rates against anchors. */
import { type BdRate, bdRate, efficient, INTERPOLATIONS, type Interpolation, type RatePoint } from 'cleric/internal'
import type { CodecFacts } from './codec.js'
import type { Quality } from './quality.js'
import type { Point } from './sweep.js'

export type Metric = 'psnr' | 'msSsim'
export const metrics: readonly Metric[] = ['psnr', 'msSsim']

/** Means over the images of a level, at one setting of a codec. */
export interface MeanPoint {
  readonly setting: number
  readonly bpp: number
  readonly psnr: number
  /** null if an image is too small for MS-SSIM. */
  readonly msSsim: number | null
}

export interface Curve {
  readonly codec: string
  readonly level: number
  readonly points: readonly MeanPoint[]
}

export interface BdEntry {
  readonly codec: string
  readonly anchor: string
  readonly level: number
  readonly metric: Metric
  readonly method: Interpolation
  /**
   * Change of bits between the mean curves; null if they have no range of quality in common. MS-SSIM is taken as -10 log10(1 - MS-SSIM).
   */
  readonly percent: number | null
  /** Qualities, in dB, over which it is the average. */
  readonly low: number | null
  readonly high: number | null
  /** Mean of the BD-rates of single images, and how many have one. */
  readonly imageMean: number | null
  readonly images: number
}

export function meanCurves(
  points: readonly Point<Quality>[],
  codecs: readonly CodecFacts[],
  levels: readonly number[],
): Curve[] {
  return levels.flatMap((level) =>
    codecs.map(({ id, settings }) => {
      const measured = points.filter((point) => point.codec === id && point.level === level)
      const means = settings.map((setting) =>
        meanPoint(
          setting,
          measured.filter((point) => point.setting === setting),
        ),
      )
      return { codec: id, level, points: means }
    }),
  )
}

function meanPoint(setting: number, points: readonly Point<Quality>[]): MeanPoint {
  const similarities = points.flatMap(({ msSsim }) => (msSsim === null ? [] : [msSsim]))
  return {
    setting,
    bpp: mean(points.map(({ bpp }) => bpp)),
    psnr: mean(points.map(({ psnr }) => psnr)),
    msSsim: similarities.length === points.length ? mean(similarities) : null,
  }
}

/** BD-rates of every codec against those of the anchors that were run, on every level, by both metrics and methods. */
export function bdRates(
  curves: readonly Curve[],
  points: readonly Point<Quality>[],
  anchors: readonly string[],
): BdEntry[] {
  const entries: BdEntry[] = []
  for (const { codec, level, points: test } of curves) {
    for (const anchor of anchors) {
      const reference = curves.find((other) => other.codec === anchor && other.level === level)
      if (!reference || codec === anchor) continue
      for (const metric of metrics) {
        for (const method of INTERPOLATIONS) {
          const whole = between(reference.points, test, metric, method)
          const single = imagesOf(points, level).flatMap((image) => {
            const pointsOf = (id: string) =>
              points.filter((p) => p.level === level && p.image === image && p.codec === id)
            return between(pointsOf(anchor), pointsOf(codec), metric, method)?.percent ?? []
          })
          const [percent, low, high] = [whole?.percent ?? null, whole?.low ?? null, whole?.high ?? null]
          const imageMean = single.length === 0 ? null : mean(single)
          entries.push({ codec, anchor, level, metric, method, percent, low, high, imageMean, images: single.length })
        }
      }
    }
  }
  return entries
}

type Measured = Pick<MeanPoint, 'bpp' | 'psnr' | 'msSsim'>

function between(
  anchor: readonly Measured[],
  test: readonly Measured[],
  metric: Metric,
  method: Interpolation,
): BdRate | null {
  const [a, b] = [efficient(anchor.map((p) => ratePoint(p, metric))), efficient(test.map((p) => ratePoint(p, metric)))]
  return a.length < 2 || b.length < 2 ? null : bdRate(a, b, method)
}

function ratePoint(point: Measured, metric: Metric): RatePoint {
  return { rate: point.bpp, quality: decibels(point, metric) ?? Number.NaN }
}

/** PSNR as it is, MS-SSIM as -10 log10(1 - MS-SSIM); null where there is none. */
export function decibels(point: Measured, metric: Metric): number | null {
  if (metric === 'psnr') return point.psnr
  return point.msSsim === null ? null : -10 * Math.log10(1 - point.msSsim)
}

function imagesOf(points: readonly Point<Quality>[], level: number): string[] {
  return [...new Set(points.filter((point) => point.level === level).map(({ image }) => image))]
}

/** NaN of nothing. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** Runs of `bench rd` taken together, so that new weights cost a run of CLERIC alone and a slow codec its finest level only. */
import { bdRates, meanCurves } from './curves.js'
import { ANCHORS, type RdReport } from './rate-distortion.js'

/**
 * One report of all points. Where two reports have the same point, the first one's counts.
 *
 * @param order ids of the codecs, as they are to stand
 * @throws Error if images of one name differ
 */
export function joinReports(reports: readonly RdReport[], order: readonly string[]): RdReport {
  const [first] = reports
  if (!first) throw new Error('Expected a report')
  const images = firstOf(
    reports.flatMap((report) => report.images),
    ({ name, level }) => `${level} ${name}`,
  )
  for (const { name, level, digest } of reports.flatMap((report) => report.images)) {
    const same = images.find((image) => image.name === name && image.level === level)
    if (same?.digest !== digest) throw new Error(`${name} on level ${level} isn't the same image in all reports`)
  }
  const points = firstOf(
    reports.flatMap((report) => report.points),
    ({ codec, image, level, setting }) => `${level} ${codec} ${setting} ${image}`,
  )
  const opened = firstOf(
    reports.flatMap((report) => report.codecs),
    ({ id }) => id,
  )
  const codecs = order.flatMap((id) => opened.find((codec) => codec.id === id) ?? [])
  const missing = firstOf(
    reports.flatMap((report) => report.missing),
    ({ id }) => id,
  ).filter(({ id }) => !opened.some((codec) => codec.id === id))
  const levels = [...new Set(reports.flatMap((report) => report.levels))].sort((a, b) => a - b)
  // A codec that wasn't run on a level has no curve there.
  const curves = meanCurves(points, codecs, levels).filter(({ points: means }) => means.every(({ bpp }) => bpp > 0))
  return { ...first, levels, images, codecs, missing, curves, points, bdRates: bdRates(curves, points, ANCHORS) }
}

/** The first of each key. */
function firstOf<T>(values: readonly T[], key: (value: T) => string): T[] {
  const kept = new Map<string, T>()
  for (const value of values) if (!kept.has(key(value))) kept.set(key(value), value)
  return [...kept.values()]
}

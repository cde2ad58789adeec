/** Smaller images: each pixel the mean of those in its place, in integers, so that every machine gives the same. */
import type { Image } from '../codec/image.js'

export type Span = readonly [start: number, end: number]

/** A pixel for every pair of spans, which count from (left, top) of the image and aren't empty. */
export function means(
  { data, width }: Image,
  columns: readonly Span[],
  rows: readonly Span[],
  left = 0,
  top = 0,
): Image {
  const out = new Uint8Array(columns.length * rows.length * 3)
  let at = 0
  for (const [firstRow, endRow] of rows) {
    for (const [firstColumn, endColumn] of columns) {
      let [red, green, blue] = [0, 0, 0]
      for (let y = firstRow - top; y < endRow - top; y++) {
        const end = (y * width + endColumn - left) * 3
        for (let i = (y * width + firstColumn - left) * 3; i < end; i += 3) {
          red += data[i] as number
          green += data[i + 1] as number
          blue += data[i + 2] as number
        }
      }
      const pixels = (endRow - firstRow) * (endColumn - firstColumn)
      out[at++] = Math.floor(red / pixels + 0.5)
      out[at++] = Math.floor(green / pixels + 0.5)
      out[at++] = Math.floor(blue / pixels + 0.5)
    }
  }
  return { data: out, width: columns.length, height: rows.length, channels: 3 }
}

/** Means of `factor` x `factor` pixels; of what there is of them at an edge. */
export function shrink(image: Image, factor: number): Image {
  const spans = (side: number): Span[] =>
    Array.from({ length: Math.ceil(side / factor) }, (_, i) => [factor * i, Math.min(side, factor * (i + 1))])
  return means(image, spans(image.width), spans(image.height))
}

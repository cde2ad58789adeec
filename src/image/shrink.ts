/**
 * Reduction of images: each pixel is the mean of those in its place, in integers, so that every machine gives the same.
 */
import type { Image } from './image.js'

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

/**
 * Means of 2 x 2 pixels; of what there is of them at an edge. As `shrink(image, 2)`, in half the time.
 *
 * @example
 * halve(image).width === Math.ceil(image.width / 2)
 */
export function halve({ data, width, height }: Image): Image {
  const [columns, rows] = [Math.ceil(width / 2), Math.ceil(height / 2)]
  const out = new Uint8Array(columns * rows * 3)
  for (let row = 0, at = 0; row < rows; row++) {
    const top = 2 * row * width * 3
    // A last odd row or column counts twice, which leaves the mean as it is, also when rounded.
    const bottom = 2 * row + 1 < height ? top + width * 3 : top
    for (let column = 0; column < columns; column++) {
      const left = 6 * column
      const right = 2 * column + 1 < width ? left + 3 : left
      for (let channel = 0; channel < 3; channel++) {
        const above = (data[top + left + channel] as number) + (data[top + right + channel] as number)
        const below = (data[bottom + left + channel] as number) + (data[bottom + right + channel] as number)
        out[at++] = (above + below + 2) >> 2
      }
    }
  }
  return { data: out, width: columns, height: rows, channels: 3 }
}

/**
 * What a linear model sees of a place of 16 x 16 pixels, and of a cell of 4 x 4 places: from latents, or as many numbers from
 * pixels. A value and its magnitude are features both, as texture has either sign.
 */
import type { Image, Latents } from 'cleric'

/** Side of a place in pixels. */
export const PLACE = 16
/** Places along the side of a cell. */
export const CELL = 4

/** Numbers of every place, row by row: `count` a place. */
export interface PlaceValues {
  readonly columns: number
  readonly rows: number
  readonly count: number
  readonly values: Float32Array
}

/** The latents, place by place. */
export function ofLatents({ data, channels, width, height }: Latents): PlaceValues {
  const values = new Float32Array(data.length)
  const area = width * height
  for (let c = 0; c < channels; c++) {
    for (let p = 0; p < area; p++) values[p * channels + c] = data[c * area + p] as number
  }
  return { columns: width, rows: height, count: channels, values }
}

/** The `count` lowest coefficients of the DCT of each place's pixels: a linear transform, as far as it goes. */
export function ofPixels(image: Image, count: number): PlaceValues {
  const [columns, rows] = [Math.floor(image.width / PLACE), Math.floor(image.height / PLACE)]
  const values = new Float32Array(columns * rows * count)
  const order = lowest(count)
  const block = new Float64Array(3 * PLACE * PLACE)
  const half = new Float64Array(PLACE * PLACE)
  for (let row = 0, p = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, p++) {
      for (let channel = 0; channel < 3; channel++) {
        for (let y = 0; y < PLACE; y++) {
          for (let u = 0; u < PLACE; u++) {
            let sum = 0
            const at = ((row * PLACE + y) * image.width + column * PLACE) * 3 + channel
            for (let x = 0; x < PLACE; x++) sum += (image.data[at + 3 * x] as number) * basis(u, x)
            half[y * PLACE + u] = sum
          }
        }
        for (let v = 0; v < PLACE; v++) {
          for (let u = 0; u < PLACE; u++) {
            let sum = 0
            for (let y = 0; y < PLACE; y++) sum += (half[y * PLACE + u] as number) * basis(v, y)
            block[(channel * PLACE + v) * PLACE + u] = sum
          }
        }
      }
      for (let i = 0; i < count; i++) values[p * count + i] = block[order[i] as number] as number
    }
  }
  return { columns, rows, count, values }
}

/** The mean colour of each place. */
export function ofColour(image: Image): PlaceValues {
  return ofPixels(image, 3)
}

/** A place's features. */
export function placeFeatures({ count, values }: PlaceValues, place: number): Float64Array {
  const features = new Float64Array(2 * count)
  for (let i = 0; i < count; i++) {
    const value = values[place * count + i] as number
    features[i] = value
    features[count + i] = Math.abs(value)
  }
  return features
}

/** A cell's features: the means of those of its places. */
export function cellFeatures(of: PlaceValues, column: number, row: number): Float64Array {
  const features = new Float64Array(2 * of.count)
  for (let i = 0; i < CELL * CELL; i++) {
    const place = (row * CELL + Math.floor(i / CELL)) * of.columns + column * CELL + (i % CELL)
    placeFeatures(of, place).forEach((value, j) => {
      features[j] = (features[j] as number) + value / CELL ** 2
    })
  }
  return features
}

/** Value x of basis function u of the orthonormal DCT-II. */
function basis(u: number, x: number): number {
  return BASIS[u * PLACE + x] as number
}

const BASIS = Float64Array.from({ length: PLACE * PLACE }, (_, i) => {
  const [u, x] = [Math.floor(i / PLACE), i % PLACE]
  return Math.sqrt((u === 0 ? 1 : 2) / PLACE) * Math.cos(((2 * x + 1) * u * Math.PI) / (2 * PLACE))
})

/** Where in [channel, v, u] the coefficients of the lowest frequencies are, all three channels of each. */
function lowest(count: number): number[] {
  const all = Array.from({ length: 3 * PLACE * PLACE }, (_, at) => {
    const [u, v] = [at % PLACE, Math.floor(at / PLACE) % PLACE]
    return { at, frequency: Math.hypot(u, v), v }
  })
  all.sort((a, b) => a.frequency - b.frequency || a.v - b.v || a.at - b.at)
  return all.slice(0, count).map(({ at }) => at)
}

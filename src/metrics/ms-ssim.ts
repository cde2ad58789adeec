/**
 * Multi-scale structural similarity: Wang, Simoncelli, Bovik, "Multi-scale structural similarity
 * for image quality assessment" (2003). Five scales, 11 x 11 Gaussian windows of sigma 1.5 that lie wholly
 * inside the image, range 255, halving by the mean of 2 x 2 (a last odd row or column is dropped).
 *
 * Computed for each colour channel and averaged over the three, as pytorch-msssim does.
 * A negative mean of a scale counts as 0.
 */
import type { Image } from '../image/image.js'
import { checkSameSize } from './size.js'

const WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333] as const
const SCALES = WEIGHTS.length
const WINDOW = 11
const SIGMA = 1.5
const C1 = (0.01 * 255) ** 2
const C2 = (0.03 * 255) ** 2

/** Smallest width and height that has a window on every scale. */
export const MS_SSIM_MIN_SIDE = WINDOW << (SCALES - 1)

/**
 * How far a block must reach beyond the windows that it counts, to the right and below.
 * Windows of the coarsest scale span 11 samples of 16 pixels.
 */
export const MS_SSIM_OVERLAP = (WINDOW - 1) << (SCALES - 1)

const GAUSS = (() => {
  const taps = Float64Array.from({ length: WINDOW }, (_, i) =>
    Math.exp(-((i - WINDOW / 2 + 0.5) ** 2) / (2 * SIGMA ** 2)),
  )
  const sum = taps.reduce((total, tap) => total + tap, 0)
  return taps.map((tap) => tap / sum)
})()

/** One channel on one scale. */
interface Plane {
  readonly data: Float32Array
  readonly width: number
  readonly height: number
}

/**
 * Sums of the structure and luminance terms over windows, block by block. Blocks that start at multiples of 16,
 * count only the windows that start inside them, and reach {@link MS_SSIM_OVERLAP} further
 * give exactly the value of the whole image, whatever its size.
 */
export class MsSsimTotals {
  readonly #structure = new Float64Array(3 * SCALES)
  readonly #full = new Float64Array(3 * SCALES)
  readonly #windows = new Float64Array(SCALES)

  /** Counts the windows whose first pixel lies in the top left `width` x `height` of the block (default: all). */
  add(a: Image, b: Image, width: number = a.width, height: number = a.height): void {
    checkSameSize(a, b)
    for (let channel = 0; channel < 3; channel++) {
      let x = plane(a, channel)
      let y = plane(b, channel)
      for (let scale = 0; scale < SCALES; scale++) {
        const columns = Math.min(x.width - WINDOW + 1, Math.ceil(width / 2 ** scale))
        const rows = Math.min(x.height - WINDOW + 1, Math.ceil(height / 2 ** scale))
        if (columns <= 0 || rows <= 0) break
        const at = channel * SCALES + scale
        const [structure, full] = sums(x, y, columns, rows)
        this.#structure[at] = (this.#structure[at] as number) + structure
        this.#full[at] = (this.#full[at] as number) + full
        if (channel === 0) this.#windows[scale] = (this.#windows[scale] as number) + columns * rows
        if (scale + 1 === SCALES) break
        x = downsample(x)
        y = downsample(y)
      }
    }
  }

  /** 0 to 1, or null where a side is shorter than {@link MS_SSIM_MIN_SIDE}. */
  get value(): number | null {
    if (this.#windows[SCALES - 1] === 0) return null
    let total = 0
    for (let channel = 0; channel < 3; channel++) {
      let product = 1
      for (let scale = 0; scale < SCALES; scale++) {
        const terms = scale + 1 === SCALES ? this.#full : this.#structure
        const mean = (terms[channel * SCALES + scale] as number) / (this.#windows[scale] as number)
        product *= Math.max(0, mean) ** (WEIGHTS[scale] as number)
      }
      total += product
    }
    return total / 3
  }
}

/** MS-SSIM of two images of one size, 0 to 1; null if a side is shorter than 176 pixels. */
export function msSsim(a: Image, b: Image): number | null {
  checkSameSize(a, b)
  const totals = new MsSsimTotals()
  totals.add(a, b)
  return totals.value
}

function plane(image: Image, channel: number): Plane {
  const data = new Float32Array(image.width * image.height)
  for (let i = 0, j = channel; i < data.length; i++, j += 3) data[i] = image.data[j] as number
  return { data, width: image.width, height: image.height }
}

function downsample({ data, width, height }: Plane): Plane {
  const half = { data: new Float32Array((width >> 1) * (height >> 1)), width: width >> 1, height: height >> 1 }
  for (let row = 0, i = 0; row < half.height; row++) {
    for (let column = 0, j = 2 * row * width; column < half.width; column++, i++, j += 2) {
      const sum =
        (data[j] as number) + (data[j + 1] as number) + (data[j + width] as number) + (data[j + width + 1] as number)
      half.data[i] = sum / 4
    }
  }
  return half
}

/**
 * Sums over the first `columns` x `rows` windows of the structure term and of structure x luminance.
 * The Gaussian is separable: rows are filtered once each into a ring of eleven, then columns.
 */
function sums(x: Plane, y: Plane, columns: number, rows: number): [structure: number, full: number] {
  // Filtered rows of x, y, x^2 + y^2 and xy. The variances are only ever needed as their sum.
  const ring = Array.from({ length: WINDOW }, () => new Float64Array(4 * columns))
  const window: Float64Array[] = [...ring]
  let structure = 0
  let full = 0
  for (let row = 0; row < rows + WINDOW - 1; row++) {
    filterRow(x, y, row, columns, ring[row % WINDOW] as Float64Array)
    const first = row - WINDOW + 1
    if (first < 0) continue
    for (let k = 0; k < WINDOW; k++) window[k] = ring[(first + k) % WINDOW] as Float64Array
    for (let i = 0; i < 4 * columns; i += 4) {
      let [mx, my, meanSquares, meanProducts] = [0, 0, 0, 0]
      for (let k = 0; k < WINDOW; k++) {
        const tap = GAUSS[k] as number
        const filtered = window[k] as Float64Array
        mx += tap * (filtered[i] as number)
        my += tap * (filtered[i + 1] as number)
        meanSquares += tap * (filtered[i + 2] as number)
        meanProducts += tap * (filtered[i + 3] as number)
      }
      const squares = mx * mx + my * my
      const variances = meanSquares - squares
      const covariance = meanProducts - mx * my
      const term = (2 * covariance + C2) / (variances + C2)
      structure += term
      full += (term * (2 * mx * my + C1)) / (squares + C1)
    }
  }
  return [structure, full]
}

function filterRow(x: Plane, y: Plane, row: number, columns: number, out: Float64Array): void {
  const start = row * x.width
  const [us, vs] = [x.data, y.data]
  for (let column = 0; column < columns; column++) {
    let [sx, sy, squares, products] = [0, 0, 0, 0]
    for (let k = 0, i = start + column; k < WINDOW; k++, i++) {
      const u = us[i] as number
      const v = vs[i] as number
      const weighted = (GAUSS[k] as number) * u
      sx += weighted
      sy += (GAUSS[k] as number) * v
      squares += (GAUSS[k] as number) * (u * u + v * v)
      products += weighted * v
    }
    out[4 * column] = sx
    out[4 * column + 1] = sy
    out[4 * column + 2] = squares
    out[4 * column + 3] = products
  }
}

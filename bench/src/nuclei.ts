/**
 * Finds nuclei as blobs of haematoxylin, as Al-Kofahi et al., "Improved automatic detection and segmentation of cell
 * nuclei in histopathology images" (2010) seed them: maxima over place and scale of the scale-normalized Laplacian of
 * Gaussian in the foreground, which Otsu's threshold on the smoothed haematoxylin tells here instead of graph cuts.
 * Meant to see whether a codec changes what a detector finds, not to be the best detector.
 */

/** A nucleus: its centre and radius in pixels, and how strongly it stands out. */
export interface Nucleus {
  readonly x: number
  readonly y: number
  readonly radius: number
  readonly strength: number
}

/** Standard deviations; a disc answers strongest at its radius over the square root of 2: 4 to 13 pixels here. */
const SCALES = [3, 4, 5.2, 6.8, 9] as const
/** Weakest answer that counts, in density: about a third of the step from stroma to a nucleus. */
const THRESHOLD = 0.2

/** @param haematoxylin densities, rows from the top */
export function detectNuclei(haematoxylin: Float32Array, width: number, height: number): Nucleus[] {
  const smoothed = SCALES.map((sigma) => blur(haematoxylin, width, height, sigma))
  const responses = SCALES.map((sigma, i) => laplacian(smoothed[i] as Float32Array, width, height, sigma))
  const finest = smoothed[0] as Float32Array
  const foreground = otsu(finest)
  const candidates: Nucleus[] = []
  for (const [scale, response] of responses.entries()) {
    const neighbours = [responses[scale - 1], response, responses[scale + 1]].filter((r) => r !== undefined)
    for (let y = 1; y < height - 1; y++) {
      for (let x = 1; x < width - 1; x++) {
        const at = y * width + x
        const strength = response[at] as number
        if (strength < THRESHOLD || (finest[at] as number) < foreground) continue
        if (!isMaximum(neighbours, at, width, strength)) continue
        candidates.push({ x, y, radius: (SCALES[scale] as number) * Math.SQRT2, strength })
      }
    }
  }
  candidates.sort((a, b) => b.strength - a.strength || a.y - b.y || a.x - b.x)
  const kept: Nucleus[] = []
  for (const nucleus of candidates) {
    const isApart = ({ x, y, radius }: Nucleus) =>
      Math.hypot(nucleus.x - x, nucleus.y - y) >= Math.max(radius, nucleus.radius)
    if (kept.every(isApart)) kept.push(nucleus)
  }
  return kept
}

export interface Agreement {
  /** 2 x matched over all; 1 if neither has any. */
  readonly f1: number
  /** Relative error of the number; negative: too few. */
  readonly countError: number
}

/**
 * How far apart two may be to be the same, as in Sirinukunwattana et al., "Locality sensitive deep learning" (2016).
 */
const TOLERANCE = 6

/** Pairs nuclei one to one, the nearest first. */
export function agreement(expected: readonly Nucleus[], found: readonly Nucleus[]): Agreement {
  const pairs: { i: number; j: number; distance: number }[] = []
  for (const [i, a] of expected.entries()) {
    for (const [j, b] of found.entries()) {
      const distance = Math.hypot(a.x - b.x, a.y - b.y)
      if (distance <= TOLERANCE) pairs.push({ i, j, distance })
    }
  }
  pairs.sort((a, b) => a.distance - b.distance)
  const [usedI, usedJ] = [new Set<number>(), new Set<number>()]
  for (const { i, j } of pairs) {
    if (usedI.has(i) || usedJ.has(j)) continue
    usedI.add(i)
    usedJ.add(j)
  }
  const total = expected.length + found.length
  return {
    f1: total === 0 ? 1 : (2 * usedI.size) / total,
    countError: (found.length - expected.length) / Math.max(1, expected.length),
  }
}

/**
 * The threshold that best parts values in two: Otsu, "A threshold selection method from gray-level histograms" (1979).
 */
function otsu(values: Float32Array): number {
  const bins = new Float64Array(256)
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const value of values) {
    least = Math.min(least, value)
    most = Math.max(most, value)
  }
  const scale = most > least ? 255 / (most - least) : 0
  for (const value of values) {
    const bin = Math.round((value - least) * scale)
    bins[bin] = (bins[bin] as number) + 1
  }
  const sum = bins.reduce((total, count, bin) => total + count * bin, 0)
  let [best, threshold, below, sumBelow] = [-1, 0, 0, 0]
  for (let bin = 0; bin < 255; bin++) {
    below += bins[bin] as number
    sumBelow += bin * (bins[bin] as number)
    const above = values.length - below
    if (below === 0 || above === 0) continue
    const between = below * above * (sumBelow / below - (sum - sumBelow) / above) ** 2
    if (between > best) [best, threshold] = [between, bin]
  }
  return scale === 0 ? least : least + (threshold + 0.5) / scale
}

/** Gaussian, out to three standard deviations; edges are repeated outwards. */
function blur(values: Float32Array, width: number, height: number, sigma: number): Float32Array {
  const reach = Math.ceil(3 * sigma)
  const taps = Float64Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)))
  const sum = taps.reduce((total, tap) => total + tap, 0)
  const alongRows = convolve(values, width, height, taps, sum, 1, width)
  return convolve(alongRows, height, width, taps, sum, width, 1)
}

/** Along lines of `length` values `step` apart; `lines` of them, `stride` apart. */
function convolve(
  values: Float32Array,
  length: number,
  lines: number,
  taps: Float64Array,
  sum: number,
  step: number,
  stride: number,
): Float32Array {
  const out = new Float32Array(values.length)
  const reach = taps.length >> 1
  const line = new Float64Array(length + 2 * reach)
  for (let i = 0; i < lines; i++) {
    const start = i * stride
    for (let j = 0; j < line.length; j++) {
      line[j] = values[start + Math.min(length - 1, Math.max(0, j - reach)) * step] as number
    }
    for (let j = 0; j < length; j++) {
      let total = 0
      for (let k = 0; k < taps.length; k++) total += (taps[k] as number) * (line[j + k] as number)
      out[start + j * step] = total / sum
    }
  }
  return out
}

/** -sigma^2 times the Laplacian, so that answers at different scales compare; 0 on the border. */
function laplacian(values: Float32Array, width: number, height: number, sigma: number): Float32Array {
  const out = new Float32Array(values.length)
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x
      const around =
        (values[at - 1] as number) +
        (values[at + 1] as number) +
        (values[at - width] as number) +
        (values[at + width] as number)
      out[at] = -(sigma ** 2) * (around - 4 * (values[at] as number))
    }
  }
  return out
}

function isMaximum(responses: readonly Float32Array[], at: number, width: number, strength: number): boolean {
  for (const response of responses) {
    for (const row of [at - width, at, at + width]) {
      for (let i = row - 1; i <= row + 1; i++) if ((response[i] as number) > strength) return false
    }
  }
  return true
}

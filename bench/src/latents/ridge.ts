/**
 * Ridge regression of one value: least squares with a penalty on the weights of standardised features, by the normal
 * equations (Hoerl and Kennard 1970). Samples are added one by one and not kept.
 */

/** value = bias + sum of weight * feature. */
export interface LinearModel {
  readonly weights: Float64Array
  readonly bias: number
}

export function predict({ weights, bias }: LinearModel, features: ArrayLike<number>): number {
  let sum = bias
  for (let i = 0; i < weights.length; i++) sum += (weights[i] as number) * (features[i] as number)
  return sum
}

export class Ridge {
  /** Features of a sample. */
  readonly size: number
  #count = 0
  #sumY = 0
  readonly #sums: Float64Array
  readonly #withY: Float64Array
  /** Lower triangle of the sums of products, row by row. */
  readonly #products: Float64Array

  constructor(size: number) {
    this.size = size
    this.#sums = new Float64Array(size)
    this.#withY = new Float64Array(size)
    this.#products = new Float64Array((size * (size + 1)) / 2)
  }

  add(features: ArrayLike<number>, value: number): void {
    this.#count++
    this.#sumY += value
    for (let i = 0, at = 0; i < this.size; i++) {
      const x = features[i] as number
      this.#sums[i] = (this.#sums[i] as number) + x
      this.#withY[i] = (this.#withY[i] as number) + x * value
      for (let j = 0; j <= i; j++, at++) {
        this.#products[at] = (this.#products[at] as number) + x * (features[j] as number)
      }
    }
  }

  /**
   * @param penalty of a weight squared, for features of variance 1, in mean squared errors; more than 0
   * @throws RangeError without samples
   */
  fit(penalty: number): LinearModel {
    const { size } = this
    const n = this.#count
    if (n === 0) throw new RangeError('Expected samples but there are none')
    const mean = this.#sums.map((sum) => sum / n)
    const meanY = this.#sumY / n
    const at = (i: number, j: number) => (i * (i + 1)) / 2 + j
    const covariance = (i: number, j: number) =>
      (this.#products[at(i, j)] as number) / n - (mean[i] as number) * (mean[j] as number)
    // A feature that never changes says nothing.
    const scale = mean.map((_, i) => {
      const deviation = Math.sqrt(Math.max(0, covariance(i, i)))
      return deviation > 1e-9 ? 1 / deviation : 0
    })
    const system = new Float64Array(this.#products.length)
    const right = new Float64Array(size)
    for (let i = 0; i < size; i++) {
      const unit = scale[i] as number
      for (let j = 0; j <= i; j++) system[at(i, j)] = covariance(i, j) * unit * (scale[j] as number)
      system[at(i, i)] = (system[at(i, i)] as number) + penalty
      right[i] = ((this.#withY[i] as number) / n - (mean[i] as number) * meanY) * unit
    }
    const weights = solve(system, right).map((weight, i) => weight * (scale[i] as number))
    return { weights, bias: meanY - weights.reduce((sum, weight, i) => sum + weight * (mean[i] as number), 0) }
  }
}

/** Solves a symmetric, positive definite system by Cholesky's decomposition, in place. */
function solve(lower: Float64Array, right: Float64Array): Float64Array {
  const size = right.length
  const row = (i: number) => (i * (i + 1)) / 2
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = lower[row(i) + j] as number
      for (let k = 0; k < j; k++) sum -= (lower[row(i) + k] as number) * (lower[row(j) + k] as number)
      lower[row(i) + j] = i === j ? Math.sqrt(sum) : sum / (lower[row(j) + j] as number)
    }
  }
  for (let i = 0; i < size; i++) {
    let sum = right[i] as number
    for (let k = 0; k < i; k++) sum -= (lower[row(i) + k] as number) * (right[k] as number)
    right[i] = sum / (lower[row(i) + i] as number)
  }
  for (let i = size - 1; i >= 0; i--) {
    let sum = right[i] as number
    for (let k = i + 1; k < size; k++) sum -= (lower[row(k) + i] as number) * (right[k] as number)
    right[i] = sum / (lower[row(i) + i] as number)
  }
  return right
}

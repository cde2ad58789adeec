/**
 * What a model file's integer parameters must satisfy so that no backend's 32-bit arithmetic can overflow and no
 * look-up can leave its table, whatever is fed to the layer. A file that doesn't is refused by the parameter's name.
 */
import { CorruptDataError } from '../errors.js'
import { type IntegerParameter, type Parameters, rsqrtTable } from './graph.js'

/** Largest magnitude of an activation. */
export const activationLimit = 2048
const weightLimit = 2047
const normWeightLimit = 32767
const normBiasLimit = 2 ** 29
const epsilonLimit = 2 ** 20
/** Above the largest normalised value of a layer norm, 2^14 and the error of its rsqrt. */
const normalisedLimit = 2 ** 14 + 64
const largestShift = 30
const accumulatorLimit = 2 ** 31
const expEntries = 4096
const expOne = 1 << 14
const tableEntries = 4096
/** What a threshold list ends with: out of any scale's reach. */
const lastThreshold = 2 ** 30
const rsqrtEntries = Int32Array.from({ length: 384 }, (_, j) =>
  Math.min(65535, Math.round(2 ** 23 / Math.sqrt((j + 128.5) * 128))),
)

/** What was found sound: a model has millions of weights, and a graph is built for each size of image. */
const sound = new WeakMap<Parameters, Set<string>>()

export class IntegerParameters {
  readonly #parameters: Parameters
  readonly #sound: Set<string>

  constructor(parameters: Parameters) {
    this.#parameters = parameters
    this.#sound = sound.get(parameters) ?? new Set()
    sound.set(parameters, this.#sound)
  }

  /**
   * Checks weight, bias and shift of a convolution; those of a kernel of 1 may be a linear layer's.
   *
   * @returns its number of outputs
   */
  convolution(name: string, inputs: number, kernel: 1 | 3 | 5): number {
    const { shape } = this.#parameters.integers(`${name}.weight`)
    const outputs = shape[0] ?? 0
    const wanted = kernel === 1 && shape.length === 2 ? [outputs, inputs] : [outputs, inputs, kernel, kernel]
    this.#products(name, wanted, activationLimit)
    return outputs
  }

  /** Checks weight, bias and shift of a depthwise convolution. */
  depthwise(name: string, channels: number): void {
    this.#products(name, [channels, 1, 3, 3], activationLimit)
  }

  /** Checks weight, bias, shift and epsilon of a layer norm of `channels`, and the table that all of them share. */
  layerNorm(name: string, channels: number): void {
    this.#bounded(`${name}.bias`, [channels], 1 - normBiasLimit, normBiasLimit - 1)
    this.#products(name, [channels], normalisedLimit, normWeightLimit)
    this.#bounded(`${name}.epsilon`, [1], 0, epsilonLimit - 1)
    const rsqrt = this.#shaped(rsqrtTable, [rsqrtEntries.length])
    for (const [j, value] of rsqrtEntries.entries()) {
      // Another value could make the sums of the Newton step wrap.
      if (rsqrt[j] !== value) throw bad(rsqrtTable, `holds ${rsqrt[j]} at ${j}, not ${value}`)
    }
  }

  /**
   * Checks the activation table of `name`.
   *
   * @returns the name of the table
   */
  activationTable(name: string): string {
    const number = this.#bounded(`${name}.table`, [1], 0, 65535)
    const table = `table.${number[0]}`
    this.#bounded(table, [tableEntries], -activationLimit, activationLimit - 1)
    return table
  }

  /** Checks one shift for a whole layer. @returns its parameter's name */
  shift(name: string): string {
    this.#bounded(`${name}.shift`, [1], 0, largestShift)
    return `${name}.shift`
  }

  /** Checks a softmax's table of exponentials. @returns its parameter's name */
  exponentials(name: string): string {
    const exp = this.#bounded(`${name}.exp`, [expEntries], 0, expOne)
    // The largest term of a softmax is 2^14 then: no sum is zero, and none larger than 2^14 a term.
    if (exp[0] !== expOne) throw bad(`${name}.exp`, `begins with ${exp[0]}, not ${expOne}`)
    for (let i = 1; i < exp.length; i++) {
      if ((exp[i] as number) > (exp[i - 1] as number)) throw bad(`${name}.exp`, `rises at ${i}`)
    }
    if (exp[expEntries - 1] !== 0) throw bad(`${name}.exp`, `ends with ${exp[expEntries - 1]}, not 0`)
    return `${name}.exp`
  }

  /** Checks the relative position biases of a 5x5 window. @returns its parameter's name */
  positionBias(name: string, heads: number): string {
    this.#bounded(`${name}.bias`, [81, heads], -32768, 32767)
    return `${name}.bias`
  }

  /** Checks a rising list of thresholds. @returns its name */
  thresholds(name: string, count: number): string {
    const data = this.#bounded(name, [count], 0, lastThreshold)
    for (let i = 1; i < count; i++) {
      if ((data[i] as number) <= (data[i - 1] as number)) throw bad(name, `does not rise at ${i}`)
    }
    if (data[count - 1] !== lastThreshold) throw bad(name, `ends with ${data[count - 1]}, not ${lastThreshold}`)
    return name
  }

  /** Checks weight, bias and shift, and that |input| sum |weight| + |bias| and the shift's rounding stay below 2^31 for every output. */
  #products(name: string, shape: readonly number[], inputLimit: number, largestWeight = weightLimit): void {
    const check = `products ${name} ${shape} ${inputLimit} ${largestWeight}`
    if (this.#sound.has(check)) return
    const outputs = shape[0] as number
    const weight = this.#bounded(`${name}.weight`, shape, -largestWeight, largestWeight)
    const bias = this.#shaped(`${name}.bias`, [outputs])
    const shift = this.#bounded(`${name}.shift`, [outputs], 1, largestShift)
    const row = weight.length / outputs
    for (let o = 0; o < outputs; o++) {
      let sum = 0
      for (let i = o * row; i < (o + 1) * row; i++) sum += Math.abs(weight[i] as number)
      const largest = inputLimit * sum + Math.abs(bias[o] as number) + 2 ** ((shift[o] as number) - 1)
      if (largest >= accumulatorLimit) throw bad(`${name}.weight`, `can overflow 32 bits in output ${o}`)
    }
    this.#sound.add(check)
  }

  #bounded(name: string, shape: readonly number[], least: number, most: number): Int32Array {
    const data = this.#shaped(name, shape)
    const check = `bounds ${name} ${least} ${most}`
    if (this.#sound.has(check)) return data
    for (let i = 0; i < data.length; i++) {
      const value = data[i] as number
      if (value < least || value > most) throw bad(name, `holds ${value}, which is not in ${least}..${most}`)
    }
    this.#sound.add(check)
    return data
  }

  #shaped(name: string, shape: readonly number[]): Int32Array {
    const parameter: IntegerParameter = this.#parameters.integers(name)
    expectShape(name, parameter.shape, shape)
    return parameter.data
  }
}

/** @throws CorruptDataError ERR_MODEL_CORRUPT unless a parameter has the shape that its use asks for */
export function expectShape(name: string, found: readonly number[], wanted: readonly number[]): void {
  if (found.length !== wanted.length || found.some((length, i) => length !== wanted[i])) {
    throw misfit(name, found, `[${wanted.join(', ')}]`)
  }
}

export function misfit(name: string, shape: readonly number[], wanted: string): CorruptDataError {
  return bad(name, `has shape [${shape.join(', ')}], which does not fit ${wanted}`)
}

function bad(name: string, what: string): CorruptDataError {
  return new CorruptDataError('ERR_MODEL_CORRUPT', `Parameter ${name} ${what}`)
}

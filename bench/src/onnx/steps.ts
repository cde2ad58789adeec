/** The steps, powers of two, that look-up tables of the integer layers were made with. */

/** Least value of GELU. */
const LEAST_GELU = -0.16997

export interface TableSteps {
  readonly activation: 'Gelu' | 'Tanh'
  /** What one unit at a table's input, and one at its output, stand for. */
  readonly input: number
  readonly output: number
}

const powerOfTwo = (v: number) => 2 ** Math.round(Math.log2(v))

/** @param table 4096 values, for -2048..2047 */
export function tableSteps(table: Int32Array): TableSteps {
  const at = (i: number) => table[2048 + i] as number
  const least = table.reduce((a, b) => Math.min(a, b))
  const most = table.reduce((a, b) => Math.max(a, b))
  if (least === -most) {
    let i = 1
    while (i < 2047 && at(i) < Math.tanh(1) * most) i++
    return { activation: 'Tanh', input: powerOfTwo(1 / i), output: 1 / most }
  }
  // gelu(x) - gelu(-x) = x, wherever the table is not clamped.
  let i = 2047
  while (i > 1 && at(i) === 2047) i--
  // Where the step is so coarse that GELU's dip rounds to zero, the table is ReLU's, which is the same at every step.
  const output = least === 0 ? 1 : powerOfTwo(LEAST_GELU / least)
  return { activation: 'Gelu', input: powerOfTwo((output * (at(i) - at(-i))) / i), output }
}

/** What one unit of a softmax's logits stands for. */
export function expStep(exp: Int32Array): number {
  const i = exp.findIndex((value) => value < 16384 / Math.E)
  return powerOfTwo(1 / i)
}

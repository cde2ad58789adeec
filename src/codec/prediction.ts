/** A number that is told from others that came with it, by least squares over cases in which all of them are known. */

/** What a number probably is, and how far it may be from that: one standard deviation. */
export interface Prediction {
  readonly mean: number
  readonly deviation: number
}

/** A case that is known: how it differs from the one to be told, in features of about unit size, and the number there. */
export interface KnownCase {
  readonly differences: readonly number[]
  readonly value: number
}

/** Keeps a feature that hardly varies among the cases from a slope that nothing supports. */
const RIDGE = 1e-3

/**
 * The number where all differences are zero. Sums only, in one order: so the same cases give the same prediction on every
 * machine.
 *
 * @param cases all with as many differences, and more cases than differences + 1
 * @param leastDeviation of a value from what the differences say, in case the known ones agree by chance
 * @example
 * predict([{ differences: [-1], value: 3 }, { differences: [0], value: 5 }, { differences: [2], value: 9 }], 0).mean // about 5
 */
export function predict(cases: readonly KnownCase[], leastDeviation: number): Prediction {
  const rows = cases.map(({ differences }) => [1, ...differences])
  const terms = (rows[0] as number[]).length
  const sum = (term: (row: readonly number[], at: number) => number) =>
    rows.reduce((total, row, at) => total + term(row, at), 0)
  // The normal equations, and two right sides: that of the fit, and that of the variance of its constant term.
  const equations = Array.from({ length: terms }, (_, i) => [
    ...Array.from({ length: terms }, (_, j) => {
      const ridge = i === j && i > 0 ? RIDGE * rows.length : 0
      return sum((row) => (row[i] as number) * (row[j] as number)) + ridge
    }),
    sum((row, at) => (row[i] as number) * (cases[at] as KnownCase).value),
    i === 0 ? 1 : 0,
  ])
  solve(equations)
  const fit = equations.map((equation) => equation[terms] as number)
  const leverage = (equations[0] as number[])[terms + 1] as number
  const squares = sum((row, at) => {
    const fitted = row.reduce((total, value, i) => total + value * (fit[i] as number), 0)
    return ((cases[at] as KnownCase).value - fitted) ** 2
  })
  const variance = Math.max(leastDeviation ** 2, squares / (rows.length - terms))
  return { mean: fit[0] as number, deviation: Math.sqrt(variance * (1 + leverage)) }
}

/** Gauss and Jordan's elimination in place: afterwards the right sides are the solutions. The matrix is positive definite. */
function solve(equations: number[][]): void {
  for (const [pivot, own] of equations.entries()) {
    const scale = own[pivot] as number
    for (const [k, value] of own.entries()) own[k] = value / scale
    for (const other of equations) {
      if (other === own) continue
      const factor = other[pivot] as number
      for (const [k, value] of own.entries()) other[k] = (other[k] as number) - factor * value
    }
  }
}

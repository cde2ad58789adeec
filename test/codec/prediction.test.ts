import test from 'ava'
import { predict } from '../../src/codec/prediction.js'
import { random } from '../../src/image/noise.js'

/** Values that follow their differences, but for noise of that size. */
function casesOf(count: number, noise: number) {
  return Array.from({ length: count }, (_, i) => {
    const [a, b, c] = [random(i, 0, 1) - 0.5, random(i, 0, 2) - 0.5, random(i, 0, 3) - 0.5] as const
    return { differences: [a, b, c], value: 20 + 3 * a - 7 * b + 40 * c + noise * (random(i, 0, 4) - 0.5) }
  })
}

test('what follows a line is told where its differences are zero, nearly to the last bit', (t) => {
  const { mean, deviation } = predict(casesOf(12, 0), 0)
  t.true(Math.abs(mean - 20) < 0.1)
  t.true(deviation < 0.2)
})

test('it is as uncertain as its cases scatter, and the more so the fewer they are or the farther they lie', (t) => {
  const many = predict(casesOf(64, 12), 0)
  t.true(Math.abs(many.mean - 20) < 3)
  // A uniform number has a twelfth of its range squared as variance.
  t.true(Math.abs(many.deviation - 12 / Math.sqrt(12)) < 1)
  t.true(predict(casesOf(8, 12), 3.4).deviation > many.deviation)
  const far = casesOf(64, 12).map(({ differences: [a = 0, b = 0, c = 0], value }) => ({
    differences: [a + 3, b, c],
    value,
  }))
  t.true(predict(far, 0).deviation > 1.3 * many.deviation)
})

test('cases that agree by chance, or differ in nothing, promise no more than the least deviation', (t) => {
  const alike = Array.from({ length: 9 }, () => ({ differences: [0, 0, 0], value: 8 }))
  const { mean, deviation } = predict(alike, 5)
  t.true(Math.abs(mean - 8) < 1e-9)
  t.true(Math.abs(deviation - 5 * Math.sqrt(10 / 9)) < 1e-9)
})

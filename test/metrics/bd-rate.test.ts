/**
 * BD-rate against published values, and against SciPy's interpolators on published curves (test/fixtures/bd_rate.py).
 */
import { readFileSync } from 'node:fs'
import test from 'ava'
import fc from 'fast-check'
import { bdRate, efficient, INTERPOLATIONS, type RatePoint } from '../../src/metrics/bd-rate.js'

interface Case {
  readonly name: string
  readonly anchor: RatePoint[]
  readonly test: RatePoint[]
  readonly pchip: number
  readonly akima: number
}
const cases: Case[] = JSON.parse(readFileSync(new URL('../fixtures/bd-rate.json', import.meta.url), 'utf8'))
const curves = (name: string) => cases.find((entry) => entry.name === name) as Case

for (const entry of cases) {
  for (const method of INTERPOLATIONS) {
    test(`${method} agrees with SciPy: ${entry.name}`, (t) => {
      const result = bdRate(entry.anchor, entry.test, method)
      t.true(Math.abs((result?.percent as number) - entry[method]) < 1e-9, `${result?.percent} for ${entry[method]}`)
    })
  }
}

// https://github.com/Netflix/vmaf/blob/master/python/test/bd_rate_calculator_test.py, from JCTVC-E137.
for (const [name, published] of [
  ['JCTVC-E137 1', -0.465215420752807],
  ['JCTVC-E137 2', -1.8779823450567612],
] as const) {
  test(`PCHIP gives the value published for ${name}`, (t) => {
    const { anchor, test: curve } = curves(name)
    t.true(Math.abs((bdRate(anchor, curve, 'pchip')?.percent as number) - published) < 1e-9)
  })
}

test("both come close to the single cubic of VCEG-M33 on its own example, where that doesn't overshoot", (t) => {
  // -13.261773 %: https://github.com/tbr/bjontegaard_cpp/blob/master/example.cpp
  const { anchor, test: curve } = curves('VCEG-M33')
  for (const method of INTERPOLATIONS) {
    t.true(Math.abs((bdRate(anchor, curve, method)?.percent as number) + 13.261773) < 0.1)
  }
})

const rising = fc
  .array(fc.tuple(fc.double({ min: 0.05, max: 3, noNaN: true }), fc.double({ min: 0.01, max: 2, noNaN: true })), {
    minLength: 2,
    maxLength: 9,
  })
  .map((steps) => {
    let [quality, rate] = [20, 0.01]
    return steps.map(([up, factor]) => {
      quality += up
      rate *= Math.exp(factor)
      return { rate, quality }
    })
  })

test('a curve that costs k times as much everywhere has a BD-rate of 100 (k - 1) %, either way', (t) => {
  fc.assert(
    fc.property(rising, fc.double({ min: 0.1, max: 10, noNaN: true }), (anchor, k) => {
      const scaled = anchor.map(({ rate, quality }) => ({ rate: k * rate, quality }))
      for (const method of INTERPOLATIONS) {
        const there = bdRate(anchor, scaled, method)?.percent as number
        const back = bdRate(scaled, anchor, method)?.percent as number
        t.true(Math.abs(there - 100 * (k - 1)) < 1e-6 * k)
        t.true(Math.abs((1 + there / 100) * (1 + back / 100) - 1) < 1e-9)
      }
    }),
  )
})

test('the order of the points does not matter; ranges are those in common', (t) => {
  const { anchor, test: curve } = curves('FAU-LMS test 3')
  t.deepEqual(bdRate([...anchor].reverse(), curve), bdRate(anchor, curve))
  t.like(bdRate(anchor, curve), { low: 36.5, high: 43.825 })
})

test('curves without a range of quality in common have no BD-rate', (t) => {
  const low = [
    { rate: 1, quality: 20 },
    { rate: 2, quality: 25 },
  ]
  const high = low.map(({ rate, quality }) => ({ rate, quality: quality + 5 }))
  t.is(bdRate(low, high), null)
})

test('efficient leaves out what costs more without being better', (t) => {
  const kept = efficient([
    { rate: 3, quality: 31 },
    { rate: 1, quality: 30 },
    { rate: 2, quality: 29 },
    { rate: 4, quality: 31 },
    { rate: 5, quality: Number.POSITIVE_INFINITY },
  ])
  t.deepEqual(kept, [
    { rate: 1, quality: 30 },
    { rate: 3, quality: 31 },
  ])
})

test('bad curves are refused with the house sentence', (t) => {
  const good = curves('VCEG-M33').anchor
  t.throws(() => bdRate(good, [{ rate: 1, quality: 1 }]), {
    instanceOf: RangeError,
    message: 'Expected at least two points for the test but received length 1 of type Array',
  })
  const refused = { instanceOf: RangeError, message: /^Expected qualities that rise with the rate for the anchor/ }
  t.throws(() => bdRate([...good, { rate: 1e4, quality: 30 }], good), refused)
  t.throws(() => bdRate([...good, { rate: -1, quality: 60 }], good), { instanceOf: RangeError })
  t.throws(() => bdRate(good, good, 'cubic' as 'pchip'), { message: /^Expected one of pchip, akima for method/ })
})

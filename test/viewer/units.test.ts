/** Lengths and areas on slides, with pixels that are square, or not, or of unknown size. */
import test from 'ava'
import {
  areaOf,
  formatArea,
  formatLength,
  lengthOf,
  powerOf,
  roundNumber,
  unitAlongScreen,
} from '../../viewer/src/units.js'

const points = [
  { x: 100_000, y: 50_000 },
  { x: 100_003, y: 50_000 },
  { x: 100_003, y: 50_004 },
]

test('a length counts pixels as wide and as high as they are', (t) => {
  t.is(lengthOf(points, null), 7)
  t.is(lengthOf(points, { x: 0.5, y: 0.25 }), 2.5)
  t.is(lengthOf([points[0] as never, points[2] as never], { x: 1, y: 1 }), 5)
  t.is(lengthOf([], null), 0)
})

test('an area does too, whichever way it is drawn round', (t) => {
  t.is(areaOf(points, null), 6)
  t.is(areaOf([...points].reverse(), null), 6)
  // GeoJSON repeats the first point.
  t.is(areaOf([...points, points[0] as never], { x: 0.5, y: 0.25 }), 0.75)
  t.is(areaOf([], null), 0)
})

test('the scale along the screen follows the rotation', (t) => {
  const mpp = { x: 0.5, y: 2 }
  t.is(unitAlongScreen(mpp, 0), 0.5)
  t.true(Math.abs(unitAlongScreen(mpp, 90) - 2) < 1e-12)
  t.true(Math.abs(unitAlongScreen(mpp, 45) - Math.hypot(0.5, 2) / Math.SQRT2) < 1e-12)
  t.is(unitAlongScreen(null, 30), 1)
})

test('numbers are told in units that fit', (t) => {
  t.is(formatLength(12.345, true), '12.3 µm')
  t.is(formatLength(1234, true), '1.23 mm')
  t.is(formatLength(12345.6, false), '12,346 px')
  t.is(formatArea(2_500_000, true), '2.5 mm²')
  t.is(formatArea(950, true), '950 µm²')
  t.is(formatArea(12, false), '12 px²')
  t.deepEqual([0.03, 0.99, 1, 160, 499, 512].map(roundNumber), [0.02, 0.5, 1, 100, 200, 500])
  t.is(powerOf(20, null), 20)
  t.is(powerOf(null, { x: 0.25, y: 0.25 }), 40)
  t.is(powerOf(null, null), null)
})

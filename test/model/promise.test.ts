import test from 'ava'
import { DEFAULT_ERRORS, parseTissueErrors, promisedError } from '../../src/model/promise.js'

test('a model states its errors, or has those of the model that ships', (t) => {
  t.deepEqual(parseTissueErrors('[[0, 200], [37.5, 50], [100, 8]]'), [
    [0, 200],
    [37.5, 50],
    [100, 8],
  ])
  t.is(parseTissueErrors(undefined), DEFAULT_ERRORS)
})

test('what makes no sense is refused', (t) => {
  const pairs = (count: number) => Array.from({ length: count }, (_, i) => [(100 * i) / (count - 1), 5])
  for (const text of [
    '',
    '{}',
    '[]',
    '[[0, 5]]',
    '[[0, 5], [99, 5]]',
    '[[1, 5], [100, 5]]',
    '[[0, 5], [50, 5], [50, 4], [100, 5]]',
    '[[0, 0], [100, 5]]',
    '[[0, -1], [100, 5]]',
    '[[0, 5], [100, "5"]]',
    '[[0, 5], [100, null]]',
    '[[0, 5], [100]]',
    '[[0, 5], [100, 5, 5]]',
    '[[0, 5], null]',
    JSON.stringify(pairs(65)),
  ]) {
    t.throws(() => parseTissueErrors(text), { code: 'ERR_MODEL_CORRUPT' }, text)
  }
  t.is(parseTissueErrors(JSON.stringify(pairs(64))).length, 64)
})

test('between two qualities the error goes by its logarithm', (t) => {
  const errors = parseTissueErrors('[[0, 400], [50, 100], [100, 1]]')
  const near = (quality: number, mse: number) => t.true(Math.abs(promisedError(errors, quality) / mse - 1) < 1e-12)
  near(0, 400)
  near(25, 200)
  near(50, 100)
  near(75, 10)
  near(100, 1)
})

test('the default is sound', (t) => {
  t.deepEqual(parseTissueErrors(JSON.stringify(DEFAULT_ERRORS)), DEFAULT_ERRORS)
})

/** The gains between and at a model's levels, from numbers small enough to work out by hand. */
import test from 'ava'
import { gainsAt } from '../../src/codec/gain.js'
import type { Model } from '../../src/model/model.js'
import { nanoModel } from '../network/golden.js'

const tensor = (data: readonly number[], shape: readonly number[]) => ({ shape, data: Float32Array.from(data) })

const nano = await nanoModel()

/** Two channels. The logs of y's gains and of those that undo them, level by level. */
function modelOf(levels: number, logGain: readonly number[], logInverse: readonly number[]): Model {
  const { parameters } = nano
  const own = new Map([
    ['log_gain', tensor(logGain, [levels, 2])],
    ['log_inv', tensor(logInverse, [levels, 2])],
  ])
  return {
    ...nano,
    config: { ...nano.config, levels, M: 2 },
    parameters: { get: (name: string) => own.get(name) ?? parameters.get(name) } as Model['parameters'],
  }
}

test('gains are those of the levels at their qualities, and halfway in the log between them', (t) => {
  const model = modelOf(3, [0, 1, 2, 5, 4, 3], [0, 2, 3, 5, 1, 0])
  for (const [quality, forward, inverse] of [
    [0, [1, 2], [1, 2]],
    [25, [2, 8], [2 ** 0.5, 2 ** 0.5]],
    [50, [4, 32], [2, 1]],
    [75, [8, 16], [2 ** -1, 2 ** -1.5]],
    [100, [16, 8], [2 ** -3, 2 ** -3]],
  ] as const) {
    const gains = gainsAt(model, quality)
    t.deepEqual(gains?.forward, Float32Array.from(forward), `${quality}`)
    t.deepEqual(gains?.inverse, Float32Array.from(inverse), `${quality}`)
  }
})

test('a model of one rate has no gains', (t) => {
  t.is(gainsAt(modelOf(0, [], []), 60), null)
})

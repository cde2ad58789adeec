/** Parameters that fit neither the configuration nor each other: each is refused before a device sees it. */
import test from 'ava'
import { scaleThresholds } from '../../src/model/model.js'
import { checkParameters } from '../../src/network/cleric.js'
import { fixtureModel } from './golden.js'

type Shape = readonly number[]

for (const fixture of ['nano', 'tiny-no-ls', 'tiny-no-drb', 'tiny-no-r2b']) {
  const { config, parameters } = fixtureModel(fixture)
  const names = new Set<string>()

  /** Checks the model with the shapes of `changed` altered; notes the names that are asked for. */
  const check = (changed: readonly string[], alter: (shape: Shape) => Shape) =>
    checkParameters(config, {
      get(name) {
        names.add(name)
        const { shape, data } = parameters.get(name)
        return { shape: changed.includes(name) ? alter(shape) : shape, data }
      },
    })
  check([], (shape) => shape)
  const network = [...names].filter((name) => name !== scaleThresholds)

  test(`${fixture}: every dimension of every parameter counts`, (t) => {
    t.true(network.length > 100)
    for (const name of network) {
      for (const axis of parameters.get(name).shape.keys()) {
        for (const by of [-1, 1]) {
          const alter = (shape: Shape) => shape.map((length, i) => (i === axis ? length + by : length))
          t.throws(() => check([name], alter), { code: 'ERR_MODEL_CORRUPT' }, `${name}, axis ${axis}, ${by}`)
        }
      }
    }
  })

  test(`${fixture}: a layer of another width does not fit what it meets`, (t) => {
    for (const weight of network.filter((name) => name.endsWith('.weight'))) {
      for (const by of [-4, -1, 1, 4]) {
        const alter = ([first = 0, ...rest]: Shape) => [first + by, ...rest]
        const layer = [weight, weight.replace(/weight$/, 'bias')]
        t.throws(() => check(layer, alter), { code: 'ERR_MODEL_CORRUPT' }, `${weight}, ${by}`)
      }
    }
  })
}

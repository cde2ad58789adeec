/** Parameters that fit neither the configuration nor each other: each is refused before a device sees it. */
import test from 'ava'
import { presets } from '../../bench/src/speed/presets.js'
import { randomParameters } from '../../bench/src/speed/random-model.js'
import { checkParameters } from '../../src/network/cleric.js'
import type { Parameters } from '../../src/network/parameters.js'
import { fixtureModel } from './golden.js'

type Shape = readonly number[]

const fixtures = await Promise.all(
  ['nano', 'tiny-no-ls', 'tiny-no-drb', 'tiny-no-r2b'].map(async (name) => {
    const { config, parameters } = await fixtureModel(name)
    return [name, config, parameters] as const
  }),
)
/** Twice as wide at 1/8 of the resolution. */
const deep = [true, false].map((ls) => {
  const config = { ...presets.nano, deep: 2 * presets.nano.N, ls }
  return [`two widths, ls ${ls}`, config, randomParameters(config)] as const
})

for (const [fixture, config, parameters] of [...fixtures, ...deep]) {
  const names = new Set<string>()
  const integers = new Set<string>()

  let changed: readonly string[] = []
  let alter = (shape: Shape): Shape => shape
  /**
   * One for all checks: what is proven of the values needn't be proven each time, and what fails then is the shapes.
   */
  const altered: Parameters = {
    get(name) {
      names.add(name)
      const { shape, data } = parameters.get(name)
      return { shape: changed.includes(name) ? alter(shape) : shape, data }
    },
    integers(name) {
      names.add(name)
      integers.add(name)
      const { shape, data } = parameters.integers(name)
      return { shape: changed.includes(name) ? alter(shape) : shape, data }
    },
  }

  /** Checks the model with some shapes altered; notes the names that are asked for. */
  const check = (layers: readonly string[], change: (shape: Shape) => Shape) => {
    changed = layers
    alter = change
    checkParameters(config, altered)
  }
  check([], (shape) => shape)
  const network = [...names]
  const shapeOf = (name: string) => (integers.has(name) ? parameters.integers(name) : parameters.get(name)).shape

  test(`${fixture}: every dimension of every parameter counts`, (t) => {
    t.true(network.length > 100)
    for (const name of network) {
      for (const axis of shapeOf(name).keys()) {
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
        const layer = ['weight', 'bias', 'shift'].map((part) => weight.replace(/weight$/, part))
        t.throws(() => check(layer, alter), { code: 'ERR_MODEL_CORRUPT' }, `${weight}, ${by}`)
      }
    }
  })
}

for (const [title, config, parameters] of deep) {
  test(`${title}: parameters of another width than the configuration's are refused by name`, (t) => {
    t.notThrows(() => checkParameters(config, parameters))
    for (const other of [{ deep: config.N }, { N: config.deep }, { N: config.deep, deep: config.N }]) {
      const message = /^The parameters do not fit each other: g_a\.\S+ meets/
      t.throws(() => checkParameters({ ...config, ...other }, parameters), { code: 'ERR_MODEL_CORRUPT', message })
    }
  })
}

/**
 * A model file whose integers could make a backend's arithmetic overflow, or a look-up leave its table, is refused
 * where the graph is built, by the parameter's name: no device sees it.
 */
import test from 'ava'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { IntegerParameter, Parameters } from '../../src/network/graph.js'
import { nanoModel } from './golden.js'

const { config, parameters } = await nanoModel()

/** The nano model with one integer parameter changed. */
function changed(name: string, change: (parameter: IntegerParameter) => IntegerParameter): Parameters {
  return {
    get: (other) => parameters.get(other),
    integers: (other) => (other === name ? change(parameters.integers(other)) : parameters.integers(other)),
  }
}

/** One value changed. */
const value = (at: number, to: number) => (parameter: IntegerParameter) => ({
  ...parameter,
  data: parameter.data.with(at, to),
})
const filled = (to: number) => (parameter: IntegerParameter) => ({ ...parameter, data: parameter.data.map(() => to) })
const shaped = (...shape: number[]) => ({
  shape,
  data: new Int32Array(shape.reduce((a, b) => a * b, 1)),
})

const LOCAL = 'mem.local.1'
const INTRA = 'mem.intra.1.attention'
const table = `table.${parameters.integers('mem.lrp_a.0.4.table').data[0]}`

for (const [what, name, change, message = name] of [
  ['a weight of more than 12 bits', 'h_s.net.0.weight', value(7, 2048)],
  ['a weight of more than 12 bits, negative', 'mem.channel.1.2.weight', value(0, -2048)],
  ['a depthwise weight of more than 12 bits', 'mem.inter.1.qkv.k.1.weight', value(3, 4000)],
  ['weights whose sum can overflow', 'mem.lrp_a.1.0.weight', filled(2047)],
  ['a bias that can overflow', 'h_s.net.0.bias', value(0, 2 ** 31 - 1), 'h_s.net.0.weight'],
  ['a bias that can overflow, negative', 'h_s.net.2.bias', value(5, -(2 ** 31)), 'h_s.net.2.weight'],
  ['no shift', 'mem.ep_a.0.0.shift', value(0, 0)],
  ['a shift of the whole register', 'mem.ep_n.1.2.shift', value(1, 31)],
  ['a negative shift', 'mem.lrp_n.0.0.shift', value(0, -1)],
  ['another number of biases', 'mem.ep_a.0.0.bias', () => shaped(3)],
  ['a weight of another shape', 'mem.ep_a.0.0.weight', () => shaped(64, 3, 1, 1)],
  ['a kernel of 7', 'mem.channel.1.0.weight', () => shaped(64, 16, 7, 7)],
  ['a table that is not there', 'mem.ep_a.0.0.table', value(0, 60000), 'table.60000'],
  ['a negative table', 'mem.ep_a.0.0.table', value(0, -1)],
  ['a table of few entries', table, () => shaped(4095)],
  ['a table of more than 12 bits', table, value(4095, 2048)],
  ['a table of more than 12 bits, negative', table, value(0, -2049)],
  ['a norm weight of more than 16 bits', `${LOCAL}.norm1.weight`, value(0, 32768)],
  ['a norm bias that can overflow', `${LOCAL}.norm2.bias`, value(0, 2 ** 29)],
  ['a norm shift of the whole register', `${LOCAL}.norm1.shift`, value(0, 31)],
  ['an epsilon that can overflow', `${LOCAL}.norm1.epsilon`, value(0, 2 ** 20)],
  ['a negative epsilon', `${LOCAL}.norm2.epsilon`, value(0, -1)],
  ['another rsqrt', 'rsqrt', value(100, 1)],
  ['a short rsqrt', 'rsqrt', () => shaped(383)],
  ['an exp that begins low', `${LOCAL}.attention.exp`, value(0, 16383)],
  ['an exp that rises', `${INTRA}.exp`, value(4000, 1)],
  ['an exp that is negative', `${INTRA}.exp`, value(4095, -1)],
  ['an exp that does not end', 'mem.inter.1.attention.exp', filled(16384)],
  ['an attention shift of the whole register', `${LOCAL}.attention.shift`, value(0, 31)],
  ['a negative attention shift', `${INTRA}.shift`, value(0, -1)],
  ['biases of other heads', `${LOCAL}.attention.bias`, () => shaped(81, 3)],
  ['a requantise shift of the whole register', 'mem.y_hat.0.shift', value(0, 31)],
  ['thresholds that fall', 'scales.thresholds', value(10, 0)],
  ['thresholds in reach', 'scales.thresholds', value(63, 2 ** 30 - 1)],
  ['few thresholds', 'scales.thresholds', () => shaped(63)],
] as [string, string, (parameter: IntegerParameter) => IntegerParameter, string?][]) {
  test(`refuses ${what}`, (t) => {
    const hostile = changed(name, change)
    for (const build of [encoderGraph, decoderGraph]) {
      const error = t.throws(() => build(config, hostile, 64, 64), { code: 'ERR_MODEL_CORRUPT' })
      t.true(error.message.includes(message), error.message)
    }
  })
}

test('layers that do not fit each other are refused', (t) => {
  for (const [name, shape] of [
    // Entropy parameters of half the slice's channels: every other shape in the file still fits.
    ['mem.ep_a.0.6', [16, 24, 1, 1]],
    ['mem.lrp_a.0.4', [8, 16, 3, 3]],
  ] as const) {
    const [outputs] = shape
    const hostile: Parameters = {
      get: (other) => parameters.get(other),
      integers(other) {
        if (other === `${name}.weight`) return shaped(...shape)
        const known = parameters.integers(other)
        return other === `${name}.bias` || other === `${name}.shift`
          ? { shape: [outputs], data: known.data.slice(0, outputs) }
          : known
      },
    }
    t.throws(() => decoderGraph(config, hostile, 64, 64), { code: 'ERR_MODEL_CORRUPT', message: /do not fit/ }, name)
  }
})

test('an image larger than the attention is proven for is refused', (t) => {
  t.throws(() => decoderGraph(config, parameters, 1024, 1088), {
    code: 'ERR_MODEL_UNSUPPORTED',
    message: /positions: 4352, at most 4096/,
  })
})

/** The dead zones of an encoder's rounding, from coding tables. */
import test from 'ava'
import { deadZones } from '../../src/model/dead-zones.js'
import { DEAD_ZONE_TABLE } from '../../src/network/graph.js'
import { nanoModel } from '../network/golden.js'
import { opCases } from '../network/op-cases.js'

/** One table of these frequencies, the escape's last. */
function table(frequencies: readonly number[], min: number) {
  let sum = 0
  const values = Int32Array.from([0, ...frequencies], (frequency) => {
    sum += frequency
    return sum
  })
  return { values, offset: Int32Array.of(0), size: Int32Array.of(frequencies.length), min: Int32Array.of(min) }
}

/** 0.5 and `bits` bits of difference. */
const after = (bits: number) => Math.fround(0.5 + bits / 28)

for (const [what, frequencies, min, zone] of [
  ['an eighth as likely', [4096, 32768, 4096, 24576], -1, after(3)],
  ['as rare as can be', [1, 65533, 1, 1], -1, after(Math.log2(65533))],
  ['unlike to within rounding', [3, 65531, 1, 1], -1, after(Math.log2(65531 / 2))],
  ['as likely', [20000, 20000, 20000, 5536], -1, 0.5],
  ['more likely', [20000, 5536, 20000, 20000], -1, 0.5],
  ['by the escape alone, with a sign and a bit', [65535, 1], 0, after(Math.log2(65535) + 2)],
  ['by the escape on one side', [8192, 49152, 8192], -1, after(Math.log2((2 * 49152) / (8192 + 8192 / 4)))],
  ['by the escape, like 0', [65535, 1], 9, 0.5],
  ['by the escape far out', [65534, 1, 1], -1, 0.5],
] as const) {
  test(`1 is ${what}`, (t) => {
    const [found] = deadZones(table(frequencies, min)) as unknown as [number]
    t.true(Math.abs(found - zone) < 1e-7, `${found}, expected ${zone}`)
  })
}

test('they are between plain rounding and 1.25, whatever the tables hold', (t) => {
  const sound = table([1, 65533, 1, 1], -1)
  for (const bad of [
    { ...sound, values: sound.values.map(() => 0) },
    { ...sound, values: sound.values.map((v) => -v) },
    { ...sound, values: Int32Array.of(0, 0, 2 ** 31 - 1, 2 ** 31 - 1, 2 ** 31 - 1) },
    { ...sound, values: new Int32Array() },
    { ...sound, offset: Int32Array.of(-5) },
    { ...sound, offset: Int32Array.of(2 ** 31 - 1) },
    { ...sound, size: Int32Array.of(0) },
    { ...sound, size: Int32Array.of(-(2 ** 31)) },
    { ...sound, min: Int32Array.of(-(2 ** 31)) },
    { ...sound, min: Int32Array.of(2 ** 31 - 1) },
  ]) {
    const [zone] = deadZones(bad) as unknown as [number]
    t.true(zone >= 0.5 && zone <= 1.25, String(zone))
  }
})

test("a model's are the training code's, and shrink as scales grow", async (t) => {
  const { data, shape } = (await nanoModel()).parameters.get(DEAD_ZONE_TABLE)
  t.deepEqual(shape, [64])
  const oracle = opCases('integer-ops').find(({ op }) => op === 'quantise')
  const expected = oracle?.parameters.get('quantise anchor/zones').data as Float32Array
  t.is(expected.length, 64)
  for (const [i, zone] of data.entries()) t.true(Math.abs(zone - (expected[i] as number)) < 1e-7, `scale ${i}: ${zone}`)
  t.true((data[0] as number) > 1.05 && (data[20] as number) > 0.51 && (data[40] as number) < 0.501)
  for (let i = 1; i < 40; i++) t.true((data[i] as number) < (data[i - 1] as number))
})

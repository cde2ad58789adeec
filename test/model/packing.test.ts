/** Packed weights: whatever is packed comes back, and what doesn't add up is refused before it takes time or memory. */
import test from 'ava'
import fc from 'fast-check'
import { unpack } from '../../src/model/packing.js'
import { halvesOf, widenHalves } from '../../src/network/half-precision.js'
import { packedParts, readBack, type Stored, stored, type ToPack } from './model-files.js'

const level = fc.integer({ min: 0, max: 19 })
const value = fc.oneof(
  fc.integer({ min: -40, max: 40 }),
  fc.integer({ min: -(2 ** 15), max: 2 ** 15 - 1 }),
  fc.constantFrom(0, -(2 ** 15), 2 ** 15 - 1),
)

/** Tensors of any shape, empty and constant ones among them. */
const tensor = fc
  .tuple(
    fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 4 })),
    fc.boolean(),
    fc.boolean(),
  )
  .chain(([shape, isHalf, isConstant]) => {
    const [rows, columns, rest] = shape
    const count = rows * columns * rest
    const list = <T>(of: fc.Arbitrary<T>, length: number) => fc.array(of, { minLength: length, maxLength: length })
    // Eleven bits are what half precision has at any exponent.
    const own = isHalf ? fc.integer({ min: -2047, max: 2047 }) : value
    return fc.record({
      shape: fc.constant(shape),
      values: isConstant ? own.map((one) => new Array<number>(count).fill(one)) : list(own, count),
      exponents: isHalf ? list(fc.integer({ min: -24, max: 4 }), rows) : fc.constant(null),
      rows: list(level, rows),
      columns: list(level, columns),
    })
  })

const tensors = fc.array(tensor, { maxLength: 5 }).map((made) =>
  made.map(({ values, exponents, ...rest }, i): ToPack => {
    return { ...rest, name: `t${i}`, values: Int16Array.from(values), ...(exponents && { exponents }) }
  }),
)

/** 40 x 500 values and so two streams, and a small tensor of half precision. */
const sound = await (async () => {
  const rows = Array.from({ length: 40 }, (_, i) => i % 20)
  const columns = new Array<number>(500).fill(4)
  const values = Int16Array.from({ length: 20_000 }, (_, i) => ((i * 7919) % 61) - 30)
  return packedParts([
    { name: 'a', shape: [40, 500], values, rows, columns },
    {
      ...{ name: 'b', shape: [2, 1, 3], values: Int16Array.of(1, 2, 3, -4, 5, 2047) },
      ...{ exponents: [-3, -24], rows: [1, 2], columns: [0] },
    },
  ])
})()

test('any tensors come back as they were', async (t) => {
  await fc.assert(
    fc.asyncProperty(tensors, async (list) => {
      const { parts, packed } = await packedParts(list)
      const plain = stored('I32', Int32Array.of(7, -7))
      const { tensors, raw } = await unpack(readBack({ packed }, new Map([['plain', plain], ...parts])))
      t.deepEqual([...tensors.keys()].sort(), ['plain', ...list.map(({ name }) => name)].sort())
      t.deepEqual([...(raw.get('plain') ?? [])], [...plain.raw])
      for (const { name, shape, values, exponents } of list) {
        const found = tensors.get(name)
        t.deepEqual(found?.shape, [...shape])
        const length = shape[1] * (shape[2] ?? 1)
        const wanted = Array.from(values, (v, i) => v * 2 ** (exponents?.[Math.floor(i / length)] ?? 0))
        t.deepEqual([...(found?.data ?? [])], wanted)
        const bytes = raw.get(name)?.slice() as Uint8Array
        const stands = exponents ? widenHalves(new Uint16Array(bytes.buffer)) : new Int16Array(bytes.buffer)
        t.deepEqual([...stands], wanted)
      }
    }),
    { numRuns: 200 },
  )
})

test('values beyond one stream go on in the next', async (t) => {
  const { parts, packed } = sound
  const { tensors } = await unpack(readBack({ packed }, parts))
  t.is(parts.get('packed.lengths')?.shape[0], 2)
  t.is(tensors.get('a')?.data[16_384], ((16_384 * 7919) % 61) - 30)
  t.deepEqual([...(tensors.get('b')?.data ?? [])].slice(0, 3), [1 / 8, 2 / 8, 3 / 8])
})

type Change = (parts: Map<string, Stored>, packed: string) => string | undefined

const changes: Record<string, Change> = {
  'no list': () => '',
  'a list that is none': () => '{}',
  'an entry that is none': () => '[null]',
  'another type': (_, packed) => packed.replace('I16', 'I32'),
  'a vector': () => '[["a","I16",[20000]]]',
  'a fractional side': (_, packed) => packed.replace('[40,500]', '[40,499.5]'),
  'a negative side': (_, packed) => packed.replace('[40,500]', '[-40,-500]'),
  'more dimensions than anything has': (_, packed) => packed.replace('[40,500]', '[40,500,1,1,1,1,1,1,1]'),
  'a name twice': (_, packed) => packed.replace('"b"', '"a"'),
  'a name that is there unpacked': (_, packed) => packed.replace('"b"', '"packed.rows"'),
  'more rows than levels': (_, packed) => packed.replace('[40,500]', '[50,400]'),
  'fewer rows than levels': (_, packed) => packed.replace('[40,500]', '[20,1000]'),
  'more values than streams': (_, packed) => packed.replace('[2,1,3]', '[2,1,30000]'),
  'fewer values than streams': (_, packed) => packed.replace('[40,500]', '[40,250]'),
  'one value more': (_, packed) => packed.replace('[2,1,3]', '[2,1,4]'),
  'a thousand million values': (_, packed) => packed.replace('[2,1,3]', '[2,1,1000000000]'),
  'values without number': (_, packed) =>
    packed.replace('[2,1,3]', '[2,1,2000000000,2000000000,2000000000,2000000000]'),
  'other exponents': (_, packed) => packed.replace('"F16"', '"I16"'),
  'no streams': (parts) => void parts.delete('packed.streams'),
  'no levels': (parts) => void parts.delete('packed.rows'),
  'streams of another type': (parts) => void parts.set('packed.streams', stored('I32', new Int32Array(9))),
  'no tables': (parts) => void parts.delete('packed.tables.size'),
  'a table less': (parts) => void parts.set('packed.tables.min', stored('I32', new Int32Array(39))),
  'tables that fall': (parts) => void parts.get('packed.tables.values')?.raw.fill(0),
  'a stream of negative length': (parts) => void parts.set('packed.lengths', stored('I32', Int32Array.of(-1, 9))),
  'streams of other lengths': (parts) => {
    const part = parts.get('packed.lengths') as Stored
    const lengths = new Int32Array(part.raw.slice().buffer)
    parts.set('packed.lengths', stored('I32', Int32Array.of((lengths[0] as number) + 1, (lengths[1] as number) - 1)))
    return undefined
  },
  'a level without table': (parts) => void parts.get('packed.rows')?.raw.fill(250),
  'another level': (parts) => void parts.get('packed.rows')?.raw.fill(3),
  'an exponent below all': (parts) => void parts.set('packed.exponents', stored('I16', Int16Array.of(-25, 0))),
  'an exponent beyond all': (parts) => void parts.set('packed.exponents', stored('I16', Int16Array.of(-3, 16))),
  'a value beyond half precision': (parts) => void parts.set('packed.exponents', stored('I16', Int16Array.of(-3, 6))),
}

for (const [what, change] of Object.entries(changes)) {
  test(`refused: ${what}`, async (t) => {
    const parts = new Map(Array.from(sound.parts, ([name, part]) => [name, { ...part, raw: part.raw.slice() }]))
    const list = change(parts, sound.packed) ?? sound.packed
    t.false(list === sound.packed && isSame(parts, sound.parts))
    const began = performance.now()
    await t.throwsAsync(unpack(readBack({ packed: list }, parts)), {
      code: 'ERR_MODEL_CORRUPT',
      message: /^The model's packed weights are damaged: /,
    })
    t.true(performance.now() - began < 5000)
  })
}

function isSame(a: ReadonlyMap<string, Stored>, b: ReadonlyMap<string, Stored>): boolean {
  const none = new Uint8Array()
  return a.size === b.size && [...a].every(([name, { raw }]) => !Buffer.compare(raw, b.get(name)?.raw ?? none))
}

test('rows and columns without values take no time', async (t) => {
  const side = 2 ** 17
  const { parts } = await packedParts([])
  for (const name of ['rows', 'columns']) parts.set(`packed.${name}`, stored('U8', new Uint8Array(side)))
  const packed = JSON.stringify([['a', 'I16', [side, side, 0]]])
  const began = performance.now()
  const { tensors } = await unpack(readBack({ packed }, parts))
  t.deepEqual(tensors.get('a')?.shape, [side, side, 0])
  t.true(performance.now() - began < 5000)
})

test('half precision has its numbers and no others', (t) => {
  for (const [number, bits] of [
    ...[
      [0, 0],
      [-0, 0x8000],
      [1, 0x3c00],
      [-1, 0xbc00],
      [2 ** -24, 0x0001],
      [-1023 * 2 ** -24, 0x83ff],
    ],
    ...[
      [2 ** -14, 0x0400],
      [65504, 0x7bff],
      [-65504, 0xfbff],
      [2048, 0x6800],
      [2 ** 15, 0x7800],
    ],
  ] as [number, number][]) {
    t.deepEqual(halvesOf(Float32Array.of(number)), Uint16Array.of(bits), String(number))
  }
  for (const number of [65536, 65505, 2049, 2 ** -25, 1.5 * 2 ** -24, 0.1, 1 / 0, -1 / 0, 0 / 0]) {
    t.is(halvesOf(Float32Array.of(1, number)), null, String(number))
  }
  const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits).filter((bits) => (bits & 0x7c00) !== 0x7c00)
  t.deepEqual(halvesOf(widenHalves(all)), all)
})

/** Browsers decode packed weights as C++ does, whatever was changed in them. */
import test from 'ava'
import fc from 'fast-check'
import { type Addon, addon } from '../../src/native/addon.js'
import { addon as portableAddon } from '../../src/web/addon.js'

const TOTAL = 65536
const VALUES_A_STREAM = 16

/** Three tables: narrow, wide, and of escapes mostly. */
const COLUMNS = [
  Int32Array.of(0, 60000, TOTAL, 0, 20000, 40000, 60000, TOTAL, 0, 1, TOTAL),
  Int32Array.of(0, 3, 8),
  Int32Array.of(2, 4, 2),
  Int32Array.of(0, -1, 5),
] as const

interface Packed {
  streams: Uint8Array
  lengths: Int32Array
  shapes: Int32Array
  rows: Uint8Array
  columns: Uint8Array
}

const tensor = fc.tuple(fc.nat(4), fc.nat(4), fc.nat(4))
const anyTensors = fc.array(tensor, { maxLength: 4 }).chain((shapes) =>
  fc.record({
    shapes: fc.constant(shapes),
    levels: fc.infiniteStream(fc.nat(1)),
    values: fc.infiniteStream(fc.oneof(fc.integer({ min: -3, max: 6 }), fc.integer({ min: -32768, max: 32767 }))),
  }),
)

async function pack(
  shapes: readonly (readonly [number, number, number])[],
  levels: Iterator<number>,
  values: Iterator<number>,
): Promise<{ packed: Packed; values: number[] }> {
  const next = <T>(from: Iterator<T>, count: number) => Array.from({ length: count }, () => from.next().value as T)
  const rows: number[] = []
  const columns: number[] = []
  const indexes: number[] = []
  for (const [rowCount, columnCount, rest] of shapes) {
    const [ofRows, ofColumns] = [next(levels, rowCount), next(levels, columnCount)]
    rows.push(...ofRows)
    columns.push(...ofColumns)
    for (const row of ofRows) for (const column of ofColumns) for (let i = 0; i < rest; i++) indexes.push(row + column)
  }
  const all = next(values, indexes.length)
  const tables = new (addon().RansTables)(...COLUMNS)
  const streams: Uint8Array[] = []
  for (let at = 0; at < all.length; at += VALUES_A_STREAM) {
    const encoder = new (addon().RansEncoder)()
    const end = at + VALUES_A_STREAM
    encoder.push(Int16Array.from(all.slice(at, end)), Uint8Array.from(indexes.slice(at, end)), tables)
    streams.push(await encoder.finish())
  }
  const packed = {
    streams: Uint8Array.from(streams.flatMap((stream) => [...stream])),
    lengths: Int32Array.from(streams, ({ length }) => length),
    shapes: Int32Array.from(shapes.flat()),
    rows: Uint8Array.from(rows),
    columns: Uint8Array.from(columns),
  }
  return { packed, values: all }
}

async function decoded(coders: Pick<Addon, 'RansTables' | 'decodeWeights'>, packed: Packed, most: number) {
  const { streams, lengths, shapes, rows, columns } = packed
  const tables = new coders.RansTables(...COLUMNS)
  try {
    const values = await coders.decodeWeights(streams, lengths, VALUES_A_STREAM, shapes, rows, columns, tables, most)
    return [...values]
  } catch (error) {
    // Which of two damaged streams C++ tells of depends on its threads.
    return (error as { code?: string; message: string }).code ?? (error as Error).message
  }
}

test('any tensors come back', async (t) => {
  await fc.assert(
    fc.asyncProperty(anyTensors, async ({ shapes, levels, values }) => {
      const { packed, values: expected } = await pack(shapes, levels, values)
      t.deepEqual(await decoded(portableAddon(), packed, expected.length), expected)
    }),
    { numRuns: 200 },
  )
})

test('changed ones give the same values or the same error as in C++', async (t) => {
  const change = fc.record({
    part: fc.constantFrom('streams', 'lengths', 'shapes', 'rows', 'columns'),
    at: fc.nat(200),
    value: fc.oneof(fc.nat(6), fc.integer({ min: -2, max: 255 }), fc.constant(-1), fc.constant(2 ** 31 - 1)),
    isCut: fc.boolean(),
    most: fc.oneof(fc.constant(10_000), fc.nat(100)),
  })
  const seen = new Set<string>()
  await fc.assert(
    fc.asyncProperty(anyTensors, change, async ({ shapes, levels, values }, { part, at, value, isCut, most }) => {
      const { packed } = await pack(shapes, levels, values)
      const list = packed[part as keyof Packed]
      if (isCut) packed[part as keyof Packed] = list.subarray(0, at) as never
      else if (list.length > 0) list[at % list.length] = value
      const expected = await decoded(addon(), packed, most)
      seen.add(typeof expected === 'string' ? expected : 'values')
      t.deepEqual(await decoded(portableAddon(), packed, most), expected)
    }),
    { numRuns: 500 },
  )
  t.deepEqual([...seen].sort(), ['ERR_CORRUPT_TILE', 'shapes has a negative side', 'values'])
})

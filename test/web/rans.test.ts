/** The entropy decoder of browsers does what the C++ one does, with whatever bytes, indexes and tables. */
import test from 'ava'
import fc from 'fast-check'
import { crc32c } from '../../src/entropy/crc32c.js'
import { addon, type NativeRansDecoder, type NativeTables, translated } from '../../src/native/addon.js'
import { addon as portableAddon } from '../../src/web/addon.js'

const TOTAL = 65536

type Columns = [values: Int32Array, offset: Int32Array, size: Int32Array, min: Int32Array]

/** The coders of C++ and of browsers, by their constructors. */
interface Coders {
  readonly RansTables: new (...columns: Columns) => NativeTables
  readonly RansDecoder: new (bytes: Uint8Array) => NativeRansDecoder
}

/** Increasing from 0 to 65536 in as many steps as there are weights. */
function cumulative(weights: readonly number[]): number[] {
  const sum = weights.reduce((a, b) => a + b, 0)
  let total = 0
  const ends = weights.map((weight, i) => {
    total += weight
    return Math.max(i + 1, Math.min(Math.round((total / sum) * TOTAL), TOTAL - weights.length + i + 1))
  })
  for (let i = 1; i < ends.length; i++) ends[i] = Math.max(ends[i] as number, (ends[i - 1] as number) + 1)
  ends[ends.length - 1] = TOTAL
  return [0, ...ends]
}

function columnsOf(tables: readonly { readonly weights: readonly number[]; readonly min: number }[]): Columns {
  const lists = tables.map(({ weights }) => cumulative(weights))
  let at = 0
  const offset = lists.map(({ length }) => {
    at += length
    return at - length
  })
  return [
    Int32Array.from(lists.flat()),
    Int32Array.from(offset),
    Int32Array.from(tables, ({ weights }) => weights.length),
    Int32Array.from(tables, ({ min }) => min),
  ]
}

const anyColumns = fc
  .array(
    fc.oneof(
      {
        weight: 20,
        arbitrary: fc.record({
          weights: fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 40 }),
          min: fc.integer({ min: -40, max: 20 }),
        }),
      },
      {
        weight: 20,
        // Extremely uneven, at either end of int16.
        arbitrary: fc.record({
          weights: fc.nat(25).map((n) => Array.from({ length: n + 1 }, (_, i) => 2 ** -i)),
          min: fc.constantFrom(-32768, 32767 - 25),
        }),
      },
      // As many symbols as there are slots.
      { weight: 1, arbitrary: fc.constant({ weights: Array.from({ length: TOTAL }, () => 1), min: -32768 }) },
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map(columnsOf)

/** What a call gives or throws, to be compared. */
type Outcome = { readonly value: unknown } | { readonly name: string; readonly code: unknown; readonly message: string }

async function outcome(call: () => unknown): Promise<Outcome> {
  try {
    return { value: await call() }
  } catch (error) {
    const { name, code, message } = error as Error & { code?: unknown }
    return { name, code, message }
  }
}

/** Decodes in calls of the given sizes, then asks for the end; every outcome in turn. */
async function decodeAll(coders: Coders, columns: Columns, bytes: Uint8Array, calls: readonly Uint16Array[]) {
  const tables = new coders.RansTables(...columns)
  const opened = await outcome(() => translated(() => new coders.RansDecoder(bytes)))
  const { value } = opened as { value?: NativeRansDecoder }
  if (!value) return [opened]
  const outcomes: Outcome[] = []
  for (const indexes of calls) outcomes.push(await outcome(async () => translatedLater(value.decode(indexes, tables))))
  outcomes.push(await outcome(() => translated(() => value.finish())))
  value.close()
  outcomes.push(await outcome(() => translated(() => value.finish())))
  return outcomes
}

async function translatedLater<T>(call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    return translated(() => {
      throw error
    })
  }
}

/** A stream that the C++ encoder made, with the indexes of its symbols. */
async function streamOf(columns: Columns, symbols: Int16Array, indexes: Uint16Array): Promise<Uint8Array> {
  const encoder = new (addon().RansEncoder)()
  encoder.push(symbols, indexes, new (addon().RansTables)(...columns))
  return encoder.finish()
}

const anyRun = anyColumns.chain((columns) =>
  fc
    .array(
      fc.record({
        table: fc.nat(columns[1].length - 1),
        near: fc.integer({ min: -3, max: 60 }),
        far: fc.option(fc.oneof(fc.integer({ min: -32768, max: 32767 }), fc.constantFrom(-32768, 32767)), { freq: 4 }),
      }),
      { maxLength: 200 },
    )
    .map((steps) => ({
      columns,
      indexes: Uint16Array.from(steps, ({ table }) => table),
      symbols: Int16Array.from(steps, ({ table, near, far }) =>
        Math.max(-32768, Math.min(32767, far ?? (columns[3][table] as number) + near)),
      ),
    })),
)

test('streams of the C++ encoder come back, in calls of any size', async (t) => {
  await fc.assert(
    fc.asyncProperty(anyRun, fc.nat(200), async ({ columns, symbols, indexes }, cut) => {
      const bytes = await streamOf(columns, symbols, indexes)
      const { RansTables, RansDecoder } = portableAddon()
      const tables = new RansTables(...columns)
      const decoder = new RansDecoder(bytes)
      const parts = [indexes.subarray(0, cut), indexes.subarray(cut)]
      const decoded = [await decoder.decode(parts[0] as Uint16Array, tables)]
      decoded.push(await decoder.decode(parts[1] as Uint16Array, tables))
      decoder.finish()
      t.deepEqual(
        decoded.flatMap((part) => [...part]),
        [...symbols],
      )
    }),
    { numRuns: 200 },
  )
})

test('damaged streams give the same symbols or the same error as in C++', async (t) => {
  const damage = fc.record({
    at: fc.nat(400),
    value: fc.nat(255),
    cut: fc.option(fc.nat(400), { freq: 3 }),
    more: fc.option(fc.uint8Array({ minLength: 1, maxLength: 4 }), { freq: 3 }),
    // An index that has no table, at times.
    stray: fc.option(fc.nat(300), { freq: 5 }),
  })
  const seen = new Set<unknown>()
  await fc.assert(
    fc.asyncProperty(anyRun, damage, fc.nat(200), async ({ columns, symbols, indexes }, how, cut) => {
      const sound = await streamOf(columns, symbols, indexes)
      sound[how.at % sound.length] = how.value
      const bytes = Uint8Array.from([...sound.subarray(0, how.cut ?? undefined), ...(how.more ?? [])])
      if (how.stray !== null && indexes.length > 0) indexes[how.stray % indexes.length] = 4 + how.stray
      const calls = [indexes.subarray(0, cut), indexes.subarray(cut)]
      const expected = await decodeAll(addon(), columns, bytes, calls)
      for (const one of expected) seen.add('message' in one ? one.message.replace(/^.*corrupt: /, '') : 'symbols')
      t.deepEqual(await decodeAll(portableAddon(), columns, bytes, calls), expected)
    }),
    { numRuns: 600 },
  )
  for (const message of ['symbols', 'it ends too early', 'bytes are left over', 'a table index is out of range']) {
    t.true(seen.has(message), message)
  }
})

test('random bytes give the same symbols or the same error as in C++', async (t) => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 80 }),
    // Zeros are long escapes, and so are their like.
    fc.array(fc.constantFrom(0, 0xff, 0x80, 1), { maxLength: 80 }).map((list) => Uint8Array.from(list)),
  )
  await fc.assert(
    fc.asyncProperty(anyColumns, bytes, fc.array(fc.nat(3), { maxLength: 60 }), async (columns, data, list) => {
      const calls = [Uint16Array.from(list, (index) => index % columns[1].length)]
      t.deepEqual(
        await decodeAll(portableAddon(), columns, data, calls),
        await decodeAll(addon(), columns, data, calls),
      )
    }),
    { numRuns: 600 },
  )
})

test('escapes that are too long, or lead out of int16, are refused as in C++', async (t) => {
  // One table whose escape owns all slots: every symbol is an escape, and the bytes are its bits.
  const columns: Columns = [Int32Array.of(0, TOTAL), Int32Array.of(0), Int32Array.of(1), Int32Array.of(32767)]
  const seen = new Set<string>()
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 8, maxLength: 12 }), fc.boolean(), async (data, isZero) => {
      data[3] = Math.max(1, data[3] as number)
      // The bits are at the slots' upper ends: low bytes of zeros are zeros for long.
      if (isZero) data.fill(0, 4)
      const calls = [new Uint16Array(2)]
      const expected = await decodeAll(addon(), columns, data, calls)
      for (const one of expected) if ('message' in one) seen.add(one.message.replace(/^.*corrupt: /, ''))
      t.deepEqual(await decodeAll(portableAddon(), columns, data, calls), expected)
    }),
    { numRuns: 1000 },
  )
  t.true(seen.has('an escaped value is outside int16'), [...seen].join('; '))
})

test('tables that make no sense are refused with the words of C++', async (t) => {
  const integer = fc.oneof(fc.integer({ min: -3, max: 8 }), fc.constantFrom(0, TOTAL, -(2 ** 31), 2 ** 31 - 1, 65537))
  const column = (maxLength: number) => fc.array(integer, { maxLength }).map((list) => Int32Array.from(list))
  const hostile = fc.tuple(column(8), column(3), column(3), column(3)) as fc.Arbitrary<Columns>
  // Sound ones with a number changed come further.
  const nearly = fc.tuple(anyColumns, fc.nat(3), fc.nat(60), integer).map(([columns, which, at, value]) => {
    const changed = columns.map((list) => list.slice()) as Columns
    const list = changed[which] as Int32Array
    list[at % list.length] = value
    return changed
  })
  await fc.assert(
    fc.asyncProperty(fc.oneof(hostile, nearly), async (columns) => {
      const made = (coders: Coders) => outcome(() => void translated(() => new coders.RansTables(...columns)))
      t.deepEqual(await made(portableAddon()), await made(addon()))
    }),
    { numRuns: 1000 },
  )
})

test('checksums are those of C++, in pieces too', (t) => {
  t.is(portableAddon().crc32c(new TextEncoder().encode('123456789'), 0), 0xe3069283)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (bytes, cut) => {
      const { crc32c: portable } = portableAddon()
      t.is(portable(bytes.subarray(cut), portable(bytes.subarray(0, cut), 0)), crc32c(bytes))
    }),
  )
})

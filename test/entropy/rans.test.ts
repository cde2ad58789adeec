import test from 'ava'
import fc from 'fast-check'
import { type CdfTables, RansDecoder, RansEncoder, RansTables, type TableIndexes } from '../../src/entropy/rans.js'

const TOTAL = 65536
const corrupt = { code: 'ERR_CORRUPT_TILE', name: 'CorruptDataError' }

/** One run as a stream of its own. */
async function ransEncode(symbols: Int16Array, indexes: TableIndexes, tables: RansTables): Promise<Uint8Array> {
  const encoder = new RansEncoder()
  encoder.push(symbols, indexes, tables)
  return encoder.finish()
}

/** All symbols of a stream that holds one run, its end checked. */
async function ransDecode(bytes: Uint8Array, indexes: TableIndexes, tables: RansTables): Promise<Int16Array> {
  using decoder = new RansDecoder(bytes)
  const symbols = await decoder.decode(indexes, tables)
  decoder.finish()
  return symbols
}

/** Cumulative tables from lists of frequencies, each summing to 65536. */
function cdfTables(tables: { freqs: number[]; min: number }[]): CdfTables {
  const values: number[] = []
  const offset: number[] = []
  for (const { freqs } of tables) {
    offset.push(values.length)
    let sum = 0
    values.push(0)
    for (const freq of freqs) {
      sum += freq
      values.push(sum)
    }
  }
  return {
    values: Int32Array.from(values),
    offset: Int32Array.from(offset),
    size: Int32Array.from(tables, (t) => t.freqs.length),
    min: Int32Array.from(tables, (t) => t.min),
  }
}

/** Frequencies >= 1 in proportion to `weights`, what rounding leaves given to the first. */
function frequencies(weights: number[]): number[] {
  const sum = weights.reduce((a, b) => a + b, 0)
  const freqs = weights.map((w) => 1 + Math.floor((w / sum) * (TOTAL - weights.length)))
  freqs[0] = (freqs[0] ?? 0) + TOTAL - freqs.reduce((a, b) => a + b, 0)
  return freqs
}

/** A discretised Gaussian of `scale` over -reach .. reach, and an escape of frequency 1. */
function gaussian(scale: number): { freqs: number[]; min: number } {
  const reach = Math.ceil(scale * 5)
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-((i - reach) ** 2) / (2 * scale ** 2)))
  const freqs = frequencies(weights)
  freqs[reach] = (freqs[reach] ?? 0) - 1
  return { freqs: [...freqs, 1], min: -reach }
}

/** The run's information in bits: -log2 of its frequencies, and the bypass bits of its escapes. */
function idealBits(symbols: Int16Array, indexes: TableIndexes, tables: CdfTables): number {
  let bits = 0
  symbols.forEach((value, i) => {
    const t = indexes[i] ?? 0
    const last = (tables.size[t] ?? 0) - 1
    let symbol = value - (tables.min[t] ?? 0)
    if (symbol < 0 || symbol >= last) {
      const beyond = symbol < 0 ? -1 - symbol : symbol - last
      bits += 2 + 2 * Math.floor(Math.log2(beyond + 1))
      symbol = last
    }
    const at = (tables.offset[t] ?? 0) + symbol
    bits += 16 - Math.log2((tables.values[at + 1] ?? 0) - (tables.values[at] ?? 0))
  })
  return bits
}

const weights = fc.oneof(
  { weight: 12, arbitrary: fc.array(fc.double({ min: 1e-6, max: 1, noNaN: true }), { minLength: 1, maxLength: 40 }) },
  // Extremely uneven, and as many symbols as there can be.
  { weight: 6, arbitrary: fc.nat(30).map((n) => Array.from({ length: n + 1 }, (_, i) => 2 ** -i)) },
  { weight: 1, arbitrary: fc.constant(Array.from({ length: TOTAL }, () => 1)) },
)

const anyTables = fc
  .array(
    weights.chain((w) =>
      fc.record({ freqs: fc.constant(frequencies(w)), min: fc.integer({ min: -32768, max: 32769 - w.length }) }),
    ),
    { minLength: 1, maxLength: 4 },
  )
  .map(cdfTables)

const anyRun = anyTables.chain((tables) =>
  fc
    .array(
      fc.record({
        index: fc.nat(tables.offset.length - 1),
        near: fc.integer({ min: -3, max: 60 }),
        far: fc.option(fc.oneof(fc.integer({ min: -32768, max: 32767 }), fc.constantFrom(-32768, 32767)), { freq: 4 }),
      }),
      { maxLength: 300 },
    )
    .map((steps) => ({
      tables,
      indexes: Uint8Array.from(steps, (s) => s.index),
      // Mostly in or just outside the table, sometimes anything.
      symbols: Int16Array.from(steps, (s) =>
        Math.max(-32768, Math.min(32767, s.far ?? (tables.min[s.index] ?? 0) + s.near)),
      ),
    })),
)

test('any symbols under any tables come back, whatever the sizes of the calls', async (t) => {
  await fc.assert(
    fc.asyncProperty(anyRun, fc.infiniteStream(fc.integer({ min: 0, max: 50 })), async (run, pieces) => {
      const tables = new RansTables(run.tables)
      const bytes = await ransEncode(run.symbols, run.indexes, tables)
      t.deepEqual(await ransDecode(bytes, Uint16Array.from(run.indexes), tables), run.symbols)

      using decoder = new RansDecoder(bytes)
      const symbols: number[] = []
      for (let at = 0; at < run.indexes.length; ) {
        const piece = await decoder.decode(run.indexes.subarray(at, at + (pieces.next().value ?? 1)), tables)
        symbols.push(...piece)
        at += piece.length
      }
      decoder.finish()
      t.deepEqual(Int16Array.from(symbols), run.symbols)
    }),
    { numRuns: 200 },
  )
})

test('a stream is as long as its tables say, to 0.01 % and the coder’s own 4 bytes', async (t) => {
  await fc.assert(
    fc.asyncProperty(anyRun, async (run) => {
      const bytes = await ransEncode(run.symbols, run.indexes, new RansTables(run.tables))
      t.true(bytes.length * 8 <= idealBits(run.symbols, run.indexes, run.tables) * 1.003 + 32)
    }),
    { numRuns: 100 },
  )
  const scales = Array.from({ length: 64 }, (_, i) => Math.exp(Math.log(0.11) + (i / 63) * Math.log(256 / 0.11)))
  const tables = cdfTables(scales.map(gaussian))
  const indexes = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 29) % 64)
  // A fixed pseudo-random walk through the inverse of each table's own distribution.
  let seed = 12345
  const symbols = Int16Array.from(indexes, (index) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0
    const slot = seed >>> 16
    const [offset, size] = [tables.offset[index] ?? 0, tables.size[index] ?? 0]
    const cdf = tables.values.subarray(offset, offset + size + 1)
    let symbol = 0
    while (symbol < size - 2 && (cdf[symbol + 1] ?? 0) <= slot) symbol++
    return (tables.min[index] ?? 0) + symbol
  })
  const native = new RansTables(tables)
  const bytes = await ransEncode(symbols, indexes, native)
  const ideal = idealBits(symbols, indexes, tables)
  t.true(bytes.length * 8 <= ideal * 1.0001 + 32, `${bytes.length * 8} bits of ${ideal}`)
  t.true(bytes.length * 8 >= ideal - 1)
  t.deepEqual(await ransDecode(bytes, indexes, native), symbols)
})

test('runs under different sets of tables make one stream', async (t) => {
  const z = new RansTables(cdfTables([gaussian(1), gaussian(3)]))
  const y = new RansTables(cdfTables([gaussian(0.2), gaussian(20), gaussian(200)]))
  const runs = [
    { symbols: Int16Array.of(0, 1, -1, 9), indexes: Uint8Array.of(0, 1, 0, 1), tables: z },
    { symbols: new Int16Array(0), indexes: new Uint8Array(0), tables: z },
    { symbols: Int16Array.of(0, 30, -500, 32767), indexes: Uint16Array.of(0, 1, 2, 0), tables: y },
  ]
  const encoder = new RansEncoder()
  for (const { symbols, indexes, tables } of runs) encoder.push(symbols, indexes, tables)
  const bytes = await encoder.finish()
  using decoder = new RansDecoder(bytes)
  for (const { symbols, indexes, tables } of runs) t.deepEqual(await decoder.decode(indexes, tables), symbols)
  decoder.finish()
})

test('the stream is what native/entropy/rans.h specifies, byte for byte', async (t) => {
  const tables = new RansTables(cdfTables([{ freqs: [32768, 16384, 16384], min: 0 }]))
  t.deepEqual(await ransEncode(new Int16Array(0), new Uint8Array(0), tables), Uint8Array.of(0, 0, 0, 1))
  // Symbol 0: x = 2^24 -> (2^24 / 2^15) * 2^16 + 0 = 2^25.
  t.deepEqual(await ransEncode(Int16Array.of(0), new Uint8Array(1), tables), Uint8Array.of(0, 0, 0, 2))
  // Then, in front of it, symbol 1: x = 2^25 -> (2^25 / 2^14) * 2^16 + 2^15 = 2^27 + 2^15.
  t.deepEqual(await ransEncode(Int16Array.of(1, 0), new Uint8Array(2), tables), Uint8Array.of(0, 128, 0, 8))
  // An escape: 3 is 1 beyond, u + 1 = 2 = "10", so sign 0, zeros "0", one, suffix "0".
  // Coded from the back: suffix, one, zero, sign, escape.
  let x = 2 ** 24
  for (const [start, freq] of [
    [0, 32768],
    [32768, 32768],
    [0, 32768],
    [0, 32768],
    [49152, 16384],
  ] as const) {
    x = Math.floor(x / freq) * 65536 + start + (x % freq)
  }
  t.true(x < 2 ** 32)
  t.deepEqual(await ransEncode(Int16Array.of(3), new Uint8Array(1), tables), new Uint8Array(Uint32Array.of(x).buffer))
})

test('a stream cut anywhere, or with a byte more, is corrupt', async (t) => {
  await fc.assert(
    fc.asyncProperty(anyRun, fc.integer({ min: 0, max: 255 }), async (run, extra) => {
      const tables = new RansTables(run.tables)
      const bytes = await ransEncode(run.symbols, run.indexes, tables)
      for (let length = 0; length < bytes.length; length++) {
        await t.throwsAsync(ransDecode(bytes.subarray(0, length), run.indexes, tables), corrupt)
      }
      await t.throwsAsync(ransDecode(Uint8Array.of(...bytes, extra), run.indexes, tables), corrupt)
    }),
    { numRuns: 40 },
  )
})

test('a first state that no encoder leaves behind is corrupt', (t) => {
  for (const state of [0, 1, 2 ** 16, 2 ** 24 - 1]) {
    const bytes = Uint8Array.from([0, 8, 16, 24], (shift) => state >>> shift)
    t.throws(() => new RansDecoder(Uint8Array.of(...bytes, 1, 2, 3, 4)), { ...corrupt, message: /first state/ })
  }
})

test('flipped bits and noise give an error or other symbols, never anything else', async (t) => {
  const attempt = async (
    bytes: Uint8Array,
    indexes: TableIndexes,
    tables: RansTables,
  ): Promise<Int16Array | undefined> => {
    try {
      return await ransDecode(bytes, indexes, tables)
    } catch (error) {
      t.like(error, corrupt)
      return undefined
    }
  }
  let accepted = 0
  await fc.assert(
    fc.asyncProperty(
      anyRun,
      fc.array(fc.nat(), { minLength: 1, maxLength: 20 }),
      fc.uint8Array({ maxLength: 300 }),
      async (run, flips, noise) => {
        const tables = new RansTables(run.tables)
        const bytes = await ransEncode(run.symbols, run.indexes, tables)
        for (const flip of flips) {
          const bit = flip % (bytes.length * 8)
          const flipped = bytes.slice()
          flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
          const symbols = await attempt(flipped, run.indexes, tables)
          if (symbols === undefined) continue
          accepted++
          t.is(symbols.length, run.symbols.length)
          // Symbols and stream determine each other.
          t.notDeepEqual(symbols, run.symbols)
        }
        await attempt(noise, run.indexes, tables)
      },
    ),
    { numRuns: 150 },
  )
  t.log(`${accepted} flipped streams decoded to other symbols`)
})

test('a decoder that failed stays failed, and a closed one says so', async (t) => {
  const tables = new RansTables(cdfTables([gaussian(100)]))
  const indexes = new Uint8Array(50)
  const decoder = new RansDecoder(await ransEncode(new Int16Array(10), new Uint8Array(10), tables))
  await t.throwsAsync(decoder.decode(indexes, tables), corrupt)
  await t.throwsAsync(decoder.decode(indexes.subarray(0, 1), tables), corrupt)
  t.throws(() => decoder.finish(), corrupt)
  decoder.close()
  decoder.close()
  await t.throwsAsync(decoder.decode(indexes, tables), { code: 'ERR_CLOSED' })
  const encoder = new RansEncoder()
  await encoder.finish()
  await t.throwsAsync(encoder.finish(), { code: 'ERR_CLOSED' })
  t.throws(() => encoder.push(new Int16Array(1), new Uint8Array(1), tables), { code: 'ERR_CLOSED' })
})

test('arrays may change once they are given, and streams are coded beside each other', async (t) => {
  const tables = new RansTables(cdfTables([gaussian(1), gaussian(30)]))
  const length = 200_000
  const streams = await Promise.all(
    Array.from({ length: 6 }, async (_, n) => {
      const indexes = Uint16Array.from({ length }, (_, i) => (i >> n) & 1)
      const symbols = Int16Array.from({ length }, (_, i) => ((i * (n + 1)) % 91) - 45)
      const kept = { indexes: indexes.slice(), symbols: symbols.slice() }
      const encoded = ransEncode(symbols, indexes, tables)
      symbols.fill(7)
      indexes.fill(9)
      const bytes = await encoded
      using decoder = new RansDecoder(bytes)
      bytes.fill(0)
      const asked = kept.indexes.slice()
      const decoded = decoder.decode(asked, tables)
      asked.fill(9)
      return { kept, decoded: await decoded }
    }),
  )
  for (const { kept, decoded } of streams) t.deepEqual(decoded, kept.symbols)
})

test('a decoder at work takes no other call, and may be closed', async (t) => {
  const tables = new RansTables(cdfTables([gaussian(100)]))
  const indexes = new Uint8Array(500_000)
  const bytes = await ransEncode(new Int16Array(indexes.length), indexes, tables)
  const decoder = new RansDecoder(bytes)
  const first = decoder.decode(indexes, tables)
  await t.throwsAsync(decoder.decode(indexes, tables), { message: /decoding already/ })
  t.deepEqual(await first, new Int16Array(indexes.length))
  decoder.finish()

  const closed = new RansDecoder(bytes)
  const decoded = closed.decode(indexes, tables)
  t.throws(() => closed.finish(), { message: /decoding already/ })
  closed.close()
  await t.throwsAsync(decoded, { code: 'ERR_CLOSED' })
})

test('an index without a table: RangeError encoding, corrupt decoding', async (t) => {
  const tables = new RansTables(cdfTables([gaussian(1), gaussian(2)]))
  await t.throwsAsync(ransEncode(Int16Array.of(1, 1), Uint8Array.of(1, 2), tables), {
    instanceOf: RangeError,
    message: /Table index 2 at 1 but there are 2 tables/,
  })
  const bytes = await ransEncode(Int16Array.of(5), Uint8Array.of(1), tables)
  await t.throwsAsync(ransDecode(bytes, Uint8Array.of(2), tables), corrupt)
  await t.throwsAsync(ransDecode(bytes, Uint16Array.of(65535), tables), corrupt)
})

test('escape codes of more than 16 zeros and values outside int16 are corrupt', async (t) => {
  // Frequencies of 32768 make the bits of the state the coder's bits.
  const escapes = new RansTables(cdfTables([{ freqs: [TOTAL], min: 0 }]))
  // All-zero bypass bits: an endless escape code.
  await t.throwsAsync(ransDecode(Uint8Array.of(0, 0, 0, 1, ...new Uint8Array(40)), Uint8Array.of(0), escapes), {
    ...corrupt,
    message: /escape code is too long/,
  })
  // The largest codes that exist, then one that would be 65536 above the smallest value.
  const lowest = new RansTables(cdfTables([{ freqs: [TOTAL], min: -32768 }]))
  const top = await ransEncode(Int16Array.of(32767), Uint8Array.of(0), lowest)
  t.deepEqual(await ransDecode(top, Uint8Array.of(0), lowest), Int16Array.of(32767))
  await t.throwsAsync(ransDecode(top, Uint8Array.of(0), escapes), { ...corrupt, message: /outside int16/ })
})

test('tables that are none are refused with a RangeError that names the table', (t) => {
  const good = (): CdfTables & { values: Int32Array } => cdfTables([gaussian(1), { freqs: [65535, 1], min: 7 }])
  t.is(new RansTables(good()).count, 2)
  const bad: [string, (tables: CdfTables) => CdfTables][] = [
    ['short', (s) => ({ ...s, values: s.values.with(-1, 65535) })],
    ['zero frequency', (s) => ({ ...s, values: s.values.with(-2, 65536) })],
    ['falling', (s) => ({ ...s, values: s.values.with(-2, -2147483648) })],
    ['outside', (s) => ({ ...s, offset: s.offset.with(1, s.values.length - 2) })],
    ['negative offset', (s) => ({ ...s, offset: s.offset.with(1, -1) })],
    ['huge offset', (s) => ({ ...s, offset: s.offset.with(1, 2147483647) })],
    ['shared', (s) => ({ ...s, offset: s.offset.with(1, 0), size: s.size.with(1, s.size[0] as number) })],
    ['no symbols', (s) => ({ ...s, size: s.size.with(1, 0) })],
    ['negative size', (s) => ({ ...s, size: s.size.with(1, -2147483648) })],
    ['above int16', (s) => ({ ...s, min: s.min.with(1, 32768) })],
    ['below int16', (s) => ({ ...s, min: s.min.with(1, -32769) })],
  ]
  for (const [name, change] of bad) {
    t.throws(() => new RansTables(change(good())), { instanceOf: RangeError, message: /CDF table 1/ }, name)
  }
  const none = new Int32Array(0)
  t.throws(() => new RansTables({ values: none, offset: none, size: none, min: none }), { instanceOf: RangeError })
  t.throws(() => new RansTables({ ...good(), min: Int32Array.of(0) }), { instanceOf: RangeError })
})

test('arguments of the wrong type', async (t) => {
  const tables = new RansTables(cdfTables([gaussian(1)]))
  const wrong = <T>(value: unknown): T => value as T
  const typeError = { instanceOf: TypeError, message: /^Expected .* but received / }
  t.throws(() => new RansDecoder(wrong('abcd')), typeError)
  await t.throwsAsync(ransEncode(wrong([1, 2]), new Uint8Array(2), tables), typeError)
  await t.throwsAsync(ransEncode(new Int16Array(2), wrong(new Float32Array(2)), tables), typeError)
  await t.throwsAsync(ransEncode(new Int16Array(2), new Uint8Array(2), wrong({})), typeError)
  await t.throwsAsync(ransEncode(new Int16Array(2), new Uint8Array(3), tables), { instanceOf: RangeError })
  t.throws(() => new RansTables(wrong({ values: [0, 65536] })), typeError)
})

/** What is behind an archive's head: its parts in their order, in batches, and the bytes that are nobody's. */
import test from 'ava'
import type { OpenedHead } from '../../src/archive/head-reader.js'
import { badBytesOf, batchesOf, isIntact, type Part, partsOf } from '../../src/archive/parts.js'
import { crc32c } from '../../src/entropy/crc32c.js'
import { AbortedError } from '../../src/errors.js'
import { indexOf } from '../../src/tiff/tile-index.js'

const HEAD = 1000

/** A level of 2 x 2 tiles of which the second isn't stored, an overview of one, and a label: 40, 0, 30, 20, 10 and 5 bytes. */
function headOf(offsets: readonly number[] = [1000, 0, 1040, 1070, 1090, 1100]): OpenedHead {
  const level = { width: 32, height: 32, downsample: 1 }
  const index = indexOf(level, 16, 16)
  index.offset.set(offsets.slice(0, 4))
  index.length.set([40, 0, 30, 20])
  index.checksum.set([1, 0, 3, 4])
  const small = indexOf({ width: 8, height: 8 }, 16, 16)
  small.offset.set(offsets.slice(4, 5))
  small.length.set([10])
  small.checksum.set([5])
  const images = [{ name: 'label', width: 4, height: 4, offset: offsets[5] as number, length: 5, checksum: 6 }]
  const overview = [{ level: { width: 8, height: 8, downsample: 4 }, index: small }]
  return { indexes: [index], overview, images, headLength: HEAD } as unknown as OpenedHead
}

test('tiles come first, row by row, then the overview and the images', (t) => {
  const tile = (column: number, row: number) => {
    return { place: { level: 0, column, row }, name: `tile at level 0, column ${column}, row ${row}` }
  }
  t.deepEqual(
    [...partsOf(headOf())],
    [
      { ...tile(0, 0), offset: 1000, length: 40, checksum: 1 },
      { ...tile(1, 0), offset: 0, length: 0, checksum: 0 },
      { ...tile(0, 1), offset: 1040, length: 30, checksum: 3 },
      { ...tile(1, 1), offset: 1070, length: 20, checksum: 4 },
      { place: null, name: 'overview 0, tile 0', offset: 1090, length: 10, checksum: 5 },
      { place: null, name: 'label', offset: 1100, length: 5, checksum: 6 },
    ],
  )
})

function part(offset: number, length: number): Part {
  return { place: null, name: '', offset, length, checksum: 0 }
}

/** Offset, length and number of parts of each batch; all parts together are those that were given. */
function batches(parts: readonly Part[], size: number): number[][] {
  const all = [...batchesOf(parts, size)]
  if (all.flatMap((batch) => batch.parts).some((each, i) => each !== parts[i])) throw new Error('Parts are in disorder')
  return all.map((batch) => [batch.offset, batch.length, batch.parts.length])
}

test('a batch ends with the part that fills it, or before a gap', (t) => {
  const next = [part(100, 10), part(110, 10), part(120, 10)]
  t.deepEqual(batches([], 20), [])
  t.deepEqual(batches(next, 1), [
    [100, 10, 1],
    [110, 10, 1],
    [120, 10, 1],
  ])
  t.deepEqual(batches(next, 20), [
    [100, 20, 2],
    [120, 10, 1],
  ])
  t.deepEqual(batches(next, 21), [[100, 30, 3]])
  t.deepEqual(batches([part(100, 10), part(111, 10)], 1000), [
    [100, 10, 1],
    [111, 10, 1],
  ])
})

test('parts without bytes belong to the batch that they come in, and cut none', (t) => {
  const none = part(0, 0)
  t.deepEqual(batches([none, part(100, 10), none, part(110, 10), none], 1000), [[100, 20, 5]])
  t.deepEqual(batches([part(100, 10), none, part(111, 10)], 1000), [
    [100, 10, 2],
    [111, 10, 1],
  ])
  t.deepEqual(batches([none, none], 1000), [[0, 0, 2]])
  t.deepEqual(batches(Array<Part>(4097).fill(none), 1000), [
    [0, 0, 4096],
    [0, 0, 1],
  ])
  t.deepEqual(batches([...Array<Part>(4096).fill(none), part(7, 1)], 1000), [
    [0, 0, 4096],
    [7, 1, 1],
  ])
})

test('bytes that no part has, between them and at the end', async (t) => {
  const { signal } = new AbortController()
  t.is((await badBytesOf(headOf(), 1105, signal)).count, 0)
  const { first } = await badBytesOf(headOf([1003, 0, 1043, 1080, 1100, 1110]), 1120, signal)
  t.deepEqual(
    first.map(({ offset, length }) => [offset, length]),
    [
      [1000, 3],
      [1073, 7],
      [1115, 5],
    ],
  )
  t.regex(first[0]?.reason ?? '', /before tile at level 0, column 0, row 0$/)
  t.regex(first[2]?.reason ?? '', /before the end of the file$/)
  await t.throwsAsync(badBytesOf(headOf(), 1105, AbortSignal.abort()), { instanceOf: AbortedError })
})

test('a part is intact if its checksum agrees', (t) => {
  const bytes = Uint8Array.of(1, 2, 3)
  t.true(isIntact(bytes, crc32c(bytes)))
  t.false(isIntact(bytes, crc32c(bytes) ^ 1))
  t.true(isIntact(new Uint8Array(), 0))
})

/**
 * Packed weights of a model file, decoded in TypeScript: `native/entropy/packed_weights.cc` for browsers. The same values and the
 * same errors for any bytes.
 */
import type { Addon, NativeTables } from '../native/addon.js'
import { nextTurn } from './event-loop.js'
import { corrupt, PortableDecoder, PortableTables } from './rans.js'

/** Streams that are decoded at a time, about 10 ms of work, before the page gets a turn. */
const STREAMS_A_TURN = 32
const MOST_TABLES = 256

export const decodePackedWeights: Addon['decodeWeights'] = async (
  streams,
  lengths,
  valuesAStream,
  shapes,
  rows,
  columns,
  tables,
  mostValues,
) => {
  const count = countValues(shapes, rows, columns, mostValues)
  const bounds = streamBounds(streams, lengths, Math.ceil(count / valuesAStream))
  const numbers = tableNumbers(shapes, rows, columns, count, tables)
  const values = new Int16Array(count)
  for (let stream = 0; stream < lengths.length; stream++) {
    if (stream % STREAMS_A_TURN === STREAMS_A_TURN - 1) await nextTurn()
    const decoder = new PortableDecoder(streams.subarray(bounds[stream], bounds[stream + 1]))
    const [begin, end] = [stream * valuesAStream, (stream + 1) * valuesAStream]
    values.set(decoder.decodeNow(numbers.subarray(begin, end), tables), begin)
    decoder.finish()
  }
  return values
}

/** How many values tensors have, once their levels are as many as their rows and columns. */
function countValues(shapes: Int32Array, rows: Uint8Array, columns: Uint8Array, most: number): number {
  if (shapes.some((side) => side < 0)) throw new RangeError('shapes has a negative side')
  let [rowsLeft, columnsLeft, count] = [rows.length, columns.length, 0]
  for (const [tensorRows, tensorColumns, rest] of tensorsOf(shapes)) {
    rowsLeft -= tensorRows
    columnsLeft -= tensorColumns
    if (rowsLeft < 0 || columnsLeft < 0) throw corrupt('there are fewer levels than rows or columns')
    // Too large a product is inexact, and larger than what may be, all the same.
    count += tensorRows * tensorColumns * rest
    if (count > most) throw corrupt('there are more values than the streams have room for')
  }
  if (rowsLeft > 0 || columnsLeft > 0) throw corrupt('there are more levels than rows and columns')
  return count
}

function* tensorsOf(shapes: Int32Array): Generator<[rows: number, columns: number, rest: number]> {
  for (let i = 0; i + 2 < shapes.length; i += 3) {
    yield [shapes[i] as number, shapes[i + 1] as number, shapes[i + 2] as number]
  }
}

/** Where each stream begins, and where the last one ends. */
function streamBounds(streams: Uint8Array, lengths: Int32Array, needed: number): number[] {
  if (lengths.length !== needed) throw corrupt('there are more or fewer streams than the values need')
  const bounds = [0]
  let end = 0
  for (const length of lengths) {
    if (length < 0 || length > streams.length - end) throw corrupt('a stream reaches beyond the others')
    end += length
    bounds.push(end)
  }
  if (end !== streams.length) throw corrupt('bytes are left over')
  return bounds
}

/** The table of each value: the level of its row and that of its column, added. */
function tableNumbers(
  shapes: Int32Array,
  rows: Uint8Array,
  columns: Uint8Array,
  count: number,
  tables: NativeTables,
): Uint8Array {
  if (!(tables instanceof PortableTables)) throw new TypeError('tables are not those of this decoder')
  const most = Math.min(tables.count, MOST_TABLES)
  const numbers = new Uint8Array(count)
  let [row, column, at] = [0, 0, 0]
  for (const [tensorRows, tensorColumns, rest] of tensorsOf(shapes)) {
    // Else millions of rows and columns without values would take forever.
    for (let r = 0; r < tensorRows && rest > 0; r++) {
      for (let c = 0; c < tensorColumns; c++) {
        const number = (rows[row + r] as number) + (columns[column + c] as number)
        if (number >= most) throw corrupt(`there is no table ${number}`)
        numbers.fill(number, at, at + rest)
        at += rest
      }
    }
    row += tensorRows
    column += tensorColumns
  }
  return numbers
}

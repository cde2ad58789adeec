/** Model files made in tests: of any tensors, plain or packed, with the hash and the checksum that they should have. */
import { createHash } from 'node:crypto'
import { RansEncoder, RansTables } from '../../src/entropy/rans.js'
import { modelHash } from '../../src/model/model.js'
import { readSafetensors, type Safetensors, type TensorType } from '../../src/model/safetensors.js'

export interface Stored {
  readonly dtype: TensorType
  readonly shape: readonly number[]
  readonly raw: Uint8Array
}

/** The tensors of a file that was read, as they are stored. */
export function storedOf({ tensors, raw }: Safetensors): Map<string, Stored> {
  return new Map(
    Array.from(tensors, ([name, { dtype, shape }]): [string, Stored] => [
      name,
      { dtype, shape, raw: raw.get(name) as Uint8Array },
    ]),
  )
}

export function stored(dtype: TensorType, array: Int32Array | Int16Array | Uint8Array | Uint16Array): Stored {
  return { dtype, shape: [array.length], raw: new Uint8Array(array.buffer, array.byteOffset, array.byteLength) }
}

/** A safetensors file. Its tensors come in the order of the map. */
export function safetensorsFile(
  metadata: Readonly<Record<string, string>>,
  tensors: ReadonlyMap<string, Stored>,
): Buffer {
  const entries: [string, object][] = [['__metadata__', metadata]]
  let at = 0
  for (const [name, { dtype, shape, raw }] of tensors) {
    entries.push([name, { dtype, shape, data_offsets: [at, at + raw.length] }])
    at += raw.length
  }
  return withHeader(Object.fromEntries(entries), Buffer.concat([...tensors.values()].map(({ raw }) => raw)))
}

export function withHeader(header: object, data: Uint8Array): Buffer {
  const json = Buffer.from(JSON.stringify(header))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([size, json, data])
}

/** The model as files of version 2 have it. */
export function plainFile(model: Safetensors): Buffer {
  const { packed: _, ...metadata } = model.metadata
  return safetensorsFile({ ...metadata, format: 'cleric-model/2' }, storedOf(model))
}

/** The file with the checksum that it should end in. */
export function sealed(bytes: Uint8Array): Buffer {
  const content = bytes.subarray(0, bytes.length - 32)
  return Buffer.concat([content, createHash('sha256').update(content).digest()])
}

/** A tensor to be packed: values of each row and column one after the other, and exponents of the rows if it is F16. */
export interface ToPack {
  readonly name: string
  readonly shape: readonly [number, number, ...number[]]
  readonly values: Int16Array
  readonly exponents?: readonly number[]
  readonly rows: readonly number[]
  readonly columns: readonly number[]
}

/** Table n has the values from -n to n. */
export function someTables(count: number) {
  const values: number[] = []
  const [offset, size, min] = [new Int32Array(count), new Int32Array(count), new Int32Array(count)]
  for (let n = 0; n < count; n++) {
    const symbols = 2 * n + 2
    offset[n] = values.length
    size[n] = symbols
    min[n] = -n
    for (let i = 0; i <= symbols; i++) values.push(Math.floor((65536 * i) / symbols))
  }
  return { values: Int32Array.from(values), offset, size, min }
}

const STREAM = 2 ** 14

/** The stored tensors and the metadata `packed` of these tensors, coded under `someTables(40)`. */
export async function packedParts(tensors: readonly ToPack[]): Promise<{ parts: Map<string, Stored>; packed: string }> {
  const tables = someTables(40)
  const native = new RansTables(tables)
  const [values, numbers]: [number[], number[]] = [[], []]
  for (const { shape, values: own, rows, columns } of tensors) {
    const rest = shape.slice(2).reduce((a, b) => a * b, 1)
    for (const [i, value] of own.entries()) {
      const cell = Math.floor(i / rest)
      const [row, column] = [Math.floor(cell / shape[1]), cell % shape[1]]
      numbers.push((rows[row] as number) + (columns[column] as number))
      values.push(value)
    }
  }
  const streams: Uint8Array[] = []
  for (let first = 0; first < values.length; first += STREAM) {
    const encoder = new RansEncoder()
    const end = first + STREAM
    encoder.push(Int16Array.from(values.slice(first, end)), Uint8Array.from(numbers.slice(first, end)), native)
    streams.push(await encoder.finish())
  }
  const all = <T>(of: (tensor: ToPack) => readonly T[]) => tensors.flatMap((tensor) => [...of(tensor)])
  const parts = new Map<string, Stored>([
    [
      'packed.lengths',
      stored(
        'I32',
        Int32Array.from(streams, ({ length }) => length),
      ),
    ],
    ['packed.exponents', stored('I16', Int16Array.from(all(({ exponents = [] }) => exponents)))],
    ...Object.entries(tables).map(([name, array]): [string, Stored] => [`packed.tables.${name}`, stored('I32', array)]),
    ['packed.rows', stored('U8', Uint8Array.from(all(({ rows }) => rows)))],
    ['packed.columns', stored('U8', Uint8Array.from(all(({ columns }) => columns)))],
    ['packed.streams', stored('U8', Uint8Array.from(streams.flatMap((stream) => [...stream])))],
  ])
  const packed = tensors.map(({ name, shape, exponents }) => [name, exponents ? 'F16' : 'I16', shape])
  return { parts, packed: JSON.stringify(packed) }
}

/** A model file of version 3 of these stored tensors; its hash is over `logical`. */
export function sealedFile(
  metadata: Readonly<Record<string, string>>,
  tensors: ReadonlyMap<string, Stored>,
  logical: Safetensors,
): Buffer {
  const hash = modelHash(metadata.config ?? '', logical)
  const last: Stored = stored('U8', new Uint8Array(32))
  return sealed(
    safetensorsFile({ ...metadata, format: 'cleric-model/3', hash }, new Map([...tensors, ['~checksum', last]])),
  )
}

/** A file of these stored tensors, read. */
export function readBack(
  metadata: Readonly<Record<string, string>>,
  tensors: ReadonlyMap<string, Stored>,
): Safetensors {
  return readSafetensors(safetensorsFile(metadata, tensors))
}

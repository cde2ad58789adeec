/** Model files by docs/model-format.md, and by its word on streams docs/format.md. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { FormatDocument, get, put, readMember, writeStructure } from '../../archive/format/document.js'
import { encodeStream, type Slots, StreamReader, stepsOf } from '../../archive/format/rans.js'

const streamPage = new FormatDocument(readFileSync(new URL('../../../docs/format.md', import.meta.url), 'utf8'))

export interface Tensor {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

/** A tensor whose values are to be packed. */
export interface Whole {
  readonly dtype: 'I16' | 'F16'
  readonly shape: readonly [number, number, ...number[]]
  readonly values: readonly number[]
  /** The rows' exponents, if it is F16. */
  readonly exponents: readonly number[]
  readonly rows: readonly number[]
  readonly columns: readonly number[]
}

export interface ModelFile {
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: ReadonlyMap<string, Tensor>
}

type Numbers = Readonly<Record<'values' | 'offset' | 'size' | 'min', Int32Array>>

const product = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1)

function widthOf(document: FormatDocument, type: string): number {
  return document.number('type', type)
}

/** Text that the page gives in a row of its table of metadata. */
export function formatName(document: FormatDocument): string {
  return document.rows('metadata').get('format')?.[0] as string
}

/** Integers as bytes of a type. */
export function integerTensor(document: FormatDocument, dtype: string, values: readonly number[]): Tensor {
  const width = widthOf(document, dtype)
  const bytes = new Uint8Array(values.length * width)
  const view = new DataView(bytes.buffer)
  const wrap = 256 ** width
  for (const [i, value] of values.entries()) put(view, i * width, width, ((value % wrap) + wrap) % wrap)
  return { dtype, shape: [values.length], bytes }
}

/** The integers of a tensor, or the bits of its floats. */
function integersOf(document: FormatDocument, { dtype, shape, bytes }: Tensor): number[] {
  const width = widthOf(document, dtype)
  if (bytes.length !== product(shape) * width) throw new Error(`${bytes.length} bytes of ${dtype} for ${shape}`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const isSigned = document.rows('type').get(dtype)?.[1]?.startsWith('integer') === true
  const half = 256 ** width / 2
  return Array.from({ length: product(shape) }, (_, i) => {
    const value = get(view, i * width, width)
    return isSigned && value >= half ? value - 2 * half : value
  })
}

/** Bits of a binary16, which the number must be. */
function halfOf(number: number): number {
  const size = Math.abs(number)
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 1)))
  const fraction = size / 2 ** (exponent - 10)
  if (!Number.isInteger(fraction) || exponent > 15) throw new Error(`${number} is no binary16`)
  const bits = fraction < 1024 ? fraction : ((exponent + 15) << 10) | (fraction - 1024)
  return number < 0 ? bits | 0x8000 : bits
}

function checkBounds(document: FormatDocument, shape: readonly number[]): void {
  if (shape.length < document.number('shape', 'least') || shape.length > document.number('shape', 'most')) {
    throw new Error(`${shape.length} dimensions`)
  }
}

function digest(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

export function hashOf(config: string, tensors: ReadonlyMap<string, Tensor>): string {
  const hash = createHash('sha256').update(config, 'utf8')
  for (const name of [...tensors.keys()].sort()) {
    const { dtype, shape, bytes } = tensors.get(name) as Tensor
    hash.update(`\n${name} ${dtype} ${shape.join(',')}\n`).update(bytes)
  }
  return hash.digest('hex')
}

/** The tensors of a file, unpacked. Its checksum and its hash are compared. */
export function readModel(document: FormatDocument, bytes: Uint8Array): ModelFile {
  const { metadata, tensors } = readContainer(document, bytes)
  if (metadata.format !== formatName(document)) throw new Error(`format ${metadata.format}`)
  const [[checksum = ''] = []] = document.rows('checksum')
  const length = Number(document.rows('checksum').get(checksum)?.[1])
  const stated = tensors.get(checksum)
  if (
    !stated ||
    stated.bytes.length !== length ||
    !Buffer.from(digest(bytes.subarray(0, -length))).equals(stated.bytes)
  ) {
    throw new Error('another checksum')
  }
  tensors.delete(checksum)
  const part = (name: string) => {
    const [dtype] = document.rows('part').get(name) ?? []
    const tensor = tensors.get(name)
    tensors.delete(name)
    if (!tensor || tensor.dtype !== dtype) throw new Error(`${name} is ${tensor?.dtype}`)
    return { integers: integersOf(document, tensor), bytes: tensor.bytes }
  }
  const table = (name: string) => Int32Array.from(part(`packed.tables.${name}`).integers)
  const tables = { values: table('values'), offset: table('offset'), size: table('size'), min: table('min') }
  const [rows, columns] = [part('packed.rows').integers, part('packed.columns').integers]
  const [streams, lengths] = [part('packed.streams').bytes, part('packed.lengths').integers]
  const exponents = part('packed.exponents').integers
  const list = JSON.parse(metadata.packed ?? '') as [string, 'F16' | 'I16', number[]][]
  if (list.reduce((sum, [, , shape]) => sum + product(shape), 0) > streams.length * mostValuesAByte(document)) {
    throw new Error('too many values')
  }
  const next = valuesOf(document, streams, lengths, tables)
  for (const [name, dtype, shape] of list) {
    checkBounds(document, shape)
    const [ownRows, ownColumns] = [rows.splice(0, shape[0]), columns.splice(0, shape[1])]
    const scales = dtype === 'F16' ? exponents.splice(0, shape[0]) : []
    for (const scale of scales) if (!isExponent(document, scale)) throw new Error(`exponent ${scale}`)
    const rest = product(shape.slice(2))
    const integers: number[] = []
    for (const [r, row] of ownRows.entries()) {
      for (const column of ownColumns) {
        for (let i = 0; i < rest; i++) {
          const value = next(row + column)
          if (!isValue(document, value)) throw new Error(`value ${value}`)
          integers.push(dtype === 'F16' ? halfOf(value * 2 ** (scales[r] as number)) : value)
        }
      }
    }
    tensors.set(name, { ...integerTensor(document, dtype, integers), shape })
  }
  next()
  if (rows.length + columns.length + exponents.length > 0) throw new Error('levels or exponents are left')
  if (hashOf(metadata.config ?? '', tensors) !== metadata.hash) throw new Error('another hash')
  return { metadata, tensors }
}

export function isValue(document: FormatDocument, value: number): boolean {
  return value >= -document.number('a value is', 'at least minus') && value < document.number('a value is', 'below')
}

export function isExponent(document: FormatDocument, value: number): boolean {
  const [least, most] = ['at least minus', 'at most'].map((label) => document.number('an exponent is', label))
  return value >= -(least as number) && value <= (most as number)
}

export function mostValuesAByte(document: FormatDocument): number {
  return document.number('most values', 'for each byte of packed.streams')
}

/** Gives one value after the other, each under its table; without a table it checks that all are read. */
function valuesOf(document: FormatDocument, streams: Uint8Array, lengths: readonly number[], tables: Numbers) {
  const most = document.number('streams', 'values in each but the last')
  let [reader, stream, read, at] = [null as StreamReader | null, 0, 0, 0]
  return (table?: number): number => {
    if (table === undefined || read === most) {
      reader?.finish()
      reader = null
      read = 0
    }
    if (table === undefined) {
      if (at !== streams.length || stream !== lengths.length) throw new Error('streams are left')
      return 0
    }
    if (!reader) {
      const length = lengths[stream++] as number
      reader = new StreamReader(streamPage, streams.subarray(at, at + length))
      at += length
    }
    read++
    return reader.read(tables, table)
  }
}

function readContainer(document: FormatDocument, bytes: Uint8Array) {
  const structure = document.structure('file')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const start = structure.size + readMember(structure, view, 0, 'length of the JSON header')
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(structure.size, start)))
  const { __metadata__: metadata, ...entries } = header
  const tensors = new Map<string, Tensor>()
  for (const [name, entry] of Object.entries(entries)) {
    const { dtype, shape, data_offsets } = entry as { dtype: string; shape: number[]; data_offsets: [number, number] }
    const [from, to] = data_offsets
    tensors.set(name, { dtype, shape, bytes: bytes.subarray(start + from, start + to) })
  }
  return { metadata: metadata as Record<string, string>, tensors }
}

/** A file of these tensors; its hash is right. */
export function writeModel(
  document: FormatDocument,
  metadata: Readonly<Record<string, string>>,
  plain: ReadonlyMap<string, Tensor>,
  packed: ReadonlyMap<string, Whole>,
  tables: Numbers,
): Uint8Array {
  const streams = streamsOf(document, packed, tables)
  const all = (of: (tensor: Whole) => readonly number[]) => [...packed.values()].flatMap((tensor) => [...of(tensor)])
  const parts: Record<string, readonly number[]> = {
    'packed.streams': streams.flatMap((stream) => [...stream]),
    'packed.lengths': streams.map(({ length }) => length),
    'packed.rows': all(({ rows }) => rows),
    'packed.columns': all(({ columns }) => columns),
    'packed.exponents': all(({ exponents }) => exponents),
    ...Object.fromEntries(Object.entries(tables).map(([name, values]) => [`packed.tables.${name}`, [...values]])),
  }
  const stored = new Map(plain)
  for (const [name, [type = '']] of document.rows('part')) {
    stored.set(name, integerTensor(document, type, parts[name] as readonly number[]))
  }
  const [[checksum = '', [type = '', length = ''] = []] = []] = document.rows('checksum')
  stored.set(checksum, integerTensor(document, type, new Array<number>(Number(length)).fill(0)))
  const list = Array.from(packed, ([name, { dtype, shape }]) => [name, dtype, shape])
  const logical = new Map([...plain, ...unpacked(document, packed)])
  const said = {
    ...metadata,
    ...{ format: formatName(document), hash: hashOf(metadata.config ?? '', logical), packed: JSON.stringify(list) },
  }
  const entries: Record<string, object> = { __metadata__: said }
  let at = 0
  for (const [name, { dtype, shape, bytes }] of stored) {
    entries[name] = { dtype, shape, data_offsets: [at, at + bytes.length] }
    at += bytes.length
  }
  const header = Buffer.from(JSON.stringify(entries))
  const start = writeStructure(document.structure('file'), { 'length of the JSON header': header.length })
  const file = Buffer.concat([start, header, ...[...stored.values()].map(({ bytes }) => bytes)])
  file.set(digest(file.subarray(0, -Number(length))), file.length - Number(length))
  return file
}

/** The packed tensors as plain ones. */
export function unpacked(document: FormatDocument, packed: ReadonlyMap<string, Whole>): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>()
  for (const [name, { dtype, shape, values, exponents }] of packed) {
    const length = values.length / shape[0]
    const scaled = values.map((value, i) => value * 2 ** (exponents[Math.floor(i / length)] ?? 0))
    tensors.set(name, { ...integerTensor(document, dtype, dtype === 'F16' ? scaled.map(halfOf) : values), shape })
  }
  return tensors
}

function streamsOf(document: FormatDocument, packed: ReadonlyMap<string, Whole>, tables: Numbers): Uint8Array[] {
  const most = document.number('streams', 'values in each but the last')
  const steps: Slots[][] = []
  for (const { shape, values, rows, columns } of packed.values()) {
    const rest = product(shape.slice(2))
    for (const [i, value] of values.entries()) {
      const cell = Math.floor(i / rest)
      const table = (rows[Math.floor(cell / shape[1])] as number) + (columns[cell % shape[1]] as number)
      steps.push(stepsOf(streamPage, tables, table, value))
    }
  }
  const streams: Uint8Array[] = []
  for (let at = 0; at < steps.length; at += most) {
    streams.push(encodeStream(streamPage, steps.slice(at, at + most).flat()))
  }
  return streams
}

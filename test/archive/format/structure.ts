/** The structure of an archive's head, written and read by the tables of docs/format.md. */
import { type FormatDocument, get, numberOf, put, readMember, type Structure, writeStructure } from './document.js'

/** A field of a directory; text and bytes are values of one byte each. */
export interface Field {
  readonly tag: number
  /** By its name. */
  readonly type: string
  readonly count: number
  readonly bytes: Uint8Array
}

export interface Directory {
  readonly fields: readonly Field[]
  /** What tag SubIFDs points to. */
  readonly children?: readonly Directory[]
}

/** A field as it was read. */
export interface StoredField extends Field {
  /** Where the values are; null in the entry itself. */
  readonly offset: number | null
}

export interface StoredDirectory {
  readonly offset: number
  readonly size: number
  readonly fields: ReadonlyMap<number, StoredField>
}

interface TypeFacts {
  readonly code: number
  readonly size: number
}

interface Layout {
  readonly header: Structure
  readonly entry: Structure
  readonly alignment: number
  /** Bytes of the shortest value that counts as long. */
  readonly shortest: number
  readonly types: ReadonlyMap<string, TypeFacts>
}

const COUNT_BYTES = 8
const FIRST = 'offset of the first directory'
const VALUES = 'the values, if they fit; else their offset'
const layouts = new WeakMap<FormatDocument, Layout>()

function layoutOf(document: FormatDocument): Layout {
  const known = layouts.get(document)
  if (known) return known
  const types = [...document.rows('type')].map(([name, [code = '', size = '']]): [string, TypeFacts] => [
    name,
    { code: numberOf(code), size: numberOf(size) },
  ])
  const layout = {
    header: document.structure('header'),
    entry: document.structure('entry'),
    alignment: document.number('in the head', 'alignment'),
    shortest: document.number('in the head', 'shortest long value'),
    types: new Map(types),
  }
  layouts.set(document, layout)
  return layout
}

function room({ entry }: Layout): number {
  return entry.members.get(VALUES)?.size as number
}

/** Numbers as the values of a field. */
export function numbers(document: FormatDocument, tag: number, type: string, values: ArrayLike<number>): Field {
  const { size } = layoutOf(document).types.get(type) as TypeFacts
  if (size === 1 && values instanceof Uint8Array) return { tag, type, count: values.length, bytes: values }
  const bytes = new Uint8Array(size * values.length)
  const view = new DataView(bytes.buffer)
  for (let i = 0; i < values.length; i++) put(view, size * i, size, values[i] as number)
  return { tag, type, count: values.length, bytes }
}

export function valuesOf(document: FormatDocument, { type, count, bytes }: Field): number[] {
  const { size } = layoutOf(document).types.get(type) as TypeFacts
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  return Array.from({ length: count }, (_, i) => get(view, size * i, size))
}

/** Bytes of a head, and where the values of a field of it are. */
export function writeHead(
  document: FormatDocument,
  chain: readonly Directory[],
): { bytes: Uint8Array<ArrayBuffer>; offsetOf: (field: Field) => number } {
  const layout = layoutOf(document)
  const { header, entry, alignment, shortest } = layout
  let end = 0
  const place = (size: number) => {
    const at = Math.ceil(end / alignment) * alignment
    end = at + size
    return at
  }
  place(header.size)
  const all = chain.flatMap((directory) => [directory, ...(directory.children ?? [])])
  const entries = ({ fields, children }: Directory) => fields.length + Number(children !== undefined)
  const at = new Map(all.map((one) => [one, place(2 * COUNT_BYTES + entries(one) * entry.size)]))
  const offset = (directory: Directory | undefined) => (directory ? (at.get(directory) as number) : 0)
  const fieldsOf = new Map(
    all.map(({ fields, children }, i) => {
      const pointers = children?.map(offset)
      const subIfds = document.fields().find(({ name }) => name === 'SubIFDs')
      const pointing = pointers && subIfds ? [numbers(document, subIfds.tag, subIfds.type, pointers)] : []
      return [all[i] as Directory, [...fields, ...pointing].sort((a, b) => a.tag - b.tag)]
    }),
  )
  const elsewhere = [...new Set([...fieldsOf.values()].flat())].filter(({ bytes }) => bytes.length > room(layout))
  const isLong = ({ bytes }: Field) => bytes.length >= shortest
  const ordered = [...elsewhere.filter((field) => !isLong(field)), ...elsewhere.filter(isLong)]
  const valuesAt = new Map(ordered.map((field) => [field, place(field.bytes.length)]))
  place(0)

  const bytes = new Uint8Array(Math.ceil(end / alignment) * alignment)
  const view = new DataView(bytes.buffer)
  bytes.set(writeStructure(header, { [FIRST]: offset(chain[0]) }))
  for (const [directory, fields] of fieldsOf) {
    let to = offset(directory)
    put(view, to, COUNT_BYTES, fields.length)
    to += COUNT_BYTES
    for (const field of fields) {
      const { code } = layout.types.get(field.type) as TypeFacts
      const where = valuesAt.get(field)
      const members = { tag: field.tag, type: code, 'number of values': field.count, [VALUES]: where ?? 0 }
      bytes.set(writeStructure(entry, members), to)
      if (where === undefined) bytes.set(field.bytes, to + (entry.members.get(VALUES)?.offset as number))
      to += entry.size
    }
    const next = chain[chain.indexOf(directory) + 1]
    put(view, to, COUNT_BYTES, chain.includes(directory) ? offset(next) : 0)
  }
  for (const [field, where] of valuesAt) bytes.set(field.bytes, where)
  return { bytes, offsetOf: (field) => valuesAt.get(field) as number }
}

/** The directories of the main chain of a file. */
export function readChain(document: FormatDocument, file: Uint8Array): StoredDirectory[] {
  const { header } = layoutOf(document)
  const view = new DataView(file.buffer, file.byteOffset, file.length)
  const first = readMember(header, view, 0, FIRST)
  const expected = writeStructure(header, { [FIRST]: first })
  if (!expected.every((byte, i) => file[i] === byte)) throw new Error('the header is another')
  const chain: StoredDirectory[] = []
  for (let at = first; at !== 0; ) {
    if (chain.length > 1000) throw new Error('the chain has no end')
    const directory = readDirectory(document, file, at)
    chain.push(directory)
    at = get(view, at + directory.size - COUNT_BYTES, COUNT_BYTES)
  }
  return chain
}

export function readDirectory(document: FormatDocument, file: Uint8Array, offset: number): StoredDirectory {
  const layout = layoutOf(document)
  const { entry, types } = layout
  const view = new DataView(file.buffer, file.byteOffset, file.length)
  const count = get(view, offset, COUNT_BYTES)
  if (count > 1000) throw new Error(`${count} entries`)
  const fields = new Map<number, StoredField>()
  let last = -1
  for (let i = 0; i < count; i++) {
    const at = offset + COUNT_BYTES + i * entry.size
    const member = (name: string) => readMember(entry, view, at, name)
    const tag = member('tag')
    if (tag <= last) throw new Error('tags are out of order')
    last = tag
    const code = member('type')
    const [type, facts] = [...types].find(([, each]) => each.code === code) ?? []
    if (type === undefined || !facts) throw new Error(`tag ${tag} has the type ${code}`)
    const values = member('number of values')
    const length = values * facts.size
    const isInline = length <= room(layout)
    const from = isInline ? at + (entry.members.get(VALUES)?.offset as number) : member(VALUES)
    if (from + length > file.length) throw new Error(`tag ${tag} lies outside the file`)
    const bytes = file.subarray(from, from + length)
    fields.set(tag, { tag, type, count: values, bytes, offset: isInline ? null : from })
  }
  return { offset, size: 2 * COUNT_BYTES + count * entry.size, fields }
}

/** Fails unless directories and values fill the head as the page says: aligned, without gaps, long values last. */
export function checkOrder(document: FormatDocument, directories: readonly StoredDirectory[], length: number): void {
  const { header, alignment, shortest } = layoutOf(document)
  const fields = directories.flatMap((directory) => [...directory.fields.values()])
  const values = new Map(fields.flatMap(({ offset, bytes }) => (offset === null ? [] : [[offset, bytes.length]])))
  const sorted = (parts: readonly (readonly [number, number])[]) => parts.toSorted(([a], [b]) => a - b)
  const isLong = ([, size]: readonly [number, number]) => size >= shortest
  const all = [...values] as [number, number][]
  const parts = [
    [0, header.size] as const,
    ...sorted(directories.map(({ offset, size }) => [offset, size] as const)),
    ...sorted(all.filter((value) => !isLong(value))),
    ...sorted(all.filter(isLong)),
    [length, 0] as const,
  ]
  let end = 0
  for (const [offset, size] of parts) {
    const expected = Math.ceil(end / alignment) * alignment
    if (offset !== expected) throw new Error(`what should be at ${expected} is at ${offset}`)
    end = offset + size
  }
}

/** docs/format.md as data: its tables, and the structures and numbers that they state. */

/** A table: its header cells and the cells of its rows, without their marks. */
interface Table {
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** One member of a structure of bytes. */
export interface Member {
  readonly offset: number
  readonly size: number
  /** The number that the page states, as text; empty if it differs from file to file. */
  readonly value: string
}

/** A structure of bytes: its members by what the page says of them, and its size. */
export interface Structure {
  readonly members: ReadonlyMap<string, Member>
  readonly size: number
}

/** A field of a directory: one row of the page's table. */
export interface FieldRow {
  readonly tag: number
  readonly name: string
  readonly type: string
  readonly values: string
  /** By the kind of directory. */
  readonly level: string
  readonly overview: string
  readonly associated: string
}

const SIZES: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, u64: 8, f32: 4 }

export class FormatDocument {
  readonly text: string
  readonly #tables: readonly Table[]

  constructor(text: string) {
    this.text = text
    const blocks = text.matchAll(/(?:^\|.*\|\n)+/gm)
    this.#tables = Array.from(blocks, ([block]) => {
      const [header = [], , ...rows] = block.trim().split('\n').map(cellsOf)
      return { header, rows }
    })
  }

  /** The number that stands beside a label in the table whose first header cell is `table`. */
  number(table: string, label: string): number {
    return numberOf(this.#cell(table, label))
  }

  /** The rows of a table by their first cell. */
  rows(table: string): ReadonlyMap<string, readonly string[]> {
    const rows = this.#table(({ header }) => header[0] === table, table).rows.map(
      ([first = '', ...rest]): [string, readonly string[]] => [first, rest],
    )
    return new Map(rows)
  }

  /** The structure in the table whose last header cell is `name`. Its members must lie without gaps. */
  structure(name: string): Structure {
    const { header, rows } = this.#table(({ header }) => header[0] === 'offset' && header.at(-1) === name, name)
    const members = new Map<string, Member>()
    let end = 0
    for (const cells of rows) {
      const [offset = '', type = ''] = cells
      if (numberOf(offset) !== end) throw new Error(`${name}: a member at ${offset}, not ${end}`)
      if (type === '') continue
      const [, unit = '', count = '1'] = /^(\w+?)(?:\[(\d+)\])?$/.exec(type) ?? []
      const size = (SIZES[unit] ?? Number.NaN) * Number(count)
      members.set(cells.at(-1) ?? '', { offset: end, size, value: header.length > 3 ? (cells[2] ?? '') : '' })
      end += size
    }
    return { members, size: end }
  }

  fields(): FieldRow[] {
    return this.#table(({ header }) => header[0] === 'tag', 'tag').rows.map((cells) => {
      const [tag = '', name = '', type = '', values = '', level = '', overview = '', associated = ''] = cells
      return { tag: numberOf(tag), name, type, values, level, overview, associated }
    })
  }

  #cell(table: string, label: string): string {
    const cell = this.rows(table).get(label)?.[0]
    if (cell === undefined) throw new Error(`The page has no "${label}" in its table "${table}"`)
    return cell
  }

  #table(is: (table: Table) => boolean, name: string): Table {
    const [found, ...others] = this.#tables.filter(is)
    if (!found || others.length > 0) throw new Error(`The page has ${others.length + Number(!!found)} tables "${name}"`)
    return found
  }
}

function cellsOf(line: string): string[] {
  return line
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim().replaceAll('`', '').replaceAll('**', ''))
}

/** A number as the page writes it: 12, 0x1F, 2^31, 2^53 - 1. */
export function numberOf(text: string): number {
  if (/^(\d+|0x[0-9A-F]+)$/.test(text)) return Number(text)
  const [, base, exponent, less = '0'] = /^(\d+)\^(\d+)(?: - (\d+))?$/.exec(text) ?? []
  if (base === undefined) throw new Error(`"${text}" is no number`)
  return Number(base) ** Number(exponent) - Number(less)
}

/** The JSON of an indented example, by a key that it has. */
export function exampleOf(text: string, key: string): Record<string, unknown> {
  const blocks = text.match(/(?:^ {4}.*\n)+/gm) ?? []
  const found = blocks.find((block) => block.includes(`"${key}"`) && block.trim().startsWith('{'))
  return JSON.parse(found ?? 'null')
}

/** CRC-32C as the page describes it. */
export function checksum(document: FormatDocument, bytes: Uint8Array): number {
  const polynomial = document.number('CRC-32C', 'polynomial, lowest bit first')
  const ends = document.number('CRC-32C', 'first value, and what the result is XORed with')
  const table = Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? polynomial : 0)
    return crc
  })
  let crc = ends
  for (const byte of bytes) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 255] as number)
  return (crc ^ ends) >>> 0
}

/** Bytes of a structure, of the values given and the numbers that the page states. */
export function writeStructure({ members, size }: Structure, values: Readonly<Record<string, number>>): Uint8Array {
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  const known = new Set(Object.keys(values))
  for (const [name, { offset, size: length, value }] of members) {
    const hex = /^[0-9A-F]{2}( [0-9A-F]{2})+$/.test(value)
    known.delete(name)
    if (hex) {
      const stated = value.split(' ').map((byte) => Number.parseInt(byte, 16))
      if (stated.length !== length) throw new Error(`${stated.length} bytes for ${length}`)
      bytes.set(stated, offset)
      continue
    }
    const number = values[name] ?? (value === '' ? undefined : numberOf(value))
    if (number === undefined) throw new Error(`No value for "${name}"`)
    put(view, offset, length, number)
  }
  if (known.size > 0) throw new Error(`The page has no ${[...known].join(', ')}`)
  return bytes
}

/** A member of a structure that begins at `at`. */
export function readMember({ members }: Structure, view: DataView, at: number, name: string): number {
  const member = members.get(name)
  if (!member) throw new Error(`The page has no "${name}"`)
  return get(view, at + member.offset, member.size)
}

export function put(view: DataView, at: number, size: number, value: number): void {
  for (let i = 0; i < size; i++) view.setUint8(at + i, Math.floor(value / 256 ** i) % 256)
}

export function get(view: DataView, at: number, size: number): number {
  let value = 0
  for (let i = 0; i < size; i++) value += view.getUint8(at + i) * 256 ** i
  return value
}

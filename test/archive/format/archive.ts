/** Archives by docs/format.md: the fields of its table, filled with the facts of a slide. */
import { checksum, type FieldRow, type FormatDocument, numberOf, writeStructure } from './document.js'
import { type Directory, type Field, numbers, writeHead } from './structure.js'
import type { Size } from './tile.js'

export type Kind = 'level' | 'overview' | 'associated'

/** A tile of a level: bytes that are stored, or how many of them the index promises, or nothing. */
export interface Tile {
  readonly bytes?: Uint8Array
  readonly length?: number
  /** What ClericTileColours has for it; default that of a stored tile, or of a blank one that is black. */
  readonly colour?: Uint8Array
  /** What ClericTileChecks has for it; the field is there if any tile has one. */
  readonly check?: Uint8Array
}

export interface Level extends Size {
  readonly tileWidth: number
  readonly tileHeight: number
  readonly tiles: readonly Tile[]
}

export interface Associated extends Size {
  readonly name: string
  readonly bytes?: Uint8Array
  readonly length?: number
}

export interface Archive {
  readonly layout: 'compat' | 'strict'
  readonly levels: readonly Level[]
  readonly overview: readonly Level[]
  readonly images: readonly Associated[]
  readonly tileHead: unknown
  readonly slide: unknown
  readonly iccProfile?: Uint8Array
  /** Whether there are checksums of the parts, as in all but old archives; default true. */
  readonly isChecksummed?: boolean
  /** A field of a level's directories that nobody knows: a byte a tile. */
  readonly unknownTag?: number
  /** Directories that nobody knows, behind the others, by the number of their fields. */
  readonly unknown?: readonly number[]
  /** Lengths of head and file that the seal states; default their own. */
  readonly headLength?: number
  readonly fileLength?: number
}

/**
 * What the words of the page's table stand for in one directory. A word without a value is a field that isn't there.
 */
export type Facts = Readonly<Record<string, string | Uint8Array | ArrayLike<number> | undefined>>

/** The fields that the page gives to directory `index` of its kind. */
export function fieldsOf(document: FormatDocument, kind: Kind, index: number, facts: Facts): Field[] {
  const isOthers = kind === 'associated' || index > 0
  return document.fields().flatMap((row): Field[] => {
    const [name = '', which] = row.name.split(', ')
    if (which !== undefined && isOthers !== (which === 'others')) return []
    const field = fieldOf(document, { ...row, name }, row[kind], facts)
    if (!field) return []
    const tiles = facts.lengths?.length ?? 0
    const parts = kind === 'associated' ? 1 : tiles
    const lengths = { any: field.count, 'a level': field.count, 'a tile': tiles, 'a part': parts }
    const expected = { ...lengths, 'two a tile': 2 * tiles, 'four a tile': 4 * tiles }
    const count = expected[row.values as keyof typeof expected] ?? numberOf(row.values)
    if (field.count !== count) throw new Error(`${name} has ${field.count} values, not ${row.values}`)
    return [field]
  })
}

function fieldOf(document: FormatDocument, { tag, name, type }: FieldRow, cell: string, facts: Facts): Field | null {
  if (cell === '-') return null
  if (/^\d+( \d+)*$/.test(cell)) return numbers(document, tag, type, cell.split(' ').map(numberOf))
  // A word is the value of its own, of the field's name, or the text itself.
  const isFact = Object.hasOwn(facts, name) || Object.hasOwn(facts, cell)
  const value = Object.hasOwn(facts, name) ? facts[name] : isFact ? facts[cell] : cell
  if (value === undefined) return null
  const bytes = typeof value === 'string' ? new TextEncoder().encode(`${value}\0`) : value
  return numbers(document, tag, type, bytes)
}

/** Facts about the tiles of a level; `places` are their offsets. */
export function tileFacts(
  document: FormatDocument,
  { width, height, tileWidth, tileHeight, tiles }: Level,
  places: ArrayLike<number>,
): Facts {
  return {
    width: [width],
    height: [height],
    TileWidth: [tileWidth],
    TileLength: [tileHeight],
    places,
    lengths: tiles.map(lengthOf),
    checksums: tiles.map((tile) => checksumOf(document, tile)),
    colours: Uint8Array.from(tiles.flatMap((tile) => [...coloursOf(document, tile)])),
    checks: tiles.some(({ check }) => check) ? checksOf(document, tiles) : undefined,
  }
}

/** What ClericTileChecks has for a PSNR in dB, null if it isn't known, and the named kind of the tile. */
export function checkOf(document: FormatDocument, psnr: number | null, kind: string): Uint8Array {
  const number = (label: string) => document.number('PSNR of a tile', label)
  const inSteps = (dB: number) =>
    Math.min(number('most'), Math.max(number('least'), Math.floor(number('steps of a dB') * dB)))
  const isEqual = psnr === Number.POSITIVE_INFINITY
  const byte = psnr === null ? number("isn't known") : isEqual ? number('the tile comes back unchanged') : inSteps(psnr)
  const [first = '', second = ''] = document.structure('tile check').members.keys()
  const v = psnr === null ? 0 : numberOf(document.rows('kind of tile').get(kind)?.[0] ?? '')
  return writeStructure(document.structure('tile check'), { [first]: byte, [second]: v })
}

function checksOf(document: FormatDocument, tiles: readonly Tile[]): Uint8Array {
  return Uint8Array.from(tiles.flatMap(({ check }) => [...(check ?? checkOf(document, null, ''))]))
}

function coloursOf(document: FormatDocument, tile: Tile): Uint8Array {
  return tile.colour ?? colourOf(document, lengthOf(tile) > 0 ? 'stored' : 'blank')
}

/** The colour and the named kind of a tile. */
export function colourOf(document: FormatDocument, kind: string, colour: readonly number[] = [0, 0, 0]): Uint8Array {
  const [number] = [...document.rows('kind')].find(([, [name]]) => name === kind) ?? []
  const [red, green, blue] = colour
  const members = { red, green, blue, kind: numberOf(number ?? '') } as Record<string, number>
  return writeStructure(document.structure('tile colour'), members)
}

/** The checksum of a part; zero if it isn't stored, or its bytes are only promised. */
export function checksumOf(document: FormatDocument, { bytes }: Tile | Associated): number {
  return bytes ? checksum(document, bytes) : 0
}

export function lengthOf({ bytes, length }: Tile | Associated): number {
  return length ?? bytes?.length ?? 0
}

/** JSON in ASCII. */
export function json(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** The bytes of an archive, and its length if all that it promises were there. */
export function writeArchive(
  document: FormatDocument,
  archive: Archive,
): { bytes: Uint8Array<ArrayBuffer>; headLength: number; length: number } {
  const { layout, levels, overview, images, tileHead, slide, isChecksummed = true } = archive
  const parts = [...[...levels, ...overview].flatMap(({ tiles }) => tiles), ...images]
  const build = (headLength: number) => {
    let end = headLength
    const offsets = parts.map((part) => {
      const offset = end
      end += lengthOf(part)
      return lengthOf(part) > 0 ? offset : 0
    })
    const take = (count: number) => offsets.splice(0, count)
    const seal = new Float64Array(3)
    const first: Facts = { ClericSlide: json(slide), ClericSeal: seal }
    const factsOf = (isFirst: boolean, level: Level): Facts => ({
      ...tileFacts(document, level, take(level.tiles.length)),
      IccProfile: archive.iccProfile,
      optional: undefined,
      'tile head': json(tileHead),
      first: undefined,
      finest: undefined,
      ...(isFirst ? first : {}),
      ...(isChecksummed ? {} : { checksums: undefined }),
    })
    const ratings = (tiles: number) =>
      archive.unknownTag === undefined ? [] : [numbers(document, archive.unknownTag, 'BYTE', new Uint8Array(tiles))]
    const directories = (kind: Kind, isMain: boolean, all: readonly Level[]): Directory[] =>
      all.map((level, i) => ({
        fields: [
          ...fieldsOf(document, kind, i, factsOf(isMain && i === 0, level)),
          ...(kind === 'level' ? ratings(level.tiles.length) : []),
        ],
      }))
    const slideLevels = directories('level', layout === 'strict', levels)
    const main = layout === 'strict' ? slideLevels : directories('overview', true, overview)
    const associated = images.map((image, i): Directory => {
      const { name, width, height } = image
      const checksums = isChecksummed ? [checksumOf(document, image)] : undefined
      const facts = { width: [width], height: [height], name, place: take(1), length: [lengthOf(image)], checksums }
      return { fields: fieldsOf(document, 'associated', i, facts) }
    })
    const unknown = (archive.unknown ?? []).map((count): Directory => {
      const tags = Array.from({ length: count }, (_, i) => 60_000 + i)
      return { fields: tags.map((tag) => numbers(document, tag, 'BYTE', [0])) }
    })
    const [head, ...others] = [...main, ...associated, ...unknown]
    const top = { fields: head?.fields ?? [], ...(layout === 'compat' && { children: slideLevels }) }
    const written = writeHead(document, [top, ...others])
    return { bytes: written.bytes, sealAt: written.offsetOf(sealField(document, top)) }
  }
  const sum = parts.reduce((bytes, part) => bytes + lengthOf(part), 0)
  const trial = build(0)
  // Where tiles are doesn't change how long the head is.
  const { bytes, sealAt } = sum === 0 ? trial : build(trial.bytes.length)
  const length = archive.fileLength ?? bytes.length + sum
  const structure = document.structure('seal')
  const members = {
    'length of the head': archive.headLength ?? bytes.length,
    'length of the file': length,
    [SEAL_CRC]: 0,
  }
  bytes.set(writeStructure(structure, members), sealAt)
  bytes.set(writeStructure(structure, { ...members, [SEAL_CRC]: checksum(document, bytes) }), sealAt)
  const stored = parts.flatMap((part) => part.bytes ?? [])
  const file = stored.length === 0 ? bytes : new Uint8Array(Buffer.concat([bytes, ...stored]))
  return { bytes: file, headLength: bytes.length, length }
}

export const SEAL_CRC = 'CRC-32C of the head, computed with zeros in place of this number'

function sealField(document: FormatDocument, { fields }: Directory): Field {
  const { tag } = document.fields().find(({ name }) => name === 'ClericSeal') as FieldRow
  return fields.find((field) => field.tag === tag) as Field
}

/** Whether the package takes what docs/format.md allows, and refuses what is beyond: each limit from both sides. */
import assert from 'node:assert/strict'
import { readHead } from '../../../src/archive/head-reader.js'
import { compressSlide } from '../../../src/compress/compress.js'
import { overviewLevels } from '../../../src/compress/overview.js'
import { ClericError, SlideError } from '../../../src/errors.js'
import type { ByteSource } from '../../../src/files/byte-source.js'
import { type Archive, type Level, writeArchive } from './archive.js'
import { exampleOf, type FormatDocument, numberOf } from './document.js'
import type { Size } from './tile.js'

export type Check = (document: FormatDocument) => Promise<void>

/** What a {@link source} fails with when bytes are asked for that it doesn't have. */
const BEYOND = 'beyond the bytes'

/** The beginning of a file of some length; notes what is read of it. */
function source(bytes: Uint8Array, size: number): ByteSource & { readonly reads: [number, number][] } {
  const reads: [number, number][] = []
  return {
    name: 'file',
    version: '',
    size,
    reads,
    async read(offset, length) {
      reads.push([offset, length])
      if (offset + length > bytes.length) throw new Error(BEYOND)
      return bytes.subarray(offset, offset + length)
    },
    close() {},
  }
}

/** A small archive by the page, none of whose tiles is stored. */
export function smallArchive(document: FormatDocument, changes: Partial<Archive> = {}): Archive {
  return {
    layout: 'strict',
    levels: [emptyLevel(document, { width: 70, height: 40 }), emptyLevel(document, { width: 18, height: 10 })],
    overview: [],
    images: [],
    tileHead: exampleOf(document.text, 'format'),
    slide: exampleOf(document.text, 'downsamples'),
    ...changes,
  }
}

function emptyLevel(document: FormatDocument, { width, height }: Size, side?: number): Level {
  const [tileWidth, tileHeight] = [side ?? tileSide(document, width), side ?? tileSide(document, height)]
  const tiles = Math.ceil(width / tileWidth) * Math.ceil(height / tileHeight)
  return { width, height, tileWidth, tileHeight, tiles: Array.from({ length: tiles }, () => ({})) }
}

/** The side of the tiles of a level that is so long. */
export function tileSide(document: FormatDocument, length: number): number {
  const side = (label: string) => document.number('side of a tile', label)
  const multiple = side('a multiple of')
  const usual = side('default; less, as little as it needs, in a level that fits into one')
  return Math.min(usual, Math.ceil(length / multiple) * multiple)
}

/** Why the package refuses the archive, or null. It has no tiles, so only the head is there. */
async function refusal(document: FormatDocument, changes: Partial<Archive>): Promise<string | null> {
  const { bytes, length } = writeArchive(document, smallArchive(document, changes))
  const padded = new Uint8Array(Math.max(bytes.length, Math.min(length, 2 ** 17)))
  padded.set(bytes)
  try {
    await readHead(source(padded, length))
    return null
  } catch (error) {
    // Whoever wants to read on has accepted what there is.
    if ((error as Error).message === BEYOND) return null
    if (error instanceof ClericError && /^ERR_ARCHIVE_(CORRUPT|UNSUPPORTED)$/.test(error.code)) return error.message
    throw error
  }
}

/** `at` is taken, `at + 1` is refused for that reason. */
async function isMost(
  document: FormatDocument,
  at: number,
  archive: (value: number) => Partial<Archive>,
  reason: RegExp,
): Promise<void> {
  assert.doesNotMatch((await refusal(document, archive(at))) ?? '', reason)
  assert.match((await refusal(document, archive(at + 1))) ?? '', reason)
}

const image = (changes: Partial<Archive['images'][0]> = {}) => ({
  name: 'label',
  width: 1,
  height: 1,
  length: 1,
  ...changes,
})

/** Numbers of the JSON that were found right, as the longest takes seconds. */
const rightLengths = new Set<number>()

async function keepsLimits(document: FormatDocument): Promise<void> {
  const most = (label: string) => document.number('most', label)
  const { bytes } = writeArchive(document, smallArchive(document))
  const entries = (count: number) => ({ unknown: [count] })
  await isMost(document, most('entries of a directory'), entries, /entries/)
  const directories = (count: number) => ({ unknown: Array.from({ length: count - 2 }, () => 0) })
  await isMost(document, most('directories of the main chain'), directories, /directories/)
  const level = emptyLevel(document, { width: 16, height: 16 })
  const slide = exampleOf(document.text, 'downsamples')
  const levels = (count: number) => ({
    levels: Array.from({ length: count }, () => level),
    slide: { ...slide, downsamples: Array.from({ length: Math.min(count, 64) }, () => 1) },
  })
  await isMost(document, most('levels of the slide'), levels, /levels/)
  const images = (count: number) => ({ images: Array.from({ length: count }, () => image()) })
  await isMost(document, most('associated images'), images, /associated images/)
  const imageBytes = (length: number) => ({ images: [image({ length })] })
  await isMost(document, most('bytes of an associated image'), imageBytes, /StripByteCounts/)
  const imagePixels = most('pixels of all associated images together') - 1
  const twoImages = (height: number) => ({ images: [image({ width: imagePixels }), image({ height })] })
  await isMost(document, 1, twoImages, /label has .* pixels/)
  const named = (bytes: number) => ({ images: [image({ name: 'n'.repeat(bytes - 1) })] })
  await isMost(document, most('bytes of an associated image’s name'), named, /long name/)
  const properties = (count: number) => {
    // A wrong number on the page may be any: more than this is refused whatever it is.
    const names = Array.from({ length: Math.min(count, 2 ** 17) }, (_, i) => [`p${i}`, ''])
    return { slide: { ...slide, properties: Object.fromEntries(names) } }
  }
  await isMost(document, most('properties'), properties, /properties/)
  for (const side of ['width', 'height'] as const) {
    const name = { width: /ImageWidth/, height: /ImageLength/ }[side]
    await isMost(document, most('side of a level or image'), (at) => ({ images: [image({ [side]: at })] }), name)
    const sides = (at: number) => ({ levels: [{ ...level, [side]: at }], slide: { ...slide, downsamples: [1] } })
    await isMost(document, most('side of a level or image'), sides, name)
  }
  const tile = { width: 80, height: 48 }
  const padding = document.number('sides', 'the tile is padded to a multiple of')
  const padded = (side: number) => Math.ceil(side / padding) * padding
  const pixels = padded(tile.width) * padded(tile.height)
  const longest = most('bytes of a tile') + pixels * most('bytes of a tile beyond that, a pixel of the padded tile')
  const longTile = (length: number) => ({
    levels: [{ ...tile, tileWidth: tile.width, tileHeight: tile.height, tiles: [{ length }] }],
    slide: { ...slide, downsamples: [1] },
  })
  await isMost(document, longest, longTile, /too long/)

  const headLength = most('bytes of the head')
  await isMost(
    document,
    headLength,
    (length) => ({ headLength: length, fileLength: 2 * headLength }),
    /head should have/,
  )
  const fetched = most('bytes fetched first')
  const { length } = writeArchive(document, smallArchive(document, { images: [image({ length: 2 * fetched })] }))
  const long = source(new Uint8Array(Buffer.concat([bytes, new Uint8Array(length)])), length)
  await readHead(long).catch(() => {})
  assert.deepEqual(long.reads[0], [0, fetched])

  const jsonBytes = most('bytes of one JSON')
  if (rightLengths.has(jsonBytes)) return
  const text = (length: number) => {
    const rest = JSON.stringify({ ...slide, properties: { long: '' } }).length
    return { slide: { ...slide, properties: { long: 'x'.repeat(length - rest) } } }
  }
  await isMost(document, jsonBytes, text, /the description has/)
  rightLengths.add(jsonBytes)
}

type Json = Record<string, unknown>

/** The object with the member at a path like "mpp.x" replaced. */
function withMember(object: Json, path: string, value: unknown): Json {
  const [name = '', ...inner] = path.split('.')
  if (inner.length === 0) return { ...object, [name]: value }
  return { ...object, [name]: withMember(object[name] as Json, inner.join('.'), value) }
}

/** The types and ranges in the two pieces of JSON. */
async function keepsRanges(document: FormatDocument): Promise<void> {
  for (const [table, key] of [
    ['tile head', 'format'],
    ['slide', 'downsamples'],
  ] as const) {
    const example = exampleOf(document.text, key)
    const member = table === 'slide' ? 'slide' : 'tileHead'
    // No level may have larger tiles than the description says.
    const smallest = [70, 18].map((side) => emptyLevel(document, { width: side, height: side }, 16))
    const isRefused = async (path: string, value: unknown) => {
      const levels = path === 'tile' ? { levels: smallest } : {}
      return (await refusal(document, { ...levels, [member]: withMember(example, path, value) })) !== null
    }
    for (const [path, [type = '', least = '', most = '']] of document.rows(table)) {
      const valuesOf = (number: number) => (type === 'numbers' ? [1, number] : number)
      const wrong = { string: 5, strings: { name: 5 }, integer: 'x', number: 'x', numbers: [1, 'x'] }[type]
      assert.ok(wrong !== undefined, `${path} has the type ${type}`)
      assert.ok(await isRefused(path, wrong), `${path}: another type is taken`)
      if (least === '') continue
      if (type === 'integer') assert.ok(await isRefused(path, numberOf(least) + 0.5), `${path}: a fraction is taken`)
      for (const [number, refused] of [
        [numberOf(least) - 1, true],
        [numberOf(least), false],
        [numberOf(most), false],
        [numberOf(most) + 1, true],
      ] as const) {
        assert.equal(await isRefused(path, valuesOf(number)), refused, `${path}: ${number}`)
      }
    }
  }
  const slide = exampleOf(document.text, 'downsamples')
  assert.equal(await refusal(document, { slide: { ...slide, mpp: null, objectivePower: null } }), null)
  assert.notEqual(await refusal(document, { slide: { ...slide, downsamples: [2, 4] } }), null)
}

async function keepsTileSides(document: FormatDocument): Promise<void> {
  const side = (label: string) => document.number('side of a tile', label)
  const [multiple, least, most] = [side('a multiple of'), side('least'), side('most')]
  // Options are checked before the slide is found not to be there.
  const compress = (tile: number) => compressSlide('no-slide.svs', 'no-slide.cleric.tif', { tile })
  for (const right of [least, least + multiple, most]) await assert.rejects(compress(right), SlideError)
  for (const wrong of [least - multiple, least - 1, least + 1, least + multiple - 1, most + 1, most + multiple]) {
    await assert.rejects(compress(wrong), RangeError)
  }
  const level = { width: 40, height: 40 }
  const slide = { ...exampleOf(document.text, 'downsamples'), downsamples: [1] }
  const sides = (at: number) => ({
    levels: [emptyLevel(document, level, at)],
    slide: { ...slide, tile: Math.min(most, Math.max(least, at)) },
  })
  await isMost(document, most, sides, /TileWidth/)
  assert.equal(await refusal(document, sides(least)), null)
  assert.match((await refusal(document, sides(least - 1))) ?? '', /TileWidth/)
}

/** The sizes of the overview's levels for a slide of that size. */
export function overviewSizes(document: FormatDocument, { width, height }: Size): (Size & { downsample: number })[] {
  const number = (label: string) => document.number('overview', label)
  const levels: (Size & { downsample: number })[] = []
  let downsample = number('downsample of the finest level')
  const least = number('least longer side of the finest level, unless the downsample is down to one')
  const divisor = number('divisor of that downsample, as often as the level’s longer side would be less')
  while (downsample > 1 && Math.max(width, height) / downsample < least) downsample /= divisor
  for (;;) {
    levels.push({ width: Math.ceil(width / downsample), height: Math.ceil(height / downsample), downsample })
    const last = levels.at(-1) as Size
    const isSmall = Math.max(last.width, last.height) <= number('longest side of the last level')
    if (isSmall && levels.length >= number('levels at least')) return levels
    downsample *= number('each further level is smaller by')
  }
}

async function makesOverviews(document: FormatDocument): Promise<void> {
  const sides = [1, 2, 63, 64, 65, 127, 128, 130, 1023, 1024, 1025, 8191, 8192, 8193, 16_385, 100_000]
  for (const width of sides) {
    for (const height of [1, 40, width]) {
      const levels = overviewLevels({ width, height }).map(({ level }) => level)
      assert.deepEqual(levels, overviewSizes(document, { width, height }))
    }
  }
}

export const limitChecks: Readonly<Record<string, Check>> = {
  'sides of tiles are as stated': keepsTileSides,
  'levels of the overview follow from the size': makesOverviews,
  'types and ranges of the JSON are as stated': keepsRanges,
  'limits are kept': keepsLimits,
}

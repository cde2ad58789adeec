/** Files that lie. Each must be refused with ERR_ARCHIVE_CORRUPT or _UNSUPPORTED, quickly and without taking memory. */
import test from 'ava'
import fc from 'fast-check'
import sharp from 'sharp'
import { openArchive } from '../../src/archive/archive.js'
import type { Description } from '../../src/archive/description.js'
import { isArchive } from '../../src/archive/head-reader.js'
import { type Contents, encodeHead, type Layout } from '../../src/archive/head-writer.js'
import { crc32c } from '../../src/entropy/crc32c.js'
import { TAGS, type Tag, TYPES } from '../../src/tiff/tags.js'
import { emptyIndex, indexOf, TILE, type TileIndex } from '../../src/tiff/tile-index.js'
import { countTurns } from '../event-loop-turns.js'
import { losslessCodec } from '../payload-codec.js'

const BODY = 40
const level = { width: 100, height: 60, downsample: 1 }
const overviewLevel = { width: 25, height: 15, downsample: 4 }
const description: Description = {
  model: { name: 'm', hash: '00' },
  quality: 60,
  tile: 64,
  levels: [level],
  downsamples: [1],
  mpp: { x: 0.5, y: 0.25 },
  objectivePower: null,
  background: { red: 255, green: 255, blue: 255 },
  properties: { Ü: 'naïve\u0000' },
  source: { format: 'test', bytes: 0 },
}

interface Changes {
  readonly layout?: Layout
  /** Levels, all alike; default 1. Only the tiles of the first are stored. */
  readonly levels?: number
  readonly description?: Record<string, unknown>
  /** Gets the length of the head. */
  readonly index?: (index: TileIndex, head: number) => void
  readonly image?: (head: number) => {
    offset: number
    length: number
    checksum?: number
    width?: number
    height?: number
  }
  readonly fileLength?: number
}

/** An archive with a right checksum, whatever it says. */
function build(changes: Changes = {}): Uint8Array<ArrayBuffer> {
  const index = emptyIndex(level, 64)
  const overviewIndex = emptyIndex(overviewLevel, 512)
  const make = (head: number) => {
    index.offset.set([head, head + 10])
    index.length.fill(10)
    overviewIndex.offset.fill(head + 20)
    overviewIndex.length.fill(10)
    changes.index?.(index, head)
    const image = changes.image?.(head) ?? { offset: head + 30, length: 10 }
    const count = changes.levels ?? 1
    const others = Array.from({ length: count - 1 }, () => emptyIndex(level, 64))
    for (const other of others) other.colours.set([0, 0, 0, TILE.blank, 0, 0, 0, TILE.blank])
    const levels = { levels: Array(count).fill(level), downsamples: Array(count).fill(1) }
    const contents: Contents = {
      layout: changes.layout ?? 'compat',
      description: { ...description, ...levels, ...changes.description } as Description,
      iccProfile: Uint8Array.of(1, 2, 3),
      indexes: [index, ...others],
      overview: changes.layout === 'strict' ? [] : [{ level: overviewLevel, index: overviewIndex }],
      images: [{ name: 'label', width: 10, height: 10, checksum: 0, ...image }],
      isChecked: true,
      fileLength: changes.fileLength ?? head + BODY,
    }
    return encodeHead(contents)
  }
  return Uint8Array.from([...make(make(0).length), ...new Uint8Array(BODY)])
}

const sound = build()

/** The place of a tag's entry in a directory; 0 is the first of the file, 1 its SubIFD. */
function entryOf(bytes: Uint8Array, tag: Tag, directory = 0): number {
  const view = new DataView(bytes.buffer)
  let at = Number(view.getBigUint64(8, true))
  const find = (wanted: number) => {
    const count = Number(view.getBigUint64(at, true))
    for (let i = 0; i < count; i++) if (view.getUint16(at + 8 + 20 * i, true) === wanted) return at + 8 + 20 * i
    throw new Error(`no tag ${wanted}`)
  }
  if (directory === 1) at = Number(view.getBigUint64(find(TAGS.SubIFDs) + 12, true))
  return find(tag)
}

/** The sound file changed and given a right checksum again. */
function changed(change: (view: DataView, bytes: Uint8Array) => void): Uint8Array<ArrayBuffer> {
  return reseal(sound.slice(), change)
}

function reseal(
  bytes: Uint8Array<ArrayBuffer>,
  change: (view: DataView, bytes: Uint8Array) => void,
): Uint8Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer)
  const seal = Number(view.getBigUint64(entryOf(bytes, TAGS.ClericSeal) + 12, true))
  const length = Number(view.getBigUint64(seal, true))
  change(view, bytes)
  view.setBigUint64(seal + 16, 0n, true)
  view.setBigUint64(seal + 16, BigInt(crc32c(bytes.subarray(0, length))), true)
  return bytes
}

const open = (bytes: Uint8Array<ArrayBuffer>) => openArchive(new Blob([bytes]), { codec: losslessCodec() })
const CODES = /^ERR_ARCHIVE_(CORRUPT|UNSUPPORTED)$/
const codeOf = (error: unknown) => String((error as { code?: string }).code)

test('the files that the others are made from are sound', async (t) => {
  for (const layout of ['compat', 'strict'] as const) {
    using archive = await open(build({ layout }))
    t.is(archive.layout, layout)
    t.is(archive.levels[0]?.tiles, 2)
    t.deepEqual(archive.associatedImages, ['label'])
    t.deepEqual({ ...archive.properties }, description.properties)
    t.deepEqual(archive.iccProfile(), Uint8Array.of(1, 2, 3))
  }
  t.true(isArchive(sound))
})

test('every cut is noticed', async (t) => {
  for (let length = 0; length < sound.length; length++) {
    const error = await t.throwsAsync(open(sound.slice(0, length)), undefined, `cut at ${length}`)
    t.regex(codeOf(error), CODES)
  }
})

test('every changed byte of the head is noticed', async (t) => {
  for (let at = 0; at < sound.length - BODY; at++) {
    const bytes = sound.slice()
    bytes[at] = (bytes[at] as number) ^ 0x41
    t.regex(codeOf(await t.throwsAsync(open(bytes), undefined, `byte ${at}`)), CODES)
  }
})

test('a changed byte with a right checksum is refused, or makes another archive that is sound', async (t) => {
  for (let at = 0; at < sound.length - BODY; at++) {
    for (const mask of [0x01, 0x80, 0xff]) {
      try {
        using archive = await open(changed((_, bytes) => (bytes[at] = (bytes[at] as number) ^ mask)))
        t.true(archive.levels.length > 0)
      } catch (error) {
        t.regex(codeOf(error), CODES, `byte ${at}: ${error}`)
      }
    }
  }
})

test('any changes of the head, with a right checksum, are refused, or make another archive that is sound', async (t) => {
  const change = fc.tuple(fc.nat(sound.length - BODY - 1), fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 127, 128, 255)))
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 12 }), async (changes) => {
      const bytes = changed((_, all) => {
        for (const [at, value] of changes) all[at] = value
      })
      try {
        using archive = await open(bytes)
        t.true(archive.levels.length > 0)
      } catch (error) {
        t.regex(codeOf(error), CODES, String(error))
      }
    }),
    { numRuns: 2000 },
  )
})

test('an associated image of another size than stated is not decoded', async (t) => {
  const jpeg = await sharp({ create: { width: 3000, height: 2000, channels: 3, background: 'plum' } })
    .jpeg()
    .toBuffer()
  const image = (head: number) => ({ offset: head + BODY, length: jpeg.length, checksum: crc32c(jpeg) })
  const fileLength = build().length + jpeg.length
  using archive = await open(Uint8Array.from([...build({ image, fileLength }), ...jpeg]))
  const error = await t.throwsAsync(archive.readAssociatedImage('label'), { message: /label: is of 3000 x 2000/ })
  t.is(codeOf(error), 'ERR_ARCHIVE_CORRUPT')
})

const lies: [title: string, change: Record<string, unknown>, message: RegExp][] = [
  ['a downsample of nothing', { downsamples: [null] }, /downsample/],
  ["a level 0 that isn't the finest", { downsamples: [2] }, /downsample/],
  ['no downsamples', { downsamples: [] }, /downsample/],
  ['more downsamples than levels', { downsamples: [1, 2] }, /1 levels and 2/],
  ['a thousand downsamples', { downsamples: Array(1000).fill(1) }, /downsamples/],
  ...[0, 1, 15, 17, 1040, 2 ** 31, 2 ** 40].map((tile): [string, Record<string, unknown>, RegExp] => [
    `a tile of ${tile} pixels`,
    { tile },
    /description.*tile/,
  ]),
  ['smaller tiles than there are', { tile: 16 }, /tiles of 64 x 64, but its description says 16/],
  [
    '100,000 properties',
    { properties: Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`p${i}`, ''])) },
    /100000 properties/,
  ],
  ['a quality of 101', { quality: 101 }, /quality/],
  ['a background of 256', { background: { red: 256, green: 0, blue: 0 } }, /red/],
  ['a property that is a number', { properties: { a: 1 } }, /properties/],
  ['no model', { model: { name: 'm' } }, /hash/],
  ['a negative resolution', { mpp: { x: -1, y: 1 } }, /mpp/],
  ['a source without a size', { source: { format: 'x' } }, /source/],
]
for (const [title, change, message] of lies) {
  test(`refuses ${title}`, async (t) => {
    const error = await t.throwsAsync(open(build({ description: change })), { message })
    t.is(codeOf(error), 'ERR_ARCHIVE_CORRUPT')
  })
}

test('refuses tiles outside the file, in the head, or absurdly long', async (t) => {
  for (const [from, length] of [
    [BODY - 9, 10],
    [2 ** 50, 10],
    [-1, 10],
    [BODY, 1],
    [0, 2 ** 32 - 1],
  ] as const) {
    const bytes = build({
      index: (index, head) => {
        index.offset[1] = head + from
        index.length[1] = length
      },
    })
    const error = await t.throwsAsync(open(bytes), { message: /tile at level 0, column 1, row 0/ })
    t.is(codeOf(error), 'ERR_ARCHIVE_CORRUPT')
  }
})

test('refuses a tile that is both stored and left out', async (t) => {
  for (const index of [
    (one: TileIndex) => one.colours.fill(TILE.blank, 3, 4),
    (one: TileIndex) => one.length.fill(0, 0, 1),
  ]) {
    t.is(codeOf(await t.throwsAsync(open(build({ index })), { message: /both/ })), 'ERR_ARCHIVE_CORRUPT')
  }
})

test('refuses tiles that are wider or higher than the description says', async (t) => {
  for (const [tag, size] of [
    [TAGS.TileWidth, '128 x 64'],
    [TAGS.TileLength, '64 x 128'],
  ] as const) {
    const larger = changed((view, bytes) => view.setUint32(entryOf(bytes, tag, 1) + 12, 128, true))
    const message = new RegExp(`tiles of ${size}, but its description says 64`)
    t.is(codeOf(await t.throwsAsync(open(larger), { message })), 'ERR_ARCHIVE_CORRUPT')
  }
})

test('refuses a checksum of a tile that is left out, and checksums of some levels only', async (t) => {
  const index = (one: TileIndex) => {
    one.length[1] = 0
    one.colours[7] = TILE.blank
    one.checksum[1] = 7
  }
  const leftOut = await t.throwsAsync(open(build({ index })), { message: /column 1, row 0 has a checksum but is not/ })
  t.is(codeOf(leftOut), 'ERR_ARCHIVE_CORRUPT')
  // The first directory has another tag in their place.
  const some = changed((view, bytes) => view.setUint16(entryOf(bytes, TAGS.ClericChecksums), 65099, true))
  const error = await t.throwsAsync(open(some), { message: /level 0 has checksums, which others have not/ })
  t.is(codeOf(error), 'ERR_ARCHIVE_CORRUPT')
})

test('refuses associated images outside the file', async (t) => {
  for (const image of [() => ({ offset: 0, length: 10 }), (head: number) => ({ offset: head + 30, length: 11 })]) {
    const error = await t.throwsAsync(open(build({ image })), { message: /label lies (outside|before)/ })
    t.is(codeOf(error), 'ERR_ARCHIVE_CORRUPT')
  }
})

const structures: [title: string, change: (view: DataView, bytes: Uint8Array) => void][] = [
  ['a first directory beyond the head', (view) => view.setBigUint64(8, 2n ** 40n, true)],
  ['a first directory beyond all numbers', (view) => view.setBigUint64(8, 2n ** 64n - 1n, true)],
  ['a directory of 2^63 entries', (view) => view.setBigUint64(16, 2n ** 63n, true)],
  ['a directory of 257 entries', (view) => view.setBigUint64(16, 257n, true)],
  [
    'a chain that bites its tail',
    (view) => view.setBigUint64(24 + 20 * Number(view.getBigUint64(16, true)), 16n, true),
  ],
  ['a level of 2^31 x 2^31 pixels', (view, bytes) => resize(view, bytes, 2 ** 31, 2 ** 31)],
  ['a level of no width', (view, bytes) => resize(view, bytes, 0, 60)],
  ['a level with more tiles than its index', (view, bytes) => resize(view, bytes, 1000, 60)],
  ['a tile of 2^31 pixels', (view, bytes) => view.setUint32(entryOf(bytes, TAGS.TileWidth, 1) + 12, 2 ** 31, true)],
  ['a tile of no pixels', (view, bytes) => view.setUint32(entryOf(bytes, TAGS.TileWidth, 1) + 12, 0, true)],
  [
    'offsets beyond the head',
    (view, bytes) => view.setBigUint64(entryOf(bytes, TAGS.TileOffsets, 1) + 12, BigInt(bytes.length - 4), true),
  ],
  ['2^60 offsets', (view, bytes) => view.setBigUint64(entryOf(bytes, TAGS.TileOffsets, 1) + 4, 2n ** 60n, true)],
  [
    'offsets that are text',
    (view, bytes) => view.setUint16(entryOf(bytes, TAGS.TileOffsets, 1) + 2, TYPES.ASCII.code, true),
  ],
  ['no SubIFDs', (view, bytes) => view.setBigUint64(entryOf(bytes, TAGS.SubIFDs) + 4, 0n, true)],
  ['2^52 SubIFDs', (view, bytes) => view.setBigUint64(entryOf(bytes, TAGS.SubIFDs) + 4, 2n ** 52n, true)],
  ['a SubIFD beyond the head', (view, bytes) => view.setBigUint64(entryOf(bytes, TAGS.SubIFDs) + 12, 2n ** 45n, true)],
  [
    'a SubIFD of another compression',
    (view, bytes) => view.setUint16(entryOf(bytes, TAGS.Compression, 1) + 12, 7, true),
  ],
  ['no description', (view, bytes) => view.setUint16(entryOf(bytes, TAGS.ClericSlide), 65099, true)],
  [
    'a description of 2^53 bytes',
    (view, bytes) => view.setBigUint64(entryOf(bytes, TAGS.ClericSlide) + 4, 2n ** 53n, true),
  ],
]

function resize(view: DataView, bytes: Uint8Array, width: number, height: number): void {
  view.setUint32(entryOf(bytes, TAGS.ImageWidth, 1) + 12, width, true)
  view.setUint32(entryOf(bytes, TAGS.ImageLength, 1) + 12, height, true)
}

for (const [title, change] of structures) {
  test(`refuses ${title}`, async (t) => {
    t.regex(codeOf(await t.throwsAsync(open(changed(change)))), CODES)
  })
}

test('refuses a head that is longer than the file, or shorter than its seal', async (t) => {
  for (const length of [0n, 8n, BigInt(sound.length + 1), 2n ** 62n]) {
    const bytes = sound.slice()
    const view = new DataView(bytes.buffer)
    view.setBigUint64(Number(view.getBigUint64(entryOf(bytes, TAGS.ClericSeal) + 12, true)), length, true)
    t.is(codeOf(await t.throwsAsync(open(bytes))), 'ERR_ARCHIVE_CORRUPT')
  }
})

test('a file of another length says so', async (t) => {
  const message = new RegExp(`should have ${sound.length} bytes but has ${sound.length - 5}`)
  await t.throwsAsync(open(sound.slice(0, -5)), { message })
  await t.throwsAsync(open(Uint8Array.from([...sound, 0])), { message: /bytes but has/ })
})

test('another file is no archive; a later format or stream says so', async (t) => {
  const other = await t.throwsAsync(open(new Uint8Array(500)), { message: /no cleric archive/ })
  t.is(codeOf(other), 'ERR_ARCHIVE_UNSUPPORTED')
  for (const name of ['format', 'stream']) {
    const later = changed((_, bytes) => {
      const at = Buffer.from(bytes.buffer).indexOf(`"${name}":1`)
      bytes[at + name.length + 3] = 0x39
    })
    const error = await t.throwsAsync(open(later), { message: new RegExp(`${name} version 9`) })
    t.is(codeOf(error), 'ERR_ARCHIVE_UNSUPPORTED')
  }
})

test('an index never has other tiles than the level needs', (t) => {
  for (const [width, height, side] of [
    [1, 1, 512],
    [512, 513, 512],
    [5000, 16, 512],
    [100, 100, 1024],
  ] as const) {
    const index = emptyIndex({ width, height }, side)
    t.is(index.tileWidth % 16, 0)
    t.true(index.tileWidth <= side && index.tileHeight <= side)
    t.true(index.columns * index.tileWidth >= width && (index.columns - 1) * index.tileWidth < width)
    t.deepEqual(index, indexOf({ width, height }, index.tileWidth, index.tileHeight))
  }
})

test('refuses two tiles that share a payload, also in part', async (t) => {
  for (const offset of [0, 1, 9]) {
    const bytes = build({ index: (index, head) => index.offset.set([head, head + offset]) })
    const error = await t.throwsAsync(open(bytes), { message: /column 1, row 0 lies before byte/ })
    t.is(codeOf(error), 'ERR_ARCHIVE_CORRUPT')
  }
})

/** A strict archive of several levels, none of whose tiles is stored. */
function blankLevels(count: number, side: number): Uint8Array<ArrayBuffer> {
  const size = { width: side, height: side, downsample: 1 }
  const index = emptyIndex(size, 16)
  for (let at = 0; at < index.length.length; at++) index.colours[4 * at + 3] = TILE.blank
  const make = (fileLength: number) =>
    encodeHead({
      layout: 'strict',
      description: {
        ...description,
        tile: 16,
        levels: Array(count).fill(size),
        downsamples: Array(count).fill(1),
      },
      iccProfile: null,
      indexes: Array(count).fill(index),
      overview: [],
      images: [],
      isChecked: false,
      fileLength,
    })
  return Uint8Array.from(make(make(0).length))
}

test('refuses levels that share the bytes of an index, and a directory that is there twice', async (t) => {
  const fields = [TAGS.TileOffsets, TAGS.TileByteCounts, TAGS.ClericTileColours, TAGS.ClericChecksums]
  for (const tag of fields) {
    const bytes = blankLevels(2, 512)
    const next = (view: DataView) => {
      const first = Number(view.getBigUint64(8, true))
      return Number(view.getBigUint64(first + 8 + 20 * Number(view.getBigUint64(first, true)), true))
    }
    const shared = reseal(bytes, (view) => {
      const count = Number(view.getBigUint64(next(view), true))
      for (let i = 0; i < count; i++) {
        const at = next(view) + 8 + 20 * i
        if (view.getUint16(at, true) !== tag) continue
        view.setBigUint64(at + 12, view.getBigUint64(entryOf(bytes, tag) + 12, true), true)
      }
    })
    t.is(codeOf(await t.throwsAsync(open(shared), { message: /share the bytes/ }, `tag ${tag}`)), 'ERR_ARCHIVE_CORRUPT')
  }
  const twice = build({ layout: 'compat', levels: 2 })
  const at = entryOf(twice, TAGS.SubIFDs)
  const subIfds = (view: DataView) => Number(view.getBigUint64(at + 12, true))
  reseal(twice, (view) => view.setBigUint64(subIfds(view) + 8, view.getBigUint64(subIfds(view), true), true))
  const error = await t.throwsAsync(open(twice), { message: /share the bytes/ })
  t.is(codeOf(error), 'ERR_ARCHIVE_CORRUPT')
})

test.serial('an archive of a million tiles is opened while timers go on', async (t) => {
  const bytes = blankLevels(4, 8192)
  const turns = countTurns()
  using archive = await open(bytes)
  turns.mustBeOften(t)
  const tiles = archive.levels.reduce((sum, level) => sum + level.tiles, 0)
  t.is(tiles, 4 * 512 * 512)
})

test('a progressive JPEG is not decoded, nor are images of too many pixels in all', async (t) => {
  const jpeg = await sharp({ create: { width: 10, height: 10, channels: 3, background: 'plum' } })
    .jpeg({ progressive: true })
    .toBuffer()
  const image = (head: number) => ({ offset: head + BODY, length: jpeg.length, checksum: crc32c(jpeg) })
  using archive = await open(Uint8Array.from([...build({ image, fileLength: build().length + jpeg.length }), ...jpeg]))
  await t.throwsAsync(archive.readAssociatedImage('label'), { code: 'ERR_ARCHIVE_CORRUPT', message: /progressive/ })
  for (const [width, height, isTaken] of [
    [8192, 8192, true],
    [8192, 8193, false],
    [16_383, 16_383, false],
  ] as const) {
    const large = build({ image: (head) => ({ offset: head + 30, length: 10, width, height }) })
    if (isTaken) await t.notThrowsAsync(open(large))
    else await t.throwsAsync(open(large), { code: 'ERR_ARCHIVE_CORRUPT', message: /label has .* pixels/ })
  }
})

/** Files that lie. Each must be refused with ERR_ARCHIVE_CORRUPT or _UNSUPPORTED, quickly and without taking memory. */

import { crc32 } from 'node:zlib'
import test from 'ava'
import { openArchive } from '../../src/archive/archive.js'
import { type Description, encodeDirectory, encodeHead, HEAD_BYTES, type TileIndex } from '../../src/archive/format.js'
import { losslessCodec } from '../payload-codec.js'

const description: Description = {
  model: { name: 'm', hash: '00' },
  quality: 60,
  tile: 64,
  levels: [{ width: 100, height: 60, downsample: 1 }],
  mpp: null,
  objectivePower: null,
  background: { red: 255, green: 255, blue: 255 },
  properties: {},
  source: { format: 'test', bytes: 0 },
  associatedImages: [],
}
const index = (offset = HEAD_BYTES, length = 10): TileIndex => ({
  columns: 2,
  rows: 1,
  offset: Float64Array.of(offset, offset),
  length: Uint32Array.of(length, length),
  colour: new Uint32Array(2),
})

/** An archive with right checksums, whatever the directory says. */
function build(directory: Uint8Array, head: Partial<Parameters<typeof encodeHead>[0]> = {}): Uint8Array<ArrayBuffer> {
  const body = new Uint8Array(20)
  const directoryOffset = HEAD_BYTES + body.length
  const fileLength = directoryOffset + directory.length
  const start = encodeHead({
    directoryOffset,
    directoryLength: directory.length,
    directoryCrc: crc32(directory),
    fileLength,
    ...head,
  })
  return Uint8Array.from([...start, ...body, ...directory])
}

const open = (bytes: Uint8Array<ArrayBuffer>) => openArchive(new Blob([bytes]), { codec: losslessCodec() })
const sound = build(encodeDirectory(description, [index()]))

test('the file that the others are made from is sound', async (t) => {
  using archive = await open(sound)
  t.is(archive.levels[0]?.tiles, 2)
})

test('every cut is noticed', async (t) => {
  for (let length = 0; length < sound.length; length++) {
    const error = await t.throwsAsync(open(sound.slice(0, length)), undefined, `cut at ${length}`)
    t.regex(String((error as { code?: string }).code), /^ERR_ARCHIVE_(CORRUPT|UNSUPPORTED)$/)
  }
})

test('every changed byte of head and directory is noticed', async (t) => {
  for (let at = 0; at < sound.length; at++) {
    if (at >= HEAD_BYTES && at < HEAD_BYTES + 20) continue
    const bytes = sound.slice()
    bytes[at] = (bytes[at] as number) ^ 0x41
    const error = await t.throwsAsync(open(bytes), undefined, `byte ${at}`)
    t.regex(String((error as { code?: string }).code), /^ERR_ARCHIVE_(CORRUPT|UNSUPPORTED)$/)
  }
})

const lies: [title: string, change: Partial<Record<keyof Description, unknown>>, message: RegExp][] = [
  ['a level of 2^31 x 2^31 pixels', { levels: [{ width: 2 ** 31, height: 2 ** 31, downsample: 1 }] }, /doesn't hold/],
  ['a level of no width', { levels: [{ width: 0, height: 5, downsample: 1 }] }, /width/],
  ['a fractional height', { levels: [{ width: 5, height: 5.5, downsample: 1 }] }, /height/],
  ['a downsample of nothing', { levels: [{ width: 100, height: 60, downsample: null }] }, /downsample/],
  ["a level 0 that isn't the finest", { levels: [{ width: 100, height: 60, downsample: 2 }] }, /downsample/],
  ['no levels', { levels: [] }, /no levels/],
  ['a thousand levels', { levels: Array(1000).fill({ width: 1, height: 1, downsample: 1 }) }, /levels/],
  ['a tile of 1 pixel', { tile: 1 }, /tile/],
  ['a tile of 2^20 pixels', { tile: 2 ** 20 }, /tile/],
  ['a quality of 101', { quality: 101 }, /quality/],
  ['a background of 256', { background: { red: 256, green: 0, blue: 0 } }, /red/],
  ['a property that is a number', { properties: { a: 1 } }, /properties/],
  ['an associated image outside', { associatedImages: [{ name: 'label', offset: 0, length: 10 }] }, /label/],
  ['an associated image beyond', { associatedImages: [{ name: 'label', offset: 80, length: 99 }] }, /label/],
  ['no model', { model: null }, /model/],
]
for (const [title, change, message] of lies) {
  test(`refuses ${title}`, async (t) => {
    const bytes = build(encodeDirectory({ ...description, ...change } as Description, [index()]))
    t.like(await t.throwsAsync(open(bytes), { message }), { code: 'ERR_ARCHIVE_CORRUPT' })
  })
}

test('refuses tiles outside the file, in the head, in the directory, or absurdly long', async (t) => {
  for (const [offset, length] of [
    [HEAD_BYTES + 15, 10],
    [2 ** 52, 10],
    [0, 10],
    [HEAD_BYTES + 20, 1],
    [HEAD_BYTES, 2 ** 32 - 1],
  ]) {
    const bytes = build(encodeDirectory(description, [index(offset, length)]))
    const error = await t.throwsAsync(open(bytes), { message: /tile at level 0, column 0, row 0/ })
    t.like(error, { code: 'ERR_ARCHIVE_CORRUPT' })
  }
})

test('refuses directories outside the file, and those without a description', async (t) => {
  const directory = encodeDirectory(description, [index()])
  for (const bytes of [
    build(directory, { directoryOffset: 0, directoryLength: sound.length }),
    build(directory, { directoryOffset: 2 ** 52 }),
    build(directory, { directoryLength: directory.length - 1 }),
    build(new Uint8Array(0)),
    build(Uint8Array.of(255, 255, 255, 255, 0)),
    build(Uint8Array.of(2, 0, 0, 0, 0x7b, 0xff)),
  ]) {
    t.like(await t.throwsAsync(open(bytes)), { code: 'ERR_ARCHIVE_CORRUPT' })
  }
})

test('another file is no archive; a later format says so', async (t) => {
  const other = await t.throwsAsync(open(new Uint8Array(500)), { message: /no cleric archive/ })
  t.like(other, { code: 'ERR_ARCHIVE_UNSUPPORTED' })
  const later = sound.slice()
  const view = new DataView(later.buffer)
  view.setUint32(8, 9, true)
  view.setUint32(60, crc32(later.subarray(0, 60)), true)
  t.like(await t.throwsAsync(open(later), { message: /format 9/ }), { code: 'ERR_ARCHIVE_UNSUPPORTED' })
})

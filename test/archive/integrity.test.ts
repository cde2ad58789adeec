/** Damage of an archive's file, anywhere in it: noticed when it is opened, read or validated. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { openArchive } from '../../src/archive/archive.js'
import { openAny } from '../../src/archive/open-any.js'
import { type Validation, validateArchive } from '../../src/archive/validate.js'
import { compressSlide } from '../../src/compress/compress.js'
import { crc32c } from '../../src/entropy/crc32c.js'
import { ClericError, SlideError } from '../../src/errors.js'
import { fill } from '../../src/image/draw.js'
import { hash } from '../../src/image/noise.js'
import type { SlideSource } from '../../src/slide/source.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { losslessCodec } from '../payload-codec.js'
import { memorySlide } from '../slides.js'
import { headOf } from './head.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-integrity-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const codec = losslessCodec()

/** A small slide with all that an archive may hold: glass, a place that can't be read, images, texts, a profile. */
async function everything(): Promise<SlideSource> {
  const drawn = new SyntheticSlide('synthetic:600x600:3')
  const at = { x: 250, y: 250, level: 0 }
  const full = await drawn.readRegion({ ...at, width: 150, height: 40 })
  full.data.fill(255, 0, 64 * 3)
  for (let y = 0; y < 40; y++) full.data.fill(255, 450 * y, 450 * y + 3 * 64)
  const slide = memorySlide([full, fill(38, 10, { red: 9, green: 8, blue: 7 })], {
    mpp: { x: 0.25, y: 0.5 },
    objectivePower: 40,
    properties: { 'tiff.ImageDescription': 'of a slide', 'openslide.vendor': 'aperio' },
    associatedImages: ['label', 'macro'],
    readAssociatedImage: async () => drawn.readRegion({ ...at, width: 30, height: 20 }),
    iccProfile: () => Uint8Array.from({ length: 300 }, (_, i) => i),
  })
  const readRegion: SlideSource['readRegion'] = async (region, signal) => {
    if (region.level === 0 && region.x >= 128) throw new SlideError('ERR_OPENSLIDE_READ', 'gone')
    return slide.readRegion(region, signal)
  }
  return { ...slide, readRegion }
}

const written = new Map<string, Uint8Array<ArrayBuffer>>()
test.before(async () => {
  for (const layout of ['compat', 'strict'] as const) {
    const path = join(folder, `${layout}.cleric.tif`)
    await compressSlide(await everything(), path, { codec, layout, tile: 64, onBadTile: 'background' })
    written.set(layout, new Uint8Array(readFileSync(path)))
  }
})

/** A copy of the archive. */
function archiveOf(layout: 'compat' | 'strict'): Uint8Array<ArrayBuffer> {
  return (written.get(layout) as Uint8Array<ArrayBuffer>).slice()
}

/** Changes one bit. */
function flip(bytes: Uint8Array, bit: number): void {
  bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
}

async function validate(bytes: Uint8Array<ArrayBuffer>, quick: boolean): Promise<Validation> {
  using archive = await openArchive(new Blob([bytes]), { codec, cacheBytes: 0 })
  return await validateArchive(archive, { quick })
}

/** What validation says: that all is well, that something isn't, or that the file can't be opened. */
async function verdict(bytes: Uint8Array<ArrayBuffer>, quick: boolean): Promise<'ok' | 'bad' | 'refused'> {
  try {
    return (await validate(bytes, quick)).ok ? 'ok' : 'bad'
  } catch (error) {
    if (error instanceof ClericError && /^ERR_ARCHIVE_(CORRUPT|UNSUPPORTED)$/.test(error.code)) return 'refused'
    throw error
  }
}

for (const [layout, quick, tried] of [
  ['compat', true, 10_000],
  ['strict', true, 2000],
  ['compat', false, 1000],
] as const) {
  test(`any of ${tried} bits that change anywhere in a file are noticed: ${layout}, ${quick ? 'quick' : 'decoded'}`, async (t) => {
    t.timeout(300_000)
    const bytes = archiveOf(layout)
    t.is(await verdict(bytes, quick), 'ok')
    const { headLength } = await headOf(bytes)
    const verdicts = { ok: [] as number[], bad: 0, refused: 0 }
    for (let i = 0; i < tried; i++) {
      // One at any place in each of as many equal stretches of the file.
      const bit = Math.floor(((i + hash(i, tried, 5) / 2 ** 32) * 8 * bytes.length) / tried)
      flip(bytes, bit)
      const found = await verdict(bytes, quick)
      flip(bytes, bit)
      if (found === 'ok') verdicts.ok.push(bit)
      else verdicts[found]++
      t.is(found === 'refused', bit < 8 * headLength, `bit ${bit}`)
    }
    t.log(`${bytes.length} bytes, ${verdicts.refused} in the head, ${verdicts.bad} behind it`)
    t.deepEqual(verdicts.ok, [])
    t.true(verdicts.bad > tried / 8 && verdicts.refused > tried / 8)
  })
}

test('quick names what is damaged, as validation by decoding does, and needs no codec', async (t) => {
  const bytes = archiveOf('compat')
  const { indexes, overview, images } = await headOf(bytes)
  const [tile] = indexes[0]?.offset.filter((offset) => offset > 0) ?? []
  for (const at of [tile, overview[1]?.index.offset[0], images[0]?.offset]) flip(bytes, 8 * (at as number) + 70)
  const path = join(folder, 'damaged.cleric.tif')
  writeFileSync(path, bytes)
  const { decodePayload, ...others } = losslessCodec()
  const without = { ...others, decodePayload: () => Promise.reject(new Error('decoded')) }
  using archive = await openArchive(path, { codec: without })
  const quick = await validateArchive(archive, { quick: true })
  t.false(quick.ok)
  t.like(quick.bad, [{ level: 0, column: 1, row: 0, code: 'ERR_CORRUPT_TILE' }])
  t.is(quick.bad.length, 1)
  t.regex(
    quick.bad[0]?.reason ?? '',
    /damaged\.cleric\.tif: tile at level 0, column 1, row 0: its checksum doesn't agree/,
  )
  t.deepEqual(
    quick.badImages.map(({ name, code }) => [name, code]),
    [
      ['overview 1, tile 0', 'ERR_ARCHIVE_CORRUPT'],
      ['label', 'ERR_ARCHIVE_CORRUPT'],
    ],
  )
  t.deepEqual(quick.unreadable, [{ level: 0, column: 2, row: 0 }])
  t.is(quick.tiles, 4)
  const decoded = await validate(bytes, false)
  const names = ({ bad, badImages }: Validation) => [
    bad.map(({ reason: _, ...place }) => place),
    badImages.map(({ name }) => name),
  ]
  t.true(isDeepStrictEqual(names(quick), names(decoded)))
  // One of each doesn't make up for the other.
  const places = [tile, images[0]?.offset].map((at) => 8 * (at as number) + 70)
  flip(bytes, 8 * (overview[1]?.index.offset[0] as number) + 70)
  t.like(await validate(bytes, true), { ok: false, counts: { bad: 1, badImages: 1, badBytes: 0 } })
  for (const bit of places) flip(bytes, bit)
  t.true((await validate(bytes, true)).ok)
})

test('a tile whose bytes have changed is never decoded', async (t) => {
  const bytes = archiveOf('strict')
  const { indexes } = await headOf(bytes)
  const [tile] = indexes[0]?.offset.filter((offset) => offset > 0) ?? []
  flip(bytes, 8 * (tile as number) + 70)
  const counting = losslessCodec()
  using archive = await openArchive(new Blob([bytes]), { codec: counting })
  const error = await t.throwsAsync(archive.readTile(0, 1, 0), {
    message: /column 1, row 0: its checksum doesn't agree/,
  })
  t.like(error, { code: 'ERR_CORRUPT_TILE' })
  t.is(counting.decoded, 0)
})

test('an archive whose seal, or the way to it, is damaged does not pass for another TIFF', async (t) => {
  const bytes = archiveOf('compat')
  const { headLength } = await headOf(bytes)
  const first = Number(new DataView(bytes.buffer).getBigUint64(8, true))
  const path = join(folder, 'header.cleric.tif')
  // The header, and the directory that it leads to.
  const entries = Number(new DataView(bytes.buffer).getBigUint64(first, true))
  t.true(first + 8 + 20 * entries < headLength)
  for (let bit = 0; bit < 8 * (first + 8 + 20 * entries); bit++) {
    flip(bytes, bit)
    writeFileSync(path, bytes)
    flip(bytes, bit)
    const opened = await openAny(path, { codec }).catch((error: unknown) => error)
    const code = opened instanceof ClericError ? opened.code : `opened as ${(opened as SlideSource).format}`
    t.regex(code, /^ERR_ARCHIVE_(CORRUPT|UNSUPPORTED)$/, `bit ${bit}`)
  }
})

/** The archive with `change` made to it and bytes added to it, under a right checksum of the head. */
async function resealed(change: (view: DataView) => void, added = 0): Promise<Uint8Array<ArrayBuffer>> {
  const sound = archiveOf('strict')
  const { headLength } = await headOf(sound)
  const bytes = new Uint8Array(sound.length + added)
  bytes.set(sound)
  const view = new DataView(bytes.buffer)
  change(view)
  const seal = Buffer.from(bytes.buffer).indexOf(Uint8Array.from([...u64(headLength), ...u64(sound.length)]))
  view.setBigUint64(seal + 8, BigInt(bytes.length), true)
  view.setBigUint64(seal + 16, 0n, true)
  view.setBigUint64(seal + 16, BigInt(crc32c(bytes.subarray(0, headLength))), true)
  return bytes
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value), true)
  return bytes
}

test('bytes that belong to nothing are bad, and those of two parts are refused', async (t) => {
  const { images, headLength } = await headOf(archiveOf('strict'))
  const offset = images[0]?.offset as number
  const moved = (to: number) =>
    resealed((view) => {
      const at = Buffer.from(view.buffer).indexOf(u64(offset))
      t.true(at > 0 && at < headLength)
      view.setBigUint64(at, BigInt(to), true)
    })
  const end = archiveOf('strict').length
  const { ok, badBytes } = await validate(await resealed(() => {}, 5), true)
  t.false(ok)
  t.like(badBytes, [{ offset: end, length: 5 }])
  const error = await t.throwsAsync(validate(await moved(offset - 5), true), {
    message: /where the part before it ends/,
  })
  t.like(error, { code: 'ERR_ARCHIVE_CORRUPT' })
})

/** Runs that are interrupted, and runs that go on from them: always to the same bytes. */
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { openArchive } from '../../src/archive/archive.js'
import { validateArchive } from '../../src/archive/validate.js'
import { type CompressOptions, compressSlide } from '../../src/compress/compress.js'
import { recordPosition } from '../../src/compress/journal.js'
import type { CompressProgress } from '../../src/compress/progress.js'
import { losslessCodec } from '../payload-codec.js'
import { DrawnSlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-resume-'))
test.after.always(() => rmSync(folder, { recursive: true }))
let files = 0
const fresh = () => join(folder, `${files++}.cleric.tif`)
const slide = new DrawnSlide('synthetic:700x500:3')
const TILES = 94
const options = (more: CompressOptions = {}): CompressOptions => ({ codec: losslessCodec(), tile: 64, ...more })

/** The file of a run that nothing disturbs. */
const undisturbed = (async () => {
  const path = fresh()
  const { tiles } = await compressSlide(slide, path, options())
  return { bytes: readFileSync(path), tiles }
})()

/** A run that is aborted after some tiles; what it leaves is beside `path`. */
async function interrupted(path: string, after: number): Promise<unknown> {
  const stop = new AbortController()
  const onProgress = ({ tiles }: CompressProgress) => {
    if (tiles === after) stop.abort()
  }
  return compressSlide(slide, path, options({ onProgress, signal: stop.signal })).catch((error: unknown) => error)
}

test('an aborted run leaves no file of the name, and can be resumed to the same bytes', async (t) => {
  const { bytes, tiles } = await undisturbed
  t.is(tiles, TILES)
  for (const after of [1, 2, 57, tiles]) {
    const path = fresh()
    t.like(await interrupted(path, after), { code: 'ERR_ABORTED' })
    t.false(existsSync(path))
    const result = await compressSlide(slide, path, options({ resume: true }))
    t.is(result.resumedTiles, after)
    t.is(result.tiles, tiles)
    t.true(readFileSync(path).equals(bytes), `after ${after}`)
    t.false(existsSync(`${path}.partial`) || existsSync(`${path}.journal`))
  }
})

test('a run that is aborted before its first tile leaves nothing', async (t) => {
  const path = fresh()
  t.like(await interrupted(path, 0), { code: 'ERR_ABORTED' })
  for (const name of [path, `${path}.partial`, `${path}.journal`]) t.false(existsSync(name))
})

test('a failing codec fails the run, which can be resumed', async (t) => {
  const path = fresh()
  let calls = 0
  const codec = losslessCodec()
  const { encodePayload } = codec
  codec.encodePayload = (...argv) => (++calls > 9 ? Promise.reject(new Error('device lost')) : encodePayload(...argv))
  await t.throwsAsync(compressSlide(slide, path, options({ codec })), { message: 'device lost' })
  t.false(existsSync(path))
  const { resumedTiles } = await compressSlide(slide, path, options({ resume: true }))
  t.true(resumedTiles >= 1)
  t.true(readFileSync(path).equals((await undisturbed).bytes))
})

test('whatever became of partial file and journal in a crash, the end is the same', async (t) => {
  const { bytes } = await undisturbed
  const base = fresh()
  await interrupted(base, 40)
  const damages: [
    title: string,
    damage: (partial: string, journal: string) => void,
    resumed: (count: number) => boolean,
  ][] = [
    ['nothing', () => {}, (count) => count === 40],
    ['the file ends early', (partial) => truncateSync(partial, 60_000), (count) => count > 0 && count < 40],
    ['the file is empty', (partial) => truncateSync(partial, 0), (count) => count === 0 || count < 10],
    ['the file has more', (partial) => appendFileSync(partial, Buffer.alloc(3e6, 7)), (count) => count === 40],
    [
      'the journal ends within a record',
      (_, journal) => truncateSync(journal, recordPosition(20) + 5),
      (count) => count === 20,
    ],
    ['the journal ends within its head', (_, journal) => truncateSync(journal, 17), (count) => count === 0],
    ['the journal is gone', (_, journal) => rmSync(journal), (count) => count === 0],
    ['the file is gone', (partial) => rmSync(partial), (count) => count === 0],
    [
      'a record is wrong',
      (_, journal) => {
        const record = readFileSync(journal)
        record[recordPosition(11) + 9] = 1
        writeFileSync(journal, record)
      },
      (count) => count === 11,
    ],
    [
      'blocks of the file never reached the disk',
      (partial) => {
        const data = readFileSync(partial)
        data.fill(0, 50_000, 54_096)
        writeFileSync(partial, data)
      },
      (count) => count > 0 && count < 40,
    ],
  ]
  for (const [title, damage, isRight] of damages) {
    const path = fresh()
    for (const suffix of ['.partial', '.journal']) copyFileSync(base + suffix, path + suffix)
    damage(`${path}.partial`, `${path}.journal`)
    const { resumedTiles } = await compressSlide(slide, path, options({ resume: true }))
    t.true(isRight(resumedTiles), `${title}: ${resumedTiles}`)
    t.true(readFileSync(path).equals(bytes), title)
  }
})

test('another slide, model or option is no continuation', async (t) => {
  const path = fresh()
  await interrupted(path, 5)
  const other = new DrawnSlide('synthetic:700x500:4')
  for (const [what, run] of [
    ['slide', () => compressSlide(other, path, options({ resume: true }))],
    ['model', () => compressSlide(slide, path, options({ resume: true, codec: losslessCodec(0, 'other') }))],
    ['quality', () => compressSlide(slide, path, options({ resume: true, quality: 61 }))],
    ['background', () => compressSlide(slide, path, options({ resume: true, background: 'keep' }))],
    ['levels', () => compressSlide(slide, path, options({ resume: true, levels: [0] }))],
    ['layout', () => compressSlide(slide, path, options({ resume: true, layout: 'strict' }))],
    ['label', () => compressSlide(slide, path, options({ resume: true, label: false }))],
  ] as const) {
    t.like(await t.throwsAsync(run(), undefined, what), { code: 'ERR_RESUME_MISMATCH' })
  }
  // What was written is still there.
  t.is((await compressSlide(slide, path, options({ resume: true }))).resumedTiles, 5)
})

test('without --resume a run starts over; with it, but nothing to go on from, too', async (t) => {
  const path = fresh()
  await interrupted(path, 5)
  t.is((await compressSlide(slide, path, options())).resumedTiles, 0)
  const other = fresh()
  writeFileSync(`${other}.partial`, Buffer.alloc(1e6, 7))
  t.is((await compressSlide(slide, other, options({ resume: true }))).resumedTiles, 0)
  for (const name of [path, other]) t.true(readFileSync(name).equals((await undisturbed).bytes))
})

test('two runs that go on from the same journal at the same time do no harm', async (t) => {
  const path = fresh()
  await interrupted(path, 20)
  const runs = [1, 2].map((delay) => compressSlide(slide, path, options({ resume: true, codec: losslessCodec(delay) })))
  const results = await Promise.allSettled(runs)
  t.true(results.some(({ status }) => status === 'fulfilled'))
  t.true(readFileSync(path).equals((await undisturbed).bytes))
  using archive = await openArchive(path, { codec: losslessCodec() })
  t.true((await validateArchive(archive)).ok)
})

test('a finished file is not resumed but refused', async (t) => {
  const path = fresh()
  await compressSlide(slide, path, options())
  t.like(await t.throwsAsync(compressSlide(slide, path, options({ resume: true }))), { code: 'ERR_FILE_EXISTS' })
})

/** An archive that is bad all over: what is told of it is counted, and listed up to a bound. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { openArchive } from '../../src/archive/archive.js'
import { encodeHead } from '../../src/archive/head-writer.js'
import { NothingButHoles } from '../../src/archive/holes.js'
import { validateArchive } from '../../src/archive/validate.js'
import { createCli } from '../../src/cli/commands.js'
import { indexOf, TILE } from '../../src/tiff/tile-index.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-listed-'))
test.after.always(() => rmSync(folder, { recursive: true }))

const BAD = 3000
const UNREADABLE = 1096
const LISTED = 1000

/** 4096 tiles: of the most a byte each, which isn't the one that was written, and after it a byte of nobody's. */
function badArchive(): string {
  const level = { width: 1024, height: 1024, downsample: 1 }
  const index = indexOf(level, 16, 16)
  const make = (start: number) => {
    for (let i = 0; i < BAD; i++) {
      index.offset[i] = start + 2 * i
      index.length[i] = 1
      index.checksum[i] = 1
    }
    for (let i = BAD; i < BAD + UNREADABLE; i++) index.colours[4 * i + 3] = TILE.unreadable
    return encodeHead({
      layout: 'strict',
      description: {
        ...{ model: { name: 'm', hash: '00' }, quality: 60, tile: 16, levels: [level], downsamples: [1], mpp: null },
        ...{ objectivePower: null, background: { red: 0, green: 0, blue: 0 }, properties: {} },
        source: { format: 'none', bytes: 0 },
      },
      ...{ iccProfile: null, indexes: [index], overview: [], images: [], isChecked: false },
      fileLength: start + 2 * BAD,
    })
  }
  const path = join(folder, 'bad.cleric.tif')
  writeFileSync(path, Buffer.concat([make(make(0).length), new Uint8Array(2 * BAD)]))
  return path
}

test('what is bad is counted, and the first are listed', async (t) => {
  using archive = await openArchive(badArchive())
  const told: [number, number][] = []
  const onProgress = (done: number, total: number) => told.push([done, total])
  const validation = await validateArchive(archive, { quick: true, onProgress })
  const { ok, tiles, bad, unreadable, badBytes, badImages, counts } = validation
  t.false(ok)
  t.is(tiles, BAD + UNREADABLE)
  t.deepEqual(told[0], [1, BAD + UNREADABLE])
  t.deepEqual(told.at(-1), [BAD + UNREADABLE, BAD + UNREADABLE])
  t.deepEqual(counts, { bad: BAD, unreadable: UNREADABLE, badBytes: BAD, badImages: 0 })
  t.deepEqual([bad.length, unreadable.length, badBytes.length, badImages.length], [LISTED, LISTED, LISTED, 0])
  t.like(bad.at(-1), { level: 0, column: (LISTED - 1) % 64, row: Math.floor((LISTED - 1) / 64) })
})

test('the command says how many more there are', async (t) => {
  let text = ''
  const stdout = { write: (more: string) => (text += more) }
  const stderr = { write: () => {} }
  t.is(await createCli({ stdout, stderr }).run(['validate', badArchive(), '--quick']), 1)
  t.regex(text, /^3000 of 4096 tiles are bad\n/)
  for (const more of ['2000 more bad tiles', '2000 more such ranges of bytes', '96 more tiles that are background']) {
    t.true(text.includes(`\nand ${more}\n`), more)
  }
  t.true(text.split('\n').length < 3 * LISTED + 10)
})

test('the error of a region of nothing but bad tiles names some', (t) => {
  const holes = Array.from({ length: 500 }, (_, i) => {
    return { level: 0, column: i, row: 0, code: 'ERR_CORRUPT_TILE', reason: `tile ${i} is bad` } as const
  })
  t.regex(new NothingButHoles(holes).message, /^tile 0 is bad; .*tile 9 is bad; and 490 more tiles$/)
  t.is(new NothingButHoles(holes.slice(0, 2)).message, 'tile 0 is bad; tile 1 is bad')
})

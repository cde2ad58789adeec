/** What the server tells of each tile: its PSNR, what stores it, and whether the slide could be read there. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { openArchive } from '../../src/archive/archive.js'
import { checksWindow } from '../../src/archive/checks-window.js'
import { openCodec } from '../../src/codec/codec.js'
import { compressSlide } from '../../src/compress/compress.js'
import { fill, paste } from '../../src/image/draw.js'
import { createViewerServer } from '../../src/server/server.js'
import { emptyIndex } from '../../src/tiff/tile-index.js'
import { nanoModelFile } from '../network/golden.js'
import { memorySlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-tile-checks-'))
const name = 'of two kinds.cleric.tif'
const path = join(folder, name)

/** 3 x 2 tiles of 64: two of two colours, one of them at the edge, and glass. */
const picture = fill(150, 100, { red: 240, green: 240, blue: 240 })
paste(fill(20, 20, { red: 90, green: 20, blue: 120 }), picture, 70, 10)
paste(fill(20, 20, { red: 90, green: 20, blue: 120 }), picture, 135, 70)

test.before(async () => {
  using codec = await openCodec({ model: fileURLToPath(nanoModelFile), device: 'cpu' })
  await compressSlide(memorySlide([picture]), path, { codec, tile: 64 })
  await compressSlide(memorySlide([picture]), join(folder, 'unchecked.cleric.tif'), { codec, tile: 64, check: 'none' })
})
test.after.always(() => rmSync(folder, { recursive: true }))

const address = `/checks/${encodeURIComponent(name)}`

test('a window of tiles, row by row', async (t) => {
  await using server = await createViewerServer(folder)
  const whole = await server.inject(`${address}?level=0`)
  const { version, codec, ...facts } = whole.json()
  using archive = await openArchive(path)
  const codecs = [archive.tileCheck(0, 1, 0)?.codec, archive.tileCheck(0, 2, 1)?.codec]
  t.deepEqual(codec, [null, codecs[0], null, null, null, codecs[1]])
  t.deepEqual(facts, {
    level: 0,
    column: 0,
    row: 0,
    columns: 3,
    rows: 2,
    tileWidth: 64,
    tileHeight: 64,
    downsample: 1,
    psnr: [null, 'unchanged', null, null, null, 'unchanged'],
    state: '101110',
  })
  t.is(whole.headers['cache-control'], 'no-cache')
  const corner = await server.inject(
    `${address}?level=0&column=1&row=1&columns=2&rows=1&v=${encodeURIComponent(version)}`,
  )
  t.like(corner.json(), { column: 1, row: 1, columns: 2, rows: 1, psnr: [null, 'unchanged'], state: '10' })
  t.regex(corner.headers['cache-control'] as string, /immutable/)
})

test('the whole slide in few words', async (t) => {
  await using server = await createViewerServer(folder)
  const { checks, levels } = (await server.inject(address)).json()
  t.is(checks.tiles, 2)
  using archive = await openArchive(path)
  t.deepEqual(checks.codecs, archive.checks?.codecs)
  t.is(checks.psnr.least, 'unchanged')
  t.like(checks.worst[0], { level: 0, column: 1, row: 0, psnr: 'unchanged' })
  t.like(levels[0], { width: 150, height: 100, columns: 3, rows: 2, tileWidth: 64 })
})

test('an archive whose tiles were not checked says so', async (t) => {
  await using server = await createViewerServer(folder)
  t.is((await server.inject('/checks/unchecked.cleric.tif')).json().checks, null)
  const { psnr, codec, state } = (await server.inject('/checks/unchecked.cleric.tif?level=0')).json()
  t.deepEqual([psnr, codec], [Array(6).fill(null), Array(6).fill(null)])
  t.is(state, '101110')
})

test('what is not there, and what can not be asked', async (t) => {
  await using server = await createViewerServer(folder)
  t.is((await server.inject('/checks/none.cleric.tif?level=0')).statusCode, 404)
  for (const [query, message] of [
    ['column=1', 'Expected a level'],
    ['level=1', 'Expected 0 to 0 for level but received 1'],
    ['level=-1', 'Expected a whole number for level'],
    ['level=0&level=0', 'Expected a whole number for level'],
    ['level=0&columns=0', 'Expected a window within the 3 x 2 tiles of level 0'],
    ['level=0&column=3', 'Expected a window within the 3 x 2 tiles of level 0'],
    ['level=0&row=1&rows=2', 'Expected a window within the 3 x 2 tiles of level 0'],
    ['level=0&tile=2', 'Expected one of level, column, row, columns, rows but received tile'],
    ['level=0&__proto__=2', 'Expected one of level, column, row, columns, rows but received __proto__'],
  ]) {
    const answer = await server.inject(`${address}?${query}`)
    t.is(answer.statusCode, 400, query)
    t.deepEqual(answer.json(), { code: 'ERR_BAD_REQUEST', message }, query)
  }
})

test('an answer is bounded, however large the level', async (t) => {
  using archive = await openArchive(path)
  const large = Object.create(archive, {
    indexes: { value: [emptyIndex({ width: 64 * 300, height: 64 * 200 }, 64)] },
    levels: { value: [{ downsample: 1 }] },
    version: { value: '1' },
  })
  const asked = (query: Record<string, unknown>) =>
    checksWindow(large, new Map(Object.entries({ level: '0', ...query })))
  t.is(asked({}), 'Expected at most 16384 tiles but received 300 x 200')
  t.like(asked({ columns: '128', rows: '128' }), { columns: 128, rows: 128 })
  // A window is what is right of its corner and below.
  t.like(asked({ column: '299', row: '198' }), { column: 299, row: 198, columns: 1, rows: 2 })
  t.like(asked({ column: '298', row: '199', columns: '1', rows: '1' }), { columns: 1, rows: 1 })
  for (const wrong of [
    { columns: '0', rows: '1' },
    { columns: '1', rows: '0' },
    { column: '299', columns: '2', rows: '1' },
    { row: '199', columns: '1', rows: '2' },
    { column: '300' },
    { row: '200' },
  ]) {
    t.is(asked(wrong), 'Expected a window within the 300 x 200 tiles of level 0', JSON.stringify(wrong))
  }
  for (const row of ['', 'x1', '1x', '1.5', '-1', '12345678', ['1'], ['1', '1'], undefined]) {
    t.is(asked({ row }), 'Expected a whole number for row', String(row))
  }
})

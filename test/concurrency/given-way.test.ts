/**
 * Where all work is done at once, such as that on tiles of one colour, other work still gets its turn, and a signal is
 * heard.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { type Archive, openArchive } from '../../src/archive/archive.js'
import { encodeHead } from '../../src/archive/head-writer.js'
import { validateArchive } from '../../src/archive/validate.js'
import { compressSlide } from '../../src/compress/compress.js'
import { inOrder } from '../../src/concurrency/in-order.js'
import { exportSlide } from '../../src/export/export.js'
import { compareSlides } from '../../src/metrics/compare.js'
import { emptyIndex, TILE } from '../../src/tiff/tile-index.js'
import { countTurns } from '../event-loop-turns.js'
import { losslessCodec } from '../payload-codec.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-given-way-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const codec = losslessCodec()

/** An archive of so many pixels a side, all of them white. */
function blankArchive(side: number, tile: number): Promise<Archive> {
  const level = { width: side, height: side, downsample: 1 }
  const index = emptyIndex(level, tile)
  for (let at = 0; at < index.length.length; at++) index.colours.set([255, 255, 255, TILE.blank], 4 * at)
  const make = (fileLength: number) =>
    encodeHead({
      layout: 'strict',
      description: {
        ...{ model: codec.model, quality: 60, tile, levels: [level], downsamples: [1], mpp: null },
        ...{ objectivePower: null, background: { red: 255, green: 255, blue: 255 }, properties: {} },
        source: { format: 'none', bytes: 0 },
      },
      ...{ iccProfile: null, indexes: [index], overview: [], images: [], isChecked: false, fileLength },
    })
  return openArchive(new Blob([Uint8Array.from(make(make(0).length))]), { codec, cacheBytes: 0 })
}

/** Aborts soon after the work has begun, which must end long before it would by itself. */
async function mustHear(t: ExecutionContext, work: (signal: AbortSignal) => Promise<unknown>): Promise<void> {
  const stop = new AbortController()
  let aborted = 0
  setTimeout(() => {
    aborted = performance.now()
    stop.abort()
  }, 50)
  await t.throwsAsync(work(stop.signal), { code: 'ERR_ABORTED' })
  const took = performance.now() - aborted
  t.log(`heard after ${Math.round(took)} ms`)
  // A signal is heard within a second; a machine that is busy with other tests may take some more.
  t.true(aborted > 0 && took < 3000, `${took} ms`)
}

test.serial('a million blank tiles: validate', async (t) => {
  using archive = await blankArchive(16_384, 16)
  await mustHear(t, (signal) => validateArchive(archive, { signal }))
})

test.serial('a million blank tiles: export', async (t) => {
  using archive = await blankArchive(16_384, 16)
  await mustHear(t, (signal) => exportSlide(archive, join(folder, 'out.tif'), { signal }))
  t.deepEqual(readdirSync(folder), [])
})

test.serial('a slide of 100,000 pixels a side that is blank: compress', async (t) => {
  using archive = await blankArchive(100_000, 512)
  const output = join(folder, 'out.cleric.tif')
  await mustHear(t, (signal) => compressSlide(archive, output, { codec, signal }))
  await mustHear(t, (signal) => compressSlide(archive, output, { codec, targetBpp: 1, overwrite: true, signal }))
})

test.serial('a slide of 100,000 pixels a side that is blank: compare', async (t) => {
  using archive = await blankArchive(100_000, 512)
  await mustHear(t, (signal) => compareSlides(archive, archive, { signal }))
})

test.serial('a region of 65,536 blank tiles', async (t) => {
  using archive = await blankArchive(4096, 16)
  const region = { x: 0, y: 0, level: 0, width: 4096, height: 4096 }
  const turns = countTurns()
  const { data } = await archive.readRegion(region)
  turns.mustBeOften(t)
  t.is(data[data.length - 1], 255)
  await mustHear(t, async (signal) => {
    for (;;) await archive.readRegion(region, signal)
  })
})

test.serial('work in order that is done at once', async (t) => {
  function* endless() {
    for (let i = 0; ; i++) yield i
  }
  await mustHear(t, (signal) =>
    inOrder(
      endless(),
      4,
      async (i) => i,
      async () => {},
      signal,
    ),
  )
})

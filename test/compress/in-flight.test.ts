/** How many tiles are under way follows from the codec, whatever is done with it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { openArchive } from '../../src/archive/archive.js'
import { validateArchive } from '../../src/archive/validate.js'
import { compressSlide } from '../../src/compress/compress.js'
import { exportSlide } from '../../src/export/export.js'
import { losslessCodec } from '../payload-codec.js'
import { DrawnSlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-in-flight-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const slide = new DrawnSlide('synthetic:700x500:3')

for (const tilesInFlight of [1, 4]) {
  test(`a codec of ${tilesInFlight} at a time is given ${2 * tilesInFlight}`, async (t) => {
    const path = join(folder, `${tilesInFlight}.cleric.tif`)
    // Slow, so that all who may be under way are.
    const codec = { ...losslessCodec(), tilesInFlight }
    const most = async (work: () => Promise<unknown>) => {
      const counted = Object.assign(losslessCodec(10), { tilesInFlight })
      Object.assign(codec, counted)
      await work()
      return counted.overlapping
    }
    const options = { tile: 112, background: 'keep' } as const
    t.is(await most(() => compressSlide(slide, path, { ...options, codec })), 2 * tilesInFlight)
    using archive = await openArchive(path, { codec, cacheBytes: 0 })
    const whole = { x: 0, y: 0, level: 0, width: 700, height: 500 }
    t.is(await most(() => archive.readRegion(whole)), 2 * tilesInFlight)
    t.is(await most(() => validateArchive(archive)), 2 * tilesInFlight)
    t.is(await most(() => exportSlide(archive, join(folder, `${tilesInFlight}.tif`))), 2 * tilesInFlight)
  })
}

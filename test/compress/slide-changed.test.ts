/** A slide that is written to while it is read: no output may be part of one and part of another. */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import sharp from 'sharp'
import { compressSlide } from '../../src/compress/compress.js'
import { exportSlide } from '../../src/export/export.js'
import { fill } from '../../src/image/draw.js'
import { losslessCodec } from '../payload-codec.js'
import { memorySlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-changed-'))
test.after.always(() => rmSync(folder, { recursive: true }))

let slides = 0
async function slide(): Promise<string> {
  const path = join(folder, `slide-${slides++}.tif`)
  const noise = { type: 'gaussian', mean: 128, sigma: 40 } as const
  const image = sharp({ create: { width: 300, height: 300, channels: 3, background: 'white', noise } })
  await image.tiff({ tile: true, tileWidth: 128, tileHeight: 128, compression: 'none' }).toFile(path)
  return path
}

const CHANGES = {
  'another time': (path: string) => utimesSync(path, 1, 1),
  'other bytes at its end': (path: string) => writeFileSync(path, 'x', { flag: 'a' }),
  'another file of the same size and time': (path: string) => {
    const bytes = readFileSync(path)
    bytes.fill(0, 2000, 3000)
    writeFileSync(`${path}.other`, bytes)
    utimesSync(path, 1000, 1000)
    utimesSync(`${path}.other`, 1000, 1000)
    renameSync(`${path}.other`, path)
  },
  'no file any more': (path: string) => rmSync(path),
} as const

for (const [what, change] of Object.entries(CHANGES)) {
  for (const [name, write] of [
    ['compress', compressSlide],
    ['export', exportSlide],
  ] as const) {
    test(`${name} doesn't publish what it made of a slide that became ${what}`, async (t) => {
      const path = await slide()
      const output = `${path}.${name}.tif`
      let isChanged = false
      const onProgress = ({ tiles, totalTiles }: { tiles: number; totalTiles: number }) => {
        // When the last tile is read, so that nothing else is noticed.
        if (isChanged || tiles < totalTiles) return
        isChanged = true
        change(path)
      }
      const options = { codec: losslessCodec(), ...(name === 'compress' ? { tile: 128 } : {}), onProgress }
      const error = await t.throwsAsync(write(path, output, options))
      t.like(error, { code: 'ERR_SLIDE_CHANGED', name: 'SlideError' })
      t.false(existsSync(output))
    })
  }
}

test('a slide that stays, or is no file, is published', async (t) => {
  const path = await slide()
  const codec = losslessCodec()
  await compressSlide(path, `${path}.same.cleric.tif`, { codec })
  const memory = memorySlide([fill(64, 64, { red: 1, green: 2, blue: 3 })], { path: 'no such file' })
  await compressSlide(memory, `${path}.memory.cleric.tif`, { codec })
  t.true(existsSync(`${path}.memory.cleric.tif`))
})

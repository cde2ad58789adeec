/** Image files as slides: what becomes of a failure, an abort, and a file that changes. */
import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import sharp from 'sharp'
import { fill } from '../../src/image/draw.js'
import { ImageFile } from '../../src/slide/image-file.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-image-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)
const REGION = { x: 0, y: 0, level: 0, width: 8, height: 8 }

async function draw(path: string, red: number, width = 640): Promise<void> {
  const { data } = fill(width, 480, { red, green: 20, blue: 30 })
  await sharp(data, { raw: { width, height: 480, channels: 3 } })
    .png()
    .toFile(path)
}

test('a decode that failed is tried again by the next reader', async (t) => {
  await draw(at('moved.png'), 10)
  using image = await ImageFile.open(at('moved.png'))
  renameSync(at('moved.png'), at('elsewhere.png'))
  await t.throwsAsync(image.readRegion(REGION))
  renameSync(at('elsewhere.png'), at('moved.png'))
  t.is((await image.readRegion(REGION)).data[0], 10)
})

test('an image that is damaged says so to every reader', async (t) => {
  await draw(at('cut.png'), 10)
  writeFileSync(at('cut.png'), readFileSync(at('cut.png')).subarray(0, 200))
  using image = await ImageFile.open(at('cut.png'))
  for (let i = 0; i < 2; i++) {
    await t.throwsAsync(image.readRegion(REGION), { code: 'ERR_UNSUPPORTED_SLIDE', message: /can't be decoded/ })
  }
})

test('a reader that gives up hears it at once, and leaves the decode to the others', async (t) => {
  await draw(at('abort.png'), 10, 6000)
  using image = await ImageFile.open(at('abort.png'))
  const stop = new AbortController()
  let isDone = false
  const stays = image.readRegion(REGION).finally(() => {
    isDone = true
  })
  const leaves = image.readRegion(REGION, stop.signal)
  stop.abort()
  await t.throwsAsync(leaves, { name: 'AbortError' })
  t.false(isDone)
  t.is((await stays).data[0], 10)
  t.is((await image.readRegion(REGION)).data[0], 10)
})

test('a closed image is read no more, so that nothing is decoded that nobody would free', async (t) => {
  await draw(at('closed.png'), 10)
  const image = await ImageFile.open(at('closed.png'))
  t.is((await image.readRegion(REGION)).width, 8)
  image.close()
  image.close()
  await t.throwsAsync(image.readRegion(REGION), { code: 'ERR_CLOSED' })
})

test('an image that was replaced since it was opened is refused, not shown in the size of the other', async (t) => {
  await draw(at('changing.png'), 10)
  using image = await ImageFile.open(at('changing.png'))
  await draw(at('other.png'), 99, 700)
  copyFileSync(at('other.png'), at('changing.png'))
  const error = { code: 'ERR_FILE_CHANGED', message: /changing\.png has changed since it was opened; open it anew/ }
  await t.throwsAsync(image.readRegion(REGION), error)
  await t.throwsAsync(image.readRegion(REGION), error)
  using again = await ImageFile.open(at('changing.png'))
  t.is((await again.readRegion(REGION)).data[0], 99)
})

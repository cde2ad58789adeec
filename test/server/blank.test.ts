/** Slides of which nothing is stored: no work for the server, and none that keeps others waiting. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import sharp from 'sharp'
import { compressSlide } from '../../src/compress/compress.js'
import { fill } from '../../src/image/draw.js'
import { createViewerServer } from '../../src/server/server.js'
import type { Region } from '../../src/slide/source.js'
import { casePath, testWithCases } from '../data.js'
import { losslessCodec } from '../payload-codec.js'
import { memorySlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-blank-'))
const codec = losslessCodec()
test.after.always(() => rmSync(folder, { recursive: true }))

testWithCases(
  ['c-small.cleric.tif'],
  'a slide that is all blank is answered at once, and keeps nobody waiting',
  async (t) => {
    await using server = await createViewerServer(casePath('c-small.cleric.tif'), { codec })
    const address = await server.listen({ host: '127.0.0.1', port: 0 })
    const started = performance.now()
    const levels = Array.from({ length: 16 }, (_, level) => {
      return fetch(`${address}/deepzoom/c-small.cleric.tif_files/${level}/0_0.jpeg`).then(({ status }) => status)
    })
    let slowest = 0
    const watch = (async () => {
      for (let i = 0; i < 10; i++) {
        const asked = performance.now()
        t.is((await fetch(`${address}/slides`)).status, 200)
        slowest = Math.max(slowest, performance.now() - asked)
      }
    })()
    for (const status of await Promise.all(levels))
      t.true(status === 200 || status === 400 || status === 500, `${status}`)
    await watch
    t.true(performance.now() - started < 10_000)
    t.true(slowest < 2000, `${slowest} ms`)
  },
)

test.serial('blank levels of a slide without an overview are answered by their colour', async (t) => {
  const inside = join(folder, 'blank')
  mkdirSync(inside)
  const blank = { ...memorySlide([fill(64, 64, { red: 9, green: 99, blue: 199 })]) }
  const side = 8192
  const large = {
    ...blank,
    levels: [{ width: side, height: side, downsample: 1 }],
    readRegion: async ({ width, height }: Region) => fill(width, height, { red: 9, green: 99, blue: 199 }),
  }
  const options = { codec, layout: 'strict', background: 'auto' } as const
  await compressSlide(large, join(inside, 'a.cleric.tif'), options)
  await using server = await createViewerServer(inside, { codec })
  for (let level = 0; level <= 13; level++) {
    const started = performance.now()
    const answer = await server.inject(`/deepzoom/a.cleric.tif_files/${level}/0_0.png`)
    const data = await sharp(answer.rawPayload).raw().toBuffer()
    t.deepEqual([...data.subarray(0, 3)], [9, 99, 199], `level ${level}`)
    t.true(performance.now() - started < 2000)
  }
})

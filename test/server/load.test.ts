/** A short load; `scripts/load-test.ts` is the long one. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { compressSlide } from '../../src/compress/compress.js'
import { losslessCodec } from '../payload-codec.js'
import { DrawnSlide } from '../slides.js'
import { dawdle, HOSTILE, hammer, RunningServer } from './load.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-load-'))
test.after.always(() => rmSync(folder, { recursive: true }))

test('two hundred clients, some that dawdle and some that attack: all are answered, and nothing is left behind', async (t) => {
  t.timeout(180_000)
  const slide = new DrawnSlide('synthetic:1300x700:2')
  await compressSlide(slide, join(folder, 'a.cleric.tif'), { codec: losslessCodec(), background: 'keep' })
  await using server = await RunningServer.start(folder)
  // A tile of the stored overview, which needs no codec that could read the tiles.
  const tile = '/deepzoom/a.cleric.tif_files/7/0_0.jpeg'
  const slow = dawdle(server.address, 20)
  const warm = await hammer(server.address, [tile], 200, 3)
  t.is(warm.failures, 0)
  const all = [tile, '/slides', '/thumbnail/a.cleric.tif', '/iiif/3/a.cleric.tif/info.json']
  // What was asked for once is what a server comes to hold; more of the same adds nothing.
  t.is((await hammer(server.address, all, 200, 2)).failures, 0)
  const before = server.memory
  const load = await hammer(server.address, all, 200, 3)
  t.is(load.failures, 0)
  t.log(`cached tile: ${warm.perSecond.toFixed(0)} a second, p50 ${warm.p50} ms, p99 ${warm.p99} ms`)
  // On the slowest machine that tests run on, with all others at work: each used to encode the tile anew.
  t.true(warm.p50 < 5000 && warm.requests > 200, JSON.stringify(warm))
  for (const path of HOSTILE) {
    const { status } = await fetch(server.address + path)
    t.true(status >= 400 && status < 500, `${path.slice(0, 60)}: ${status}`)
  }
  await slow
  t.true(server.isAlive)
  t.true(server.memory - before < 64 * 2 ** 20, `${(server.memory - before) / 2 ** 20} MiB more`)
})

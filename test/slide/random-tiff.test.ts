/**
 * Drawn TIFFs, read by cleric and by readers that are none of its own: the same picture, or a coded error. `npm run
 * test:tiffs` does it with thousands.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { drawTiff } from './random-tiff/draw.js'
import { compareDrawn } from './random-tiff/run.js'

const COUNT = 48
const folder = mkdtempSync(join(tmpdir(), 'cleric-random-tiff-'))
test.after.always(() => rmSync(folder, { recursive: true }))

test('a drawn TIFF is read as other readers read it, or refused with a code', async (t) => {
  t.timeout(300_000)
  const counts = new Map<string, number>()
  const seeds = Array.from({ length: COUNT }, (_, i) => i + 1)
  for await (const { drawn, outcome } of compareDrawn(seeds, folder, process.env.PYTHON ?? '/usr/bin/python3')) {
    counts.set(outcome.kind, (counts.get(outcome.kind) ?? 0) + 1)
    t.regex(outcome.kind, /^(equal|refused|unknown)$/, JSON.stringify({ ...drawn, ...outcome }))
  }
  t.log(JSON.stringify(Object.fromEntries(counts)))
  t.true((counts.get('equal') ?? 0) >= COUNT / 4, 'most of what is common is read')
})

test('a seed always draws the same file, and seeds draw others', async (t) => {
  const [first, again, other] = await Promise.all([drawTiff(5), drawTiff(5), drawTiff(6)])
  t.deepEqual(first, again)
  t.notDeepEqual(first.bytes, other.bytes)
})

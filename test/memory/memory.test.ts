/**
 * The memory that a command takes doesn't grow with the slide. `npm run test:memory` measures whole slides, and a real
 * codec over many tiles.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import type { Size } from '../../src/image/image.js'
import { nanoModelFile } from '../network/golden.js'
import { COMMANDS, type Command, growth, measure, measureCycles } from './measure.js'

const MEBIBYTE = 2 ** 20
const folder = mkdtempSync(join(tmpdir(), 'cleric-memory-'))
test.after.always(() => rmSync(folder, { recursive: true }))

const SMALL = { width: 4096, height: 4096 }
const LARGE = { width: 12288, height: 12288 }

async function peak(command: Command, size: Size, leak = false): Promise<number> {
  const archive = join(folder, leak ? 'leak.cleric.tif' : `${size.width}.cleric.tif`)
  const output = join(folder, 'out.tif')
  const { peakBytes } = await measure({ command, ...size, archive, output, codec: null, leak })
  return peakBytes / MEBIBYTE
}

/** What a sound codec takes for the large slide. */
let sound = Number.NaN

// One after the other: each command reads what the first wrote.
test.serial('compress, validate and export take no more memory for 576 tiles than for 64', async (t) => {
  for (const command of COMMANDS) {
    const [small, large] = [await peak(command, SMALL), await peak(command, LARGE)]
    t.log(`${command}: ${small.toFixed(0)} MiB, ${large.toFixed(0)} MiB`)
    if (command === 'compress') sound = large
    // The pixels of the tiles that the larger slide has more are 384 MiB.
    t.true(large - small < 80, `${command}: ${small} MiB, ${large} MiB`)
  }
})

test.serial('the measurement finds a codec that keeps its tiles', async (t) => {
  const leaky = await peak('compress', LARGE, true)
  t.true(leaky - sound > 260, `${sound} MiB, ${leaky} MiB`)
})

test.serial('the measurement finds a codec that keeps a little of each tile', async (t) => {
  const choice = { model: fileURLToPath(nanoModelFile), device: 'cpu' } as const
  const { looks, device } = await measureCycles({ ...choice, cycles: 200, leakBytes: 100_000 })
  t.is(looks.at(-1)?.cycles, 200)
  t.log(device)
  // From 100 cycles to 200: 10 MB of some 100.
  t.true(growth(looks, 'rssBytes') > 0.04, JSON.stringify(looks))
})

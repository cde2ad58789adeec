/**
 * Measures the most memory that compress, validate and export ever take, each in a process of its own, for slides of the given
 * sizes. Ends with status 1 if one takes more than the limit.
 *
 *     npm run test:memory -- 8192x8192 100000x80000 --limit 1536 --device cpu
 *
 * The slides are put together from a few drawn tiles, and a stand-in codes them, so that tens of thousands of tiles take
 * minutes. The real codec is open on the device all the while (`--device none`: it isn't), with what it needs for a tile.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { DeviceKind } from '../src/codec/arguments.js'
import { COMMANDS, measure } from '../test/memory/measure.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    limit: { type: 'string', default: '1536' },
    device: { type: 'string', default: 'auto' },
    model: { type: 'string' },
  },
})
const device = values.device as DeviceKind | 'auto' | 'none'
const model = values.model ? { model: values.model } : {}
const codec = device === 'none' ? null : { device, ...model }
const mebibytes = (bytes: number) => Math.round(bytes / 2 ** 20)
const folder = mkdtempSync(join(tmpdir(), 'cleric-memory-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

const sizes = positionals.length > 0 ? positionals : ['8192x8192', '100000x80000']
for (const size of sizes) {
  const [width, height] = size.split('x').map(Number)
  if (!width || !height) throw new Error(`Expected WIDTHxHEIGHT but received ${size}`)
  for (const command of COMMANDS) {
    const files = { archive: join(folder, 'slide.cleric.tif'), output: join(folder, 'slide.tif') }
    const run = { command, width, height, ...files, codec, leak: false }
    const { seconds, startBytes, peakBytes, device: name } = await measure(run)
    const held = name === null ? 'no real codec' : `the real codec on ${name}`
    console.log(
      `${size} ${command}: peak ${mebibytes(peakBytes)} MiB, ${mebibytes(startBytes)} MiB of it at the start with ${held}; ${seconds.toFixed(0)} s`,
    )
    if (mebibytes(peakBytes) > Number(values.limit)) process.exitCode = 1
  }
}

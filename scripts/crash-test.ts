/**
 * Kills compressions of the built program at random moments and resumes them: each archive must be, byte for byte, that
 * of a run that nothing disturbed. Ends with status 1 if one isn't. The slide is so small that a kill costs about a
 * second; what can go wrong depends on the tiles, not on their pixels.
 *
 *     npm run test:crash -- --kills 1000
 *     npm run test:crash -- --kills 20 --slide slide.svs --model models/x.safetensors --tile 256
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { crashTest } from '../test/compress/crash.js'
import { seededRandom } from '../test/seeded-random.js'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '20' },
    slide: { type: 'string', default: 'synthetic:300x240:2' },
    model: { type: 'string', default: 'test/fixtures/nano.safetensors' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    tile: { type: 'string', default: '64' },
    layout: { type: 'string', default: 'compat' },
  },
})
const folder = mkdtempSync(join(tmpdir(), 'cleric-crash-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
console.log(`${values.kills} kills of ${values.slide}, seed ${values.seed}`)

let killed = 0
const rounds = await crashTest({
  slide: values.slide,
  output: join(folder, 'a.cleric.tif'),
  options: ['--model', values.model, '--device', 'cpu', '--tile', values.tile, '--layout', values.layout],
  kills: Number(values.kills),
  random: seededRandom(Number(values.seed)),
  onRound: ({ number, killedAfter, resumedTiles, isEqual }) => {
    killed += killedAfter.length
    const kills = killedAfter.map((milliseconds) => Math.round(milliseconds)).join(', ')
    console.log(
      `${number}: killed after ${kills} ms; ${resumedTiles} tiles resumed; ${isEqual ? 'equal' : 'NOT EQUAL'}`,
    )
  },
})
const wrong = rounds.filter(({ isEqual }) => !isEqual).length
console.log(`${rounds.length} rounds, ${killed} kills, ${wrong} archives that differ`)
process.exitCode = wrong === 0 ? 0 : 1

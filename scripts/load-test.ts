/**
 * Measures `cleric serve` under load: a server in a process of its own, clients in this one.
 *
 *     node --import tsx scripts/load-test.ts [--clients 200] [--seconds 60] [--archive FILE] [--tiles 64]
 *
 * cached: all clients ask for one tile, for as long as given. uncached: each of so many tiles of full size is asked for
 * once. first: a server that was just started is asked for a slide's facts, thumbnail, and coarsest tiles. Meanwhile
 * clients dawdle over their requests, and others ask for what they may not have.
 *
 * The archive is drawn and stored without loss unless one is given: its tiles cost the processor little, so that what is
 * measured is the server. Ends with status 1 if an answer failed, the server died, its memory grew by more than
 * 64 MiB while only one tile was asked for, or a request of an attacker wasn't refused.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { maxLevel, PYRAMID_TILE } from '../src/archive/pyramid.js'
import { compressSlide } from '../src/compress/compress.js'
import type { Size } from '../src/image/image.js'
import { askOnce, dawdle, HOSTILE, hammer, type Load, RunningServer } from '../test/server/load.js'

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '200' },
    seconds: { type: 'string', default: '60' },
    tiles: { type: 'string', default: '64' },
    archive: { type: 'string' },
  },
})
const [clients, seconds, most] = [values.clients, values.seconds, values.tiles].map(Number) as [number, number, number]
const MOST_GROWTH = 64 * 2 ** 20
const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`
const folder = mkdtempSync(join(tmpdir(), 'cleric-load-'))
let isBad = false

function fail(what: string): void {
  console.error(`FAILED: ${what}`)
  isBad = true
}

function print(name: string, { requests, perSecond, p50, p99, worst, failures }: Load): void {
  const times = [p50, p99, worst].map((time) => time.toFixed(0)).join(', ')
  console.log(`${name}: ${requests} requests, ${perSecond.toFixed(0)} a second; p50, p99, worst: ${times} ms`)
  if (failures > 0) fail(`${failures} requests of "${name}"`)
}

async function archiveToServe(): Promise<string> {
  if (values.archive !== undefined) return resolve(values.archive)
  const path = join(folder, 'drawn.cleric.tif')
  await compressSlide('synthetic:2048x2048:1', path, { lossless: true, background: 'keep' })
  return path
}

try {
  const path = await archiveToServe()
  const name = encodeURIComponent(basename(path))
  await using server = await RunningServer.start(path)
  const started = performance.now()
  const facts = (await (await fetch(`${server.address}/slide?name=${name}`)).json()) as { levels: Size[] }
  const full = facts.levels[0] as Size
  const top = maxLevel(full)
  const tile = (level: number, column: number, row: number) => `/deepzoom/${name}_files/${level}/${column}_${row}.jpeg`
  const first = Array.from({ length: Math.max(1, top - 4) }, (_, level) => tile(level, 0, 0))
  const firstPicture = await askOnce(server.address, [`/thumbnail/${name}?size=1024`, ...first], 6)
  console.log(`first picture, the server just started: ${(performance.now() - started).toFixed(0)} ms`)
  print('first tiles', firstPicture)

  const columns = Math.ceil(full.width / PYRAMID_TILE)
  const places = Array.from({ length: columns * Math.ceil(full.height / PYRAMID_TILE) }, (_, i) => i)
  const all = places.map((i) => tile(top, i % columns, Math.floor(i / columns))).slice(0, most)
  print('uncached tiles', await askOnce(server.address, all, clients))

  const cached = first.at(-1) as string
  await hammer(server.address, [cached], clients, Math.min(5, seconds))
  const before = server.memory
  const attackers = (async () => {
    for (const hostile of HOSTILE) {
      const { status } = await fetch(server.address + hostile)
      if (status < 400 || status >= 500) fail(`${hostile.slice(0, 60)} was answered by ${status}`)
    }
  })()
  const slow = dawdle(server.address, 50)
  print('cached tile', await hammer(server.address, [cached], clients, seconds))
  await Promise.all([attackers, slow])
  const after = server.memory
  console.log(`memory before and after: ${mebibytes(before)}, ${mebibytes(after)}`)
  if (after - before > MOST_GROWTH) fail('its memory grew')
  if (!server.isAlive) fail('the server died')
} finally {
  rmSync(folder, { recursive: true })
}
process.exitCode = isBad ? 1 : 0

/**
 * What is to be seen on a real GPU, in one run of a few minutes:
 *
 *     npx tsx scripts/gpu-check.ts [--before DIR] [--adapter NAME] [--side 6144] [--tiles 512,1024] [--seconds 2] [--minutes 7.5]
 *                                  [--qualities 20,50,80] [--model FILE] [--parts exactness,halves,speed]
 *
 * First whether the GPU computes what the processor does: drawn tiles of several sizes and qualities, one by one and in
 * batches, encoded on each and decoded on the other. Then what half floats and matrix units gain and cost: the same tiles
 * encoded with them and without, by turns. Then `bench speed` of this checkout and of the one in DIR, which
 * must be built too (`scripts/setup && npm run build`), by turns: here, there, here. Prints a line of JSON for each step, and exits
 * with 1 if anything differs that must not. A bench that would outlast the minutes is ended and said to be. What batches, checking
 * and single kernels take is scripts/gpu-figures.ts's.
 */
import { execFile } from 'node:child_process'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { TileCodec } from '../src/codec/tile-codec.js'
import { openCpu } from '../src/cpu/backend.js'
import type { Image } from '../src/image/image.js'
import { meanSquaredError, psnrAt } from '../src/metrics/psnr.js'
import { loadModel } from '../src/model/model.js'
import { SyntheticSlide } from '../src/slide/synthetic.js'
import { pickAdapter } from '../src/webgpu/adapters.js'
import { WebGpuBackend } from '../src/webgpu/backend.js'

const { values: options } = parseArgs({
  options: {
    before: { type: 'string' },
    adapter: { type: 'string' },
    side: { type: 'string', default: '6144' },
    tiles: { type: 'string', default: '512,1024' },
    seconds: { type: 'string', default: '2' },
    minutes: { type: 'string', default: '7.5' },
    qualities: { type: 'string', default: '20,50,80' },
    model: { type: 'string' },
    parts: { type: 'string', default: 'exactness,halves,speed' },
  },
})
const PARTS = ['exactness', 'halves', 'speed']
const parts = options.parts.split(',')
for (const part of parts) if (!PARTS.includes(part)) throw new RangeError(`No part is named ${part}`)
const end = Date.now() + 60_000 * Number(options.minutes)
const sides = options.tiles.split(',').map(Number)
let isRight = true

function say(step: string, facts: object): void {
  console.log(JSON.stringify({ step, ...facts }))
}

/** Tiles of a drawn slide: more than a batch of the smallest size, and some of odd sizes. */
async function drawnTiles(): Promise<Image[]> {
  const slide = new SyntheticSlide('synthetic:8192x8192')
  const at = (i: number, width: number, height: number) =>
    slide.readRegion({ x: 600 + 577 * i, y: 900 + 311 * i, level: 0, width, height })
  const [smallest = 512] = sides
  return Promise.all([
    ...Array.from({ length: 9 }, (_, i) => at(i, smallest, smallest)),
    ...sides.slice(1).map((side) => at(2, side, side)),
    at(3, 200, 136),
  ])
}

function largestDifference(a: Image, b: Image): number {
  return a.data.reduce((most, value, i) => Math.max(most, Math.abs(value - (b.data[i] as number))), 0)
}

async function checkExactness(backend: WebGpuBackend): Promise<void> {
  const model = await loadModel(options.model)
  using processor = await openCpu()
  using there = new TileCodec(model, backend)
  using here = new TileCodec(model, processor)
  const tiles = await drawnTiles()
  for (const quality of options.qualities.split(',').map(Number)) {
    const began = Date.now()
    const together = await Promise.all(tiles.map((tile) => there.encodeChecked(tile, quality)))
    let [differentAlone, largest, alike] = [0, 0, 0]
    for (const [i, tile] of tiles.entries()) {
      const batched = together[i] as (typeof together)[0]
      const alone = await there.encode(tile, quality)
      if (Buffer.compare(alone, batched.payload) !== 0) differentAlone++
      // The checksums of symbols tell of any that is another: decoding throws.
      const own = await here.encodeChecked(tile, quality)
      if (Buffer.compare(own.payload, alone) === 0) alike++
      const [ours, theirs] = [
        await here.decode(batched.payload, tile, quality),
        await there.decode(own.payload, tile, quality),
      ]
      largest = Math.max(largest, largestDifference(ours, batched.decoded), largestDifference(theirs, own.decoded))
    }
    // All at once, where they were decoded one by one.
    const decoded = await Promise.all(
      together.map(({ payload }, i) => there.decode(payload, tiles[i] as Image, quality)),
    )
    const changed = decoded.filter(
      (image, i) => largestDifference(image, (together[i] as (typeof together)[0]).decoded) > 0,
    )
    const seconds = (Date.now() - began) / 1000
    say('exactness', { quality, tiles: tiles.length, differentAlone, changed: changed.length, alike, largest, seconds })
    if (differentAlone > 0 || changed.length > 0 || largest > 1) isRight = false
  }
}

/** How fast tiles are encoded with half floats or without, and with matrix units if it has any, and at what rate and error. */
async function checkHalfFloats(): Promise<void> {
  const model = await loadModel(options.model)
  const [smallest = 512] = sides
  const tiles = (await drawnTiles()).filter(({ width, height }) => width === smallest && height === smallest)
  const uses = (['none', 'shuffles', 'matrices'] as const).map((subgroups) => ({ subgroups }))
  for (const ways of [{}, ...uses, { halfFloats: false }, {}]) {
    using backend = await WebGpuBackend.open(await pickAdapter(options.adapter), ways)
    const { subgroups } = backend
    using codec = new TileCodec(model, backend)
    const checked = await Promise.all(tiles.map((tile) => codec.encodeChecked(tile, 50)))
    const bytes = checked.reduce((sum, { payload }) => sum + payload.length, 0)
    const errors = checked.map(({ decoded }, i) => meanSquaredError(tiles[i] as Image, decoded, decoded))
    const pixels = tiles.length * smallest ** 2
    const atOnce = backend.tilesInFlight * backend.tilesTogether
    // Compiles the graph that is timed, for the batches that are.
    await Promise.all(Array.from({ length: atOnce }, (_, i) => codec.encode(tiles[i % tiles.length] as Image, 50)))
    const until = Math.min(end, Date.now() + 3000 * Number(options.seconds))
    let count = 0
    const began = Date.now()
    const encode = async () => {
      while (Date.now() < until) await codec.encode(tiles[count++ % tiles.length] as Image, 50)
    }
    await Promise.all(Array.from({ length: atOnce }, encode))
    const seconds = (Date.now() - began) / 1000
    const megapixelsPerSecond = (count * smallest ** 2) / 1e6 / seconds
    const psnr = psnrAt(errors.reduce((sum, error) => sum + error, 0) / errors.length)
    say('half floats', { ...ways, subgroups, tile: smallest, megapixelsPerSecond, bpp: (8 * bytes) / pixels, psnr })
  }
}

/** The report of `bench speed` of a checkout, without what doesn't change. */
async function speed(folder: string, device: string, label: string): Promise<void> {
  const left = end - Date.now()
  if (left < 20_000) {
    say('speed', { label, skipped: 'no time is left' })
    return
  }
  const main = join(folder, 'dist/cli/main.js')
  const argv = [main, 'bench', 'speed', '--device', device, '--parts', 'tiles,stages', '--tiles', options.tiles]
  argv.push('--slide', `synthetic:${options.side}x${options.side}`, '--seconds', options.seconds, '--json')
  if (options.model !== undefined) argv.push('--model', resolve(options.model))
  try {
    const run = promisify(execFile)(process.execPath, argv, { cwd: folder, timeout: left, maxBuffer: 2 ** 26 })
    const { tiles, stages, failures, peaks } = JSON.parse((await run).stdout)
    say('speed', { label, folder, peaks, tiles, stages: stages?.stages, failures })
  } catch (error) {
    const { killed, stderr, message } = error as { killed?: boolean; stderr?: string; message: string }
    say('speed', { label, folder, failed: killed ? 'out of time' : (stderr || message).slice(-2000) })
    isRight = false
  }
}

const began = Date.now()
const found = await pickAdapter(options.adapter)
const { name, backend: api, software, limits } = found.description
say('device', { name, api, software, limits })
if (parts.includes('exactness')) {
  using backend = await WebGpuBackend.open(found)
  await checkExactness(backend)
}
if (parts.includes('halves')) await checkHalfFloats()
say('checked', { isRight, seconds: (Date.now() - began) / 1000 })
const root = fileURLToPath(new URL('..', import.meta.url))
if (parts.includes('speed')) await speed(root, name, 'after')
if (parts.includes('speed') && options.before !== undefined) {
  await speed(resolve(options.before), name, 'before')
  await speed(root, name, 'after, again')
}
say('done', { isRight, seconds: (Date.now() - began) / 1000 })
process.exitCode = isRight ? 0 : 1

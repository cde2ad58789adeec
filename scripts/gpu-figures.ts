/**
 * Figures of a GPU that `bench speed` doesn't have, as lines of JSON, each part by itself:
 *
 *     npx tsx scripts/gpu-figures.ts --parts adapter,opening,checking,batches,kernels,matrices [--adapter NAME] [--slide FILE] [--tile 512]
 *                                    [--model FILE] [--repeats 5] [--batches 8x3,1x3]
 *
 * - `adapter`: all features, limits and matrix configurations of the adapter.
 * - `opening`: seconds until a codec is open, and of its first and second tile each way.
 * - `checking`: compression of the slide unchecked and checked, by turns.
 * - `batches`: compression and decoding with so many tiles a batch, and so many batches in flight.
 * - `kernels`: what each dispatch of a tile takes, by timestamps, where the adapter has them.
 * - `matrices`: what the device's matrix units reach, where Dawn offers them.
 *
 * Needs the built package (`npm run build`), as it measures through the bench.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Codec, compressSlide, openCodec, openSlide } from 'cleric'
import { type Backend, DEFAULT_MODEL_FILE, loadModel, pickAdapter, WebGpuBackend } from 'cleric/internal'
import type { Failure } from '../bench/src/speed/context.js'
import { benchStages } from '../bench/src/speed/stages.js'
import { describeAdapter } from './gpu-figures/adapter.js'
import { timeKernels } from './gpu-figures/kernel-times.js'
import { timeMatrices } from './gpu-figures/matrices.js'

const { values: options } = parseArgs({
  options: {
    parts: { type: 'string' },
    adapter: { type: 'string' },
    slide: { type: 'string', default: 'synthetic:3072x3072' },
    tile: { type: 'string', default: '512' },
    model: { type: 'string' },
    repeats: { type: 'string', default: '5' },
    batches: { type: 'string', default: '8x3,1x3,4x3,2x3,4x2,4x6' },
  },
})
const PARTS = ['adapter', 'opening', 'checking', 'batches', 'kernels', 'matrices']
const parts = (options.parts ?? PARTS.join()).split(',')
for (const part of parts) if (!PARTS.includes(part)) throw new RangeError(`No part is named ${part}`)
const side = Number(options.tile)
const repeats = Number(options.repeats)
const choice = { device: 'webgpu', model: options.model, adapter: options.adapter } as const
const QUALITY = 60

function say(part: string, facts: object): void {
  console.log(JSON.stringify({ part, ...facts }))
}

async function secondsOf<T>(run: () => Promise<T>): Promise<[T, number]> {
  const began = performance.now()
  const result = await run()
  return [result, (performance.now() - began) / 1000]
}

/** The middle of the slide. */
async function tissue(): Promise<{ data: Uint8Array; width: number; height: number }> {
  using slide = await openSlide(options.slide)
  const { width, height } = slide.levels[0] as { width: number; height: number }
  const corner = { x: Math.max(0, (width - side) >> 1), y: Math.max(0, (height - side) >> 1) }
  return await slide.readRegion({ ...corner, level: 0, width: side, height: side })
}

async function opening(): Promise<void> {
  const image = await tissue()
  const [codec, open] = await secondsOf(() => openCodec(choice))
  using _ = codec
  const [tile, firstEncode] = await secondsOf(() => codec.encodeTile(image, { quality: QUALITY }))
  const [, firstDecode] = await secondsOf(() => codec.decodeTile(tile))
  const [, encode] = await secondsOf(() => codec.encodeTile(image, { quality: QUALITY }))
  const [, decode] = await secondsOf(() => codec.decodeTile(tile))
  say('opening', { device: codec.device.name, tile: side, open, firstEncode, firstDecode, encode, decode })
}

async function compress(codec: Codec, output: string, check: 'none' | 'sample') {
  const { bpp, bytes, seconds, deviceBusy, readSeconds, writeSeconds, checks } = await compressSlide(
    options.slide,
    output,
    { codec, check, quality: QUALITY, keepSourceTiles: 'never', overwrite: true },
  )
  const megapixels = (8 * bytes) / bpp / 1e6
  const speed = { check, megapixels, seconds, megapixelsPerSecond: megapixels / seconds }
  return { ...speed, deviceBusy, readSeconds, writeSeconds, bpp, codecs: checks?.codecs }
}

async function checking(folder: string): Promise<void> {
  using codec = await openCodec(choice)
  const output = join(folder, 'checked.cleric.tif')
  // The first of each compiles its graphs.
  const best = { none: Number.POSITIVE_INFINITY, sample: Number.POSITIVE_INFINITY }
  for (let turn = 0; turn < 3; turn++) {
    for (const check of ['none', 'sample'] as const) {
      const figures = await compress(codec, output, check)
      say('checking', { turn, ...figures })
      best[check] = Math.min(best[check], figures.seconds)
    }
    if (turn > 0) say('checking', { turn, ratio: best.sample / best.none })
  }
}

/** The backend with `most` tiles a batch, whatever it holds to fit, and so many batches in flight. */
async function withBatches(most: number, tilesInFlight: number): Promise<Backend> {
  const opened = performance.now()
  const backend = await WebGpuBackend.open(await pickAdapter(options.adapter))
  const { kind, name } = backend
  return {
    ...{ kind, name, tilesInFlight, tilesTogether: most },
    batchOf: () => most,
    compile: (graph, parameters, batch) => backend.compile(graph, parameters, batch),
    get isLost() {
      return backend.isLost
    },
    close: () => {
      // Seconds of both directions, each of them done twice.
      const seconds = (performance.now() - opened) / 1000
      say('batches', { most, inFlight: tilesInFlight, seconds, hostSeconds: backend.hostSeconds })
      backend.close()
    },
  }
}

async function batches(folder: string): Promise<void> {
  const model = await loadModel(options.model)
  for (const id of options.batches.split(',')) {
    const [most = 1, inFlight = 1] = id.split('x').map(Number)
    const device = { id, kind: 'webgpu', software: false, open: () => withBatches(most, inFlight) } as const
    const failures: Failure[] = []
    const context = {
      ...{ model, modelFile: options.model ?? DEFAULT_MODEL_FILE.pathname, devices: [device], tiles: [side] },
      ...{ seconds: 1, quality: QUALITY, note: () => {}, failures },
    }
    const { stages } = await benchStages(context, options.slide, 0, folder)
    for (const { device: _, ...stage } of stages) say('batches', { most, inFlight, ...stage })
    for (const failure of failures) say('batches', { failure })
  }
}

const folder = await mkdtemp(join(tmpdir(), 'cleric-figures-'))
try {
  for (const part of parts) {
    if (part === 'adapter') say(part, { adapter: await describeAdapter(options.adapter) })
    else if (part === 'opening') await opening()
    else if (part === 'checking') await checking(folder)
    else if (part === 'batches') await batches(folder)
    else if (part === 'matrices') await timeMatrices(options.adapter, (facts) => say(part, facts))
    else {
      const model = await loadModel(options.model)
      for (const batch of [1, 8]) say(part, await timeKernels(model, await tissue(), batch, repeats, options.adapter))
    }
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}

/**
 * How fast everything but the network is: a slide is compressed, unchecked and checked, and decoded with a device that is
 * done at once. No GPU can make a run faster than that.
 *
 *     npx tsx scripts/host-speed.ts [--slide FILE] [--repeats 3]
 *
 * Prints a line of JSON for each run. `threadMilliseconds`: in which JavaScript's thread was at work, a tile, or kept from
 * it by what else the machine does; `threadProcessorMilliseconds`: in which a core worked for it (Linux only, else null);
 * `processorMilliseconds`: the same of all threads. The device's symbols are all zeros, and its pixels those that it was
 * given, so that each tile is stored as the network has it.
 */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { readAllTiles } from '../bench/src/speed/stages.js'
import { openArchiveOf } from '../src/archive/archive.js'
import { type Codec, codecOn, type PayloadCodec } from '../src/codec/codec.js'
import { compressSlide } from '../src/compress/compress.js'
import { openBytes } from '../src/files/byte-source.js'
import { loadModel } from '../src/model/model.js'
import type { Backend, Graph, PortData, Tensor } from '../src/network/graph.js'
import { ARRAY_OF, portElements } from '../src/network/ports.js'
import { nextTurn } from '../src/webgpu/event-loop.js'

const { values: options } = parseArgs({
  options: { slide: { type: 'string', default: 'synthetic:6144x6144' }, repeats: { type: 'string', default: '3' } },
})

/** Gives each stage's outputs in the next turn of the event loop. */
const backend: Backend = {
  kind: 'webgpu',
  name: 'a device that is done at once',
  tilesInFlight: 3,
  tilesTogether: 8,
  isLost: false,
  batchOf: () => 4,
  compile: async (graph) => {
    const run = async (stage: number, inputs: readonly (ReadonlyMap<Tensor, PortData> | null)[]) => {
      await nextTurn()
      return inputs.map((own, tile) => own && outputsOf(graph, stage, own, tile))
    }
    const shown = new Map<number, Uint8Array>()
    const outputsOf = ({ stages }: Graph, stage: number, inputs: ReadonlyMap<Tensor, PortData>, tile: number) => {
      for (const data of inputs.values()) if (data instanceof Uint8Array) shown.set(tile, data)
      return new Map(
        (stages[stage]?.outputs ?? []).map((port) => {
          const pixels = port.format === 'rgb8' && shown.get(tile)?.slice()
          return [port.tensor, pixels || new ARRAY_OF[port.format](portElements(port))] as const
        }),
      )
    }
    return {
      run: async (stage, inputs) => (await run(stage, [inputs]))[0] as Map<Tensor, PortData>,
      runBatch: run,
      close: () => {},
    }
  },
  close: () => {},
}

/** The codec, but for what reads tiles back to see whether they decode to what was encoded. */
function withoutVerifying(codec: Codec): PayloadCodec {
  return {
    ...{ model: codec.model, device: codec.device, tilesInFlight: codec.tilesInFlight },
    encodePayload: codec.encodePayload.bind(codec),
    decodePayload: codec.decodePayload.bind(codec),
    encodeCheckedPayload: (image, quality, check) =>
      codec.encodeCheckedPayload(image, quality, { ...check, verify: false }),
  }
}

/** Milliseconds that JavaScript's thread has had of a core; null where the system doesn't tell. */
function ownMilliseconds(): number | null {
  if (process.platform !== 'linux') return null
  const [nanoseconds] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')
  return Number(nanoseconds) / 1e6
}

async function timed(what: string, run: () => Promise<{ pixels: number; tiles: number }>): Promise<void> {
  const [began, loop, processor] = [performance.now(), performance.eventLoopUtilization(), process.cpuUsage()]
  const own = ownMilliseconds()
  const { pixels, tiles } = await run()
  const seconds = (performance.now() - began) / 1000
  const { user, system } = process.cpuUsage(processor)
  const threadMilliseconds = performance.eventLoopUtilization(loop).active / tiles
  const ownNow = ownMilliseconds()
  const threadProcessorMilliseconds = own === null || ownNow === null ? null : (ownNow - own) / tiles
  const processorMilliseconds = (user + system) / 1000 / tiles
  const megapixelsPerSecond = pixels / 1e6 / seconds
  const rate = { what, tiles, seconds, megapixelsPerSecond }
  console.log(JSON.stringify({ ...rate, threadMilliseconds, threadProcessorMilliseconds, processorMilliseconds }))
}

const folder = await mkdtemp(join(tmpdir(), 'cleric-host-'))
const archive = join(folder, 'slide.cleric.tif')
using codec = codecOn(await loadModel(), backend)
try {
  for (let i = 0; i < Number(options.repeats); i++) {
    for (const check of ['none', 'sample'] as const) {
      await timed(`compress, check ${check}`, async () => {
        const settings = { codec: withoutVerifying(codec), check, keepSourceTiles: 'never', overwrite: true } as const
        const { bytes, bpp, tiles } = await compressSlide(options.slide, archive, settings)
        return { pixels: (8 * bytes) / bpp, tiles }
      })
    }
    await timed('decode', async () => {
      using read = await openArchiveOf(() => openBytes(archive), { codec, cacheBytes: 0 })
      return await readAllTiles(read, codec.tilesInFlight)
    })
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}

/**
 * Measures memory, each run in a process of its own. Ends with status 1 if one takes too much.
 *
 *     npm run test:memory -- 8192x8192 100000x80000 --parts slides,cycles --limit 1536 --device cpu --cycles 10000
 *
 * slides: the most memory that compress, validate and export ever take, in MiB, for slides of the given sizes. The
 * slides are put together from a few drawn tiles, and a stand-in codes them, so that tens of thousands of tiles take
 * minutes. The real codec is open on the device all the while (`--device none`: it isn't), with what it needs for a
 * tile.
 *
 * cycles: what a real codec leaves behind when it encodes and decodes many small tiles, on the processor, and on WebGPU
 * where there is an adapter (a software one takes 20 minutes for as many; `--adapter NAME` says which), or on the device
 * given. When all is warm neither the process nor JavaScript's heap may grow by more than 2 %, and what was made on the GPU
 * must be destroyed when the codec is closed. Each of 40 looks is printed, so that a run that is stopped has told something.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { DeviceKind } from '../src/codec/arguments.js'
import { DeviceError } from '../src/errors.js'
import { pickAdapter } from '../src/webgpu/adapters.js'
import { COMMANDS, growth, measure, measureCycles } from '../test/memory/measure.js'
import { nanoModelFile } from '../test/network/golden.js'

const MAX_GROWTH = 0.02

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    parts: { type: 'string', default: 'slides,cycles' },
    limit: { type: 'string', default: '1536' },
    device: { type: 'string', default: 'auto' },
    cycles: { type: 'string', default: '10000' },
    model: { type: 'string' },
    adapter: { type: 'string' },
  },
})
const mebibytes = (bytes: number) => Math.round(bytes / 2 ** 20)
const percent = (share: number) => `${(100 * share).toFixed(2)} %`

async function measureSlides(sizes: readonly string[], folder: string): Promise<void> {
  const device = values.device as DeviceKind | 'none'
  const model = values.model ? { model: values.model } : {}
  const codec = device === 'none' ? null : { device, ...model }
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
}

async function measureLeaks(device: 'cpu' | 'webgpu', cycles: number): Promise<void> {
  const adapter = device === 'webgpu' && values.adapter ? { adapter: values.adapter } : {}
  const run = { model: fileURLToPath(nanoModelFile), device, ...adapter, cycles, leakBytes: 0 }
  const started = performance.now()
  const {
    looks,
    seconds,
    device: name,
    gpuMade,
    gpuAlive,
  } = await measureCycles(run, (look) => {
    const after = ((performance.now() - started) / 1000).toFixed(0)
    const kibibytes = (bytes: number) => Math.round(bytes / 1024)
    console.log(
      `${look.cycles} cycles after ${after} s: ${kibibytes(look.rssBytes)} KiB resident, ${kibibytes(look.heapBytes)} KiB of heap, ` +
        `${look.gpuMade} resources of the GPU made, ${look.gpuAlive} in use`,
    )
  })
  const [rss, heap] = [growth(looks, 'rssBytes'), growth(looks, 'heapBytes')]
  const end = looks.at(-1)
  console.log(
    `${cycles} tiles encoded and decoded on ${name}: ${mebibytes(end?.rssBytes ?? 0)} MiB resident, which grew by ${percent(rss)}, ` +
      `${mebibytes(end?.heapBytes ?? 0)} MiB of heap, which grew by ${percent(heap)}; ` +
      `${gpuMade} resources of the GPU made, ${gpuAlive} of them not destroyed; ${seconds.toFixed(0)} s`,
  )
  if (rss > MAX_GROWTH || heap > MAX_GROWTH || gpuAlive > 0) process.exitCode = 1
}

const parts = values.parts.split(',')
if (parts.includes('slides')) {
  const folder = mkdtempSync(join(tmpdir(), 'cleric-memory-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  await measureSlides(positionals.length > 0 ? positionals : ['8192x8192', '100000x80000'], folder)
}
if (parts.includes('cycles')) {
  const cycles = Number(values.cycles)
  if (!(Number.isInteger(cycles) && cycles > 0))
    throw new Error(`Expected a number of cycles but received ${values.cycles}`)
  if (values.device !== 'webgpu') await measureLeaks('cpu', cycles)
  if (values.device !== 'cpu') {
    const adapter = await pickAdapter(values.adapter).catch((error: unknown) => {
      if (error instanceof DeviceError && error.code === 'ERR_NO_DEVICE') return error
      throw error
    })
    if (adapter instanceof DeviceError) console.log(`WebGPU: not measured. ${adapter.message}`)
    else await measureLeaks('webgpu', cycles)
  }
}

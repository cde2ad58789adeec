/** `bench speed`: how fast this machine encodes and decodes, where the time goes, and beside whom. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DEFAULT_MODEL_FILE, loadModel, openAny, openCpu } from 'cleric/internal'
import type { Failure, SpeedContext, SpeedPart } from './context.js'
import { chooseDevices, type SpeedDevice } from './devices.js'
import { benchPeers, peerTile } from './peers.js'
import type { Preset } from './presets.js'
import type { SpeedFacts, SpeedReport } from './report.js'
import { benchScaling } from './scaling.js'
import { drawSpeed } from './speed-plots.js'
import { benchStages } from './stages.js'
import { benchTable3 } from './table3.js'
import { benchTiles } from './tiles.js'

export interface SpeedOptions {
  /** See {@link chooseDevices}. */
  readonly devices: readonly string[]
  /** File; default: the model that ships. */
  readonly model?: string | undefined
  /** Sides of tiles, multiples of 64 up to 1024. */
  readonly tiles: readonly number[]
  /** For `stages`; default: a drawn one. */
  readonly slide?: string | undefined
  /** Sides of drawn slides, ascending, for `scaling`; the middle one is for `stages`. */
  readonly sizes: readonly number[]
  /** Folder of onnxruntime-node. */
  readonly runtime?: string | undefined
  /** Least length of a measurement. */
  readonly seconds: number
  readonly parts: readonly SpeedPart[]
  /** For `table3`. */
  readonly presets: readonly Preset[]
  /** Whether to draw. */
  readonly figures: boolean
  readonly signal?: AbortSignal | undefined
  readonly onStart?: ((facts: SpeedFacts) => void) | undefined
  readonly onProgress?: ((done: number, total: number, what: string) => void) | undefined
}

export interface SpeedRun {
  readonly report: SpeedReport
  /** SVG by file name. */
  readonly figures: ReadonlyMap<string, string>
}

const QUALITY = 60

/** @throws DeviceError ERR_NO_DEVICE; what opening model and slide throws; AbortedError */
export async function benchSpeed(options: SpeedOptions): Promise<SpeedRun> {
  const { seconds, signal, parts } = options
  const modelFile = options.model ?? fileURLToPath(DEFAULT_MODEL_FILE)
  const model = await loadModel(modelFile)
  const devices = await chooseDevices(options.devices)
  // Before minutes are spent.
  if (options.slide !== undefined) (await openAny(options.slide, { signal })).close()
  const facts = await factsOf(devices, model, seconds)
  options.onStart?.(facts)
  let done = 0
  const tiles = [...new Set(options.tiles)].sort((a, b) => a - b)
  const failures: Failure[] = []
  const note = (what: string) => options.onProgress?.(done, parts.length, what)
  const context: SpeedContext = { model, modelFile, devices, tiles, seconds, quality: QUALITY, signal, note, failures }
  const folder = await mkdtemp(join(tmpdir(), 'cleric-speed-'))
  const { sizes } = options
  const tile = peerTile(tiles)
  try {
    const only = async <T>(part: SpeedPart, run: () => Promise<T>): Promise<T | undefined> => {
      if (!parts.includes(part)) return undefined
      const result = await run()
      done++
      return result
    }
    const middle = sizes[(sizes.length - 1) >> 1] as number
    const measured = {
      ...(await only('tiles', () => benchTiles(context))),
      ...named('stages', await only('stages', () => benchStages(context, options.slide ?? null, middle, folder))),
      ...named('peers', await only('peers', () => benchPeers(context, options.runtime ?? null))),
      ...named(
        'scaling',
        await only('scaling', () => benchScaling(context, tile, sizes, availableParallelism(), folder)),
      ),
      ...named('table3', await only('table3', () => benchTable3(context, tile, options.presets))),
    }
    const report: SpeedReport = { ...facts, ...measured, failures }
    return { report, figures: options.figures ? await drawSpeed(report) : new Map() }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** An object of one entry; an empty one for what isn't there. */
function named<K extends string, T>(name: K, value: T | undefined): { readonly [P in K]?: T } {
  return (value === undefined ? {} : { [name]: value }) as { readonly [P in K]?: T }
}

async function factsOf(
  devices: readonly SpeedDevice[],
  { name, hash }: { readonly name: string; readonly hash: string },
  seconds: number,
): Promise<SpeedFacts> {
  const cpu = await openCpu()
  const { isa, threads } = cpu
  cpu.close()
  const versionIn = async (file: string) => String(JSON.parse(await readFile(file, 'utf8')).version)
  const cleric = createRequire(import.meta.url).resolve('cleric/package.json')
  const webgpuVersion = async () => {
    try {
      return await versionIn(createRequire(cleric).resolve('webgpu/package.json'))
    } catch {
      // An optional package, which a processor needs nothing of.
      return null
    }
  }
  return {
    format: 'cleric-bench-speed/1',
    date: new Date().toISOString(),
    machine: {
      processor: cpus()[0]?.model.trim() ?? 'unknown',
      platform: `${process.platform} ${process.arch}`,
      threads,
      instructionSet: isa,
      memoryBytes: totalmem(),
    },
    versions: {
      cleric: await versionIn(cleric),
      node: process.version,
      webgpu: await webgpuVersion(),
    },
    model: { name, hash },
    devices: devices.map(({ id, kind, software }) => ({ id, kind, software })),
    ...{ quality: QUALITY, seconds },
  }
}

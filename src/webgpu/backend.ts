/** The WebGPU backend: runs graphs on a GPU, or on a processor through a software adapter. */
import type { Backend, Executable, Graph, Parameters } from '../network/graph.js'
import { type AdapterDescription, type FoundAdapter, pickAdapter } from './adapters.js'
import { Device } from './device.js'
import { GraphExecutable } from './executable.js'
import { HostClock } from './host-clock.js'
import { PipelineCache } from './pipelines.js'
import { type Fitting, fittingBatch, type GraphWork, workOf } from './plan.js'
import { type CompileWith, fastestUse } from './subgroup-trial.js'
import { featuresOf, NO_SUBGROUPS, type SubgroupUse, subgroupsOf } from './subgroups.js'
import { WeightCache } from './weights.js'

/** Tiles that may be computed at once. */
const BATCHES = [8, 4, 2] as const
/**
 * The most that the textures of a graph's tensors take in batches, beside which its buffers are small; a few graphs are
 * kept. WebGPU doesn't tell how much memory there is: where a batch finds too little, codec/batches.ts makes it smaller.
 */
const MOST_BATCH_BYTES = 1.5 * 2 ** 30

/** What convolutions do with subgroups, by adapter: tried once. */
const tried = new Map<string, SubgroupUse>()

interface OpenOptions {
  readonly halfFloats?: boolean
  readonly subgroups?: 'none' | 'shuffles' | 'matrices'
}

export class WebGpuBackend implements Backend, Disposable {
  readonly kind = 'webgpu'
  readonly tilesInFlight: number
  readonly tilesTogether: number
  readonly adapter: AdapterDescription
  readonly #halfFloats: boolean
  readonly #device: Device
  readonly #pipelines: PipelineCache
  readonly #weights: WeightCache
  readonly #host = new HostClock()
  readonly #executables = new Set<Executable>()

  /** Nothing until a trial has shown that it pays. */
  #subgroups = NO_SUBGROUPS

  private constructor(adapter: AdapterDescription, device: Device, halfFloats: boolean) {
    // A software adapter's threads are busy with one tile already, and a second would only take memory of the process.
    this.tilesInFlight = adapter.software ? 1 : 3
    this.tilesTogether = adapter.software ? 1 : BATCHES[0]
    this.adapter = adapter
    this.#halfFloats = halfFloats
    this.#device = device
    this.#pipelines = new PipelineCache(device)
    this.#weights = new WeightCache(device, halfFloats)
  }

  /**
   * Opens a device on a found adapter, which must not have been opened before.
   *
   * @param options.halfFloats whether the encoder's transforms keep their tensors as half floats, and all transforms
   *   their weights, which models hold as such; default: on a GPU, which waits for its memory; a software adapter would
   *   only spend time on converting
   * @param options.subgroups what the transforms' convolutions use of it if it is there, matrices only with half floats;
   *   default: on a GPU what a trial shows to be right and faster
   */
  static async open(
    found: FoundAdapter,
    { halfFloats = !found.description.software, subgroups }: OpenOptions = {},
  ): Promise<WebGpuBackend> {
    const { description, adapter } = found
    const there = description.software || subgroups === 'none' ? NO_SUBGROUPS : subgroupsOf(found)
    const offered = halfFloats && subgroups !== 'shuffles' ? there : { ...there, matrices: null }
    const device = await Device.open(adapter, description.software, featuresOf(offered))
    const backend = new WebGpuBackend(description, device, halfFloats)
    if (subgroups !== undefined) {
      backend.#subgroups = offered
      return backend
    }
    const compile: CompileWith = (graph, parameters, use) => {
      backend.#subgroups = use
      return backend.compile(graph, parameters)
    }
    const trial = `${description.name} ${description.description} ${halfFloats}`
    try {
      const use = tried.get(trial) ?? (await fastestUse(offered, compile))
      tried.set(trial, use)
      backend.#subgroups = use
    } catch (error) {
      backend.close()
      throw error
    }
    // Those of the trial.
    backend.#weights.close()
    if (!backend.isLost) return backend
    // The trial lost the device: without one, another of the same adapter is as good as before.
    backend.close()
    return WebGpuBackend.open(await pickAdapter(description.name), { halfFloats, subgroups: 'none' })
  }

  /**
   * The adapter's, and whether matrix units are used: by them y may round another way, so that an archive that was begun
   * with them is only gone on with by them.
   */
  get name(): string {
    const { name } = this.adapter
    return this.#subgroups.matrices ? `${name} with matrix units` : name
  }

  /**
   * The most of 8, 4 and 2 tiles that fit the device's limits, and a share of memory that any GPU has; 1 for a software
   * adapter, whose threads are busy with one.
   */
  batchOf(graph: Graph, parameters: Parameters): number {
    if (this.adapter.software) return 1
    return fittingBatch(graph, parameters, this.#fitting, BATCHES, MOST_BATCH_BYTES) ?? 1
  }

  /** What the device is handed for a graph. */
  workOf(graph: Graph, parameters: Parameters): GraphWork {
    return workOf(graph, parameters, this.#fitting)
  }

  get #fitting(): Fitting {
    const use = { halfFloats: this.#halfFloats, subgroups: this.#subgroups }
    return { software: this.adapter.software, ...use, limits: this.#device.gpu.limits }
  }

  async compile(graph: Graph, parameters: Parameters, batch = 1): Promise<Executable> {
    this.#device.check()
    const resources = {
      device: this.#device,
      pipelines: this.#pipelines,
      weights: this.#weights,
      software: this.adapter.software,
      halfFloats: this.#halfFloats,
      subgroups: this.#subgroups,
      host: this.#host,
    }
    const executable = await GraphExecutable.compile(graph, parameters, resources, batch)
    this.#executables.add(executable)
    executable.onClose = () => this.#executables.delete(executable)
    return executable
  }

  /** What the transforms' convolutions use. */
  get subgroups(): SubgroupUse {
    return this.#subgroups
  }

  get hostSeconds(): number {
    return this.#host.seconds
  }

  get isLost(): boolean {
    return this.#device.isLost
  }

  /** Frees everything; whatever is still running rejects with ERR_CLOSED. */
  close(): void {
    for (const executable of this.#executables) executable.close()
    this.#executables.clear()
    this.#weights.close()
    this.#device.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/**
 * Opens the best adapter, or the best of those whose name contains `adapter` (any case).
 * Throws DeviceError ERR_NO_DEVICE with what to install where there is none.
 *
 * @example
 * const backend = await openWebGpu()
 * const executable = await backend.compile(graph, parameters)
 */
export async function openWebGpu(options: { readonly adapter?: string } = {}): Promise<WebGpuBackend> {
  return WebGpuBackend.open(await pickAdapter(options.adapter))
}

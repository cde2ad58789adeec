/** The WebGPU backend: runs graphs on a GPU, or on a processor through a software adapter. */
import type { Backend, Executable, Graph, Parameters } from '../network/graph.js'
import { type AdapterDescription, type FoundAdapter, pickAdapter } from './adapters.js'
import { Device } from './device.js'
import { GraphExecutable } from './executable.js'
import { HostClock } from './host-clock.js'
import { PipelineCache } from './pipelines.js'
import { WeightCache } from './weights.js'

export class WebGpuBackend implements Backend, Disposable {
  readonly kind = 'webgpu'
  readonly name: string
  readonly tilesInFlight: number
  readonly adapter: AdapterDescription
  readonly #device: Device
  readonly #pipelines: PipelineCache
  readonly #weights: WeightCache
  readonly #host = new HostClock()
  readonly #executables = new Set<Executable>()

  private constructor(adapter: AdapterDescription, device: Device) {
    this.name = adapter.name
    // A software adapter's threads are busy with one tile already, and a second would only take memory of the process.
    this.tilesInFlight = adapter.software ? 1 : 3
    this.adapter = adapter
    this.#device = device
    this.#pipelines = new PipelineCache(device)
    this.#weights = new WeightCache(device)
  }

  /** Opens a device on a found adapter, which must not have been opened before. */
  static async open({ description, adapter }: FoundAdapter): Promise<WebGpuBackend> {
    return new WebGpuBackend(description, await Device.open(adapter, description.software))
  }

  async compile(graph: Graph, parameters: Parameters): Promise<Executable> {
    this.#device.check()
    const executable = await GraphExecutable.compile(graph, parameters, {
      device: this.#device,
      pipelines: this.#pipelines,
      weights: this.#weights,
      software: this.adapter.software,
      host: this.#host,
    })
    this.#executables.add(executable)
    executable.onClose = () => this.#executables.delete(executable)
    return executable
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

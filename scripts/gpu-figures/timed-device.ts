/** A device whose passes hold one dispatch each, between timestamps: nothing of the backend knows of it. */
import type { FoundAdapter } from '../../src/webgpu/adapters.js'
import { GPUBufferUsage, GPUMapMode } from '../../src/webgpu/constants.js'
import { unsafeAdapter } from './unsafe-adapter.js'

/** Queries of a set, at most; two a dispatch. */
const MOST_QUERIES = 4096

export interface TimedAdapter {
  readonly found: FoundAdapter
  /** Forgets what was timed. */
  restart(): void
  /** What each dispatch since then took, in order. */
  nanoseconds(): Promise<number[]>
}

/** The adapter that is picked by name, opened for timing; null where it has no timestamps. */
export async function timedAdapter(name: string | undefined): Promise<TimedAdapter | null> {
  // Timestamps come in steps of 0.1 ms unless Dawn is told otherwise.
  const { description, adapter } = await unsafeAdapter(name, 'disable-dawn-features=timestamp_quantization')
  if (!adapter.features.has('timestamp-query')) return null
  let timer: DispatchTimer | null = null
  const opened = {
    ...{ limits: adapter.limits, info: adapter.info },
    requestDevice: async (descriptor: GPUDeviceDescriptor) => {
      const requiredFeatures = [...(descriptor.requiredFeatures ?? []), 'timestamp-query' as const]
      const device = await adapter.requestDevice({ ...descriptor, requiredFeatures })
      timer = new DispatchTimer(device)
      return device
    },
  }
  const timerNow = () => timer as unknown as DispatchTimer
  return {
    found: { description, adapter: opened as unknown as GPUAdapter },
    restart: () => timerNow().restart(),
    nanoseconds: () => timerNow().nanoseconds(),
  }
}

class DispatchTimer {
  readonly #device: GPUDevice
  readonly #queries: GPUQuerySet
  readonly #resolved: GPUBuffer
  readonly #staging: GPUBuffer
  #count = 0

  constructor(device: GPUDevice) {
    this.#device = device
    this.#queries = device.createQuerySet({ type: 'timestamp', count: MOST_QUERIES })
    const size = 8 * MOST_QUERIES
    this.#resolved = device.createBuffer({ size, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC })
    this.#staging = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ })
    const create = device.createCommandEncoder.bind(device)
    device.createCommandEncoder = (descriptor) => this.#timed(create(descriptor))
  }

  restart(): void {
    this.#count = 0
  }

  async nanoseconds(): Promise<number[]> {
    const count = this.#count
    if (count === 0) return []
    const encoder = this.#device.createCommandEncoder()
    encoder.resolveQuerySet(this.#queries, 0, 2 * count, this.#resolved, 0)
    encoder.copyBufferToBuffer(this.#resolved, 0, this.#staging, 0, 16 * count)
    this.#device.queue.submit([encoder.finish()])
    await this.#staging.mapAsync(GPUMapMode.READ)
    const times = new BigUint64Array(this.#staging.getMappedRange(0, 16 * count).slice(0))
    this.#staging.unmap()
    return Array.from({ length: count }, (_, i) => Number((times[2 * i + 1] as bigint) - (times[2 * i] as bigint)))
  }

  /** The encoder, with passes that are cut into one a dispatch. */
  #timed(encoder: GPUCommandEncoder): GPUCommandEncoder {
    const begin = encoder.beginComputePass.bind(encoder)
    encoder.beginComputePass = () => {
      let pipeline: GPUComputePipeline | null = null
      let group: GPUBindGroup | null = null
      const pass = {
        setPipeline: (next: GPUComputePipeline) => {
          pipeline = next
        },
        setBindGroup: (_: number, next: GPUBindGroup) => {
          group = next
        },
        dispatchWorkgroups: (...workgroups: [number, number, number]) => {
          const at = 2 * this.#count++
          const own = begin({
            timestampWrites: { querySet: this.#queries, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 },
          })
          own.setPipeline(pipeline as unknown as GPUComputePipeline)
          own.setBindGroup(0, group)
          own.dispatchWorkgroups(...workgroups)
          own.end()
        },
        end: () => {},
      }
      return pass as unknown as GPUComputePassEncoder
    }
    return encoder
  }
}

/** Binds a plan to a device: the textures, buffers and bind groups that it needs, and from them the steps to encode. */
import type { Parameters, Port, Tensor } from '../network/graph.js'
import { GPUBufferUsage, GPUTextureUsage } from './constants.js'
import type { Device, ErrorScopes } from './device.js'
import {
  type Action,
  type Copy,
  type Dispatch,
  isCopy,
  isPortBuffer,
  isTensor,
  type LaidShape,
  type PortBuffer,
  type Weights,
} from './dispatch.js'
import type { HostClock } from './host-clock.js'
import { portBuffer } from './kernels/ports.js'
import { checkLimit } from './limits.js'
import type { Pipeline, PipelineCache } from './pipelines.js'
import type { Plan } from './plan.js'
import { packParams } from './shader.js'
import type { SubgroupUse } from './subgroups.js'
import { arrayView, createTexture, tensorFormat, tensorSize } from './textures.js'
import type { WeightCache } from './weights.js'

/** Offsets of uniform bindings are multiples of this on every device. */
const UNIFORM_STEP = 256
/** So are those of storage bindings. */
const STORAGE_STEP = 256

interface DispatchStep {
  readonly name: string
  readonly pipeline: GPUComputePipeline
  readonly bindGroup: GPUBindGroup
  readonly workgroups: readonly [number, number, number]
  readonly cost: number
}

interface CopyStep {
  readonly name: 'copy'
  readonly from: GPUTexelCopyTextureInfo
  readonly to: GPUTexelCopyTextureInfo
  readonly size: readonly [number, number, number]
  readonly cost: number
}

/** What a stage's loop encodes. */
export type Step = DispatchStep | CopyStep

/** The memory of a tensor, which others may have before and after it. */
interface Slot {
  readonly texture: GPUTexture
  readonly view: GPUTextureView
}

/** Where the values of a port lie. */
export interface PortPlace {
  readonly buffer: GPUBuffer
  readonly offset: number
  /** Bytes of a tile, whole words; those of a batch follow each other. */
  readonly bytes: number
}

/** The results of a stage, one port after the other, and the buffer through which the host reads them. */
export interface Results {
  readonly buffer: GPUBuffer
  readonly staging: GPUBuffer
}

/** What the executables of a backend share. */
export interface BackendResources {
  readonly device: Device
  readonly pipelines: PipelineCache
  readonly weights: WeightCache
  readonly software: boolean
  readonly halfFloats: boolean
  readonly subgroups: SubgroupUse
  readonly host: HostClock
}

/** Workgroups for `invocations`; a long first dimension is folded into the second, see grid.wgsl. */
export function workgroupCount(
  invocations: readonly [number, number, number],
  workgroup: readonly [number, number, number],
  limit: number,
): [number, number, number] {
  const [x, y, z] = invocations.map((n, i) => Math.ceil(n / (workgroup[i] ?? 1))) as [number, number, number]
  if (x <= limit || y > 1) return [x, y, z]
  const rows = Math.ceil(x / limit)
  return [Math.ceil(x / rows), rows, z]
}

/** Makes the device's objects for a plan; all that is to be destroyed with its executable goes into `resources`. */
export class PlanBinder {
  readonly #backend: BackendResources
  readonly #parameters: Parameters
  readonly #plan: Plan
  readonly #scopes: ErrorScopes
  readonly #resources: { destroy(): void }[]
  readonly #batch: number
  readonly #slots: readonly Slot[]
  readonly #unused: GPUTextureView
  readonly #uniforms: GPUBuffer
  readonly #ports = new Map<Port, PortPlace>()
  #uniformOffset = 0

  constructor(
    backend: BackendResources,
    parameters: Parameters,
    planned: Plan,
    scopes: ErrorScopes,
    resources: { destroy(): void }[],
    batch: number,
  ) {
    this.#backend = backend
    this.#parameters = parameters
    this.#plan = planned
    this.#scopes = scopes
    this.#resources = resources
    this.#batch = batch
    const { TEXTURE_BINDING, STORAGE_BINDING, COPY_SRC, COPY_DST } = GPUTextureUsage
    const usage = TEXTURE_BINDING | STORAGE_BINDING | COPY_SRC | COPY_DST
    const names = new Map([...planned.slotOf].map(([tensor, slot]) => [slot, tensor.name]))
    const slot = (name: string, shape: LaidShape) => {
      const size = tensorSize(shape, this.#batch)
      const texture = createTexture(backend.device, scopes, name, size, usage, tensorFormat(shape))
      resources.push(texture)
      return { texture, view: arrayView(scopes, texture) }
    }
    this.#slots = planned.slots.map((shape, i) => slot(names.get(i) ?? `slot ${i}`, shape))
    this.#unused = slot('unused', { channels: 1, height: 1, width: 1 }).view
    const count = planned.stages.reduce((sum, stage) => sum + stage.length, 0)
    this.#uniforms = this.#buffer('params', count * UNIFORM_STEP, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST)
  }

  /** The steps of a stage; pipelines that are new are compiled in parallel. */
  async steps(actions: readonly Action[]): Promise<Step[]> {
    const { pipelines } = this.#backend
    const compiled = await Promise.all(actions.map((action) => (isCopy(action) ? null : pipelines.get(action))))
    return actions.map((action, i) =>
      isCopy(action) ? this.#copy(action) : this.#dispatch(action, compiled[i] as Pipeline),
    )
  }

  /** Where the host finds the ports that the steps so far read and write. */
  get ports(): ReadonlyMap<Port, PortPlace> {
    return this.#ports
  }

  /** One buffer for all results of a stage, to be called before its steps are made; null if it has none. */
  results(outputs: readonly Port[]): Results | null {
    let size = 0
    const offsets = outputs.map((port) => {
      const offset = size
      size += STORAGE_STEP * Math.ceil((this.#batch * portBuffer(port).bytes) / STORAGE_STEP)
      return offset
    })
    if (size === 0) return null
    const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage
    const buffer = this.#buffer('results', size, STORAGE | COPY_SRC)
    const staging = this.#buffer('results read', size, MAP_READ | COPY_DST)
    for (const [i, port] of outputs.entries()) {
      this.#ports.set(port, { buffer, offset: offsets[i] as number, bytes: portBuffer(port).bytes })
    }
    return { buffer, staging }
  }

  #buffer(label: string, size: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const { gpu } = this.#backend.device
    checkLimit(label, `a buffer of ${size} bytes`, size, 'maxBufferSize', gpu.limits)
    const buffer = this.#scopes.run(label, () => gpu.createBuffer({ label, size, usage }))
    this.#resources.push(buffer)
    return buffer
  }

  #portPlace({ port, bytes }: PortBuffer): PortPlace {
    let place = this.#ports.get(port)
    if (!place) {
      const buffer = this.#buffer(
        port.tensor.name,
        this.#batch * bytes,
        GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
      )
      place = { buffer, offset: 0, bytes }
      this.#ports.set(port, place)
    }
    return place
  }

  #resource(source: Tensor | Weights | PortBuffer | null): GPUBindingResource {
    if (source === null) return this.#unused
    if (isPortBuffer(source)) {
      const { buffer, offset, bytes } = this.#portPlace(source)
      return { buffer, offset, size: this.#batch * bytes }
    }
    if (!isTensor(source)) {
      if (source.inBuffer) return { buffer: this.#backend.weights.buffer(this.#parameters, source, this.#scopes) }
      return arrayView(this.#scopes, this.#backend.weights.texture(this.#parameters, source, this.#scopes))
    }
    return this.#slot(source).view
  }

  #slot(tensor: Tensor): Slot {
    const slot = this.#slots[this.#plan.slotOf.get(tensor) ?? -1]
    if (!slot) throw new RangeError(`${tensor.name} has no memory`)
    return slot
  }

  #copy({ copy, cost }: Copy): CopyStep {
    const { from, fromLayer, to, toLayer, layers } = copy
    const { width, height } = tensorSize(from.shape, this.#batch)
    const at = (tensor: Tensor, z: number) => ({ texture: this.#slot(tensor).texture, origin: [0, 0, z] })
    return { name: 'copy', from: at(from, fromLayer), to: at(to, toLayer), size: [width, height, layers], cost }
  }

  #dispatch(dispatch: Dispatch, { shader, pipeline, layout }: Pipeline): DispatchStep {
    const { gpu } = this.#backend.device
    const params = packParams(shader, dispatch.params)
    const offset = this.#uniformOffset
    this.#uniformOffset += UNIFORM_STEP
    this.#scopes.run(shader.name, () => gpu.queue.writeBuffer(this.#uniforms, offset, params))
    const entries = shader.bindings.map(({ index, name, kind }) => {
      if (kind === 'uniform') {
        return { binding: index, resource: { buffer: this.#uniforms, offset, size: params.byteLength } }
      }
      const source = name in dispatch.reads ? dispatch.reads[name] : dispatch.writes[name]
      if (source === undefined) throw new RangeError(`${shader.name}: nothing is bound to '${name}'`)
      return { binding: index, resource: this.#resource(source) }
    })
    const bindGroup = this.#scopes.run(shader.name, () => gpu.createBindGroup({ label: shader.name, layout, entries }))
    const limit = gpu.limits.maxComputeWorkgroupsPerDimension
    const workgroups = workgroupCount(dispatch.invocations, shader.workgroup, limit)
    return { name: shader.name, pipeline, bindGroup, workgroups, cost: dispatch.cost }
  }
}

/** A graph made ready on a device: pipelines, textures, bind groups, and the loop that runs a stage. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { DeviceError, throwIfAborted } from '../errors.js'
import type { Executable, Graph, Parameters, Port, PortData, Tensor } from '../network/graph.js'
import type { Device, ErrorScopes } from './device.js'
import { type Dispatch, isPortBuffer, isTensor, type PortBuffer, type Weights } from './dispatch.js'
import { portBuffer, portElements } from './kernels/ports.js'
import type { Pipeline, PipelineCache } from './pipelines.js'
import { type Plan, plan, split } from './plan.js'
import { packParams } from './shader.js'
import { arrayView, createTexture, type TextureSize, tensorSize, type WeightCache } from './textures.js'

/** Offsets of uniform bindings are multiples of this on every device. */
const UNIFORM_STEP = 256

/**
 * Multiply-adds a submission: about a quarter of a second, so that an abort is
 * heard soon and no driver takes the device for hung.
 */
const BUDGET = { software: 1e9, hardware: 1e11 }

interface Step {
  readonly name: string
  readonly pipeline: GPUComputePipeline
  readonly bindGroup: GPUBindGroup
  readonly workgroups: readonly [number, number, number]
  readonly cost: number
}

interface StageSteps {
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]
  readonly parts: readonly (readonly Step[])[]
}

/** What a backend's executables share. */
export interface Shared {
  readonly device: Device
  readonly pipelines: PipelineCache
  readonly weights: WeightCache
  readonly software: boolean
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

export class GraphExecutable implements Executable {
  readonly #device: Device
  readonly #stages: readonly StageSteps[]
  readonly #buffers: ReadonlyMap<Port, GPUBuffer>
  readonly #staging: ReadonlyMap<Port, GPUBuffer>
  readonly #resources: readonly { destroy(): void }[]
  #closed = false
  #running = false

  private constructor(made: {
    device: Device
    stages: readonly StageSteps[]
    buffers: ReadonlyMap<Port, GPUBuffer>
    staging: ReadonlyMap<Port, GPUBuffer>
    resources: readonly { destroy(): void }[]
  }) {
    this.#device = made.device
    this.#stages = made.stages
    this.#buffers = made.buffers
    this.#staging = made.staging
    this.#resources = made.resources
  }

  /** Plans the graph, compiles its pipelines in parallel, and makes everything that its stages bind. */
  static async compile(graph: Graph, parameters: Parameters, shared: Shared): Promise<GraphExecutable> {
    const { device, software } = shared
    const planned = plan(graph, { parameters, software })
    const scopes = device.scopes()
    const resources: { destroy(): void }[] = []
    try {
      const maker = new Maker(shared, parameters, planned, scopes, resources)
      const stages: StageSteps[] = []
      for (const [i, stage] of graph.stages.entries()) {
        const steps = await maker.steps(planned.stages[i] ?? [])
        const parts = split(steps, software ? BUDGET.software : BUDGET.hardware)
        stages.push({ inputs: stage.inputs, outputs: stage.outputs, parts })
      }
      const ports = maker.finish(graph.stages.flatMap(({ outputs }) => outputs))
      await scopes.check()
      return new GraphExecutable({ device, stages, resources, ...ports })
    } catch (error) {
      for (const resource of resources) resource.destroy()
      throw error
    }
  }

  async run(
    index: number,
    inputs: ReadonlyMap<Tensor, PortData>,
    signal?: AbortSignal,
  ): Promise<Map<Tensor, PortData>> {
    this.#device.check()
    if (this.#closed) throw new DeviceError('ERR_CLOSED', 'The executable is closed')
    if (this.#running) throw new DeviceError('ERR_DEVICE_FAILED', 'Runs of one executable overlap')
    const stage = this.#stages[index]
    if (!stage) throw new RangeError(`Expected a stage below ${this.#stages.length} but received ${index}`)
    throwIfAborted(signal)
    this.#running = true
    try {
      for (const port of stage.inputs) this.#upload(port, inputs.get(port.tensor))
      for (const [i, part] of stage.parts.entries()) {
        await this.#submit(part, i === stage.parts.length - 1 ? stage.outputs : [])
        if (i < stage.parts.length - 1) {
          await this.#device.wait(this.#device.gpu.queue.onSubmittedWorkDone())
          await nextTurn()
        }
        throwIfAborted(signal)
      }
      const results = await Promise.all(stage.outputs.map((port) => this.#download(port)))
      return new Map(stage.outputs.map(({ tensor }, i) => [tensor, results[i] as PortData]))
    } finally {
      this.#running = false
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const resource of this.#resources) resource.destroy()
  }

  #upload(port: Port, data: PortData | undefined): void {
    const { tensor, format } = port
    const type = { float: Float32Array, int16: Int16Array, rgb8: Uint8Array }[format]
    const elements = portElements(port)
    if (!(data instanceof type) || data.length !== elements) {
      const received = data ? `${data.constructor.name} of ${data.length}` : 'nothing'
      throw new RangeError(`Expected a ${type.name} of ${elements} for ${tensor.name} but received ${received}`)
    }
    const buffer = this.#buffers.get(port)
    if (!buffer) return // no node reads it
    // Writes are of whole words.
    const whole = data.byteLength & ~3
    const { queue } = this.#device.gpu
    queue.writeBuffer(buffer, 0, data.buffer as ArrayBuffer, data.byteOffset, whole)
    if (whole === data.byteLength) return
    const rest = new Uint8Array(4)
    rest.set(new Uint8Array(data.buffer, data.byteOffset + whole, data.byteLength - whole))
    queue.writeBuffer(buffer, whole, rest)
  }

  async #submit(steps: readonly Step[], outputs: readonly Port[]): Promise<void> {
    const scopes = this.#device.scopes()
    const first = steps[0]?.name ?? 'nothing'
    scopes.run(`running ${first}`, () => {
      const encoder = this.#device.gpu.createCommandEncoder()
      const pass = encoder.beginComputePass()
      for (const { pipeline, bindGroup, workgroups } of steps) {
        pass.setPipeline(pipeline)
        pass.setBindGroup(0, bindGroup)
        pass.dispatchWorkgroups(...workgroups)
      }
      pass.end()
      for (const port of outputs) {
        const [from, to] = [this.#buffers.get(port), this.#staging.get(port)]
        if (from && to) encoder.copyBufferToBuffer(from, 0, to, 0, from.size)
      }
      this.#device.gpu.queue.submit([encoder.finish()])
    })
    await scopes.check()
  }

  async #download(port: Port): Promise<PortData> {
    const buffer = this.#staging.get(port)
    if (!buffer) throw new DeviceError('ERR_DEVICE_FAILED', `No buffer for ${port.tensor.name}`)
    try {
      await this.#device.wait(buffer.mapAsync(GPUMapMode.READ))
    } catch (cause) {
      this.#device.check()
      throw new DeviceError('ERR_DEVICE_FAILED', `Reading ${port.tensor.name} failed`, { cause })
    }
    const bytes = buffer.getMappedRange().slice(0)
    buffer.unmap()
    const elements = portElements(port)
    switch (port.format) {
      case 'float':
        return new Float32Array(bytes, 0, elements)
      case 'int16':
        return new Int16Array(bytes, 0, elements)
      case 'rgb8':
        return new Uint8Array(bytes, 0, elements)
    }
  }
}

/** Makes the device's objects for a plan. */
class Maker {
  readonly #shared: Shared
  readonly #parameters: Parameters
  readonly #plan: Plan
  readonly #scopes: ErrorScopes
  readonly #resources: { destroy(): void }[]
  readonly #slots: GPUTextureView[]
  readonly #unused: GPUTextureView
  readonly #uniforms: GPUBuffer
  readonly #buffers = new Map<Port, GPUBuffer>()
  #uniformOffset = 0

  constructor(
    shared: Shared,
    parameters: Parameters,
    planned: Plan,
    scopes: ErrorScopes,
    resources: { destroy(): void }[],
  ) {
    this.#shared = shared
    this.#parameters = parameters
    this.#plan = planned
    this.#scopes = scopes
    this.#resources = resources
    const usage = GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.STORAGE_BINDING
    const names = new Map([...planned.slotOf].map(([tensor, slot]) => [slot, tensor.name]))
    const texture = (name: string, size: TextureSize) => {
      const made = createTexture(shared.device, scopes, name, size, usage)
      resources.push(made)
      return arrayView(made)
    }
    this.#slots = planned.slots.map((shape, i) => texture(names.get(i) ?? `slot ${i}`, tensorSize(shape)))
    this.#unused = texture('unused', { width: 1, height: 1, layers: 1 })
    const count = planned.stages.reduce((sum, stage) => sum + stage.length, 0)
    this.#uniforms = this.#buffer('params', count * UNIFORM_STEP, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST)
  }

  async steps(dispatches: readonly Dispatch[]): Promise<Step[]> {
    const pipelines = await Promise.all(dispatches.map((dispatch) => this.#shared.pipelines.get(dispatch)))
    return dispatches.map((dispatch, i) => this.#step(dispatch, pipelines[i] as Pipeline))
  }

  finish(outputs: readonly Port[]): { buffers: Map<Port, GPUBuffer>; staging: Map<Port, GPUBuffer> } {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST
    const staging = new Map(
      outputs.map((port) => [port, this.#buffer(`${port.tensor.name} read`, portBuffer(port).bytes, usage)]),
    )
    return { buffers: this.#buffers, staging }
  }

  #buffer(label: string, size: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const { gpu } = this.#shared.device
    if (size > gpu.limits.maxBufferSize) {
      const limit = `the device's maxBufferSize of ${gpu.limits.maxBufferSize}`
      throw new DeviceError('ERR_DEVICE_LIMIT', `${label}: a buffer of ${size} bytes is over ${limit}`)
    }
    const buffer = this.#scopes.run(label, () => gpu.createBuffer({ label, size, usage }))
    this.#resources.push(buffer)
    return buffer
  }

  #portBuffer({ port, bytes }: PortBuffer): GPUBuffer {
    let buffer = this.#buffers.get(port)
    if (!buffer) {
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST
      buffer = this.#buffer(port.tensor.name, bytes, usage)
      this.#buffers.set(port, buffer)
    }
    return buffer
  }

  #resource(source: Tensor | Weights | PortBuffer | null): GPUBindingResource {
    if (source === null) return this.#unused
    if (isPortBuffer(source)) return { buffer: this.#portBuffer(source) }
    if (!isTensor(source)) return arrayView(this.#shared.weights.get(this.#parameters, source, this.#scopes))
    const slot = this.#slots[this.#plan.slotOf.get(source) ?? -1]
    if (!slot) throw new RangeError(`${source.name} has no memory`)
    return slot
  }

  #step(dispatch: Dispatch, { shader, pipeline, layout }: Pipeline): Step {
    const { gpu } = this.#shared.device
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

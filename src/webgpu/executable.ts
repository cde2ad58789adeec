/** A graph made ready on a device: pipelines, textures, bind groups, and the loop that runs a stage. */
import { ClericError, DeviceError, throwIfAborted } from '../errors.js'
import type { Executable, Graph, Parameters, Port, PortData, Tensor } from '../network/graph.js'
import { type BackendResources, PlanBinder, type Step } from './binder.js'
import { GPUMapMode } from './constants.js'
import type { Device } from './device.js'
import { nextTurn } from './event-loop.js'
import { portElements } from './kernels/ports.js'
import { plan, split } from './plan.js'

/**
 * Multiply-adds a submission: about a quarter of a second, so that an abort is
 * heard soon and no driver takes the device for hung.
 */
const BUDGET = { software: 1e9, hardware: 1e11 }

interface StageSteps {
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]
  readonly parts: readonly (readonly Step[])[]
}

export class GraphExecutable implements Executable {
  readonly #device: Device
  readonly #stages: readonly StageSteps[]
  readonly #buffers: ReadonlyMap<Port, GPUBuffer>
  readonly #staging: ReadonlyMap<Port, GPUBuffer>
  readonly #resources: readonly { destroy(): void }[]
  /** Called once on close. */
  onClose: () => void = () => {}
  #closed = false
  #running = false

  private constructor(parts: {
    device: Device
    stages: readonly StageSteps[]
    buffers: ReadonlyMap<Port, GPUBuffer>
    staging: ReadonlyMap<Port, GPUBuffer>
    resources: readonly { destroy(): void }[]
  }) {
    this.#device = parts.device
    this.#stages = parts.stages
    this.#buffers = parts.buffers
    this.#staging = parts.staging
    this.#resources = parts.resources
  }

  /** Plans the graph, compiles its pipelines in parallel, and makes everything that its stages bind. */
  static async compile(graph: Graph, parameters: Parameters, backend: BackendResources): Promise<GraphExecutable> {
    const { device, software } = backend
    const planned = plan(graph, { parameters, software, maxLayers: device.gpu.limits.maxTextureArrayLayers })
    const scopes = device.scopes()
    const resources: { destroy(): void }[] = []
    try {
      const binder = new PlanBinder(backend, parameters, planned, scopes, resources)
      const stages: StageSteps[] = []
      for (const [i, stage] of graph.stages.entries()) {
        const steps = await binder.steps(planned.stages[i] ?? [])
        const parts = split(steps, software ? BUDGET.software : BUDGET.hardware)
        stages.push({ inputs: stage.inputs, outputs: stage.outputs, parts })
      }
      const ports = binder.portBuffers(graph.stages.flatMap(({ outputs }) => outputs))
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
    if (this.#closed) throw new ClericError('ERR_CLOSED', 'The executable is closed')
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
    this.onClose()
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
      let pass: GPUComputePassEncoder | null = null
      for (const step of steps) {
        if ('pipeline' in step) {
          pass ??= encoder.beginComputePass()
          pass.setPipeline(step.pipeline)
          pass.setBindGroup(0, step.bindGroup)
          pass.dispatchWorkgroups(...step.workgroups)
        } else {
          pass?.end()
          pass = null
          encoder.copyTextureToTexture(step.from, step.to, step.size)
        }
      }
      pass?.end()
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
    let bytes: ArrayBuffer
    try {
      await this.#device.wait(buffer.mapAsync(GPUMapMode.READ))
      bytes = buffer.getMappedRange().slice(0)
    } catch (cause) {
      this.#device.check()
      throw new DeviceError('ERR_DEVICE_FAILED', `Reading ${port.tensor.name} failed`, { cause })
    }
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

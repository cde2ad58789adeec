/** A graph made ready on a device: pipelines, textures, bind groups, and the loop that runs a stage. */
import { ClericError, DeviceError, throwIfAborted } from '../errors.js'
import type { Executable, Graph, Parameters, Port, PortData, Tensor } from '../network/graph.js'
import { ARRAY_OF, portElements } from '../network/ports.js'
import { type BackendResources, PlanBinder, type PortPlace, type Results, type Step } from './binder.js'
import { GPUMapMode } from './constants.js'
import type { Device, ErrorScopes } from './device.js'
import { nextTurn } from './event-loop.js'
import type { HostClock } from './host-clock.js'
import { plan, split } from './plan.js'

/**
 * Multiply-adds a submission: about a quarter of a second, so that an abort is
 * heard soon and no driver takes the device for hung.
 */
const BUDGET = { software: 1e9, hardware: 1e11 }

interface StageSteps {
  readonly inputs: readonly Port[]
  readonly outputs: readonly Port[]
  readonly results: Results | null
  readonly parts: readonly (readonly Step[])[]
}

export class GraphExecutable implements Executable {
  readonly #device: Device
  readonly #host: HostClock
  readonly #batch: number
  readonly #stages: readonly StageSteps[]
  readonly #ports: ReadonlyMap<Port, PortPlace>
  readonly #resources: readonly { destroy(): void }[]
  /** Called once on close. */
  onClose: () => void = () => {}
  #closed = false
  #running = false

  private constructor(parts: {
    device: Device
    host: HostClock
    batch: number
    stages: readonly StageSteps[]
    ports: ReadonlyMap<Port, PortPlace>
    resources: readonly { destroy(): void }[]
  }) {
    this.#device = parts.device
    this.#host = parts.host
    this.#batch = parts.batch
    this.#stages = parts.stages
    this.#ports = parts.ports
    this.#resources = parts.resources
  }

  /** Plans the graph, compiles its pipelines in parallel, and makes everything that its stages bind. */
  static async compile(
    graph: Graph,
    parameters: Parameters,
    backend: BackendResources,
    batch: number,
  ): Promise<GraphExecutable> {
    const { device, software, halfFloats, subgroups, host } = backend
    const maxLayers = device.gpu.limits.maxTextureArrayLayers
    const planned = plan(graph, { parameters, software, halfFloats, subgroups, maxLayers, batch })
    const scopes = device.scopes()
    const resources: { destroy(): void }[] = []
    try {
      const binder = new PlanBinder(backend, parameters, planned, scopes, resources, batch)
      const stages: StageSteps[] = []
      for (const [i, stage] of graph.stages.entries()) {
        const results = binder.results(stage.outputs)
        const steps = await binder.steps(planned.stages[i] ?? [])
        const parts = split(steps, software ? BUDGET.software : BUDGET.hardware)
        stages.push({ inputs: stage.inputs, outputs: stage.outputs, results, parts })
      }
      await scopes.check()
      return new GraphExecutable({ device, host, batch, stages, resources, ports: binder.ports })
    } catch (error) {
      for (const resource of resources) resource.destroy()
      // As in `close`: a smaller batch may be tried next, and wants the memory.
      device.gpu.queue.submit([])
      throw error
    }
  }

  async run(
    index: number,
    inputs: ReadonlyMap<Tensor, PortData>,
    signal?: AbortSignal,
  ): Promise<Map<Tensor, PortData>> {
    const [outputs] = await this.runBatch(index, [inputs], signal)
    return outputs as Map<Tensor, PortData>
  }

  async runBatch(
    index: number,
    inputs: readonly (ReadonlyMap<Tensor, PortData> | null)[],
    signal?: AbortSignal,
  ): Promise<(Map<Tensor, PortData> | null)[]> {
    this.#device.check()
    if (inputs.length < 1 || inputs.length > this.#batch) {
      throw new RangeError(`Expected 1 to ${this.#batch} tiles but received ${inputs.length}`)
    }
    if (this.#closed) throw new ClericError('ERR_CLOSED', 'The executable is closed')
    if (this.#running) throw new DeviceError('ERR_DEVICE_FAILED', 'Runs of one executable overlap')
    const stage = this.#stages[index]
    if (!stage) throw new RangeError(`Expected a stage below ${this.#stages.length} but received ${index}`)
    throwIfAborted(signal)
    this.#running = true
    try {
      this.#host.while(() => {
        for (const port of stage.inputs) {
          for (const [tile, own] of inputs.entries()) if (own) this.#upload(port, tile, own.get(port.tensor))
        }
      })
      for (const part of stage.parts.slice(0, -1)) {
        await this.#host.while(() => this.#submit(part, null)).check()
        await this.#device.wait(this.#device.gpu.queue.onSubmittedWorkDone())
        await nextTurn()
        throwIfAborted(signal)
      }
      const submitted = this.#host.while(() => this.#submit(stage.parts.at(-1) ?? [], stage.results))
      // Asked for before anything is awaited: each turn of the event loop would cost time.
      const outputs = this.#download(
        stage,
        inputs.map((own) => own !== null),
      )
      // If both fail, the error of the work is told. Neither may go unheard, nor the buffer be left mapped.
      const [checked, read] = await Promise.allSettled([submitted.check(), outputs])
      throwIfAborted(signal)
      if (checked.status === 'rejected') throw checked.reason
      if (read.status === 'rejected') throw read.reason
      return read.value
    } finally {
      this.#running = false
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    for (const resource of this.#resources) resource.destroy()
    // Their memory is given back when what was submitted before is done, so something must be, also if it never ran.
    this.#device.gpu.queue.submit([])
    this.onClose()
  }

  #upload(port: Port, tile: number, data: PortData | undefined): void {
    const { tensor, format } = port
    const type = ARRAY_OF[format]
    const elements = portElements(port)
    if (!(data instanceof type) || data.length !== elements) {
      const received = data ? `${data.constructor.name} of ${data.length}` : 'nothing'
      throw new RangeError(`Expected a ${type.name} of ${elements} for ${tensor.name} but received ${received}`)
    }
    const place = this.#ports.get(port)
    if (!place) return // no node reads it
    const { buffer } = place
    const offset = place.offset + tile * place.bytes
    // Writes are of whole words.
    const whole = data.byteLength & ~3
    const { queue } = this.#device.gpu
    queue.writeBuffer(buffer, offset, data.buffer as ArrayBuffer, data.byteOffset, whole)
    if (whole === data.byteLength) return
    const rest = new Uint8Array(4)
    rest.set(new Uint8Array(data.buffer, data.byteOffset + whole, data.byteLength - whole))
    queue.writeBuffer(buffer, offset + whole, rest)
  }

  /** Hands steps to the device, and what copies results to where the host reads them. */
  #submit(steps: readonly Step[], results: Results | null): ErrorScopes {
    const scopes = this.#device.scopes()
    const first = steps[0]?.name ?? 'nothing'
    scopes.run(`running ${first}`, () => {
      const encoder = this.#device.gpu.createCommandEncoder()
      let pass: GPUComputePassEncoder | null = null
      let pipeline: GPUComputePipeline | null = null
      for (const step of steps) {
        if ('pipeline' in step) {
          if (!pass) {
            pass = encoder.beginComputePass()
            pipeline = null
          }
          if (step.pipeline !== pipeline) pass.setPipeline(step.pipeline)
          pipeline = step.pipeline
          pass.setBindGroup(0, step.bindGroup)
          pass.dispatchWorkgroups(...step.workgroups)
        } else {
          pass?.end()
          pass = null
          encoder.copyTextureToTexture(step.from, step.to, step.size)
        }
      }
      pass?.end()
      if (results) encoder.copyBufferToBuffer(results.buffer, 0, results.staging, 0, results.buffer.size)
      this.#device.gpu.queue.submit([encoder.finish()])
    })
    return scopes
  }

  /** @param wanted which tiles' results */
  async #download(
    { outputs, results }: StageSteps,
    wanted: readonly boolean[],
  ): Promise<(Map<Tensor, PortData> | null)[]> {
    if (!results) return wanted.map((isWanted) => (isWanted ? new Map() : null))
    const { staging } = results
    let bytes: ArrayBuffer
    try {
      await this.#device.wait(staging.mapAsync(GPUMapMode.READ))
      bytes = this.#host.while(() => staging.getMappedRange().slice(0))
    } catch (cause) {
      this.#device.check()
      throw new DeviceError('ERR_DEVICE_FAILED', `Reading ${outputs[0]?.tensor.name} failed`, { cause })
    }
    staging.unmap()
    const read = (port: Port, tile: number) => {
      const { offset, bytes: own } = this.#ports.get(port) as PortPlace
      return new ARRAY_OF[port.format](bytes, offset + tile * own, portElements(port))
    }
    return wanted.map((isWanted, tile) =>
      isWanted ? new Map(outputs.map((port) => [port.tensor, read(port, tile)] as const)) : null,
    )
  }
}

/** Compute pipelines, one for each shader and set of constants, compiled once for each device. */
import { DeviceError } from '../errors.js'
import { GPUShaderStage } from './constants.js'
import type { Device } from './device.js'
import type { Dispatch } from './dispatch.js'
import { type BindingKind, loadShader, type Shader } from './shader.js'

export interface Pipeline {
  readonly shader: Shader
  readonly pipeline: GPUComputePipeline
  readonly layout: GPUBindGroupLayout
}

/** Identity of a dispatch's pipeline. */
export function pipelineKey({ shader, constants }: Pick<Dispatch, 'shader' | 'constants'>): string {
  const parts = Object.entries(constants).map(([name, value]) => `${name}=${value}`)
  return [shader, ...parts.sort()].join(' ')
}

function layoutEntry(kind: BindingKind): Omit<GPUBindGroupLayoutEntry, 'binding' | 'visibility'> {
  switch (kind) {
    case 'texture':
      return { texture: { sampleType: 'unfilterable-float', viewDimension: '2d-array' } }
    case 'integerTexture':
      return { texture: { sampleType: 'sint', viewDimension: '2d-array' } }
    case 'storageTexture':
    case 'halfStorageTexture': {
      const format = kind === 'storageTexture' ? 'rgba32float' : 'rgba16float'
      return { storageTexture: { format, access: 'write-only', viewDimension: '2d-array' } }
    }
    case 'uniform':
      return { buffer: { type: 'uniform' } }
    case 'storageRead':
      return { buffer: { type: 'read-only-storage' } }
    case 'storageWrite':
      return { buffer: { type: 'storage' } }
  }
}

/** Compiles `shader`; throws DeviceError ERR_SHADER with the compiler's message and the line it means. */
export async function compilePipeline(device: Device, shader: Shader): Promise<Pipeline> {
  const scopes = device.scopes()
  const { gpu } = device
  const module = scopes.run(shader.name, () => gpu.createShaderModule({ label: shader.name, code: shader.code }))
  const { messages } = await device.wait(module.getCompilationInfo())
  const error = messages.find(({ type }) => type === 'error')
  if (error) {
    await scopes.check().catch(() => {}) // the same error without its line
    const line = shader.code.split('\n')[error.lineNum - 1]?.trim() ?? ''
    throw new DeviceError('ERR_SHADER', `${shader.name}.wgsl: ${error.message} at '${line}'`)
  }
  const layout = scopes.run(shader.name, () =>
    gpu.createBindGroupLayout({
      label: shader.name,
      entries: shader.bindings.map(({ index, kind }) => ({
        binding: index,
        visibility: GPUShaderStage.COMPUTE,
        ...layoutEntry(kind),
      })),
    }),
  )
  const pipelineLayout = scopes.run(shader.name, () => gpu.createPipelineLayout({ bindGroupLayouts: [layout] }))
  await scopes.check()
  try {
    const descriptor = { label: shader.name, layout: pipelineLayout, compute: { module } }
    const pipeline = await device.wait(gpu.createComputePipelineAsync(descriptor))
    return { shader, pipeline, layout }
  } catch (cause) {
    device.check()
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new DeviceError('ERR_SHADER', `${shader.name}.wgsl: ${reason}`, { cause })
  }
}

export class PipelineCache {
  readonly #device: Device
  readonly #pipelines = new Map<string, Promise<Pipeline>>()

  constructor(device: Device) {
    this.#device = device
  }

  /** The pipeline for a dispatch; concurrent requests compile in parallel, equal ones once. */
  get(dispatch: Dispatch): Promise<Pipeline> {
    const key = pipelineKey(dispatch)
    let pipeline = this.#pipelines.get(key)
    if (!pipeline) {
      pipeline = compilePipeline(this.#device, loadShader(dispatch.shader, dispatch.constants))
      this.#pipelines.set(key, pipeline)
      pipeline.catch(() => this.#pipelines.delete(key))
    }
    return pipeline
  }
}

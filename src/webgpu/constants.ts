/**
 * WebGPU's constants, which browsers have as globals. Here they aren't: the globals of a Node program are its own.
 */
import { globals } from 'webgpu'

interface Constants {
  readonly GPUBufferUsage: typeof globalThis.GPUBufferUsage
  readonly GPUMapMode: typeof globalThis.GPUMapMode
  readonly GPUShaderStage: typeof globalThis.GPUShaderStage
  readonly GPUTextureUsage: typeof globalThis.GPUTextureUsage
}

export const { GPUBufferUsage, GPUMapMode, GPUShaderStage, GPUTextureUsage } = globals as unknown as Constants

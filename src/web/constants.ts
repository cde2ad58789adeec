/** WebGPU's constants, which browsers have as globals, in place of `src/webgpu/constants.ts`. Unset where there is no WebGPU. */
export const { GPUBufferUsage, GPUMapMode, GPUShaderStage, GPUTextureUsage } = globalThis

/**
 * WebGPU's constants, as its specification numbers them. Browsers have them as globals; in Node they would be those of
 * the implementation, which is loaded only when a GPU is looked for.
 */

/** https://www.w3.org/TR/webgpu/#buffer-usage */
export const GPUBufferUsage = {
  MAP_READ: 0x1,
  MAP_WRITE: 0x2,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  INDEX: 0x10,
  VERTEX: 0x20,
  UNIFORM: 0x40,
  STORAGE: 0x80,
  INDIRECT: 0x100,
  QUERY_RESOLVE: 0x200,
} as const

/** https://www.w3.org/TR/webgpu/#buffer-mapping */
export const GPUMapMode = { READ: 0x1, WRITE: 0x2 } as const

/** https://www.w3.org/TR/webgpu/#enumdef-gpushaderstageflags */
export const GPUShaderStage = { VERTEX: 0x1, FRAGMENT: 0x2, COMPUTE: 0x4 } as const

/** https://www.w3.org/TR/webgpu/#texture-usage */
export const GPUTextureUsage = {
  COPY_SRC: 0x1,
  COPY_DST: 0x2,
  TEXTURE_BINDING: 0x4,
  STORAGE_BINDING: 0x8,
  RENDER_ATTACHMENT: 0x10,
} as const

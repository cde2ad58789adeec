/** Texture arrays: the layout of a tensor, constants on the device, and the check of the device's limits. */
import { DeviceError } from '../errors.js'
import type { Parameters, Shape } from '../network/graph.js'
import type { Device, ErrorScopes } from './device.js'
import { groupsOf, type Weights } from './dispatch.js'

/** Zero texels on each side of a tensor: as far as a 5x5 kernel reaches. Also in tensor.wgsl. */
export const PAD = 2

/** Texels beyond the right and lower border that the last tile of a kernel may read: tiles reach this far over. */
const OVERHANG = 10

export interface TextureSize {
  readonly width: number
  readonly height: number
  readonly layers: number
}

/**
 * `size`, or the next that is no power of two. Mesa compiles a shader again for
 * textures that differ in this; so none of ours do.
 */
function unevenSize(size: number): number {
  let uneven = size
  while ((uneven & (uneven - 1)) === 0) uneven++
  return uneven
}

/** The texture of a tensor: four channels a texel, a zero border, room for the last tile's reads. */
export function tensorSize({ channels, height, width }: Shape): TextureSize {
  const beyond = 2 * PAD + OVERHANG
  return { width: unevenSize(width + beyond), height: unevenSize(height + beyond), layers: groupsOf(channels) }
}

/** The texture of constants. */
export function weightsSize({ width, height, layers }: Weights): TextureSize {
  return { width: unevenSize(width), height: unevenSize(height), layers }
}

export function textureBytes({ width, height, layers }: TextureSize): number {
  return width * height * layers * 16
}

/** The limits that textures are held to. */
export type TextureLimits = Pick<GPUSupportedLimits, 'maxTextureDimension2D' | 'maxTextureArrayLayers'>

/** Throws ERR_DEVICE_LIMIT with the name and the numbers if the device can't hold the texture. */
export function checkLimits(name: string, size: TextureSize, limits: TextureLimits): void {
  const check = (value: number, limit: keyof TextureLimits, what: string) => {
    if (value <= limits[limit]) return
    throw new DeviceError(
      'ERR_DEVICE_LIMIT',
      `${name}: ${what} of ${value} is over the device's ${limit} of ${limits[limit]}`,
    )
  }
  check(size.width, 'maxTextureDimension2D', 'a texture width')
  check(size.height, 'maxTextureDimension2D', 'a texture height')
  check(size.layers, 'maxTextureArrayLayers', 'a number of texture layers')
}

export function createTexture(
  device: Device,
  scopes: ErrorScopes,
  label: string,
  size: TextureSize,
  usage: GPUTextureUsageFlags,
  format: NonNullable<Weights['format']> = 'rgba32float',
  undo?: () => void,
): GPUTexture {
  checkLimits(label, size, device.gpu.limits)
  const make = () =>
    device.gpu.createTexture({
      label,
      size: [size.width, size.height, size.layers],
      format,
      usage,
      textureBindingViewDimension: '2d-array', // a one-layer texture would be '2d' at the compatibility level
    })
  return scopes.run(label, make, undo)
}

/** In a scope, as a texture that there was no memory for has no view either. */
export function arrayView(scopes: ErrorScopes, texture: GPUTexture): GPUTextureView {
  return scopes.run(texture.label, () => texture.createView({ dimension: '2d-array' }))
}

/** Constants on the device, made once for a model and layout. */
export class WeightCache {
  readonly #device: Device
  readonly #models = new Map<Parameters, Map<string, GPUTexture | GPUBuffer>>()

  constructor(device: Device) {
    this.#device = device
  }

  /** The texture of weights that aren't in a buffer. */
  texture(parameters: Parameters, weights: Weights, scopes: ErrorScopes): GPUTexture {
    const make = (forget: () => void) => {
      const { key, width, height, layers, format } = weights
      const usage = GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST
      const texture = createTexture(this.#device, scopes, key, weightsSize(weights), usage, format, forget)
      const layout = { bytesPerRow: (format === 'r16sint' ? 2 : 16) * width, rowsPerImage: height }
      const write = () =>
        this.#device.gpu.queue.writeTexture({ texture }, weights.build(), layout, [width, height, layers])
      scopes.run(key, write, forget)
      return texture
    }
    return this.#cached(parameters, weights.key, make)
  }

  /** The buffer of weights that are in one. */
  buffer(parameters: Parameters, weights: Weights, scopes: ErrorScopes): GPUBuffer {
    const make = (forget: () => void) => {
      const { key, width, height, layers } = weights
      const { gpu } = this.#device
      const descriptor = {
        label: key,
        size: 16 * width * height * layers,
        usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
      }
      const buffer = scopes.run(key, () => gpu.createBuffer(descriptor), forget)
      scopes.run(key, () => gpu.queue.writeBuffer(buffer, 0, weights.build()), forget)
      return buffer
    }
    return this.#cached(parameters, `${weights.key}|buffer`, make)
  }

  #cached<T extends GPUTexture | GPUBuffer>(parameters: Parameters, key: string, make: (forget: () => void) => T): T {
    let made = this.#models.get(parameters)
    if (!made) {
      made = new Map()
      this.#models.set(parameters, made)
    }
    const known = made.get(key)
    if (known) return known as T
    const fresh = make(() => this.#forget(parameters, key))
    made.set(key, fresh)
    return fresh
  }

  /** What couldn't be made: the next graph tries again. */
  #forget(parameters: Parameters, key: string): void {
    const made = this.#models.get(parameters)
    made?.get(key)?.destroy()
    made?.delete(key)
  }

  close(): void {
    for (const made of this.#models.values()) for (const resource of made.values()) resource.destroy()
    this.#models.clear()
  }
}

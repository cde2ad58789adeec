/** Constants on the device, in textures or buffers. */

import type { Parameters } from '../network/graph.js'
import { halvesOf } from '../network/half-precision.js'
import { GPUBufferUsage, GPUTextureUsage } from './constants.js'
import type { Device, ErrorScopes } from './device.js'
import type { Weights } from './dispatch.js'
import { checkLimit } from './limits.js'
import { checkLimits, createTexture, type TextureLimits, weightsSize } from './textures.js'

/** The limits that constants are held to. */
export type WeightLimits = TextureLimits & Pick<GPUSupportedLimits, 'maxBufferSize' | 'maxStorageBufferBindingSize'>

function bufferBytes({ width, height, layers, inHalves }: Weights): number {
  return (inHalves ? 8 : 16) * width * height * layers
}

/** Throws ERR_DEVICE_LIMIT with the name and the numbers if the device can't hold the constants. */
export function checkWeights(weights: Weights, limits: WeightLimits): void {
  if (!weights.inBuffer) {
    checkLimits(weights.key, weightsSize(weights), limits)
    return
  }
  const bytes = bufferBytes(weights)
  for (const limit of ['maxBufferSize', 'maxStorageBufferBindingSize'] as const) {
    checkLimit(weights.key, `a buffer of ${bytes} bytes`, bytes, limit, limits)
  }
}

/** Constants, made once for a model and layout. */
export class WeightCache {
  readonly #device: Device
  readonly #halves: boolean
  readonly #models = new Map<Parameters, Map<string, GPUTexture | GPUBuffer>>()

  /** @param halves whether textures hold floats as half floats where all of them are such */
  constructor(device: Device, halves: boolean) {
    this.#device = device
    this.#halves = halves
  }

  /** The texture of weights that aren't in a buffer. */
  texture(parameters: Parameters, weights: Weights, scopes: ErrorScopes): GPUTexture {
    const build = (forget: () => void) => {
      const { key, width, height, layers } = weights
      const values = weights.build()
      const halves = this.#halves && values instanceof Float32Array ? halvesOf(values) : null
      const format = halves ? 'rgba16float' : weights.format
      const data = halves ?? values
      const usage = GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST
      const texture = createTexture(this.#device, scopes, key, weightsSize(weights), usage, format, forget)
      const layout = { bytesPerRow: data.byteLength / height / layers, rowsPerImage: height }
      const write = () => this.#device.gpu.queue.writeTexture({ texture }, data, layout, [width, height, layers])
      scopes.run(key, write, forget)
      return texture
    }
    return this.#cached(parameters, weights.key, build)
  }

  /** The storage buffer of weights that are in one. */
  buffer(parameters: Parameters, weights: Weights, scopes: ErrorScopes): GPUBuffer {
    const build = (forget: () => void) => {
      const { key, inHalves } = weights
      const { gpu } = this.#device
      checkWeights(weights, gpu.limits)
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST
      const values = weights.build()
      const packed = inHalves ? halvesOf(values as Float32Array) : values
      if (!packed) throw new RangeError(`Expected half floats for ${key}`)
      const make = () => gpu.createBuffer({ label: key, size: bufferBytes(weights), usage })
      const buffer = scopes.run(key, make, forget)
      scopes.run(key, () => gpu.queue.writeBuffer(buffer, 0, packed), forget)
      return buffer
    }
    return this.#cached(parameters, `${weights.key}|buffer`, build)
  }

  #cached<T extends GPUTexture | GPUBuffer>(parameters: Parameters, key: string, build: (forget: () => void) => T): T {
    let resources = this.#models.get(parameters)
    if (!resources) {
      resources = new Map()
      this.#models.set(parameters, resources)
    }
    const known = resources.get(key)
    if (known) return known as T
    const fresh = build(() => this.#forget(parameters, key))
    resources.set(key, fresh)
    return fresh
  }

  /** Forgets what could not be made, so that the next graph tries again. */
  #forget(parameters: Parameters, key: string): void {
    const resources = this.#models.get(parameters)
    resources?.get(key)?.destroy()
    resources?.delete(key)
  }

  close(): void {
    for (const resources of this.#models.values()) for (const resource of resources.values()) resource.destroy()
    this.#models.clear()
  }
}

/** Texture arrays: the layout of a tensor or of constants, and the check of the device's limits. */
import type { Device, ErrorScopes } from './device.js'
import { foldsOf, groupsOf, type LaidShape, type Weights } from './dispatch.js'
import { checkLimit } from './limits.js'

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

/**
 * The texture of a tensor: four channels a texel, a zero border, room for the last tile's reads; all of that in each
 * fold, and below each other for each tile of a batch.
 */
export function tensorSize(shape: LaidShape, batch = 1): TextureSize {
  const { channels, height, width } = shape
  const beyond = 2 * PAD + OVERHANG
  const folds = foldsOf({ shape })
  return {
    width: folds * unevenSize(width + beyond),
    height: batch * unevenSize(height + beyond),
    layers: Math.ceil(groupsOf(channels) / folds),
  }
}

/** The texture of constants. */
export function weightsSize({ width, height, layers }: Weights): TextureSize {
  return { width: unevenSize(width), height: unevenSize(height), layers }
}

/** The format of a tensor's texture. */
export function tensorFormat({ half }: LaidShape): 'rgba16float' | 'rgba32float' {
  return half ? 'rgba16float' : 'rgba32float'
}

/** Bytes of a texel in the format that {@link tensorFormat} gives. */
const bytesPerTexel = ({ half }: LaidShape) => (half ? 8 : 16)

/** Bytes of a tile's values, four channels a texel, without the border. */
export function texelBytes(shape: LaidShape): number {
  return groupsOf(shape.channels) * shape.height * shape.width * bytesPerTexel(shape)
}

export function tensorBytes(shape: LaidShape, batch: number): number {
  const { width, height, layers } = tensorSize(shape, batch)
  return width * height * layers * bytesPerTexel(shape)
}

/** The limits that textures are held to. */
export type TextureLimits = Pick<GPUSupportedLimits, 'maxTextureDimension2D' | 'maxTextureArrayLayers'>

/** Throws ERR_DEVICE_LIMIT with the name and the numbers if the device can't hold the texture. */
export function checkLimits(name: string, size: TextureSize, limits: TextureLimits): void {
  const check = (value: number, limit: keyof TextureLimits, what: string) =>
    checkLimit(name, `${what} of ${value}`, value, limit, limits)
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
  format: NonNullable<Weights['format']> | 'rgba16float' = 'rgba32float',
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

/** A view of all layers, made in an error scope: it fails where there was no memory for the texture. */
export function arrayView(scopes: ErrorScopes, texture: GPUTexture): GPUTextureView {
  return scopes.run(texture.label, () => texture.createView({ dimension: '2d-array' }))
}

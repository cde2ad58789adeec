/** What `cleric devices` lists. These types are the package's, so they name none of WebGPU's. */

/** One line of `cleric devices`. */
export interface DeviceDescription {
  readonly kind: 'webgpu' | 'cpu'
  readonly name: string
  /** A processor that pretends to be a GPU. */
  readonly software: boolean
  /** WebGPU features, or instruction sets, best first. */
  readonly features: readonly string[]
  readonly limits: Readonly<Record<string, number>>
}

export interface DeviceList {
  /** Name of the device that "auto" picks. */
  readonly auto: string
  readonly reason: string
  readonly devices: readonly DeviceDescription[]
}

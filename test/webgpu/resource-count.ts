/** The buffers, textures and query sets of WebGPU that this process makes, and which of them aren't destroyed. */
import { globals } from 'webgpu'

const MAKERS = ['createBuffer', 'createTexture', 'createQuerySet'] as const

interface Resource {
  destroy(): void
}

export interface ResourceCount {
  /** Made since the count began. */
  readonly made: number
  /** How many of these are not destroyed. */
  readonly alive: number
  /** The device that made the last. */
  readonly device: GPUDevice | null
  /** Begins anew. */
  reset(): void
}

/** Counts from now on, of every device. Those that are alive are held, so that a lost one shows. */
export function countResources(): ResourceCount {
  const alive = new Set<Resource>()
  let made = 0
  let device: GPUDevice | null = null
  const prototype = (globals as unknown as { readonly GPUDevice: typeof GPUDevice }).GPUDevice.prototype
  for (const maker of MAKERS) {
    const make = prototype[maker] as (this: GPUDevice, descriptor: never) => Resource
    const count = function (this: GPUDevice, descriptor: never): Resource {
      const resource = make.call(this, descriptor)
      const destroy = resource.destroy.bind(resource)
      resource.destroy = () => {
        alive.delete(resource)
        destroy()
      }
      alive.add(resource)
      made++
      device = this
      return resource
    }
    Object.defineProperty(prototype, maker, { value: count, configurable: true, writable: true })
  }
  return {
    get made() {
      return made
    },
    get alive() {
      return alive.size
    },
    get device() {
      return device
    },
    reset() {
      alive.clear()
      made = 0
      device = null
    },
  }
}

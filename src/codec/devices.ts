/**
 * Which device the network runs on: a GPU if there is one, else the processor. A software adapter, a processor
 * that pretends to be a GPU, is several times slower than the CPU backend, so it is used only when asked for.
 */
import { cpus } from 'node:os'
import { instructionSets, openCpu } from '../cpu/backend.js'
import { ClericError } from '../errors.js'
import type { Backend } from '../network/graph.js'
import { type FoundAdapter, listAdapters, mayHaveGpu, pickAdapter } from '../webgpu/adapters.js'
import { WebGpuBackend } from '../webgpu/backend.js'

/** Where the network may run. */
export const deviceKinds = ['auto', 'webgpu', 'cpu'] as const
export type DeviceKind = (typeof deviceKinds)[number]

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

/** The GPU that "auto" would take, if any. */
async function findGpu(): Promise<FoundAdapter | null> {
  if (!mayHaveGpu()) return null
  try {
    const picked = await pickAdapter()
    return picked.description.software ? null : picked
  } catch (error) {
    if (error instanceof ClericError && error.code === 'ERR_NO_DEVICE') return null
    throw error
  }
}

/**
 * Opens a device.
 *
 * @param adapter part of a WebGPU adapter's name; with "auto" it asks for WebGPU
 * @throws ERR_NO_DEVICE, ERR_ADDON_MISSING, ERR_DEVICE_FAILED, ERR_DEVICE_LIMIT
 */
export async function openBackend(device: DeviceKind, adapter?: string): Promise<Backend> {
  if (device === 'webgpu' || adapter !== undefined) return WebGpuBackend.open(await pickAdapter(adapter))
  const gpu = device === 'auto' ? await findGpu() : null
  return gpu ? WebGpuBackend.open(gpu) : openCpu()
}

/** All devices of this machine, and what "auto" picks. */
export async function listDevices(): Promise<DeviceList> {
  const gpu = await findGpu()
  const cpu = await openCpu()
  const devices: DeviceDescription[] = [
    ...(await listAdapters()),
    {
      kind: 'cpu',
      name: cpu.name,
      software: false,
      features: instructionSets(),
      limits: { threads: cpu.threads, clockMHz: cpus()[0]?.speed ?? 0 },
    },
  ]
  cpu.close()
  return gpu
    ? { auto: gpu.description.name, reason: 'it is a GPU', devices }
    : {
        auto: cpu.name,
        reason: 'there is no GPU with a driver, and the processor is faster than a software adapter',
        devices,
      }
}

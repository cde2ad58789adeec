/**
 * Which device the network runs on: a GPU if there is one, else the processor. A software adapter, a processor
 * that pretends to be a GPU, is several times slower than the CPU backend, so it is used only when asked for; and so
 * is a GPU whose limits are too small for the model, as it would fail at the first tile.
 */
import { cpus } from 'node:os'
import { instructionSets, openCpu } from '../cpu/backend.js'
import { ClericError } from '../errors.js'
import { loadModel, type Model } from '../model/model.js'
import { decoderGraph, encoderGraph } from '../network/cleric.js'
import type { Backend } from '../network/graph.js'
import {
  type AdapterDescription,
  type FoundAdapter,
  listAdapters,
  mayHaveGpu,
  pickAdapter,
} from '../webgpu/adapters.js'
import { WebGpuBackend } from '../webgpu/backend.js'
import { checkFits } from '../webgpu/plan.js'
import { maxTileSide } from './bitstream.js'

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

/** What "auto" picks: a GPU, or null for the processor. */
export interface Choice {
  readonly gpu: FoundAdapter | null
  readonly reason: string
}

/** The best GPU; null where there is none but software. */
export async function findGpu(): Promise<FoundAdapter | null> {
  if (!mayHaveGpu()) return null
  try {
    const picked = await pickAdapter()
    return picked.description.software ? null : picked
  } catch (error) {
    if (error instanceof ClericError && error.code === 'ERR_NO_DEVICE') return null
    throw error
  }
}

/** Which of an adapter's limits is too small for the largest tile; null if none is. */
function shortcoming({ limits, software }: AdapterDescription, { config, parameters }: Model): string | null {
  try {
    for (const build of [encoderGraph, decoderGraph]) {
      checkFits(build(config, parameters, maxTileSide, maxTileSide).graph, parameters, { limits, software })
    }
    return null
  } catch (error) {
    if (error instanceof ClericError && error.code === 'ERR_DEVICE_LIMIT') return error.message
    throw error
  }
}

/** Chooses between a GPU that was found, if any, and the processor, for the model to be run. */
export function choose(gpu: FoundAdapter | null, model: Model | null): Choice {
  if (!gpu) {
    return { gpu, reason: 'there is no GPU with a driver, and the processor is faster than a software adapter' }
  }
  const lack = model && shortcoming(gpu.description, model)
  if (lack) return { gpu: null, reason: `the GPU, ${gpu.description.name}, is too small for the model (${lack})` }
  return { gpu, reason: 'it is a GPU' }
}

/**
 * Opens a device.
 *
 * @param model what will run there, which "auto" considers
 * @param adapter part of a WebGPU adapter's name; with "auto" it asks for WebGPU
 * @throws ERR_NO_DEVICE, ERR_ADDON_MISSING, ERR_DEVICE_FAILED
 */
export async function openBackend(device: DeviceKind, model: Model, adapter?: string): Promise<Backend> {
  if (device === 'webgpu' || adapter !== undefined) return WebGpuBackend.open(await pickAdapter(adapter))
  const { gpu } = device === 'auto' ? choose(await findGpu(), model) : { gpu: null }
  return gpu ? WebGpuBackend.open(gpu) : openCpu()
}

/** All devices of this machine, and what "auto" picks for the model that ships with cleric. */
export async function listDevices(): Promise<DeviceList> {
  const found = await findGpu()
  // Without the model "auto" gets nowhere, but the devices are there.
  const { gpu, reason } = choose(found, found && (await loadModel().catch(() => null)))
  const cpu = await openCpu()
  const clockMHz = cpus()[0]?.speed ?? 0
  const devices: DeviceDescription[] = [
    ...(await listAdapters()),
    {
      kind: 'cpu',
      name: cpu.name,
      software: false,
      features: instructionSets(),
      // Virtual machines often don't tell.
      limits: { threads: cpu.threads, ...(clockMHz > 0 && { clockMHz }) },
    },
  ]
  cpu.close()
  return { auto: gpu?.description.name ?? cpu.name, reason, devices }
}

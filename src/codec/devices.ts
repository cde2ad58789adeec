/**
 * Which device the network runs on: a GPU if there is one, else the processor. A software adapter, a processor
 * that pretends to be a GPU, is several times slower than the CPU backend, so it is used only when asked for; and so
 * is a GPU whose limits are too small for the model, as it would fail at the first tile, or one that computes other
 * integers.
 */
import { cpus } from 'node:os'
import { instructionSets, openCpu } from '../cpu/backend.js'
import { ClericError, DeviceError, throwIfAborted } from '../errors.js'
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
import { howToInstallDawn, isDawnInstalled } from '../webgpu/dawn.js'
import { checkFits } from '../webgpu/plan.js'
import type { DeviceKind } from './arguments.js'
import { MAX_TILE_SIDE } from './bitstream.js'
import type { DeviceDescription, DeviceList } from './device-list.js'
import { agreesWithProcessor } from './exactness.js'

/** The device that "auto" picks: a GPU, or null for the processor. */
export interface Choice {
  readonly gpu: FoundAdapter | null
  readonly reason: string
}

/** The best GPU; null where there is none but software. */
export async function findGpu(): Promise<FoundAdapter | null> {
  const { found, failure } = await searchGpu()
  // Nothing else would say so.
  if (failure !== null) process.emitWarning(`cleric does without a GPU: ${failure}`)
  return found
}

interface GpuSearch {
  readonly found: FoundAdapter | null
  /** Why the package webgpu, which is installed, can't be loaded; null unless that is what ended the search. */
  readonly failure: string | null
}

async function searchGpu(): Promise<GpuSearch> {
  if (!mayHaveGpu()) return { found: null, failure: null }
  try {
    const picked = await pickAdapter()
    return { found: picked.description.software ? null : picked, failure: null }
  } catch (error) {
    if (error instanceof DeviceError && error.code === 'ERR_NO_DEVICE') return { found: null, failure: null }
    if (!isMissing(error)) throw error
    return { found: null, failure: isDawnInstalled() ? (error as DeviceError).message : null }
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof DeviceError && error.code === 'ERR_WEBGPU_MISSING'
}

/** Whether there may be a GPU that nothing is here to use. */
function lacksDawn(): boolean {
  return mayHaveGpu() && !isDawnInstalled()
}

/** Which of an adapter's limits is too small for the largest tile; null if none is. */
function shortcoming({ limits, software }: AdapterDescription, { config, parameters }: Model): string | null {
  try {
    for (const build of [encoderGraph, decoderGraph]) {
      checkFits(build(config, parameters, MAX_TILE_SIDE, MAX_TILE_SIDE).graph, parameters, { limits, software })
    }
    return null
  } catch (error) {
    if (error instanceof ClericError && error.code === 'ERR_DEVICE_LIMIT') return error.message
    throw error
  }
}

/**
 * Chooses between a GPU that was found, if any, and the processor, for the model to be run.
 *
 * @param failure why none could be looked for, if that is so
 */
export function choose(gpu: FoundAdapter | null, model: Model | null, failure: string | null = null): Choice {
  if (!gpu) {
    if (failure !== null) return { gpu, reason: failure }
    if (lacksDawn()) {
      return { gpu, reason: `a GPU takes the package webgpu, which isn't installed (${howToInstallDawn()})` }
    }
    return { gpu, reason: 'there is no GPU with a driver, and the processor is faster than a software adapter' }
  }
  const lack = model && shortcoming(gpu.description, model)
  if (lack) return { gpu: null, reason: `the GPU, ${gpu.description.name}, is too small for the model (${lack})` }
  return { gpu, reason: 'it is a GPU' }
}

/**
 * Opens a GPU, or a software adapter. GPUs are tried; of software adapters there are few, and the tests run on them.
 */
async function openTried(found: FoundAdapter, model: Model, signal?: AbortSignal): Promise<WebGpuBackend> {
  const backend = await WebGpuBackend.open(found)
  try {
    throwIfAborted(signal)
    if (found.description.software || (await agreesWithProcessor(model, backend, signal))) return backend
    const harm = 'what it encodes would not decode elsewhere'
    throw new DeviceError('ERR_DEVICE_INEXACT', `The GPU computes other integers than the processor, so that ${harm}`)
  } catch (error) {
    backend.close()
    throw error
  }
}

/** The GPU that was found, opened, if "auto" picks it; null for the processor. */
export async function openGpu(
  found: FoundAdapter | null,
  model: Model,
  signal?: AbortSignal,
): Promise<{ readonly backend: WebGpuBackend | null; readonly reason: string }> {
  const { gpu, reason } = choose(found, model)
  if (!gpu) return { backend: null, reason }
  try {
    return { backend: await openTried(gpu, model, signal), reason }
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error
    return { backend: null, reason: `the GPU, ${gpu.description.name}, is no use: ${error.message}` }
  }
}

/** Opens the device that "auto" picks. If a GPU is there but isn't used, a warning of the process says why. */
export async function openAuto(found: FoundAdapter | null, model: Model, signal?: AbortSignal): Promise<Backend> {
  const { backend, reason } = await openGpu(found, model, signal)
  if (backend) return backend
  if (found || lacksDawn()) process.emitWarning(`cleric runs on the processor: ${reason}`)
  return openCpu()
}

/**
 * Opens a device.
 *
 * @param model what will run there, which "auto" considers
 * @param adapter part of a WebGPU adapter's name; with "auto" it asks for WebGPU
 * @param signal looked at between the steps, none of which can be stopped midway
 * @throws ERR_NO_DEVICE, ERR_WEBGPU_MISSING, ERR_ADDON_MISSING, ERR_DEVICE_FAILED, ERR_ABORTED; ERR_DEVICE_INEXACT for a GPU that computes other
 * integers
 */
export async function openBackend(
  device: DeviceKind,
  model: Model,
  { adapter, signal }: { readonly adapter?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
): Promise<Backend> {
  if (device === 'cpu') return openCpu()
  if (device === 'auto' && adapter === undefined) return openAuto(await findGpu(), model, signal)
  return openTried(await pickAdapter(adapter), model, signal)
}

/** All devices of this machine, and what "auto" picks for the model that ships with cleric. */
export async function listDevices(): Promise<DeviceList> {
  const { found, failure } = await searchGpu()
  // If the model can't be read, the devices are listed all the same.
  const model = found && (await loadModel().catch(() => null))
  const opened = model && (await openGpu(found, model))
  opened?.backend?.close()
  const gpu = opened ? opened.backend : found?.description
  const { reason } = opened ?? choose(found, null, failure)
  using cpu = await openCpu()
  const clockMHz = cpus()[0]?.speed ?? 0
  const devices: DeviceDescription[] = [
    ...(await listAdapters().catch(noneWithoutDawn)),
    {
      kind: 'cpu',
      name: cpu.name,
      software: false,
      features: instructionSets(),
      // Virtual machines often don't tell.
      limits: { threads: cpu.threads, ...(clockMHz > 0 && { clockMHz }) },
    },
  ]
  return { auto: gpu?.name ?? cpu.name, reason, devices }
}

function noneWithoutDawn(error: unknown): [] {
  if (isMissing(error)) return []
  throw error
}

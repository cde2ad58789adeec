/** The devices that a speed bench runs on: the processor, and WebGPU adapters by name. */
import { type Backend, findAdapters, findGpu, openCpu, outOfRange, pickAdapter, WebGpuBackend } from 'cleric/internal'

export interface SpeedDevice {
  /** As in the report's tables: "cpu", or the adapter's name. */
  readonly id: string
  readonly kind: Backend['kind']
  /** A processor that pretends to be a GPU. */
  readonly software: boolean
  /** Opens it anew; `threads`: of the processor only. */
  open(threads?: number): Promise<Backend>
}

/** Names in `--device` that aren't part of an adapter's. */
export const DEVICE_WORDS = ['auto', 'all', 'cpu', 'webgpu'] as const

const processor: SpeedDevice = {
  id: 'cpu',
  kind: 'cpu',
  software: false,
  open: (threads) => openCpu(threads === undefined ? {} : { threads }),
}

/**
 * Devices by name, each once: `cpu`; `webgpu`, the best adapter; a part of an adapter's name; `all`; `auto`, the
 * processor and the GPU if there is one.
 *
 * @throws DeviceError ERR_NO_DEVICE; RangeError for an empty list
 */
export async function chooseDevices(names: readonly string[]): Promise<SpeedDevice[]> {
  if (names.length === 0 || names.includes(''))
    throw outOfRange('a list of devices such as cpu,webgpu', 'device', names)
  const chosen = new Map<string, SpeedDevice>()
  const add = (device: SpeedDevice) => chosen.set(device.id, device)
  for (const name of names) {
    if (name === 'cpu' || name === 'auto' || name === 'all') add(processor)
    if (name === 'auto') {
      const gpu = await findGpu()
      if (gpu) add(adapterDevice(gpu.description))
    } else if (name === 'all') {
      for (const { description } of await findAdapters()) add(adapterDevice(description))
    } else if (name !== 'cpu') {
      add(adapterDevice((await pickAdapter(name === 'webgpu' ? undefined : name)).description))
    }
  }
  return [...chosen.values()]
}

function adapterDevice({ name, software }: { readonly name: string; readonly software: boolean }): SpeedDevice {
  // An adapter gives one device: it is found anew each time.
  return { id: name, kind: 'webgpu', software, open: async () => WebGpuBackend.open(await pickAdapter(name)) }
}

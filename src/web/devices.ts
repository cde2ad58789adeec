/** The device that the network runs on in browsers, in place of `src/codec/devices.ts`. */
import type { DeviceKind } from '../codec/arguments.js'
import { DeviceError, throwIfAborted } from '../errors.js'
import type { Model } from '../model/model.js'
import type { Backend } from '../network/graph.js'
import { WebGpuBackend } from '../webgpu/backend.js'
import { pickAdapter } from './adapters.js'
import { decodesProbe } from './trial.js'

/**
 * Opens the browser's GPU, once it has been tried; or a software adapter, which is not tried, as in Node.
 *
 * @throws DeviceError ERR_NO_DEVICE, ERR_DEVICE_FAILED; ERR_DEVICE_INEXACT for a GPU that computes other integers; AbortedError
 */
export async function openBackend(
  device: DeviceKind,
  model: Model,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<Backend> {
  if (device === 'cpu') throw new DeviceError('ERR_NO_DEVICE', 'In browsers the network runs on WebGPU alone')
  const found = await pickAdapter()
  throwIfAborted(signal)
  const backend = await WebGpuBackend.open(found)
  try {
    throwIfAborted(signal)
    if (found.description.software || (await decodesProbe(model, backend, signal))) return backend
    const harm = 'so that it can decode no tiles'
    throw new DeviceError(
      'ERR_DEVICE_INEXACT',
      `The GPU, ${backend.name}, computes other integers than it should, ${harm}`,
    )
  } catch (error) {
    backend.close()
    throw error
  }
}

/**
 * A WebGPU device that reports: every create call and submit stands between
 * error scopes, and what they catch, a lost device, or a closed one rejects the
 * call that met it.
 */
import { ClericError, DeviceError } from '../errors.js'
import { nextTurn, pause } from './event-loop.js'

const FILTERS: readonly GPUErrorFilter[] = ['validation', 'out-of-memory', 'internal']

/** The limits that we ask an adapter for beyond WebGPU's defaults. */
const LIMITS = [
  'maxTextureDimension2D',
  'maxTextureArrayLayers',
  'maxBufferSize',
  'maxStorageBufferBindingSize',
] as const satisfies readonly (keyof GPUSupportedLimits)[]

/** Collects the errors of one call's create calls and submits. */
export class ErrorScopes {
  readonly #device: Device
  readonly #errors: Promise<DeviceError | null>[] = []

  constructor(device: Device) {
    this.#device = device
  }

  /**
   * Calls `make` between error scopes; `what` is how a failure's message starts. `undo` is called before
   * {@link check} throws what was found.
   */
  run<T>(what: string, make: () => T, undo = () => {}): T {
    const { gpu } = this.#device
    for (const filter of FILTERS) gpu.pushErrorScope(filter)
    try {
      return make()
    } finally {
      for (const _ of FILTERS) {
        const error = gpu.popErrorScope().then(
          (found) => {
            if (!found) return null
            undo()
            return new DeviceError('ERR_DEVICE_FAILED', `${what}: ${found.message}`)
          },
          () => null, // the device is gone, and `Device.wait` says so
        )
        this.#errors.push(error)
      }
    }
  }

  /** Throws the first error so far. */
  async check(): Promise<void> {
    const errors = await this.#device.wait(Promise.all(this.#errors.splice(0)))
    for (const error of errors) if (error) throw error
  }
}

/** A device that throws DeviceError for everything that goes wrong on it, and ERR_CLOSED once it is closed. */
export class Device {
  readonly gpu: GPUDevice
  readonly #napMilliseconds: number
  #failure: ClericError | null = null
  /**
   * Rejects each wait that is under way. To race each against one promise of a failure would be shorter, but leave a
   * reaction at that promise for every wait there ever was.
   */
  readonly #waits = new Set<(failure: ClericError) => void>()
  #napping = false

  private constructor(gpu: GPUDevice, napMilliseconds: number) {
    this.gpu = gpu
    this.#napMilliseconds = napMilliseconds
    gpu.lost.then((info) => {
      this.#fail(new DeviceError('ERR_DEVICE_FAILED', `The device was lost (${info.reason}): ${info.message}`))
    })
    gpu.addEventListener('uncapturederror', (event) => {
      this.#fail(new DeviceError('ERR_DEVICE_FAILED', event.error.message))
    })
  }

  /**
   * Opens a device on `adapter` with the limits that we use raised as far as it goes.
   *
   * @param software whether a processor pretends to be a GPU
   * @param features that the adapter has and that are to be used
   */
  static async open(adapter: GPUAdapter, software: boolean, features: readonly GPUFeatureName[] = []): Promise<Device> {
    const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]))
    try {
      return new Device(
        await adapter.requestDevice({ requiredLimits, requiredFeatures: [...features] }),
        software ? 0.5 : 0.05,
      )
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new DeviceError('ERR_DEVICE_FAILED', `The adapter gives no device: ${reason}`, { cause })
    }
  }

  /** Whether everything rejects from now on: the device is lost, failed where no call could be told, or is closed. */
  get isLost(): boolean {
    return this.#failure !== null
  }

  /** Throws if the device is closed or lost. */
  check(): void {
    if (this.#failure) throw this.#failure
  }

  scopes(): ErrorScopes {
    this.check()
    return new ErrorScopes(this)
  }

  /** The outcome of `promise`, or the device's failure if that comes first. */
  wait<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = <V>(how: (outcome: V) => void) => {
        return (outcome: V) => {
          this.#waits.delete(reject)
          how(outcome)
        }
      }
      promise.then(settle(resolve), settle(reject))
      if (this.#failure) {
        reject(this.#failure)
        return
      }
      this.#waits.add(reject)
      if (pause && !this.#napping) this.#nap(pause)
    })
  }

  /**
   * Naps while anything is awaited. For a GPU naps are short: a tile's decoding waits for it a dozen times. However many
   * wait, it is one nap a turn of the event loop.
   */
  async #nap(pause: (milliseconds: number) => void): Promise<void> {
    this.#napping = true
    while (this.#waits.size > 0) {
      await nextTurn()
      if (this.#waits.size > 0) pause(this.#napMilliseconds)
    }
    this.#napping = false
  }

  close(): void {
    if (this.#failure?.code === 'ERR_CLOSED') return
    this.#fail(new ClericError('ERR_CLOSED', 'The backend is closed'))
    this.gpu.destroy()
  }

  /** The first failure is the one that is told. */
  #fail(error: ClericError): void {
    if (this.#failure) return
    this.#failure = error
    for (const reject of this.#waits) reject(error)
    this.#waits.clear()
  }
}

/** The devices of this machine, and what must hold between any two of them. */
import type { ExecutionContext } from 'ava'
import { TileCodec } from '../../src/codec/tile-codec.js'
import { instructionSets, openCpu } from '../../src/cpu/backend.js'
import type { Image } from '../../src/image/image.js'
import { ErrorTotals } from '../../src/metrics/psnr.js'
import type { Model } from '../../src/model/model.js'
import type { Backend } from '../../src/network/graph.js'
import { findAdapters } from '../../src/webgpu/adapters.js'
import { WebGpuBackend } from '../../src/webgpu/backend.js'

export interface Device extends Disposable {
  readonly name: string
  readonly codec: TileCodec
}

export function deviceOf(model: Model, backend: Backend, name = backend.name): Device {
  const codec = new TileCodec(model, backend)
  return {
    name,
    codec,
    [Symbol.dispose]() {
      codec.close()
      backend.close()
    },
  }
}

/** The processor's instruction sets, or the first `count` of them. */
export async function processors(model: Model, count = Number.POSITIVE_INFINITY): Promise<Device[]> {
  const devices: Device[] = []
  for (const isa of instructionSets().slice(0, count))
    devices.push(deviceOf(model, await openCpu({ isa }), `cpu ${isa}`))
  return devices
}

/** Every WebGPU adapter. */
export async function adapters(model: Model): Promise<Device[]> {
  const devices: Device[] = []
  for (const found of await findAdapters()) devices.push(deviceOf(model, await WebGpuBackend.open(found)))
  return devices
}

/**
 * The tile of each device decodes on every other one to the same symbols (or the checksum that it carries would fail
 * there) and to pixels within 1 of 255; and on the same device to the very pixels that the encoder knew.
 */
export async function checkPairs(
  t: ExecutionContext,
  encoders: readonly Device[],
  decoders: readonly Device[],
  image: Image,
  quality: number,
): Promise<void> {
  // Most devices give the same bytes, which each decodes once.
  const known = new Map<string, Image>()
  const decode = async (device: Device, payload: Uint8Array) => {
    const key = `${device.name} ${Buffer.from(payload).toString('base64')}`
    const pixels = known.get(key) ?? (await device.codec.decode(payload, image, quality))
    known.set(key, pixels)
    return pixels
  }
  for (const encoder of encoders) {
    const { payload, decoded } = await encoder.codec.encodeChecked(image, quality)
    const own = await decode(encoder, payload)
    t.deepEqual(decoded, own, `quality ${quality}, ${encoder.name}: the encoder expects other pixels`)
    for (const decoder of decoders) {
      if (decoder === encoder) continue
      const other = await decode(decoder, payload)
      const errors = new ErrorTotals()
      errors.add(own, other)
      const pair = `quality ${quality}, ${encoder.name} to ${decoder.name}`
      t.true(errors.maxError <= 1, `${pair}: pixels differ by ${errors.maxError}`)
    }
  }
}

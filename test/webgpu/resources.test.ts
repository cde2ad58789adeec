/** What a device is asked for is given back; and a device that is lost at work fails the work, and leaves room for another. */
import test from 'ava'
import { TileCodec } from '../../src/codec/tile-codec.js'
import { pickAdapter } from '../../src/webgpu/adapters.js'
import { WebGpuBackend } from '../../src/webgpu/backend.js'
import { nanoModel } from '../network/golden.js'

const MAKERS = ['createBuffer', 'createTexture', 'createQuerySet'] as const

interface Resource {
  destroy(): void
}

/** A backend on a device that counts what is made and destroyed, and can be lost. */
async function counted() {
  const found = await pickAdapter()
  const alive = new Set<Resource>()
  let made = 0
  let device: GPUDevice | undefined
  const adapter = new Proxy(found.adapter, {
    get(target, name) {
      const value = Reflect.get(target, name, target)
      if (name !== 'requestDevice') return typeof value === 'function' ? value.bind(target) : value
      return async (descriptor: GPUDeviceDescriptor) => {
        device = await target.requestDevice(descriptor)
        for (const maker of MAKERS) {
          const make = (device[maker] as (descriptor: never) => Resource).bind(device)
          const count = (wanted: never) => {
            const resource = make(wanted)
            const destroy = resource.destroy.bind(resource)
            resource.destroy = () => {
              alive.delete(resource)
              destroy()
            }
            alive.add(resource)
            made++
            return resource
          }
          Object.defineProperty(device, maker, { value: count })
        }
        return device
      }
    },
  })
  const backend = await WebGpuBackend.open({ ...found, adapter })
  return { backend, alive, made: () => made, device: device as unknown as GPUDevice }
}

const tile = (seed: number, side = 64) => {
  const data = Uint8Array.from({ length: 3 * side * side }, (_, i) => 128 + 90 * Math.sin(i / (29 + seed)))
  return { data, width: side, height: side, channels: 3 as const }
}

test.serial('every buffer and texture that is made is destroyed', async (t) => {
  t.timeout(240_000)
  const { backend, alive, made } = await counted()
  const codec = new TileCodec(await nanoModel(), backend)
  const payload = await codec.encode(tile(1), 60)
  await codec.decode(payload, tile(1), 60)
  const first = made()
  t.true(first > 10)
  // The same sizes again need nothing new.
  for (let seed = 0; seed < 6; seed++) await codec.decode(await codec.encode(tile(seed), 60), tile(seed), 60)
  t.is(made(), first)
  // Other sizes take the place of those that are longest unused.
  for (const side of [80, 96, 128, 160]) await codec.encode(tile(2, side), 60)
  t.log(`${backend.name}: ${made()} made, ${alive.size} alive`)
  codec.close()
  backend.close()
  t.is(alive.size, 0)
})

test.serial('a device that is lost at work fails it with a code; another device does the work', async (t) => {
  t.timeout(240_000)
  const model = await nanoModel()
  const { backend, device } = await counted()
  const codec = new TileCodec(model, backend)
  const expected = await codec.encode(tile(1), 60)
  const work = [1, 2, 3].map((seed) => codec.encode(tile(seed), 60))
  setImmediate(() => device.destroy())
  const ends = await Promise.allSettled(work)
  const failures = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as Error] : []))
  t.true(failures.length > 0)
  for (const failure of failures) t.like(failure, { name: 'DeviceError', code: 'ERR_DEVICE_FAILED' })
  await t.throwsAsync(codec.encode(tile(1), 60), { code: 'ERR_DEVICE_FAILED' })
  codec.close()
  backend.close()
  const other = await counted()
  const again = new TileCodec(model, other.backend)
  t.deepEqual(await again.encode(tile(1), 60), expected)
  again.close()
  other.backend.close()
})

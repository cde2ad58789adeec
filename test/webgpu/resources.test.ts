/** What a device is asked for is given back; and a device that is lost at work fails the work, and leaves room for another. */
import test from 'ava'
import { TileCodec } from '../../src/codec/tile-codec.js'
import { pickAdapter } from '../../src/webgpu/adapters.js'
import { WebGpuBackend } from '../../src/webgpu/backend.js'
import { nanoModel } from '../network/golden.js'
import { countResources } from './resource-count.js'

const resources = countResources()

/** A backend whose resources are counted. */
async function counted() {
  resources.reset()
  return WebGpuBackend.open(await pickAdapter())
}

const tile = (seed: number, side = 64) => {
  const data = Uint8Array.from({ length: 3 * side * side }, (_, i) => 128 + 90 * Math.sin(i / (29 + seed)))
  return { data, width: side, height: side, channels: 3 as const }
}

test.serial('every buffer and texture that is made is destroyed', async (t) => {
  t.timeout(240_000)
  const backend = await counted()
  const codec = new TileCodec(await nanoModel(), backend)
  const payload = await codec.encode(tile(1), 60)
  await codec.decode(payload, tile(1), 60)
  const first = resources.made
  t.true(first > 10)
  // The same sizes again need nothing new.
  for (let seed = 0; seed < 6; seed++) await codec.decode(await codec.encode(tile(seed), 60), tile(seed), 60)
  t.is(resources.made, first)
  // Other sizes take the place of those that are longest unused.
  for (const side of [80, 96, 128, 160]) await codec.encode(tile(2, side), 60)
  t.log(`${backend.name}: ${resources.made} made, ${resources.alive} alive`)
  codec.close()
  backend.close()
  t.is(resources.alive, 0)
})

test.serial('a device that is lost at work fails it with a code; another device does the work', async (t) => {
  t.timeout(240_000)
  const model = await nanoModel()
  const backend = await counted()
  const codec = new TileCodec(model, backend)
  const expected = await codec.encode(tile(1), 60)
  const work = [1, 2, 3].map((seed) => codec.encode(tile(seed), 60))
  setImmediate(() => resources.device?.destroy())
  const ends = await Promise.allSettled(work)
  const failures = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as Error] : []))
  t.true(failures.length > 0)
  for (const failure of failures) t.like(failure, { name: 'DeviceError', code: 'ERR_DEVICE_FAILED' })
  await t.throwsAsync(codec.encode(tile(1), 60), { code: 'ERR_DEVICE_FAILED' })
  codec.close()
  backend.close()
  const other = await counted()
  const again = new TileCodec(model, other)
  t.deepEqual(await again.encode(tile(1), 60), expected)
  again.close()
  other.close()
})

/** Tiles in flight on every kind of device: what they give doesn't depend on how many there are. */
import test, { type ExecutionContext } from 'ava'
import { TileCodec } from '../../src/codec/tile-codec.js'
import { openCpu } from '../../src/cpu/backend.js'
import type { Backend } from '../../src/network/graph.js'
import { openWebGpu } from '../../src/webgpu/backend.js'
import { nanoModel } from '../network/golden.js'

const model = await nanoModel()

function tile(width: number, height: number, seed: number) {
  const value = (i: number) => 128 + 60 * Math.sin(i / (29 + seed)) + 30 * Math.sin(i * i + seed)
  return {
    data: Uint8Array.from({ length: 3 * width * height }, (_, i) => value(i)),
    width,
    height,
    channels: 3 as const,
  }
}

/** Does `work` on each item, `inFlight` at a time; more than the codec keeps executables for, too. */
async function each<T, R>(items: readonly T[], inFlight: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const at = next++
      results[at] = await work(items[at] as T)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  return results
}

async function sameAtAnyNumber(t: ExecutionContext, backend: Backend): Promise<void> {
  t.log(backend.name)
  const codec = new TileCodec(model, backend)
  const sizes = [
    [64, 64],
    [64, 64],
    [100, 40],
    [64, 64],
    [60, 50],
  ] as const
  const tiles = sizes.map(([width, height], i) => tile(width, height, i))
  const encode = (image: (typeof tiles)[0]) => codec.encode(image, 80)
  const payloads = await each(tiles, 1, encode)
  const pairs = payloads.map((payload, i) => ({ payload, size: tiles[i] as (typeof tiles)[0] }))
  const decode = ({ payload, size }: (typeof pairs)[0]) => codec.decode(payload, size, 80)
  const images = await each(pairs, 1, decode)
  const all = tiles.length
  const [encoded, decoded] = await Promise.all([each(tiles, all, encode), each(pairs, all, decode)])
  t.deepEqual(encoded, payloads)
  t.deepEqual(decoded, images)
  codec.close()
}

test('on the processor', async (t) => {
  const backend = await openCpu()
  try {
    await sameAtAnyNumber(t, backend)
  } finally {
    backend.close()
  }
})

test('on WebGPU', async (t) => {
  const backend = await openWebGpu()
  try {
    await sameAtAnyNumber(t, backend)
  } finally {
    backend.close()
  }
})

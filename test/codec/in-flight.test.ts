/** Tiles in flight on every kind of device: what they give doesn't depend on how many there are. */
import test, { type ExecutionContext } from 'ava'
import { TileCodec } from '../../src/codec/tile-codec.js'
import { openCpu } from '../../src/cpu/backend.js'
import type { Image } from '../../src/image/image.js'
import type { Backend } from '../../src/network/graph.js'
import { openWebGpu, WebGpuBackend } from '../../src/webgpu/backend.js'
import { nanoModel } from '../network/golden.js'
import { asGpu } from '../webgpu/as-gpu.js'

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

const sizes = [
  [64, 64],
  [64, 64],
  [100, 40],
  [64, 64],
  [60, 50],
] as const

async function sameAtAnyNumber(
  t: ExecutionContext,
  backend: Backend,
  sizesOfTiles: readonly (readonly [number, number])[] = sizes,
): Promise<void> {
  t.log(backend.name)
  const codec = new TileCodec(model, backend)
  const tiles = sizesOfTiles.map(([width, height], i) => tile(width, height, i))
  const encode = (image: (typeof tiles)[0]) => codec.encode(image, 80)
  const payloads = await each(tiles, 1, encode)
  const pairs = payloads.map((payload, i) => ({ payload, size: tiles[i] as (typeof tiles)[0] }))
  const decode = ({ payload, size }: (typeof pairs)[0]) => codec.decode(payload, size, 80)
  const images = await each(pairs, 1, decode)
  const all = tiles.length
  const [encoded, decoded] = await Promise.all([each(tiles, all, encode), each(pairs, all, decode)])
  t.deepEqual(encoded, payloads)
  t.deepEqual(decoded, images)
  await checkFailures(t, codec, pairs, images)
  codec.close()
}

interface Pair {
  readonly payload: Uint8Array
  readonly size: Image
}

/** A tile that is damaged, and one that is given up, take no other with them. */
async function checkFailures(t: ExecutionContext, codec: TileCodec, pairs: readonly Pair[], images: readonly Image[]) {
  const controller = new AbortController()
  const settled = Promise.allSettled(
    pairs.map(({ payload, size }, i) => {
      const damaged = payload.map((byte, at) => (i === 1 && at > payload.length / 2 ? byte ^ 0x5a : byte))
      return codec.decode(damaged, size, 80, i === 3 ? controller.signal : undefined)
    }),
  )
  controller.abort()
  for (const [i, outcome] of (await settled).entries()) {
    if (outcome.status === 'fulfilled') t.deepEqual(outcome.value, images[i])
    else t.is(outcome.reason.code, { 1: 'ERR_CORRUPT_TILE', 3: 'ERR_ABORTED' }[i])
    t.is(outcome.status === 'rejected', i === 1 || i === 3)
  }
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

test('in batches, as on a GPU', async (t) => {
  t.timeout(290_000)
  const backend = await WebGpuBackend.open(await asGpu(), { subgroups: 'none' })
  const compiled: number[] = []
  const counting: Backend = {
    ...{ kind: 'webgpu', name: backend.name, tilesInFlight: 3, isLost: false },
    batchOf: (graph, parameters) => backend.batchOf(graph, parameters),
    compile: (graph, parameters, batch) => {
      compiled.push(batch ?? 1)
      return backend.compile(graph, parameters, batch)
    },
    close: () => backend.close(),
  }
  try {
    // A batch that is full, one that is more than half full, and single ones.
    await sameAtAnyNumber(t, counting, [...sizes, ...new Array(9).fill([64, 64])])
    t.true(compiled.includes(8) && compiled.includes(1), compiled.join())
  } finally {
    backend.close()
  }
})

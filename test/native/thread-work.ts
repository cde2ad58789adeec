/** What a thread of `threads.test.ts` does. */
import { parentPort, workerData } from 'node:worker_threads'
import { type Codec, openCodec } from '../../src/codec/codec.js'

export interface Job {
  readonly seed: number
  readonly quality: number
}

/** A tile's bytes, and the pixels that they decode to. */
export interface Made {
  readonly bytes: Uint8Array
  readonly pixels: Uint8Array
}

const SIDE = 64

export function tileOf(seed: number) {
  const value = (i: number) => 128 + 60 * Math.sin(i / (29 + seed)) + 30 * Math.sin(i * i + seed)
  return { data: Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, i) => value(i)), width: SIDE, height: SIDE }
}

export async function work(codec: Codec, { seed, quality }: Job): Promise<Made> {
  const bytes = await codec.encodeTile(tileOf(seed), { quality })
  const { data: pixels } = await codec.decodeTile(bytes)
  return { bytes, pixels }
}

/** All jobs at once. */
export async function runInThread(): Promise<void> {
  const { jobs, model } = workerData as { jobs: readonly Job[]; model: string }
  using codec = await openCodec({ model, device: 'cpu' })
  parentPort?.postMessage(await Promise.all(jobs.map((job) => work(codec, job))))
}

/** Fails while tiles are being encoded. */
export async function dieAtWork(): Promise<void> {
  const { model } = workerData as { model: string }
  const codec = await openCodec({ model, device: 'cpu' })
  for (let seed = 0; seed < 8; seed++) work(codec, { seed, quality: 50 }).catch(() => {})
  setImmediate(() => {
    throw new Error('it dies at work')
  })
}

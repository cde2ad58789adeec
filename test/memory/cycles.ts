/**
 * The process whose memory is watched while a real codec encodes and decodes many tiles: `cycles.ts
 * JSON`, see `Cycles` in measure.ts. Prints a line of JSON at each look, and one at the end.
 *
 * The tiles are small, and so is the model, as what a call leaves behind doesn't depend on their size.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { openCodec } from '../../src/codec/codec.js'
import { countResources } from '../webgpu/resource-count.js'
import type { CycleMeasurement, CycleMemory, Cycles } from './measure.js'

const { cycles, leakBytes, ...choice } = JSON.parse(process.argv[2] as string) as Cycles
const SIDE = 64
/** Times that the memory is looked at, a multiple of 4. */
const LOOKS = 40

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const resources = countResources()
const codec = await openCodec(choice)
const kept: Uint8Array[] = []

async function cycle(number: number): Promise<void> {
  const data = Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, i) => 128 + 90 * Math.sin(i / 57 + number))
  const bytes = await codec.encodeTile({ data, width: SIDE, height: SIDE })
  await codec.decodeTile(bytes)
  if (leakBytes > 0) kept.push(new Uint8Array(leakBytes).fill(1))
}

const print = (value: CycleMemory | Omit<CycleMeasurement, 'looks'>) => console.log(JSON.stringify(value))
const started = performance.now()
for (let [begun, look] = [0, 1]; look <= LOOKS; look++) {
  const end = Math.round((look * cycles) / LOOKS)
  const worker = async () => {
    while (begun < end) await cycle(begun++)
  }
  // As many as run at a time: that is what a codec is used for.
  await Promise.all(Array.from({ length: codec.tilesInFlight }, worker))
  collect()
  const { rss, heapUsed } = process.memoryUsage()
  const { made, alive } = resources
  print({ cycles: end, rssBytes: rss, heapBytes: heapUsed, gpuMade: made, gpuAlive: alive })
}
const seconds = (performance.now() - started) / 1000
codec.close()
print({ seconds, device: codec.device.name, gpuMade: resources.made, gpuAlive: resources.alive })

/**
 * The process whose memory is watched while a real codec encodes and decodes many tiles: `cycles.ts
 * JSON`, see `Cycles` in measure.ts. Prints one line of JSON.
 *
 * The tiles are small, and so is the model, as what a call leaves behind doesn't depend on their size.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { openCodec } from '../../src/codec/codec.js'
import type { CycleMemory, Cycles } from './measure.js'

const { cycles, leakBytes, ...choice } = JSON.parse(process.argv[2] as string) as Cycles
const SIDE = 64
/** Times that the memory is looked at, a multiple of 4. */
const LOOKS = 40

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

using codec = await openCodec(choice)
const kept: Uint8Array[] = []

async function cycle(number: number): Promise<void> {
  const data = Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, i) => 128 + 90 * Math.sin(i / 57 + number))
  const bytes = await codec.encodeTile({ data, width: SIDE, height: SIDE })
  await codec.decodeTile(bytes)
  if (leakBytes > 0) kept.push(new Uint8Array(leakBytes).fill(1))
}

const looks: CycleMemory[] = []
const started = performance.now()
for (let begun = 0; looks.length < LOOKS; ) {
  const end = Math.round(((looks.length + 1) * cycles) / LOOKS)
  const worker = async () => {
    while (begun < end) await cycle(begun++)
  }
  // As many as run at a time: that is what a codec is used for.
  await Promise.all(Array.from({ length: codec.tilesInFlight }, worker))
  collect()
  const { rss, heapUsed } = process.memoryUsage()
  looks.push({ cycles: end, rssBytes: rss, heapBytes: heapUsed })
}
const seconds = (performance.now() - started) / 1000
console.log(JSON.stringify({ seconds, device: codec.device.name, looks }))

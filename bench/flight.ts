/**
 * Tiles a second with 1, 2, ... tiles in flight, and the share of the time in which a stage ran:
 * `npx tsx bench/flight.ts [--device cpu] [--model FILE] [--size 512] [--most 3] [--seconds 10]`.
 *
 * Past the codec's own number of tiles in flight (`codec.ts`), which this is there to choose. The best of three rounds
 * that take turns, as what else the machine does hits some of them.
 */
import { parseArgs } from 'node:util'
import { BusyClock } from '../src/archive/busy-clock.js'
import { openBackend } from '../src/codec/devices.js'
import type { Image } from '../src/codec/image.js'
import { TileCodec } from '../src/codec/tile-codec.js'
import { loadModel } from '../src/model/model.js'
import type { Backend } from '../src/network/graph.js'

const { values: options } = parseArgs({
  options: {
    device: { type: 'string', default: 'cpu' },
    model: { type: 'string' },
    size: { type: 'string', default: '512' },
    most: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '10' },
    quality: { type: 'string', default: '60' },
  },
})
const [size, most, seconds, quality] = [options.size, options.most, options.seconds, options.quality].map(Number) as [
  number,
  number,
  number,
  number,
]

const data = Uint8Array.from({ length: 3 * size * size }, (_, i) => {
  const [c, x, y] = [i % 3, Math.floor(i / 3) % size, Math.floor(i / 3 / size)]
  return 150 + 50 * Math.sin(x / 9 + c) * Math.cos(y / 7) + 40 * Math.sin(x * y + c)
})
const image: Image = { data, width: size, height: size, channels: 3 }

const model = await loadModel(options.model)
if (options.device !== 'cpu' && options.device !== 'webgpu') throw new RangeError('Expected cpu or webgpu for device')
const backend = await openBackend(options.device, model)
console.log(`${backend.name}, ${model.name}, ${size} x ${size}`)

let clock = new BusyClock()
/** The backend, with a clock that runs while a stage does. */
const timed: Backend = {
  kind: backend.kind,
  name: backend.name,
  tilesInFlight: backend.tilesInFlight,
  close: () => backend.close(),
  async compile(graph, parameters) {
    const executable = await backend.compile(graph, parameters)
    return {
      run: (stage, inputs, signal) => clock.while(executable.run(stage, inputs, signal)),
      close: () => executable.close(),
    }
  },
}

const codec = new TileCodec(model, timed)
const payload = await codec.encode(image, quality)
const work = { encode: () => codec.encode(image, quality), decode: () => codec.decode(payload, image, quality) }

/** Keeps `inFlight` calls under way for a while. */
async function measure(call: () => Promise<unknown>, inFlight: number, duration: number) {
  const warm = Array.from({ length: inFlight }, call)
  await Promise.all(warm)
  clock = new BusyClock()
  const began = performance.now()
  let done = 0
  const keep = async () => {
    while (performance.now() - began < duration * 1000) {
      await call()
      done++
    }
  }
  await Promise.all(Array.from({ length: inFlight }, keep))
  return { rate: done / ((performance.now() - began) / 1000), busy: clock.share }
}

const rounds = 3
for (const [name, call] of Object.entries(work)) {
  const best = new Map<number, { rate: number; busy: number }>()
  for (let round = 0; round < rounds; round++) {
    for (let inFlight = 1; inFlight <= most; inFlight++) {
      const result = await measure(call, inFlight, seconds / rounds)
      if (result.rate > (best.get(inFlight)?.rate ?? 0)) best.set(inFlight, result)
    }
  }
  for (const [inFlight, { rate, busy }] of best) {
    console.log(
      `${name}, ${inFlight} in flight: ${rate.toFixed(2)} tiles/s, stages ran ${(100 * busy).toFixed(1)} % of the time`,
    )
  }
}
codec.close()
backend.close()

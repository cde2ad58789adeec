/** The nano network on the CPU backend: golden vectors, every instruction set, any number of threads, a round trip. */
import test from 'ava'
import { gainsAt } from '../../src/codec/gain.js'
import { TileCodec } from '../../src/codec/tile-codec.js'
import { instructionSets, openCpu } from '../../src/cpu/backend.js'
import { padImage } from '../../src/image/image.js'
import { encoderGraph } from '../../src/network/cleric.js'
import type { PortData, Tensor } from '../../src/network/graph.js'
import { checkNetwork } from '../network/check-backend.js'
import { checkSymbols } from '../network/check-symbols.js'
import { nanoModel } from '../network/golden.js'

const model = await nanoModel()

/** Smooth with some texture, so that symbols of many sizes occur. */
function image(width: number, height: number) {
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) => {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % width, Math.floor(i / 3 / width)]
    return 128 + 60 * Math.sin(x / 9 + c) * Math.cos(y / 7) + 30 * Math.sin(x * y + c)
  })
  return { data, width, height, channels: 3 as const }
}

for (const isa of instructionSets()) {
  test(`${isa} rounds to symbols, and meets the golden vectors`, async (t) => {
    const backend = await openCpu({ isa })
    try {
      await checkSymbols(t, backend)
      await checkNetwork(t, backend)
    } finally {
      backend.close()
    }
  })

  test(`${isa} gives the same bits on any number of threads`, async (t) => {
    const { data, width, height } = padImage(image(150, 130), 64)
    const plan = encoderGraph(model.config, model.parameters, height, width)
    const inputs = new Map<Tensor, PortData>([[plan.image, data]])
    const gains = gainsAt(model, 70)
    if (plan.gain && gains) inputs.set(plan.gain, gains.forward)
    const hyper = plan.graph.tensors.find(({ name }) => name === 'y') as Tensor
    const stages = plan.graph.stages.map((stage) => ({
      ...stage,
      outputs: [...stage.outputs, { tensor: hyper, format: 'float' as const }],
    }))
    const results = []
    for (const threads of [1, 2, 3, 3]) {
      const backend = await openCpu({ threads, isa })
      const executable = await backend.compile({ ...plan.graph, stages }, model.parameters)
      results.push([...(await executable.run(0, inputs)).values()])
      backend.close()
    }
    for (const result of results.slice(1)) t.deepEqual(result, results[0])
  })
}

test('instruction sets with FMA agree to the bit', async (t) => {
  const fused = instructionSets().filter((isa) => isa.startsWith('avx'))
  const payloads = []
  for (const isa of fused) {
    const backend = await openCpu({ isa })
    const codec = new TileCodec(model, backend)
    payloads.push(await codec.encode(image(200, 100), 60))
    codec.close()
    backend.close()
  }
  for (const payload of payloads) t.deepEqual(payload, payloads[0])
})

test('tiles decode to what the encoder saw, also on another number of threads', async (t) => {
  const [first, second] = [await openCpu({ threads: 1 }), await openCpu({ threads: 3 })]
  const encoder = new TileCodec(model, first)
  const decoder = new TileCodec(model, second)
  for (const [width, height, quality] of [
    [64, 64, 100],
    [130, 70, 60],
    [1, 1, 0],
  ] as const) {
    const tile = image(width, height)
    const payload = await encoder.encode(tile, quality)
    // A checksum over the symbols is inside: any difference in the entropy parameters throws.
    const decoded = await decoder.decode(payload, { width, height }, quality)
    t.is(decoded.data.length, tile.data.length)
    t.deepEqual(await encoder.decode(payload, { width, height }, quality), decoded)
  }
  first.close()
  second.close()
})

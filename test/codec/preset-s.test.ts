/** The model that ships, on a real tile: the bitstream takes the bits that the model estimates, and is a picture. */
import sharp from 'sharp'
import { gainsAt } from '../../src/codec/gain.js'
import { TileCodec } from '../../src/codec/tile-codec.js'
import { openCpu } from '../../src/cpu/backend.js'
import { psnr } from '../../src/metrics/psnr.js'
import { loadModel } from '../../src/model/model.js'
import { encoderGraph } from '../../src/network/cleric.js'
import type { PortData, Tensor } from '../../src/network/graph.js'
import { dataPath, testWithModel } from '../data.js'
import { estimateBits, tableBits, withParameterOutputs } from './estimate.js'

const tile = 'eval/monuseg-010.png'
const side = 256

testWithModel(
  [tile],
  'real bits are those of the tables to within 1 %, no more than its densities estimate, and grow with the quality as PSNR does',
  async (t) => {
    const pixels = sharp(dataPath(tile)).extract({ left: 0, top: 0, width: side, height: side }).removeAlpha()
    const image = { data: await pixels.raw().toBuffer(), width: side, height: side, channels: 3 } as const
    const model = await loadModel()
    const backend = await openCpu()
    try {
      const codec = new TileCodec(model, backend)
      const plan = encoderGraph(model.config, model.parameters, side, side)
      const encoder = await backend.compile(withParameterOutputs(plan), model.parameters)
      const points: { bits: number; psnr: number }[] = []
      for (const quality of [20, 80]) {
        const payload = await codec.encode(image, quality)
        const inputs = new Map<Tensor, PortData>([
          [plan.image, image.data],
          [plan.gain as Tensor, gainsAt(model, quality)?.forward as Float32Array],
        ])
        const outputs = await encoder.run(0, inputs)
        const [estimated, tabled] = [estimateBits(model, plan, outputs), tableBits(model, plan, outputs)]
        const decoded = await codec.decode(payload, image, quality)
        const [excess, overhead] = [(payload.length * 8) / estimated - 1, (payload.length * 8) / tabled - 1]
        const point = { bits: payload.length * 8, psnr: psnr(image, decoded) }
        t.log(
          `quality ${quality}: ${(point.bits / side ** 2).toFixed(3)} bpp, ${point.psnr.toFixed(2)} dB, ` +
            `${(100 * excess).toFixed(2)} % over the estimate, ${(100 * overhead).toFixed(2)} % over the tables`,
        )
        t.true(Math.abs(overhead) < 0.01, `${point.bits} bits, by the tables ${tabled}`)
        // The tables are fitted to what is coded (training/cleric_training/integer/tables.py), which takes less than
        // the densities say.
        t.true(excess < 0.01, `${point.bits} bits, estimated ${estimated}`)
        points.push(point)
      }
      const [low, high] = points as [(typeof points)[0], (typeof points)[0]]
      t.true(high.bits > low.bits && high.psnr > low.psnr)
      t.true(low.psnr > 24, `${low.psnr} dB`)
      codec.close()
    } finally {
      backend.close()
    }
  },
)

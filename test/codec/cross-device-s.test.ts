/**
 * Real tiles, encoded on one device and decoded on the other, both ways, with the model that ships. A small share of
 * what `scripts/cross-check.ts` does, as WebGPU is slow where a processor pretends to be a GPU.
 */
import sharp from 'sharp'
import type { Image } from '../../src/image/image.js'
import { loadModel } from '../../src/model/model.js'
import { openWebGpu } from '../../src/webgpu/backend.js'
import { dataPath, testWithModel } from '../data.js'
import { checkPairs, deviceOf, processors } from './cross-device.js'

const tiles = ['eval/monuseg-010.png', 'eval/crchisto-009.png', 'eval/gbm40-013.png']
const side = 128

async function read(tile: string): Promise<Image> {
  const pixels = sharp(dataPath(tile)).extract({ left: 32, top: 16, width: side, height: side }).removeAlpha()
  return { data: await pixels.raw().toBuffer(), width: side, height: side, channels: 3 }
}

testWithModel(tiles, 'real tiles of three qualities decode on the processor and with WebGPU alike', async (t) => {
  t.timeout(280_000)
  const model = await loadModel()
  const [processor] = await processors(model, 1)
  if (!processor) throw new Error('no instruction set')
  using cpu = processor
  using gpu = deviceOf(model, await openWebGpu())
  t.log(`${cpu.name} and ${gpu.name}`)
  for (const [i, quality] of [20, 50, 85].entries()) {
    await checkPairs(t, [cpu, gpu], [cpu, gpu], await read(tiles[i] as string), quality)
  }
})

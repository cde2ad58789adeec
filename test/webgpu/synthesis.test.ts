/**
 * Pixels of a GPU's kernels and of the processor's, where they differ most: on a checkerboard, whose small differences the
 * synthesis makes large. With its tensors in half floats an eighth of the values would be 2 of 255 off and more.
 */
import type { ExecutionContext } from 'ava'
import { gainsAt } from '../../src/codec/gain.js'
import { openCpu } from '../../src/cpu/backend.js'
import { loadModel } from '../../src/model/model.js'
import { GraphBuilder } from '../../src/network/builder.js'
import { latentEncoderGraph } from '../../src/network/cleric.js'
import type { PortData, Tensor } from '../../src/network/graph.js'
import { synthesis } from '../../src/network/transforms.js'
import { WebGpuBackend } from '../../src/webgpu/backend.js'
import { testWithModel } from '../data.js'
import { asGpu } from './as-gpu.js'

const SIDE = 128

/** Black and white squares of 4 x 4 pixels. */
function checkerboard(): Uint8Array {
  const isWhite = (i: number) => ((((i % SIDE) >> 2) + (Math.floor(i / SIDE) >> 2)) & 1) === 1
  return Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => (isWhite(Math.floor(i / 3)) ? 255 : 0))
}

testWithModel([], "a checkerboard's pixels agree within 1 of 255", async (t: ExecutionContext) => {
  t.timeout(120_000)
  const { config, parameters, ...model } = await loadModel()
  using processor = await openCpu()
  using gpu = await WebGpuBackend.open(await asGpu(), { halfFloats: true, subgroups: 'none' })
  const encoder = latentEncoderGraph(config, parameters, SIDE, SIDE)
  const encode = await processor.compile(encoder.graph, parameters)
  const g = new GraphBuilder(parameters)
  const input = g.input('y_hat', { channels: config.M, height: SIDE / 16, width: SIDE / 16 }, 'float')
  g.endStage('synthesis', [{ tensor: synthesis(g, config, input), format: 'rgb8' }])
  const graph = g.finish()
  const decoders = [await processor.compile(graph, parameters), await gpu.compile(graph, parameters)]
  for (const quality of [5, 95]) {
    const gains = gainsAt({ config, parameters, ...model }, quality)
    const inputs = new Map<Tensor, PortData>([[encoder.image, checkerboard()]])
    if (encoder.gain && gains) inputs.set(encoder.gain, gains.forward)
    const latent = (await encode.run(0, inputs)).get(encoder.yHat) as Float32Array
    const positions = latent.length / config.M
    const yHat = latent.map((value, i) => value * (gains?.inverse[Math.floor(i / positions)] ?? 1))
    const [expected, actual] = await Promise.all(
      decoders.map(async (decoder) => [...(await decoder.run(0, new Map([[input, yHat]]))).values()][0] as Uint8Array),
    )
    const worst = Math.max(...(expected ?? []).map((value, i) => Math.abs(value - (actual?.[i] as number))))
    t.true(expected?.some((value) => value > 200) && worst <= 1, `at quality ${quality} they differ by ${worst}`)
  }
})

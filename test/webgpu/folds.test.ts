/** Devices whose textures have no more layers than WebGPU promises run the model that ships: wide tensors are folded. */
import { MAX_TILE_SIDE } from '../../src/codec/bitstream.js'
import { PROBE_QUALITY, probe } from '../../src/codec/probe.js'
import { TileCodec } from '../../src/codec/tile-codec.js'
import { openCpu } from '../../src/cpu/backend.js'
import { cropImage } from '../../src/image/image.js'
import { loadModel } from '../../src/model/model.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import { pickAdapter } from '../../src/webgpu/adapters.js'
import { WebGpuBackend } from '../../src/webgpu/backend.js'
import { checkFits, plan } from '../../src/webgpu/plan.js'
import { testWithModel } from '../data.js'

/** What WebGPU promises everywhere. */
const LAYERS = 256
const PROMISED = {
  maxTextureDimension2D: 8192,
  maxTextureArrayLayers: LAYERS,
  maxBufferSize: 2 ** 28,
  maxStorageBufferBindingSize: 2 ** 27,
}

for (const software of [true, false]) {
  testWithModel(
    [],
    `256 layers of a texture are enough, with the kernels of a ${software ? 'processor' : 'GPU'}`,
    async (t) => {
      t.timeout(300_000)
      const model = await loadModel()
      const found = await pickAdapter()
      const limits = { ...found.description.limits, maxTextureArrayLayers: LAYERS }
      const description = { ...found.description, software, limits }
      for (const build of [encoderGraph, decoderGraph]) {
        const { graph } = build(model.config, model.parameters, MAX_TILE_SIDE, MAX_TILE_SIDE)
        t.notThrows(() => checkFits(graph, model.parameters, { software, limits: PROMISED }))
        const { slots } = plan(graph, { parameters: model.parameters, software, maxLayers: LAYERS, batch: 1 })
        t.true(
          slots.some(({ channels }) => channels > 4 * LAYERS),
          'there is something to fold',
        )
      }
      const adapter = {
        limits: { ...found.description.limits, maxTextureArrayLayers: LAYERS },
        requestDevice: (descriptor: GPUDeviceDescriptor) => found.adapter.requestDevice(descriptor),
      } as unknown as GPUAdapter
      using narrow = await WebGpuBackend.open({ description, adapter }, { subgroups: 'none' })
      using processor = await openCpu()
      using tested = new TileCodec(model, narrow)
      using reference = new TileCodec(model, processor)
      const image = cropImage(probe(), 128, 64)
      // The checksums of symbols tell of any that is another.
      const payload = await tested.encode(image, PROBE_QUALITY)
      const expected = await reference.decode(payload, image, PROBE_QUALITY)
      const decoded = await tested.decode(payload, image, PROBE_QUALITY)
      const worst = decoded.data.reduce(
        (most, value, i) => Math.max(most, Math.abs(value - (expected.data[i] as number))),
        0,
      )
      t.true(worst <= 1, `they differ by ${worst}`)
    },
  )
}

/** What "auto" picks, for GPUs that no test machine needs to have. */
import test from 'ava'
import { choose } from '../../src/codec/devices.js'
import type { FoundAdapter } from '../../src/webgpu/adapters.js'
import { nanoModel } from '../network/golden.js'

const model = nanoModel()

/** A GPU with WebGPU's default limits, but for those given. */
function gpu(limits: Partial<FoundAdapter['description']['limits']> = {}): FoundAdapter {
  return {
    description: {
      kind: 'webgpu',
      name: 'Some GPU (vulkan)',
      backend: 'vulkan',
      software: false,
      description: '',
      features: [],
      limits: {
        maxTextureDimension2D: 8192,
        maxTextureArrayLayers: 256,
        maxBufferSize: 2 ** 28,
        maxStorageBufferBindingSize: 2 ** 27,
        maxStorageTexturesPerShaderStage: 4,
        maxComputeInvocationsPerWorkgroup: 256,
        maxComputeWorkgroupsPerDimension: 65535,
        maxComputeWorkgroupStorageSize: 16384,
        ...limits,
      },
    },
    adapter: {} as GPUAdapter, // not to be opened
  }
}

test('a GPU that holds the model is picked', (t) => {
  const found = gpu()
  t.deepEqual(choose(found, model), { gpu: found, reason: 'it is a GPU' })
  t.is(choose(found, null).gpu, found)
})

test('without a GPU it is the processor', (t) => {
  t.is(choose(null, model).gpu, null)
  t.regex(choose(null, model).reason, /no GPU/)
})

test('a GPU whose limits are too small for the model is not picked, and the reason says which', (t) => {
  for (const [limit, value] of [
    ['maxTextureArrayLayers', 8],
    ['maxTextureDimension2D', 1024],
    ['maxBufferSize', 4096],
    ['maxStorageBufferBindingSize', 4096],
  ] as const) {
    const { gpu: picked, reason } = choose(gpu({ [limit]: value }), model)
    t.is(picked, null)
    t.regex(reason, /^the GPU, Some GPU \(vulkan\), is too small for the model \(.* is over the device's /)
    t.true(reason.endsWith(`${limit} of ${value})`), reason)
  }
})

/** The nano network on every WebGPU adapter of this machine. */
import test from 'ava'
import { findAdapters, pickAdapter } from '../../src/webgpu/adapters.js'
import { WebGpuBackend } from '../../src/webgpu/backend.js'
import { checkNetwork } from './check-backend.js'
import { checkSymbols } from './check-symbols.js'

test('every adapter rounds to symbols, and meets the golden vectors', async (t) => {
  const adapters = await findAdapters()
  t.true(adapters.length > 0, 'no WebGPU adapter: scripts/setup installs a software one')
  for (const found of adapters) {
    t.log(found.description.name)
    const backend = await WebGpuBackend.open(found, { halfFloats: false })
    try {
      await checkSymbols(t, backend)
      await checkNetwork(t, backend)
    } finally {
      backend.close()
    }
  }
})

test("a GPU's kernels meet them too, or a software adapter's on a GPU", async (t) => {
  const { description, adapter } = await pickAdapter()
  // In floats throughout, as they are to meet PyTorch's.
  const backend = await WebGpuBackend.open(
    { description: { ...description, software: !description.software }, adapter },
    { halfFloats: false, subgroups: 'none' },
  )
  try {
    await checkNetwork(t, backend)
  } finally {
    backend.close()
  }
})

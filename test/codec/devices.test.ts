/** What "auto" picks, for GPUs that no test machine needs to have. */

import fs from 'node:fs'
import { register, syncBuiltinESMExports } from 'node:module'
import os from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { openCodec } from '../../src/codec/codec.js'
import { choose, listDevices } from '../../src/codec/devices.js'
import { agreesWithProcessor } from '../../src/codec/exactness.js'
import { CpuBackend, openCpu } from '../../src/cpu/backend.js'
import type { FoundAdapter } from '../../src/webgpu/adapters.js'
import { nanoModel, nanoModelFile } from '../network/golden.js'

const model = await nanoModel()

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

/** Counts what is closed. */
function countClosed(t: ExecutionContext): () => number {
  const { close } = CpuBackend.prototype
  let closed = 0
  CpuBackend.prototype.close = function () {
    closed++
    close.call(this)
  }
  t.teardown(() => {
    CpuBackend.prototype.close = close
  })
  return () => closed
}

test.serial('what is opened to try a device is closed though the model is unsound', async (t) => {
  using tried = await openCpu()
  const closed = countClosed(t)
  const yTables = { ...model.yTables, values: model.yTables.values.map(() => 0) }
  await t.throwsAsync(agreesWithProcessor({ ...model, yTables }, tried), { code: 'ERR_MODEL_CORRUPT' })
  t.is(closed(), 1)
})

test.serial('what is opened to list devices is closed though the list fails', async (t) => {
  t.timeout(60_000)
  const closed = countClosed(t)
  const { cpus } = os
  t.teardown(() => {
    os.cpus = cpus
    syncBuiltinESMExports()
  })
  let calls = 0
  os.cpus = () => {
    // The first names the processor that is opened.
    if (++calls > 1) throw new Error('no processors')
    return cpus()
  }
  syncBuiltinESMExports()
  await t.throwsAsync(listDevices(), { message: 'no processors' })
  t.is(closed(), 1)
})

test.serial('a codec that is open when its opening has been given up is closed', async (t) => {
  const closed = countClosed(t)
  const { cpus } = os
  t.teardown(() => {
    os.cpus = cpus
    syncBuiltinESMExports()
  })
  const controller = new AbortController()
  os.cpus = () => {
    // Here the processor has been opened, and nothing looks at the signal any more.
    controller.abort()
    return cpus()
  }
  syncBuiltinESMExports()
  const opening = openCodec({ model: fileURLToPath(nanoModelFile), device: 'cpu', signal: controller.signal })
  await t.throwsAsync(opening, { code: 'ERR_ABORTED' })
  await delay(0)
  t.is(closed(), 1)
})

test.serial('the list says why no GPU could be looked for', async (t) => {
  // A machine with a render node, whose package webgpu is there but doesn't load.
  const { readdirSync } = fs
  t.teardown(() => {
    fs.readdirSync = readdirSync
    syncBuiltinESMExports()
  })
  fs.readdirSync = ((path: string) => (path === '/dev' ? ['renderD128'] : [])) as typeof readdirSync
  syncBuiltinESMExports()
  const hook = `export function resolve(name, context, next) {
    if (name === 'webgpu') throw new Error('dawn.node: no such symbol')
    return next(name, context)
  }`
  register(`data:text/javascript,${encodeURIComponent(hook)}`)
  const { auto, reason, devices } = await listDevices()
  t.regex(reason, /package webgpu, which can't be loaded: dawn\.node: no such symbol/)
  t.deepEqual(
    devices.map(({ name }) => name),
    [auto],
  )
})

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

/** A GPU that computes other integers than the processor is not used: what it encodes would decode nowhere else. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { openAuto, openGpu } from '../../src/codec/devices.js'
import { agreesWithProcessor } from '../../src/codec/exactness.js'
import { instructionSets, openCpu } from '../../src/cpu/backend.js'
import { type FoundAdapter, pickAdapter } from '../../src/webgpu/adapters.js'
import { nanoModel } from '../network/golden.js'

const model = await nanoModel()

/** The best adapter here as if it were a GPU, whose driver compiles one of our shaders as `compiled` says. */
async function gpuThatCompiles(name: string, compiled: (code: string) => string): Promise<FoundAdapter> {
  const { adapter, description } = await pickAdapter()
  const requestDevice = async (descriptor: GPUDeviceDescriptor) => {
    const device = await adapter.requestDevice(descriptor)
    const create = device.createShaderModule.bind(device)
    device.createShaderModule = (module) =>
      create(module.label === name ? { ...module, code: compiled(module.code) } : module)
    return device
  }
  return {
    description: { ...description, software: false },
    adapter: { limits: adapter.limits, requestDevice } as unknown as GPUAdapter,
  }
}

async function checkRefused(t: ExecutionContext, gpu: FoundAdapter, why: RegExp): Promise<void> {
  const { backend, reason } = await openGpu(gpu, model)
  t.is(backend, null)
  t.regex(reason, why)
  t.true(reason.startsWith(`the GPU, ${gpu.description.name}, is no use: `), reason)
}

test('processors agree, whatever their instructions', async (t) => {
  for (const isa of instructionSets()) {
    const backend = await openCpu({ isa })
    t.true(await agreesWithProcessor(model, backend), isa)
    backend.close()
  }
})

test.serial('a GPU that computes the same integers is used', async (t) => {
  t.timeout(240_000)
  const { backend, reason } = await openGpu(await gpuThatCompiles('none', (code) => code), model)
  t.is(reason, 'it is a GPU')
  t.is(backend?.kind, 'webgpu')
  backend?.close()
})

// As NVIDIA's driver 580 did on Hopper, when the integers were still taken as such.
test.serial('one whose driver leaves out abs is not', async (t) => {
  t.timeout(240_000)
  const compiled = (code: string) => code.replace('abs(between[', '(between[')
  t.not(compiled('x abs(between[y])'), 'x abs(between[y])')
  await checkRefused(t, await gpuThatCompiles('pointwise_chain', compiled), /computes other integers/)
})

test.serial('nor is one that computes a tile right alone, but not in a batch', async (t) => {
  t.timeout(240_000)
  const isBatch = (code: string) => code.includes('var<private> tile')
  const compiled = (code: string) => (isBatch(code) ? code.replace('abs(between[', '(between[') : code)
  await checkRefused(t, await gpuThatCompiles('pointwise_chain', compiled), /computes other integers/)
})

test.serial('nor is one whose driver refuses a shader', async (t) => {
  t.timeout(240_000)
  await checkRefused(t, await gpuThatCompiles('integer_conv', () => 'nonsense'), /integer_conv\.wgsl: /)
})

test.serial('then the processor is, with a warning; without a GPU there is nothing to tell', async (t) => {
  t.timeout(240_000)
  const told: string[] = []
  const hear = ({ message }: Error) => told.push(message)
  process.on('warning', hear)
  t.teardown(() => process.off('warning', hear))
  for (const found of [await gpuThatCompiles('integer_conv', () => 'nonsense'), null]) {
    const backend = await openAuto(found, model)
    t.is(backend.kind, 'cpu')
    backend.close()
  }
  await nextTurn()
  t.is(told.length, 1)
  t.regex(told[0] ?? '', /^cleric runs on the processor: the GPU, .* is no use: integer_conv\.wgsl: /)
})

test.serial('nor one that gives no device; what fails for another reason is passed on', async (t) => {
  const { description } = await pickAdapter()
  const broken = { limits: {}, requestDevice: () => Promise.reject(new Error('unplugged')) } as unknown as GPUAdapter
  const { backend, reason } = await openGpu(
    { description: { ...description, software: false }, adapter: broken },
    model,
  )
  t.is(backend, null)
  t.regex(reason, /The adapter gives no device: unplugged/)
  const processor = await openCpu()
  processor.close()
  await t.throwsAsync(agreesWithProcessor(model, processor), { code: 'ERR_CLOSED' })
})

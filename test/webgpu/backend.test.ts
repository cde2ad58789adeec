/** What the backend promises beyond numbers: errors reject, aborts are heard, memory is reused and shared. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { AbortedError, DeviceError } from '../../src/errors.js'
import { decoderGraph } from '../../src/network/cleric.js'
import type { Graph, Node, Parameters, PortData, Tensor } from '../../src/network/graph.js'
import { ARRAY_OF, portElements } from '../../src/network/ports.js'
import { pickAdapter } from '../../src/webgpu/adapters.js'
import { openWebGpu, WebGpuBackend } from '../../src/webgpu/backend.js'
import { workgroupCount } from '../../src/webgpu/binder.js'
import { GPUBufferUsage } from '../../src/webgpu/constants.js'
import { Device } from '../../src/webgpu/device.js'
import { type Dispatch, isCopy } from '../../src/webgpu/dispatch.js'
import { compilePipeline } from '../../src/webgpu/pipelines.js'
import { plan, split } from '../../src/webgpu/plan.js'
import { loadShader, packParams, parseShader } from '../../src/webgpu/shader.js'
import { nanoModel } from '../network/golden.js'
import { interpreter } from '../network/interpreter.js'
import { TYPESCRIPT } from '../typescript.js'
import { onEachAdapter } from './adapters.js'

/** Conv weights that are the same for every name: a small, fixed pattern. */
const parameters: Parameters = {
  get(name) {
    const shape = name.endsWith('weight') ? [8, 8, 3, 3] : [8]
    const length = shape.reduce((a, b) => a * b, 1)
    return { shape, data: Float32Array.from({ length }, (_, i) => Math.sin(i) / 8) }
  },
  integers: () => ({ shape: [], data: new Int32Array() }),
}

/** x -> conv3x3 -> conv3x3 ..., `depth` of them with a residual each, 8 channels. */
function chain(depth: number, height: number, width: number): { graph: Graph; x: Tensor; y: Tensor } {
  const shape = { channels: 8, height, width }
  const tensors: Tensor[] = Array.from({ length: depth + 1 }, (_, id) => ({ id, name: `t${id}`, shape }))
  const at = (i: number) => tensors[i] as Tensor
  const nodes: Node[] = Array.from({ length: depth }, (_, i) => ({
    op: 'conv',
    inputs: [at(i)],
    output: at(i + 1),
    weight: `${i}.weight`,
    bias: `${i}.bias`,
    kernel: 3,
    stride: 1,
    padding: 1,
    activation: 'gelu',
    shuffle: 1,
    residual: at(i),
  }))
  const port = (tensor: Tensor) => ({ tensor, format: 'float' }) as const
  const stage = { name: 'chain', inputs: [port(at(0))], nodes, outputs: [port(at(depth))] }
  return { graph: { tensors, stages: [stage] }, x: at(0), y: at(depth) }
}

function data({ shape }: Tensor, seed = 1): Float32Array {
  const length = shape.channels * shape.height * shape.width
  return Float32Array.from({ length }, (_, i) => Math.sin(i * seed))
}

onEachAdapter('runs repeat to the bit, and executables do not disturb each other', async (t, backend) => {
  const a = chain(5, 9, 7)
  const b = chain(3, 9, 7)
  const first = await backend.compile(a.graph, parameters)
  const second = await backend.compile(b.graph, parameters)
  const run = async (e: typeof first, c: typeof a, seed: number) =>
    (await e.run(0, new Map([[c.x, data(c.x, seed)]]))).get(c.y)
  const expected = await run(first, a, 1)
  const other = await run(second, b, 2)
  t.notDeepEqual(expected, await run(first, a, 3))
  const [again, otherAgain] = await Promise.all([run(first, a, 1), run(second, b, 2)])
  t.deepEqual(again, expected)
  t.deepEqual(otherAgain, other)
  first.close()
  first.close()
  t.deepEqual(await run(second, b, 2), other)
  await t.throwsAsync(run(first, a, 1), { name: 'ClericError', code: 'ERR_CLOSED' })
  second.close()
})

onEachAdapter('ports in coding order hold one half of the checkerboard, or one after the other', async (t, backend) => {
  for (const [channels, height, width] of [
    [5, 3, 7],
    [4, 4, 8],
    [1, 1, 2],
    [6, 5, 4],
  ] as const) {
    for (const [from, to] of [
      ['float', 'halves'],
      ['float', 'anchors'],
      ['float', 'nonAnchors'],
      ['anchors', 'float'],
      ['nonAnchors', 'float'],
      ['halves', 'int16'],
    ] as const) {
      const [x, y] = [0, 1].map((id) => ({ id, name: `t${id}`, shape: { channels, height, width } })) as [
        Tensor,
        Tensor,
      ]
      const nodes: Node[] = [{ op: 'scale', input: x, output: y, factor: 1 }]
      const input = { tensor: x, format: from } as const
      const stage = { name: 'move', inputs: [input], nodes, outputs: [{ tensor: y, format: to } as const] }
      const graph = { tensors: [x, y], stages: [stage] }
      const values = Array.from({ length: portElements(input) }, (_, i) => 1 + ((i * 7919) % 401) - 200)
      const inputs = new Map<Tensor, PortData>([[x, ARRAY_OF[from].from(values)]])
      const executable = await backend.compile(graph, parameters)
      const actual = (await executable.run(0, inputs)).get(y)
      executable.close()
      const expected = (await (await interpreter().compile(graph, parameters)).run(0, inputs)).get(y)
      t.deepEqual(actual, expected, `${channels} x ${height} x ${width}, ${from} to ${to}`)
    }
  }
})

onEachAdapter('an abort rejects, and the executable goes on', async (t, backend) => {
  const { graph, x, y } = chain(8, 700, 700)
  const executable = await backend.compile(graph, parameters)
  const inputs = new Map<Tensor, PortData>([[x, data(x)]])
  await t.throwsAsync(executable.run(0, inputs, AbortSignal.abort('enough')), { instanceOf: AbortedError })
  const controller = new AbortController()
  const running = executable.run(0, inputs, controller.signal)
  // A GPU is done in a few milliseconds, so that its run is aborted at once.
  if (backend.adapter.software) setTimeout(() => controller.abort(), 20)
  else controller.abort()
  const outcome = await running.then(
    () => null,
    (error: unknown) => error, // a long array would be printed at length
  )
  t.true(outcome instanceof AbortedError)
  const result = (await executable.run(0, inputs)).get(y)
  executable.close()
  const untouched = await backend.compile(graph, parameters)
  const expected = (await untouched.run(0, inputs)).get(y)
  untouched.close()
  t.is(result?.length, 8 * 700 * 700)
  t.true(
    expected?.every((value, i) => value === result?.[i]),
    'what the aborted run left behind shows',
  )
})

onEachAdapter('overlapping runs, wrong stages and wrong inputs reject', async (t, backend) => {
  const { graph, x } = chain(1, 4, 4)
  const executable = await backend.compile(graph, parameters)
  const inputs = new Map<Tensor, PortData>([[x, data(x)]])
  const running = executable.run(0, inputs)
  await t.throwsAsync(executable.run(0, inputs), { instanceOf: DeviceError, message: /overlap/ })
  await running
  await t.throwsAsync(executable.run(1, inputs), { instanceOf: RangeError, message: /stage/ })
  await t.throwsAsync(executable.run(0, new Map()), { instanceOf: RangeError, message: /for t0 but received nothing/ })
  const wrong = new Map<Tensor, PortData>([[x, new Int16Array(128)]])
  await t.throwsAsync(executable.run(0, wrong), {
    message: /Float32Array of 128 for t0 but received Int16Array of 128/,
  })
  executable.close()
})

onEachAdapter('a texture beyond the limits is refused with names and numbers', async (t, backend) => {
  const limit = backend.adapter.limits.maxTextureDimension2D as number
  const { graph } = chain(1, 1, limit)
  await t.throwsAsync(backend.compile(graph, parameters), {
    instanceOf: DeviceError,
    code: 'ERR_DEVICE_LIMIT',
    message: new RegExp(`t0: a texture width of ${limit + 14} is over .*maxTextureDimension2D of ${limit}`),
  })
})

async function openDevice(name: string): Promise<Device> {
  const { adapter, description } = await pickAdapter(name)
  return Device.open(adapter, description.software)
}

onEachAdapter('a shader that does not compile says so, with its line', async (t, _, name) => {
  const device = await openDevice(name)
  const code = '@compute @workgroup_size(8)\nfn broken() {\n  let x = nothing;\n}'
  await t.throwsAsync(compilePipeline(device, parseShader('broken', code)), {
    instanceOf: DeviceError,
    code: 'ERR_SHADER',
    message: /^broken\.wgsl: .*nothing.* at 'let x = nothing;'$/,
  })
  const missing = '@group(0) @binding(0) var<uniform> p: vec4f;\n@compute @workgroup_size(100000)\nfn big() { _ = p; }'
  await t.throwsAsync(compilePipeline(device, parseShader('big', missing)), {
    code: 'ERR_SHADER',
    message: /big\.wgsl: /,
  })
  device.close()
})

onEachAdapter("a create call's error rejects with its own name", async (t, _, name) => {
  const device = await openDevice(name)
  const scopes = device.scopes()
  scopes.run('a strange buffer', () =>
    device.gpu.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.MAP_WRITE }),
  )
  scopes.run('a good one', () => device.gpu.createBuffer({ size: 4, usage: GPUBufferUsage.STORAGE }))
  await t.throwsAsync(scopes.check(), { code: 'ERR_DEVICE_FAILED', message: /^a strange buffer: / })
  await scopes.check()
  device.close()
})

const noMemory = async (t: ExecutionContext, software: boolean, name: string) => {
  const { description, adapter } = await pickAdapter(name)
  let failing = 'none'
  const requestDevice = async (descriptor: GPUDeviceDescriptor) => {
    const device = await adapter.requestDevice(descriptor)
    const fails = ({ label }: GPUObjectDescriptorBase) => label?.startsWith(failing)
    const [createTexture, createBuffer] = [device.createTexture.bind(device), device.createBuffer.bind(device)]
    // An impossible number of levels, or use, stands for want of memory: all of them give something invalid.
    device.createTexture = (texture) => createTexture(fails(texture) ? { ...texture, mipLevelCount: 99 } : texture)
    device.createBuffer = (buffer) => createBuffer(fails(buffer) ? { ...buffer, usage: 0 } : buffer)
    return device
  }
  const found = {
    description: { ...description, software },
    adapter: { limits: adapter.limits, requestDevice } as unknown as GPUAdapter,
  }
  const backend = await WebGpuBackend.open(found, { subgroups: 'none' })
  const { graph, x, y } = chain(2, 6, 5)
  for (const label of ['1.weight', 't1']) {
    failing = label
    const { code, message } = await t.throwsAsync(backend.compile(graph, parameters), { instanceOf: DeviceError })
    t.is(code, 'ERR_DEVICE_FAILED')
    t.true(message.startsWith(label), message)
  }
  failing = 'none'
  const executable = await backend.compile(graph, parameters)
  t.is((await executable.run(0, new Map([[x, data(x)]]))).get(y)?.length, 240)
  backend.close()
}

for (const software of [true, false]) {
  const kernels = software ? "a software adapter's" : "a GPU's"
  onEachAdapter(`what there is no memory for rejects, and the backend goes on, ${kernels} kernels`, (t, _, name) =>
    noMemory(t, software, name),
  )
}

onEachAdapter('a closed backend and a lost device reject', async (t, _, name) => {
  const backend = await openWebGpu({ adapter: name })
  const { graph, x } = chain(1, 4, 4)
  const executable = await backend.compile(graph, parameters)
  const running = executable.run(0, new Map([[x, data(x)]]))
  backend.close()
  backend.close()
  await t.throwsAsync(running, { name: 'ClericError', code: 'ERR_CLOSED' })
  await t.throwsAsync(backend.compile(graph, parameters), { code: 'ERR_CLOSED' })
  await t.throwsAsync(executable.run(0, new Map([[x, data(x)]])), { code: 'ERR_CLOSED' })

  const device = await openDevice(name)
  device.gpu.destroy() // as a driver might, behind our back
  await device.gpu.lost
  await t.throwsAsync(device.wait(new Promise(() => {})), {
    code: 'ERR_DEVICE_FAILED',
    message: /^The device was lost/,
  })
  t.throws(() => device.check(), { code: 'ERR_DEVICE_FAILED' })
  device.close()
})

test('an adapter that is not there is named, with those that are', async (t) => {
  await t.throwsAsync(openWebGpu({ adapter: 'no such thing' }), {
    instanceOf: DeviceError,
    code: 'ERR_NO_DEVICE',
    message: /"no such thing"; there are "/,
  })
})

test('a machine without adapters is told what to install', async (t) => {
  if (process.platform !== 'linux') return t.pass('drivers cannot be hidden here')
  const env = {
    ...process.env,
    EGL_PLATFORM: 'x11',
    DISPLAY: '',
    VK_DRIVER_FILES: '/none',
    VK_ADD_DRIVER_FILES: '/none',
  }
  const module = new URL('../../src/webgpu/backend.ts', import.meta.url).href
  const script = `const { openWebGpu } = await import('${module}'); await openWebGpu().catch((e) => console.log(e.code, e.message))`
  const { stdout } = await promisify(execFile)(process.execPath, [TYPESCRIPT, '--input-type=module', '-e', script], {
    env,
  })
  t.regex(stdout, /^ERR_NO_DEVICE WebGPU finds no adapter .* apt-get install .*libgles2/)
})

test('tensors whose lives do not overlap share memory', (t) => {
  const { graph, x, y } = chain(9, 8, 8)
  const { slots, slotOf } = plan(graph, { parameters, software: true, maxLayers: 2048, batch: 1 })
  t.is(slots.length, 2)
  t.is(slotOf.size, 10)
  t.not(slotOf.get(x), slotOf.get(graph.tensors[1] as Tensor))
  t.is(slotOf.get(y), slotOf.get(graph.tensors[1] as Tensor))
})

test('a graph that reads what nothing wrote is refused', (t) => {
  const { graph } = chain(2, 8, 8)
  const [stage] = graph.stages
  const nodes = stage?.nodes.slice(1) ?? []
  t.throws(
    () =>
      plan(
        { ...graph, stages: [{ name: 's', inputs: [], nodes, outputs: [] }] },
        { parameters, software: true, maxLayers: 2048, batch: 1 },
      ),
    {
      instanceOf: RangeError,
      message: /reads t1 before/,
    },
  )
})

test('stages split by cost, and never into nothing', (t) => {
  const costs = [1, 2, 9, 1, 1].map((cost) => ({ cost }))
  t.deepEqual(
    split(costs, 3).map((part) => part.map(({ cost }) => cost)),
    [[1, 2], [9], [1, 1]],
  )
  t.deepEqual(split([], 3), [])
})

test('long grids fold into a second dimension', (t) => {
  t.deepEqual(workgroupCount([100, 9, 3], [8, 8, 1], 65535), [13, 2, 3])
  const [x, y] = workgroupCount([8 * 200_000, 1, 1], [8, 1, 1], 65535)
  t.true(x <= 65535 && x * y >= 200_000 && x * (y - 1) < 200_000)
})

test("a GPU's waves are filled: long grids run in workgroups of whole waves", (t) => {
  const { graph } = chain(1, 8, 8)
  for (const [software, size] of [
    [true, 8],
    [false, 128],
  ] as const) {
    const action = plan(graph, { parameters, software, maxLayers: 2048, batch: 1 }).stages[0]?.find(
      (a) => !isCopy(a) && a.shader === 'conv',
    )
    const { workgroup, code } = loadShader('conv', (action as Dispatch).constants)
    t.deepEqual(workgroup, [size, 1, 1])
    t.true(code.includes(`workgroups.x * ${size}u`)) // what a folded grid counts by
  }
})

test('Params are packed by name and type', (t) => {
  const shader = parseShader('s', 'struct Params {\n  a: i32, // {braces}\n  b: f32,\n}\n')
  t.deepEqual(
    new Uint8Array(packParams(shader, { b: 1, a: -1 })),
    Uint8Array.of(255, 255, 255, 255, 0, 0, 128, 63, 0, 0, 0, 0, 0, 0, 0, 0),
  )
  t.throws(() => packParams(shader, { a: 1 }), { message: /no value for Params.b/ })
  t.throws(() => packParams(shader, { a: 1, b: 1, c: 1 }), { message: /no Params.c/ })
})

onEachAdapter(
  'what an executable held is given back when it is closed or fails to be made, also if it never ran',
  async (t, backend) => {
    const model = await nanoModel()
    const { graph } = decoderGraph(model.config, model.parameters, 512, 512)
    const compileAndClose = async () => (await backend.compile(graph, model.parameters)).close()
    const last = graph.stages.flatMap(({ nodes }) => nodes).findLast((node) => node.op === 'conv')
    const failing: Parameters = {
      integers: (name) => model.parameters.integers(name),
      get(name) {
        const { shape, data } = model.parameters.get(name)
        const get = (values: Float32Array, key: string | symbol) => {
          if (!Number.isNaN(Number(String(key)))) throw new RangeError('Nothing is read of this one')
          return Reflect.get(values, key, values)
        }
        return { shape, data: last?.op === 'conv' && name === last.bias ? new Proxy(data, { get }) : data }
      },
    }
    const fail = () => t.throwsAsync(backend.compile(graph, failing), { message: /^Nothing is read/ })
    for (const each of [compileAndClose, fail]) {
      // The first one brings the pipelines and weights, and the next one room that is used again.
      for (let i = 0; i < 2; i++) await each()
      const before = process.memoryUsage.rss()
      for (let i = 0; i < 4; i++) await each()
      // Each holds 112 MiB on SwiftShader.
      const grown = (process.memoryUsage.rss() - before) / 2 ** 20
      t.true(grown < 200, `${grown} MiB`)
    }
  },
)

/** What the CPU backend promises besides numbers: ports, aborts, closing, several graphs at once, hostile plans. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import { gainsAt } from '../../src/codec/gain.js'
import { openCpu } from '../../src/cpu/backend.js'
import { flatten, NUMBERING } from '../../src/cpu/flatten.js'
import { addon } from '../../src/native/addon.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import { DEAD_ZONE_TABLE, type Graph, type PortData, type Tensor } from '../../src/network/graph.js'
import { heapUsed } from '../heap.js'
import { nanoModel } from '../network/golden.js'
import { Fixture, noise, randomInputs, tower } from './random-graph.js'
import { randomNetwork } from './random-integers.js'

test.serial('an executable that is closed leaves nothing behind', async (t) => {
  const { fixture, graph } = tower(3, 8)
  const backend = await openCpu({ threads: 1 })
  const compile = async (times: number) => {
    for (let i = 0; i < times; i++) (await backend.compile(graph, fixture)).close()
    // Native objects are let go between turns of the event loop.
    await nextTurn()
  }
  await compile(500)
  const before = heapUsed()
  for (let i = 0; i < 10; i++) await compile(100)
  const each = (heapUsed() - before) / 1000
  t.log(`${each.toFixed(0)} bytes a compile`)
  t.true(each < 1000, `${each} bytes a compile`)
  backend.close()
})

test('rgb8 and int16 ports', async (t) => {
  const f = new Fixture()
  const [pixels, sums] = [f.tensor(3, 2, 3), f.tensor(3, 2, 3)]
  const [small, scaled] = [f.tensor(2, 1, 4), f.tensor(2, 1, 4)]
  const graph: Graph = {
    tensors: f.tensors,
    stages: [
      {
        name: 'all',
        inputs: [
          { tensor: pixels, format: 'rgb8' },
          { tensor: small, format: 'int16' },
        ],
        nodes: [
          { op: 'scale', input: pixels, output: sums, factor: 1.5 },
          { op: 'scale', input: small, output: scaled, factor: 2 },
        ],
        outputs: [
          { tensor: sums, format: 'rgb8' },
          { tensor: scaled, format: 'int16' },
          { tensor: pixels, format: 'float' },
        ],
      },
    ],
  }
  const backend = await openCpu({ threads: 1 })
  const executable = await backend.compile(graph, f)
  const bytes = Uint8Array.from([0, 1, 2, 10, 100, 101, 170, 171, 255, 3, 4, 5, 6, 7, 8, 9, 20, 30])
  const outputs = await executable.run(
    0,
    new Map<Tensor, PortData>([
      [pixels, bytes],
      [small, Int16Array.of(0, 1, -2, 3, 20000, -20000, 7, 8)],
    ]),
  )
  // 1.5 and 4.5 are ties, but not in single precision: 1 / 255 is not a fraction of two.
  const expected = bytes.map((v) => Math.min(255, Math.round(1.5 * v)))
  const actual = outputs.get(sums) as Uint8Array
  t.true(actual.every((v, i) => Math.abs(v - (expected[i] as number)) <= (bytes[i] as number) % 2))
  t.deepEqual(outputs.get(scaled), Int16Array.of(0, 2, -4, 6, 32767, -32768, 14, 16))
  t.is((outputs.get(pixels) as Float32Array)[6 + 1], Math.fround(100 / 255))
  backend.close()
})

test('NaN does not leave through an integer port', async (t) => {
  const f = new Fixture()
  const [input, output, same] = [f.tensor(3, 1, 2), f.tensor(3, 1, 2), f.tensor(3, 1, 2)]
  const graph: Graph = {
    tensors: f.tensors,
    stages: [
      {
        name: 'all',
        inputs: [{ tensor: input, format: 'float' }],
        nodes: [
          { op: 'scale', input, output, factor: 1 },
          { op: 'scale', input, output: same, factor: 1 },
        ],
        outputs: [
          { tensor: output, format: 'rgb8' },
          { tensor: same, format: 'int16' },
        ],
      },
    ],
  }
  const backend = await openCpu({ threads: 1 })
  const executable = await backend.compile(graph, f)
  const values = Float32Array.of(Number.NaN, 0.5, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e9, -1e9)
  const outputs = await executable.run(0, new Map([[input, values]]))
  t.deepEqual(outputs.get(output), Uint8Array.of(0, 255, 255, 128, 0, 0))
  t.deepEqual(outputs.get(same), Int16Array.of(0, 0, 32767, -32768, 32767, -32768))
  backend.close()
})

test('an abort ends a run between two nodes, and the executable goes on', async (t) => {
  const { fixture, graph } = tower(200, 64)
  const backend = await openCpu({ threads: 1 })
  const executable = await backend.compile(graph, fixture)
  const inputs = randomInputs(graph)
  const whole = await executable.run(0, inputs)
  const controller = new AbortController()
  const started = executable.run(0, inputs, controller.signal)
  controller.abort(new Error('enough'))
  const error = await t.throwsAsync(started, { code: 'ERR_ABORTED' })
  t.is((error as Error & { cause: Error }).cause.message, 'enough')
  await t.throwsAsync(executable.run(0, inputs, AbortSignal.abort()), { code: 'ERR_ABORTED' })
  t.deepEqual(await executable.run(0, inputs), whole)
  backend.close()
})

test('calls on one executable must not overlap; two executables may', async (t) => {
  const backend = await openCpu({ threads: 2 })
  const { fixture, graph } = tower(20, 32)
  const [a, b] = [await backend.compile(graph, fixture), await backend.compile(graph, fixture)]
  const inputs = randomInputs(graph)
  const [first, second] = [a.run(0, inputs), b.run(0, inputs)]
  await t.throwsAsync(a.run(0, inputs), { message: /overlap/ })
  t.deepEqual(await first, await second)
  backend.close()
})

test('what is closed says so', async (t) => {
  const backend = await openCpu({ threads: 2 })
  const { fixture, graph } = tower(200, 64)
  const [running, idle] = [await backend.compile(graph, fixture), await backend.compile(graph, fixture)]
  const inputs = randomInputs(graph)
  const pending = running.run(0, inputs)
  idle.close()
  idle.close()
  await t.throwsAsync(idle.run(0, inputs), { code: 'ERR_CLOSED' })
  backend.close()
  backend.close()
  await t.throwsAsync(pending, { code: 'ERR_CLOSED' })
  await t.throwsAsync(backend.compile(graph, fixture), { code: 'ERR_CLOSED' })
})

test('parameters of the same names are kept apart', async (t) => {
  const backend = await openCpu({ threads: 1 })
  const { fixture, graph } = tower(1, 8)
  const other = new Fixture()
  other.values('w', [32, 32, 3, 3], noise(32 * 32 * 9, 0.2, 99))
  other.parameter('b', [32])
  const inputs = randomInputs(graph)
  const output = graph.stages[0]?.outputs[0]?.tensor as Tensor
  const results = []
  for (const parameters of [fixture, other, fixture]) {
    results.push((await (await backend.compile(graph, parameters)).run(0, inputs)).get(output))
  }
  t.deepEqual(results[0], results[2])
  t.notDeepEqual(results[0], results[1])
  backend.close()
})

test('a worker thread may end while a stage runs', async (t) => {
  const { fixture, graph } = tower(3000, 64)
  const { tensors, program, reals, names, values } = flatten(graph, fixture)
  const code = `const { parentPort, workerData } = require('node:worker_threads')
    const { CpuBackend } = require(workerData.addon)
    const { tensors, program, reals, names, values } = workerData.plan
    const executable = new CpuBackend(2, '').compile(tensors, program, reals, names, values)
    executable.run(0, [new Float32Array(32 * 64 * 64)])
    parentPort.postMessage('running')`
  const file = process.env.CLERIC_ADDON || fileURLToPath(new URL('../../build/Release/cleric.node', import.meta.url))
  const worker = new Worker(code, {
    eval: true,
    workerData: { addon: file, plan: { tensors, program, reals, names, values } },
    execArgv: [],
  })
  t.is(await new Promise((resolve) => worker.once('message', resolve)), 'running')
  t.is(await worker.terminate(), 1)
})

test('arguments and inputs are checked', async (t) => {
  await t.throwsAsync(openCpu({ threads: 0 }), { instanceOf: RangeError })
  await t.throwsAsync(openCpu({ threads: 1.5 }), { instanceOf: RangeError })
  await t.throwsAsync(openCpu({ isa: 'z80' }), { instanceOf: RangeError })
  await t.throwsAsync(openCpu(null as never), { instanceOf: TypeError })
  // Read before openCpu first waits, so other tests do not see it.
  const before = process.env.CLERIC_CPU_ISA
  process.env.CLERIC_CPU_ISA = 'z80'
  const refused = openCpu()
  process.env.CLERIC_CPU_ISA = 'baseline'
  const plain = openCpu()
  if (before === undefined) delete process.env.CLERIC_CPU_ISA
  else process.env.CLERIC_CPU_ISA = before
  await t.throwsAsync(refused, { code: 'ERR_NO_DEVICE' })
  t.is((await plain).isa, 'baseline')
  ;(await plain).close()
  const backend = await openCpu({ threads: 1 })
  const { fixture, graph } = tower(1, 8)
  const executable = await backend.compile(graph, fixture)
  const input = graph.stages[0]?.inputs[0]?.tensor as Tensor
  await t.throwsAsync(executable.run(0, new Map()), { instanceOf: TypeError })
  await t.throwsAsync(executable.run(0, new Map([[input, new Float32Array(5)]])), { instanceOf: RangeError })
  await t.throwsAsync(executable.run(0, new Map([[input, new Int16Array(32 * 64)]])), { instanceOf: TypeError })
  await t.throwsAsync(executable.run(1, new Map()), { instanceOf: RangeError })
  backend.close()
})

test('stages run in order', async (t) => {
  const model = nanoModel()
  const plan = decoderGraph(model.config, model.parameters, 64, 64)
  const backend = await openCpu({ threads: 1 })
  const executable = await backend.compile(plan.graph, model.parameters)
  const symbols = plan.halves[1]?.symbols as Tensor
  const data = new Int16Array(symbols.shape.channels * symbols.shape.height * symbols.shape.width)
  await t.throwsAsync(executable.run(2, new Map([[symbols, data]])), { message: /in order/ })
  backend.close()
})

/** Calls the addon directly with a plan after `change`; it must throw, and must not crash. */
function hostile(t: ExecutionContext, change: (plan: ReturnType<typeof flatten>) => void): void {
  const { fixture, graph } = tower(2, 8)
  const plan = flatten(graph, fixture)
  change(plan)
  const native = new (addon().CpuBackend)(1, '')
  t.throws(() => native.compile(plan.tensors, plan.program, plan.reals, plan.names, plan.values), {
    instanceOf: RangeError,
  })
  native.close()
}

test('the addon believes no plan: every single wrong number is refused or harmless', async (t) => {
  const model = nanoModel()
  const native = new (addon().CpuBackend)(1, '')
  const { graph } = encoderGraph(model.config, model.parameters, 64, 64)
  const plan = flatten(graph, model.parameters)
  const inputs = graph.stages[0]?.inputs.map(({ tensor, format }) =>
    format === 'rgb8' ? new Uint8Array(3 * 64 * 64) : new Float32Array(tensor.shape.channels).fill(1),
  )
  let refused = 0
  let ran = 0
  const random = noise(4000, 1, 5)
  for (let i = 0; i < 400; i++) {
    const [tensors, program] = [plan.tensors.slice(), plan.program.slice()]
    const target = i % 4 === 0 ? tensors : program
    const at = Math.floor(((random[3 * i] as number) * 0.5 + 0.5) * target.length)
    const values = [-1, 0, 1, 2, 3, 5, 7, 16, 63, 64, 65, 1000, 0x7fffffff, -0x80000000, (target[at] as number) + 1]
    target[at] = values[Math.floor(((random[3 * i + 1] as number) * 0.5 + 0.5) * values.length)] as number
    try {
      const executable = native.compile(tensors, program, plan.reals, plan.names, plan.values)
      // Still a sound plan, of something else; running it must not reach outside its memory.
      await executable.run(0, inputs ?? []).catch(() => {})
      executable.close()
      ran++
    } catch (error) {
      t.true(error instanceof RangeError || error instanceof TypeError, String(error))
      refused++
    }
  }
  t.true(refused > 100 && ran > 10, `${refused} refused, ${ran} ran`)
  native.close()
})

test('the addon refuses plans that contradict themselves', (t) => {
  const firstNode = 5
  hostile(t, (plan) => {
    plan.tensors[0] = 0
  })
  hostile(t, (plan) => {
    plan.tensors[1] = 1 << 30
  })
  hostile(t, (plan) => {
    plan.tensors[3] = 1
  })
  hostile(t, (plan) => {
    plan.program[0] = 1000
  })
  hostile(t, (plan) => {
    plan.program[firstNode] = NUMBERING.operations.length
  })
  hostile(t, (plan) => void plan.program.fill(-1))
  hostile(t, (plan) => void (plan.values as Float32Array[]).reverse())
  hostile(t, (plan) => {
    ;(plan.values as Float32Array[])[0] = new Float32Array(3)
  })
  hostile(t, (plan) => void (plan.names as string[]).pop())
  const { fixture, graph } = tower(1, 8)
  const plan = flatten(graph, fixture)
  const native = new (addon().CpuBackend)(1, '')
  const short = plan.program.subarray(0, plan.program.length - 1)
  t.throws(() => native.compile(plan.tensors, short, plan.reals, plan.names, plan.values), { instanceOf: RangeError })
  const more = new Float32Array(1)
  t.throws(() => native.compile(plan.tensors, plan.program, more, plan.names, plan.values), { instanceOf: RangeError })
  const whole = plan.values.map(({ length }) => new Int32Array(length))
  t.throws(() => native.compile(plan.tensors, plan.program, plan.reals, plan.names, whole), { instanceOf: RangeError })
  const foreign = new Float32Array(9) as unknown as Int32Array
  t.throws(() => native.compile(foreign, plan.program, plan.reals, plan.names, plan.values), { instanceOf: TypeError })
})

test('the addon refuses parameters of integer layers that no model has', (t) => {
  const { graph, parameters } = randomNetwork(2, 24, 5, 7)
  const { tensors, program, reals, names, values } = flatten(graph, parameters)
  const compile = (changed: typeof values) => {
    const native = new (addon().CpuBackend)(1, '')
    native.compile(tensors, program, reals, names, changed).close()
    native.close()
  }
  compile(values)
  let refused = 0
  for (const [i, name] of names.entries()) {
    // Any bias of a sum is harmless: sums wrap. Any dead zone too: symbols are clamped.
    if (name.endsWith('.bias') || name === 'scales.thresholds' || name === DEAD_ZONE_TABLE) continue
    for (const value of [-(2 ** 31), 2 ** 31 - 1]) {
      const changed = values.with(i, values[i]?.slice() as Int32Array)
      ;(changed[i] as Int32Array)[0] = value
      t.throws(() => compile(changed), { instanceOf: RangeError }, name)
      refused++
    }
  }
  t.true(refused > 40)
})

test('the addon refuses a node without tensors, and a key that could stand for two parameters', (t) => {
  const native = new (addon().CpuBackend)(1, '')
  const tensors = Int32Array.of(1, 1, 1, 0, 1, 1, 1, 0)
  for (const op of NUMBERING.operations.keys()) {
    for (const [inputs, outputs] of [
      [[0], [0]],
      [[0], [1, 1]],
      [[1, 0], [0]],
    ] as const) {
      const node = [op, ...inputs, ...outputs, 0, 0, 0]
      const program = Int32Array.from([1, 1, 0, 0, 1, ...node, 1, 0, 0])
      t.throws(() => native.compile(tensors, program, new Float32Array(0), [], []), { message: /unsound/ }, `op ${op}`)
    }
  }
  hostile(t, (plan) => {
    ;(plan.names as string[])[0] = 'a#9:b'
  })
  hostile(t, (plan) => {
    ;(plan.names as string[]).length = 2 ** 32 - 1
  })
  native.close()
})

test('arrays that close or run what they are given to', async (t) => {
  const { fixture, graph } = tower(2, 8)
  const { tensors, program, reals, names, values } = flatten(graph, fixture)
  const native = new (addon().CpuBackend)(1, '')
  const input = new Float32Array(32 * 64)
  /** An array whose element is only there after `effect`. */
  const trap = (element: Float32Array, effect: () => void): Float32Array[] =>
    Object.defineProperty([], 0, {
      get() {
        effect()
        return element
      },
    })

  const closing = native.compile(tensors, program, reals, names, values)
  t.throws(
    () =>
      closing.run(
        0,
        trap(input, () => closing.close()),
      ),
    { code: 'ERR_CLOSED' },
  )

  const running = native.compile(tensors, program, reals, names, values)
  let inner: Promise<unknown> | undefined
  const begin = () => {
    inner = running.run(0, [input])
  }
  t.throws(() => running.run(0, trap(input, begin)), { message: /running already/ })
  await inner
  running.close()

  const weights = trap(values[0] as Float32Array, () => native.close())
  weights[1] = values[1] as Float32Array
  t.throws(() => native.compile(tensors, program, reals, names, weights), { code: 'ERR_CLOSED' })
})

test('the same tile gives the same symbols in both directions of the model', async (t) => {
  const model = nanoModel()
  const plan = encoderGraph(model.config, model.parameters, 64, 128)
  const backend = await openCpu({ threads: 2 })
  const executable = await backend.compile(plan.graph, model.parameters)
  const inputs = new Map<Tensor, PortData>([[plan.image, new Uint8Array(3 * 64 * 128).fill(200)]])
  const gains = gainsAt(model, 50)
  if (plan.gain && gains) inputs.set(plan.gain, gains.forward)
  const encoded = await executable.run(0, inputs)
  t.true(executable.bytes > 0)
  t.true(executable.timings(0).some(({ node, seconds }) => node?.op === 'liftStep' && seconds > 0))

  const decoder = decoderGraph(model.config, model.parameters, 64, 128)
  const decoding = await backend.compile(decoder.graph, model.parameters)
  let next = new Map<Tensor, PortData>([[decoder.z, encoded.get(plan.z) as PortData]])
  for (const [stage, { half, indexes, symbols }] of decoder.halves.entries()) {
    const outputs = await decoding.run(stage, next)
    const slice = plan.slices[stage >> 1]
    const { width, height } = symbols.shape
    const inHalf = (i: number) =>
      ((Math.floor((i % (width * height)) / width) + (i % width)) % 2 === 1) === (half === 'anchor')
    const expected = (encoded.get(slice?.indexes as Tensor) as Int16Array).map((v, i) => (inHalf(i) ? v : 0))
    t.deepEqual(outputs.get(indexes), expected)
    next = new Map([
      [symbols, (encoded.get(slice?.symbols as Tensor) as Int16Array).map((v, i) => (inHalf(i) ? v : 0))],
    ])
  }
  backend.close()
})

test('the peak is measured on every instruction set, also while a graph runs', async (t) => {
  const { fixture, graph } = tower(4, 64)
  for (const isa of addon().cpuInstructionSets()) {
    const backend = await openCpu({ threads: 2, isa })
    const executable = await backend.compile(graph, fixture)
    const [peak] = await Promise.all([backend.peak(), executable.run(0, randomInputs(graph))])
    // Even one lane on one thread of an old processor does more.
    t.true(peak > 5e8 && peak < 1e14, `${isa}: ${peak}`)
    backend.close()
    await t.throwsAsync(backend.peak(), { code: 'ERR_CLOSED' })
  }
})

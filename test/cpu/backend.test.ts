/** What the CPU backend promises besides numbers: ports, aborts, closing, several graphs at once. */

import { setImmediate as nextTurn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { gainsAt } from '../../src/codec/gain.js'
import { openCpu } from '../../src/cpu/backend.js'
import { flatten } from '../../src/cpu/flatten.js'
import { addon } from '../../src/native/addon.js'
import { decoderGraph, encoderGraph } from '../../src/network/cleric.js'
import type { Graph, PortData, Tensor } from '../../src/network/graph.js'
import { heapUsed } from '../heap.js'
import { nanoModel } from '../network/golden.js'
import { Fixture, noise, randomInputs, tower } from './random-graph.js'

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
  const model = await nanoModel()
  const plan = decoderGraph(model.config, model.parameters, 64, 64)
  const backend = await openCpu({ threads: 1 })
  const executable = await backend.compile(plan.graph, model.parameters)
  const symbols = plan.halves[1]?.symbols as Tensor
  const data = new Int16Array((symbols.shape.channels * symbols.shape.height * symbols.shape.width) / 2)
  await t.throwsAsync(executable.run(2, new Map([[symbols, data]])), { message: /in order/ })
  backend.close()
})

test('the same tile gives the same symbols in both directions of the model', async (t) => {
  const model = await nanoModel()
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
    const ofHalf = (tensor: Tensor | undefined) => {
      const both = encoded.get(tensor as Tensor) as Int16Array
      return half === 'anchor' ? both.subarray(0, both.length / 2) : both.subarray(both.length / 2)
    }
    t.deepEqual(outputs.get(indexes), ofHalf(slice?.indexes))
    next = new Map([[symbols, ofHalf(slice?.symbols)]])
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

/** The addon's edge: plans and parameters of a graph that no host of ours would give it. */

import test, { type ExecutionContext } from 'ava'
import { flatten, NUMBERING } from '../../src/cpu/flatten.js'
import { addon } from '../../src/native/addon.js'
import { encoderGraph } from '../../src/network/cleric.js'
import { DEAD_ZONE_TABLE } from '../../src/network/graph.js'
import { nanoModel } from '../network/golden.js'
import { noise, tower } from './random-graph.js'
import { randomNetwork } from './random-integers.js'

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
  const model = await nanoModel()
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

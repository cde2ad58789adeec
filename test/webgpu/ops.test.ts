/**
 * Every op on every adapter against golden vectors: PyTorch's of the floating point ones, to a tolerance, and the
 * oracle's of the integer ones, to the bit.
 */
import test, { type ExecutionContext } from 'ava'
import type { Node, PortData } from '../../src/network/graph.js'
import { ops } from '../../src/network/ops/index.js'
import type { WebGpuBackend } from '../../src/webgpu/backend.js'
import { firstDifference, type OpCase, opCases } from '../network/op-cases.js'
import { onEachAdapter, withOtherTiles } from './adapters.js'

/**
 * Largest error relative to the largest expected magnitude. The sums are
 * float32 in another order than PyTorch's, and erf and tanh are approximations:
 * 7e-7 at most on llvmpipe and SwiftShader; a GPU's exp may be a little worse.
 */
const TOLERANCE = 2e-6

/** Ops whose kernels come in other shapes for a GPU than for a software adapter. */
const TILED: readonly Node['op'][] = [
  ...(['conv', 'deform', 'gdn', 'liftStep', 'concat', 'slice'] as const),
  ...(['integerConv', 'integerLinearAttention'] as const),
]

const floats = opCases('ops')
const integers = opCases('integer-ops')

function largest(values: PortData): number {
  let most = 0
  for (const value of values) most = Math.max(most, Math.abs(value))
  return most
}

test('the fixtures cover every op', (t) => {
  const covered = new Set<string>([...floats, ...integers].map(({ op }) => op))
  t.deepEqual([...covered].sort(), Object.keys(ops).sort())
  t.true(floats.length > 30 && integers.length > 40)
})

async function run({ graph, inputs, parameters }: OpCase, backend: WebGpuBackend) {
  const executable = await backend.compile(graph, parameters)
  const outputs = await executable.run(0, inputs)
  executable.close()
  return outputs
}

async function checkClose(t: ExecutionContext, one: OpCase, backend: WebGpuBackend): Promise<void> {
  const outputs = await run(one, backend)
  for (const [tensor, expected] of one.expected) {
    const actual = outputs.get(tensor)
    t.is(actual?.constructor, expected.constructor)
    if (!(actual instanceof Float32Array)) {
      t.deepEqual(actual, expected, tensor.name)
      continue
    }
    t.is(actual.length, expected.length)
    const errors = Float32Array.from(expected, (value, i) => (actual[i] as number) - value)
    t.true(errors.every(Number.isFinite))
    const error = largest(errors) / largest(expected)
    t.true(error <= TOLERANCE, `${tensor.name}: relative error ${error}`)
  }
}

async function checkEqual(t: ExecutionContext, one: OpCase, backend: WebGpuBackend): Promise<void> {
  const outputs = await run(one, backend)
  for (const [tensor, expected] of one.expected) {
    const actual = outputs.get(tensor) as PortData
    const at = firstDifference(one, tensor, actual, expected)
    t.is(at, -1, `${tensor.name} at ${at}: ${actual[at]}, expected ${expected[at]}`)
  }
}

for (const [cases, check] of [
  [floats, checkClose],
  [integers, checkEqual],
] as const) {
  for (const one of cases) {
    onEachAdapter(one.name, (t, backend) => check(t, one, backend))
    if (TILED.includes(one.op)) withOtherTiles(one.name, (t, backend) => check(t, one, backend))
  }
}

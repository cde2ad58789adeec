/** The table of ops: every op's golden cases fit its entry, and what is changed in them does not. */
import test from 'ava'
import { checkShapes } from '../../src/network/check.js'
import type { Node, Parameters, Tensor } from '../../src/network/graph.js'
import { describe, nodeInputs, nodeOutputs, type OpName, ops } from '../../src/network/ops/index.js'
import { type OpCase, opCases } from './op-cases.js'

const cases = [...opCases('ops'), ...opCases('integer-ops')]

function nodeOf({ stage }: OpCase): Node {
  return stage.nodes[0] as Node
}

/** The node with one tensor of another shape. */
function reshaped(node: Node, tensor: Tensor, change: Partial<Tensor['shape']>): Node {
  const other = { ...tensor, shape: { ...tensor.shape, ...change } }
  const replace = (value: unknown): unknown => (value === tensor ? other : value)
  const fields = Object.entries(node).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.map(replace) : replace(value),
  ])
  return Object.fromEntries(fields) as Node
}

test('the golden cases fit the table', (t) => {
  t.deepEqual([...new Set<string>(cases.map(({ op }) => op))].sort(), Object.keys(ops).sort())
  for (const one of cases) t.notThrows(() => checkShapes(nodeOf(one), one.parameters), one.name)
})

for (const op of Object.keys(ops)) {
  const own = cases.filter((one) => one.op === op)

  test(`${op}: a tensor of another height or width is refused`, (t) => {
    for (const one of own) {
      const node = nodeOf(one)
      for (const tensor of new Set([...nodeInputs(node), ...nodeOutputs(node)])) {
        const { height, width } = tensor.shape
        // Far enough that a stride doesn't hide it.
        for (const change of [{ height: height + 10 }, { width: width + 10 }]) {
          t.throws(
            () => checkShapes(reshaped(node, tensor, change), one.parameters),
            { code: 'ERR_MODEL_CORRUPT' },
            `${one.name}, ${tensor.name}`,
          )
        }
      }
    }
  })

  test(`${op}: an output of another number of channels is refused`, (t) => {
    for (const one of own) {
      const node = nodeOf(one)
      for (const tensor of nodeOutputs(node)) {
        // A slice may have as many channels as its input has left.
        const channels = node.op === 'slice' ? node.input.shape.channels + 1 : tensor.shape.channels + 4
        const change = reshaped(node, tensor, { channels })
        t.throws(() => checkShapes(change, one.parameters), { code: 'ERR_MODEL_CORRUPT' }, one.name)
      }
    }
  })

  const usesOf = (one: OpCase) => describe(nodeOf(one)).parameters((name) => one.parameters.get(name).shape)
  if (own.every((one) => usesOf(one).length === 0)) continue

  test(`${op}: a parameter of another shape is refused by name`, (t) => {
    for (const one of own) {
      const node = nodeOf(one)
      for (const { name } of usesOf(one)) {
        const changed: Parameters = {
          get: (other) => altered(other, one.parameters.get(other)),
          integers: (other) => altered(other, one.parameters.integers(other)),
        }
        const altered = <P extends { readonly shape: readonly number[] }>(other: string, parameter: P): P =>
          other === name ? { ...parameter, shape: [...parameter.shape, 2] } : parameter
        const error = t.throws(() => checkShapes(node, changed), { code: 'ERR_MODEL_CORRUPT' }, one.name)
        t.true(error.message.includes(`Parameter ${name} `), error.message)
      }
    }
  })
}

test('sizes that the arithmetic is not proven for are refused', (t) => {
  const caseOf = (op: OpName) => cases.find((one) => one.op === op) as OpCase
  for (const [op, message] of [
    ['integerWindowAttention', /channels do not divide by 7 heads/],
    ['integerLinearAttention', /channels do not divide by 7 heads/],
  ] as const) {
    const one = caseOf(op)
    const node = { ...nodeOf(one), heads: 7 } as Node
    t.throws(() => checkShapes(node, one.parameters), { code: 'ERR_MODEL_UNSUPPORTED', message })
  }
  const norm = caseOf('integerLayerNorm')
  const node = nodeOf(norm)
  const wide = [...nodeInputs(node), ...nodeOutputs(node)].reduce(
    (changed, tensor) => reshaped(changed, tensor, { channels: 513 }),
    node,
  )
  t.throws(() => checkShapes(wide, norm.parameters), {
    code: 'ERR_MODEL_UNSUPPORTED',
    message: /channels: 513, at most 512/,
  })
})

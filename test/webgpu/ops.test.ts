/** Every op on every adapter against PyTorch's golden vectors (training/cleric_training/op_cases.py). */
import { readFileSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { readSafetensors } from '../../src/model/safetensors.js'
import {
  type Node,
  nodeInputs,
  nodeOutputs,
  type Parameters,
  type Port,
  type PortData,
  type Tensor,
} from '../../src/network/graph.js'
import type { WebGpuBackend } from '../../src/webgpu/backend.js'
import { onEachAdapter, withOtherTiles } from './adapters.js'

/**
 * Largest error relative to the largest expected magnitude. The sums are
 * float32 in another order than PyTorch's, and erf and tanh are approximations:
 * 7e-7 at most on llvmpipe and SwiftShader; a GPU's exp may be a little worse.
 */
const TOLERANCE = 2e-6

interface Case {
  readonly name: string
  readonly op: Node['op']
  readonly inputs: Readonly<Record<string, string | string[] | null>>
  readonly attributes: Readonly<Record<string, unknown>>
  readonly outputs: Readonly<Record<string, string>>
  readonly formats: Readonly<Record<string, Port['format']>>
}

const file = readSafetensors(readFileSync(new URL('../fixtures/ops.safetensors', import.meta.url)))
const cases = JSON.parse(file.metadata.cases ?? '[]') as Case[]

const stored = (name: string) => {
  const tensor = file.tensors.get(name)
  if (!(tensor?.data instanceof Float32Array)) throw new Error(`the fixture has no ${name}`)
  return { shape: tensor.shape, data: tensor.data }
}

const parameters: Parameters = { get: stored }

/** The node of a case, and its graph of one stage. */
function graphOf({ name, op, inputs, attributes, outputs, formats }: Case) {
  const tensors: Tensor[] = []
  const ports = new Map<Tensor, Port>()
  const tensor = (key: string, field: string): Tensor => {
    const [channels = 1, height = 1, width = 1] = stored(key).shape
    const made = { id: tensors.length, name: key, shape: { channels, height, width } }
    tensors.push(made)
    ports.set(made, { tensor: made, format: formats[field] ?? 'float' })
    return made
  }
  const fields = Object.entries(inputs).map(([field, keys]) => {
    if (keys === null) return [field, null]
    return [field, typeof keys === 'string' ? tensor(keys, field) : keys.map((key) => tensor(key, field))]
  })
  const results = Object.entries(outputs).map(([field, key]) => [field, tensor(key, field)])
  const node = { op, ...attributes, ...Object.fromEntries([...fields, ...results]) } as Node
  const portOf = (t: Tensor) => ports.get(t) as Port
  const stage = { name, inputs: nodeInputs(node).map(portOf), nodes: [node], outputs: nodeOutputs(node).map(portOf) }
  return { graph: { tensors, stages: [stage] }, stage }
}

/** A stored tensor as the host would hold it. */
function hostData({ tensor, format }: Port): PortData {
  const { data } = stored(tensor.name)
  if (format === 'float') return data
  if (format === 'int16') return Int16Array.from(data)
  const area = tensor.shape.height * tensor.shape.width
  return Uint8Array.from(data, (_, i) => Math.round(255 * (data[(i % 3) * area + Math.floor(i / 3)] as number)))
}

function largest(values: PortData): number {
  let most = 0
  for (const value of values) most = Math.max(most, Math.abs(value))
  return most
}

test('the fixture covers every op', (t) => {
  const ops = new Set(cases.map(({ op }) => op))
  t.is(ops.size, 21)
  t.true(cases.length > 50)
})

async function check(t: ExecutionContext, one: Case, backend: WebGpuBackend): Promise<void> {
  const { graph, stage } = graphOf(one)
  const executable = await backend.compile(graph, parameters)
  const inputs = new Map(stage.inputs.map((port) => [port.tensor, hostData(port)]))
  const outputs = await executable.run(0, inputs)
  executable.close()
  for (const port of stage.outputs) {
    const actual = outputs.get(port.tensor)
    const expected = hostData(port)
    t.is(actual?.constructor, expected.constructor)
    if (!actual || port.format !== 'float') {
      t.deepEqual(actual, expected, port.tensor.name)
      continue
    }
    t.is(actual.length, expected.length)
    const errors = Float32Array.from(expected, (value, i) => (actual[i] as number) - value)
    t.true(errors.every(Number.isFinite))
    const error = largest(errors) / largest(expected)
    t.true(error <= TOLERANCE, `${port.tensor.name}: relative error ${error}`)
  }
}

for (const one of cases) {
  onEachAdapter(one.name, (t, backend) => check(t, one, backend))
  if (['conv', 'deform', 'gdn', 'liftStep'].includes(one.op)) {
    withOtherTiles(one.name, (t, backend) => check(t, one, backend))
  }
}

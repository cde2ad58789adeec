/**
 * The golden vectors of single ops: of the floating point ones from PyTorch (training/cleric_training/op_cases.py), of
 * the integer ones from the training code's integer oracle.
 */
import { readFileSync } from 'node:fs'
import { readSafetensors, type StoredTensor } from '../../src/model/safetensors.js'
import {
  type Graph,
  type Node,
  nodeInputs,
  nodeOutputs,
  type Parameters,
  type Port,
  type PortData,
  type Stage,
  type Tensor,
} from '../../src/network/graph.js'

import { kept } from './evaluators.js'

export interface OpCase {
  readonly name: string
  readonly op: Node['op']
  /** One stage of one node. */
  readonly graph: Graph
  readonly stage: Stage
  readonly parameters: Parameters
  readonly inputs: ReadonlyMap<Tensor, PortData>
  readonly expected: ReadonlyMap<Tensor, PortData>
}

interface StoredCase {
  readonly name: string
  readonly op: Node['op']
  readonly inputs: Readonly<Record<string, string | string[] | null>>
  readonly attributes: Readonly<Record<string, unknown>>
  readonly outputs: Readonly<Record<string, string>>
  readonly formats: Readonly<Record<string, Port['format']>>
}

/** The cases of test/fixtures/NAME.safetensors. */
export function opCases(name: 'ops' | 'integer-ops'): OpCase[] {
  const file = readSafetensors(readFileSync(new URL(`../fixtures/${name}.safetensors`, import.meta.url)))
  const stored = (key: string): StoredTensor => {
    const tensor = file.tensors.get(key)
    if (!tensor) throw new Error(`the fixture has no ${key}`)
    return tensor
  }
  const parameters: Parameters = {
    get(key) {
      const { shape, data } = stored(key)
      if (!(data instanceof Float32Array)) throw new Error(`${key} is not float`)
      return { shape, data }
    },
    integers(key) {
      const { shape, data } = stored(key)
      if (!(data instanceof Int32Array)) throw new Error(`${key} is not integer`)
      return { shape, data }
    },
  }
  return (JSON.parse(file.metadata.cases ?? '[]') as StoredCase[]).map((one) => {
    const { graph, stage } = graphOf(one, stored)
    const data = (ports: readonly Port[]) => new Map(ports.map((port) => [port.tensor, hostData(port, stored)]))
    const { name, op } = one
    return { name, op, graph, stage, parameters, inputs: data(stage.inputs), expected: data(stage.outputs) }
  })
}

function graphOf(
  { name, op, inputs, attributes, outputs, formats }: StoredCase,
  stored: (key: string) => StoredTensor,
): { graph: Graph; stage: Stage } {
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
function hostData({ tensor, format }: Port, stored: (key: string) => StoredTensor): PortData {
  const { data } = stored(tensor.name)
  if (format === 'float') return Float32Array.from(data)
  if (format === 'int16') return Int16Array.from(data)
  const area = tensor.shape.height * tensor.shape.width
  return Uint8Array.from(data, (_, i) => Math.round(255 * (data[(i % 3) * area + Math.floor(i / 3)] as number)))
}

/**
 * Index of the first value of a case's output that differs from the expected one, or -1. Windows of an
 * attention that are centred at anchors may hold anything, as nobody reads them.
 */
export function firstDifference({ op }: OpCase, { shape }: Tensor, actual: PortData, expected: PortData): number {
  if (actual.length !== expected.length) return Math.min(actual.length, expected.length)
  const free = (i: number) => {
    const [y, x] = [Math.floor(i / shape.width) % shape.height, i % shape.width]
    return op === 'integerWindowAttention' && kept('anchor', Math.floor(y / 5), Math.floor(x / 5))
  }
  return expected.findIndex((value, i) => actual[i] !== value && !free(i))
}

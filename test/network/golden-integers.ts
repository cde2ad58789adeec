/**
 * Which tensor of a graph each integer golden vector is. Vectors are named after what they are (`params_a.1`) or after
 * the layer whose output they are (`mem.local.1.qkv`).
 */
import type { ModelConfig } from '../../src/network/config.js'
import type { Graph, Tensor } from '../../src/network/graph.js'
import { kept } from './evaluators.js'
import type { Golden } from './golden.js'

export interface IntegerVector {
  readonly name: string
  readonly tensor: Tensor
  /** What stands elsewhere may differ from device to device, as nobody reads it. */
  readonly counts: (y: number, x: number) => boolean
}

/** Name of the tensor that a vector is. */
function tensorName(vector: string, { chan, ep, lrp }: ModelConfig): string {
  const [kind = '', i = ''] = vector.split('.')
  const last = (net: string, hidden: readonly number[]) => `${net}.${i}.${2 * hidden.length}`
  switch (kind) {
    case 'hyper':
      return 'h_s.net.10'
    case 'inter':
    case 'intra':
      return `mem.${kind}.${i}.mlp.4`
    case 'local':
      return `mem.local.${i}.mlp.2`
    case 'channel':
      return last('mem.channel', chan)
    case 'params_a':
      return last('mem.ep_a', ep)
    case 'params_n':
      return last('mem.ep_n', ep)
    case 'y_hat_a':
      return last('mem.lrp_a', lrp)
    case 'y_hat':
      return last('mem.lrp_n', lrp)
    default:
      return vector
  }
}

function countsOf(name: string): IntegerVector['counts'] {
  if (/^mem\.local\.\d+\.attention$/.test(name)) {
    return (y, x) => kept('nonAnchor', Math.floor(y / 5), Math.floor(x / 5))
  }
  const localAfterAttention = /^local\.|^mem\.local\.\d+\.(fusion|proj|norm2|mlp\.\d)$/
  if (localAfterAttention.test(name) || /^params_n\.|^mem\.ep_n\./.test(name)) {
    return (y, x) => kept('nonAnchor', y, x)
  }
  return () => true
}

/** The integer vectors whose tensors the graph has. */
export function integerVectors(graph: Graph, golden: Golden, config: ModelConfig): IntegerVector[] {
  return golden.integers.flatMap((name) => {
    const tensors = graph.tensors.filter((tensor) => tensor.name === tensorName(name, config))
    if (tensors.length > 1) throw new Error(`${tensors.length} tensors of the graph are the vector ${name}`)
    return tensors.map((tensor) => ({ name, tensor, counts: countsOf(name) }))
  })
}

/** Index of the first value that counts and differs, or -1. */
export function firstDifference(
  { tensor, counts }: IntegerVector,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
): number {
  const { height, width } = tensor.shape
  if (actual.length !== expected.length) return Math.min(actual.length, expected.length)
  for (let i = 0; i < expected.length; i++) {
    if (actual[i] !== expected[i] && counts(Math.floor(i / width) % height, i % width)) return i
  }
  return -1
}

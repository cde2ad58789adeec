/** Where a workgroup's memory holds what lies between the layers of a chain. */
import test from 'ava'
import type { IntegerConvNode, IntegerLayerNormNode, ScaleIndexNode, Tensor } from '../../src/network/graph.js'
import { type Chain, chainMemory } from '../../src/webgpu/kernels/chain-memory.js'

/** A chain whose results have these many channels. */
function chainOf(widths: readonly number[], more: Omit<Chain, 'layers'> = {}): Chain & { readonly outputs: Tensor[] } {
  const outputs = widths.map((channels, id) => ({ id, name: `${id}`, shape: { channels, height: 1, width: 1 } }))
  const layers = outputs.map((output) => ({ output, residual: null }) as unknown as IntegerConvNode)
  return { layers, outputs, ...more }
}

/** A norm of the result before a layer, which the last layer adds. */
function withNorm(widths: readonly number[], before: number): Chain {
  const { layers, outputs } = chainOf(widths)
  const input = outputs[before - 1] as Tensor
  const last = { ...(layers.at(-1) as IntegerConvNode), residual: input }
  return { layers: [...layers.slice(0, -1), last], norm: { node: { input } as IntegerLayerNormNode, before } }
}

const half = { index: {} as ScaleIndexNode }

test('as many positions as fit: those of the presets', (t) => {
  const positions = (chain: Chain) => chainMemory(chain)?.positions
  t.is(positions(chainOf([128, 96, 96, 128], { half })), 16, 's')
  t.is(positions(chainOf([224, 160, 128, 128], { half })), 8, 'm')
  t.is(positions(withNorm([128, 256, 128], 1)), 8, 'a local context')
  t.is(positions(chainOf([256, 256, 256])), 8)
  t.is(positions(chainOf([257, 4])), undefined)
})

test('what a layer reads is not where it writes, and what the last one adds is kept', (t) => {
  const apart = (a: number, groups: number, b: number, others: number) => a + groups <= b || b + others <= a
  for (const chain of [
    chainOf([128, 96, 96, 128], { half }),
    chainOf([64, 256, 32, 256]),
    withNorm([128, 256, 128], 1),
  ]) {
    const memory = chainMemory(chain)
    if (!memory) return t.fail('Expected a chain that fits')
    const groups = chain.layers.map(({ output }) => output.shape.channels / 4)
    const isHeld = (l: number) => l < groups.length - 1 || chain.half !== undefined
    for (let l = 1; l < groups.length; l++) {
      const [from, read] = [memory.from[l] as number, groups[l - 1] as number]
      const [into, written] = [memory.into[l] as number, groups[l] as number]
      if (isHeld(l)) {
        t.true(apart(from, read, into, written), `layer ${l}`)
        t.true(into + written <= memory.groups)
      }
      if (chain.norm) {
        const raw = groups[chain.norm.before - 1] as number
        t.true(apart(memory.raw, raw, from, read), `what is normed, and what layer ${l} reads`)
        if (isHeld(l)) t.true(apart(memory.raw, raw, into, written), `what is normed, and what layer ${l} writes`)
      }
    }
  }
})

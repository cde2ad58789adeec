/** The integer layers on every instruction set: exactly the oracle's numbers, and exactly the interpreter's. */
import test from 'ava'
import { instructionSets, openCpu } from '../../src/cpu/backend.js'
import type { PortData } from '../../src/network/graph.js'
import { interpreter } from '../network/interpreter.js'
import { firstDifference, opCases } from '../network/op-cases.js'
import { randomNetwork } from './random-integers.js'

for (const isa of instructionSets()) {
  test(`${isa} meets the golden vectors of every op`, async (t) => {
    const backend = await openCpu({ isa, threads: 2 })
    const cases = opCases('integer-ops')
    t.true(cases.length > 40)
    for (const one of cases) {
      const executable = await backend.compile(one.graph, one.parameters)
      const outputs = await executable.run(0, one.inputs)
      for (const [tensor, data] of one.expected) {
        const actual = outputs.get(tensor) as PortData
        const at = firstDifference(one, tensor, actual, data)
        t.is(at, -1, `${one.name} at ${at}: ${actual[at]}, expected ${data[at]}`)
      }
      executable.close()
    }
    backend.close()
  })
}

for (const [seed, [height, width]] of [
  [1, 1],
  [1, 2],
  [3, 1],
  [5, 7],
  [8, 8],
  [4, 13],
  [9, 6],
  [11, 3],
  [6, 17],
  [7, 7],
  [2, 33],
  [10, 10],
].entries() as ArrayIterator<[number, [number, number]]>) {
  test(`a random network on ${height} x ${width}`, async (t) => {
    const { graph, parameters, inputs } = randomNetwork(seed + 1, 24, height, width)
    const expected = await (await interpreter().compile(graph, parameters)).run(0, inputs)
    for (const isa of instructionSets()) {
      const backend = await openCpu({ isa, threads: 1 + (seed % 3) })
      const executable = await backend.compile(graph, parameters)
      // Once more: what a run leaves behind must not show in the next.
      for (let run = 0; run < 2; run++) {
        const outputs = await executable.run(0, inputs)
        for (const [tensor, data] of expected) {
          const actual = outputs.get(tensor) as PortData
          const at = data.findIndex((value, i) => value !== actual[i])
          t.is(at, -1, `${isa}, ${tensor.name} at ${at}: ${actual[at]}, expected ${data[at]}`)
        }
      }
      backend.close()
    }
  })
}

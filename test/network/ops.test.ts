/** The interpreter against the golden vectors of single ops. */
import test from 'ava'
import type { PortData } from '../../src/network/graph.js'
import { relativeError } from './golden.js'
import { Interpreter } from './interpreter.js'
import { firstDifference, opCases } from './op-cases.js'

/** The interpreter works in double precision, PyTorch in single. */
const TOLERANCE = 2e-6

for (const one of opCases('integer-ops')) {
  test(`${one.name} is exact`, async (t) => {
    const outputs = await new Interpreter(one.graph, one.parameters).run(0, one.inputs)
    for (const [tensor, data] of one.expected) {
      const actual = outputs.get(tensor) as PortData
      const at = firstDifference(one, tensor, actual, data)
      t.is(at, -1, `at ${at}: ${actual[at]}, expected ${data[at]}`)
    }
  })
}

for (const one of opCases('ops')) {
  test(one.name, async (t) => {
    const outputs = await new Interpreter(one.graph, one.parameters).run(0, one.inputs)
    for (const [tensor, data] of one.expected) {
      const error = relativeError(outputs.get(tensor) as PortData, data)
      t.true(error < TOLERANCE, `relative error ${error}`)
    }
  })
}

/** The lifting on every adapter, by a software adapter's kernels and a GPU's, with and without weights at the ends. */
import type { ExecutionContext } from 'ava'
import type { PortData } from '../../src/network/graph.js'
import type { WebGpuBackend } from '../../src/webgpu/backend.js'
import { Fixture, liftStep, randomInputs } from '../cpu/random-graph.js'
import { checkLevel } from '../network/check-level.js'
import { relativeError } from '../network/golden.js'
import { interpreter } from '../network/interpreter.js'
import { onEachAdapter, withOtherTiles } from './adapters.js'

/** Largest error relative to the largest value, as of the golden ops. */
const TOLERANCE = 2e-6

async function checkSteps(t: ExecutionContext, backend: WebGpuBackend): Promise<void> {
  const ends = { source: 3.7, first: 0.6, last: 0.5 }
  for (const axis of ['rows', 'columns'] as const) {
    for (const neighbour of ['next', 'previous'] as const) {
      for (const size of [
        [1, 5],
        [5, 1],
        [2, 2],
        [19, 9],
      ] as const) {
        const fixture = new Fixture()
        const node = liftStep(fixture, 5, [...size], { axis, neighbour, ends })
        const graph = fixture.graph([node])
        const inputs = randomInputs(graph)
        const expected = (await (await interpreter().compile(graph, fixture)).run(0, inputs)).get(node.output)
        const executable = await backend.compile(graph, fixture)
        const actual = (await executable.run(0, inputs)).get(node.output)
        executable.close()
        const error = relativeError(actual as PortData, expected as PortData)
        t.true(error <= TOLERANCE, `along ${axis}, ${neighbour}, ${size.join(' x ')}: relative error ${error}`)
      }
    }
  }
}

onEachAdapter('lifting steps with ends', checkSteps)
withOtherTiles('lifting steps with ends', checkSteps)
onEachAdapter('a level of the lifting is inverted, with and without ends', checkLevel)
withOtherTiles('a level of the lifting is inverted, with and without ends', checkLevel)

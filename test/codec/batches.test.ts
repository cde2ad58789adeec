/** Which tiles share an executable, on a backend that only notes what it is asked for. */
import { setImmediate } from 'node:timers/promises'
import test from 'ava'
import { Batches } from '../../src/codec/batches.js'
import { ExecutablePool } from '../../src/codec/executable-pool.js'
import { DeviceError } from '../../src/errors.js'
import type { Backend, Executable, Graph, Parameters, PortData, Tensor } from '../../src/network/graph.js'

const parameters: Parameters = {
  get: () => ({ shape: [], data: new Float32Array() }),
  integers: () => ({ shape: [], data: new Int32Array() }),
}
const tensor: Tensor = { id: 0, name: 'x', shape: { channels: 1, height: 1, width: 1 } }
const graph = (): Graph => ({ tensors: [tensor], stages: [] })
const holding = (n: number) => new Map<Tensor, PortData>([[tensor, Int16Array.of(n)]])
const numberOf = (values: ReadonlyMap<Tensor, PortData> | null | undefined) => values?.get(tensor)?.[0]

/**
 * Runs take a turn of the event loop; a stage adds its number to what it is given.
 *
 * @param room tiles of an executable that there is memory for
 */
function notingBackend(size: number, room = size) {
  const runs: { graph: Graph; index: number; tiles: readonly (number | undefined)[] }[] = []
  const backend: Backend = {
    ...{ kind: 'webgpu', name: 'noting', tilesInFlight: 2, isLost: false, close() {} },
    batchOf: () => size,
    compile: async (of, _, batch = 1) => {
      if (batch > room) throw new DeviceError('ERR_DEVICE_FAILED', `No memory for ${batch}`)
      const runBatch: Executable['runBatch'] = async (index, inputs) => {
        runs.push({ graph: of, index, tiles: inputs.map(numberOf) })
        await setImmediate()
        if (inputs.some((own) => numberOf(own) === 666)) throw new Error('the device fails')
        return inputs.map((own) => (own ? holding((numberOf(own) ?? 0) + index) : null))
      }
      const run: Executable['run'] = async (index, inputs) =>
        (await runBatch(index, [inputs]))[0] as Map<Tensor, PortData>
      return { run, runBatch, close() {} }
    },
  }
  return { batches: new Batches(backend, parameters, new ExecutablePool(backend, parameters, 4)), runs }
}

test('tiles of one turn share runs, and each gets its own results', async (t) => {
  const { batches, runs } = notingBackend(4)
  const of = graph()
  const work = (n: number) =>
    batches.use(of, async (runner) => {
      const first = await runner.run(1, holding(n))
      return numberOf(await runner.run(2, first))
    })
  t.deepEqual(await Promise.all([10, 20, 30, 40, 50].map(work)), [13, 23, 33, 43, 53])
  t.deepEqual(
    runs.map(({ tiles }) => tiles.length).sort(),
    [1, 1, 4, 4],
    'four together, and the one left alone: empty places cost as much as tiles',
  )
})

test('a tile that fails or ends early leaves its place empty; the device fails for all', async (t) => {
  const { batches, runs } = notingBackend(3)
  const of = graph()
  const settled = await Promise.allSettled([
    batches.use(of, async (runner) => numberOf(await runner.run(1, holding(10)))),
    batches.use(of, async (runner) => {
      await runner.run(1, holding(20))
      throw new Error('a damaged tile')
    }),
    batches.use(of, async (runner) => numberOf(await runner.run(2, await runner.run(1, holding(30))))),
  ])
  t.deepEqual(
    settled.map((each) => (each.status === 'fulfilled' ? each.value : each.reason.message)),
    [11, 'a damaged tile', 33],
  )
  t.deepEqual(runs.at(-1)?.tiles, [undefined, undefined, 31])
  const failed = await Promise.allSettled(
    [1, 666, 3].map((n) => batches.use(of, (runner) => runner.run(1, holding(n)))),
  )
  t.true(failed.every((each) => each.status === 'rejected' && each.reason.message === 'the device fails'))
  t.is(await batches.use(of, async (runner) => numberOf(await runner.run(1, holding(5)))), 6, 'and goes on')
})

test('what there is no memory for is done in smaller batches, from then on', async (t) => {
  const { batches, runs } = notingBackend(8, 2)
  const of = graph()
  const work = (n: number) => batches.use(of, async (runner) => numberOf(await runner.run(1, holding(n))))
  const numbers = [10, 20, 30, 40, 50, 60, 70, 80, 90]
  const expected = numbers.map((n) => n + 1)
  t.deepEqual(await Promise.all(numbers.map(work)), expected)
  t.deepEqual(await Promise.all(numbers.map(work)), expected)
  t.deepEqual(
    runs.map(({ tiles }) => tiles.length),
    [2, 2, 2, 2, 1, 2, 2, 2, 2, 1],
  )
  const none = notingBackend(8, 0)
  const failed = none.batches.use(of, (runner) => runner.run(1, holding(1)))
  await t.throwsAsync(failed, { code: 'ERR_DEVICE_FAILED', message: 'No memory for 1' })
})

test('an abort is heard before and after a run, by its own tile alone', async (t) => {
  const { batches } = notingBackend(2)
  const of = graph()
  const controller = new AbortController()
  const aborted = batches.use(of, (runner) => runner.run(1, holding(1), controller.signal))
  const other = batches.use(of, async (runner) => numberOf(await runner.run(1, holding(2))))
  controller.abort()
  await t.throwsAsync(aborted, { code: 'ERR_ABORTED' })
  t.is(await other, 3)
})

test('a tile of a rare size gets its turn while others keep the device busy', async (t) => {
  const { batches, runs } = notingBackend(2)
  const [common, rare] = [graph(), graph()]
  let isDone = false
  const keepBusy = async () => {
    for (let i = 0; i < 200 && !isDone; i++) await batches.use(common, (runner) => runner.run(0, holding(1)))
  }
  const busy = Promise.all(Array.from({ length: 8 }, keepBusy))
  await setImmediate()
  await batches.use(rare, (runner) => runner.run(0, holding(2)))
  isDone = true
  const before = runs.findIndex((run) => run.graph === rare)
  t.true(before < 12, `${before} runs before it`)
  await busy
})

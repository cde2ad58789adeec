/** The pool of executables, on a backend that only counts. */
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { ExecutablePool } from '../../src/codec/executable-pool.js'
import { DeviceError } from '../../src/errors.js'
import type { Backend, Executable, Graph, Parameters } from '../../src/network/graph.js'

const graph = (): Graph => ({ tensors: [], stages: [] })
const parameters: Parameters = {
  get: () => ({ shape: [], data: new Float32Array() }),
  integers: () => ({ shape: [], data: new Int32Array() }),
}

/** Has room for so many executables. */
function countingBackend(room = Number.POSITIVE_INFINITY) {
  const open = new Set<Executable>()
  const counts = { compiled: 0, most: 0 }
  const backend: Backend = {
    kind: 'webgpu',
    name: 'counting',
    tilesInFlight: 3,
    isLost: false,
    async compile() {
      await delay(1)
      if (open.size >= room) throw new DeviceError('ERR_DEVICE_FAILED', 'Out of memory')
      const executable: Executable = { run: async () => new Map(), close: () => open.delete(executable) }
      open.add(executable)
      counts.compiled++
      counts.most = Math.max(counts.most, open.size)
      return executable
    },
    close() {},
  }
  return { backend, open, counts }
}

/** Holds an executable until told. */
function hold(pool: ExecutablePool, of: Graph) {
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  let begin = (_: Executable) => {}
  const begun = new Promise<Executable>((resolve) => {
    begin = resolve
  })
  const done = pool.use(of, 1, async (executable) => {
    begin(executable)
    await released
  })
  return { begun, done, release }
}

test('a graph has an executable for each use at the same time, and no more', async (t) => {
  const { backend, counts } = countingBackend()
  const pool = new ExecutablePool(backend, parameters, 4)
  const one = graph()
  const busy = new Set<Executable>()
  const use = () =>
    pool.use(one, 1, async (executable) => {
      t.false(busy.has(executable))
      busy.add(executable)
      await delay(3)
      busy.delete(executable)
    })
  for (let i = 0; i < 5; i++) await use()
  t.is(counts.compiled, 1)
  for (let i = 0; i < 5; i++) await Promise.all([use(), use(), use()])
  t.is(counts.compiled, 3)
})

test('idle executables go, the least recently used first, before the limit is passed', async (t) => {
  const { backend, counts, open } = countingBackend()
  const pool = new ExecutablePool(backend, parameters, 3)
  const graphs = [graph(), graph(), graph(), graph()] as const
  const use = (i: 0 | 1 | 2 | 3) => pool.use(graphs[i], 1, async () => {})
  for (const i of [0, 1, 2, 0] as const) await use(i)
  t.is(counts.compiled, 3)
  await use(3)
  await use(0)
  t.is(counts.compiled, 4)
  await use(1)
  t.is(counts.compiled, 5)
  t.is(counts.most, 3)
  t.is(open.size, 3)
})

test('what fails goes back all the same', async (t) => {
  const { backend, counts } = countingBackend()
  const pool = new ExecutablePool(backend, parameters, 2)
  const one = graph()
  const failing = pool.use(one, 1, async () => {
    throw new Error('broken')
  })
  await t.throwsAsync(failing, { message: 'broken' })
  await pool.use(one, 1, async () => {})
  t.is(counts.compiled, 1)
})

test('where memory is short the kept ones go, then a use waits for another to end', async (t) => {
  const { backend, counts, open } = countingBackend(2)
  const pool = new ExecutablePool(backend, parameters, 4)
  const [one, two] = [graph(), graph()]
  await Promise.all([pool.use(one, 1, () => delay(2)), pool.use(one, 1, () => delay(2))])
  t.is(open.size, 2)
  // Both kept ones go for this.
  const first = hold(pool, two)
  await first.begun
  t.is(open.size, 1)
  const second = hold(pool, two)
  await second.begun
  const third = hold(pool, two)
  t.is(await Promise.race([third.begun, delay(20, 'waits')]), 'waits')
  first.release()
  t.is(await third.begun, await first.begun)
  third.release()
  second.release()
  await Promise.all([first.done, second.done, third.done])
  t.is(counts.most, 2)

  const none = countingBackend(0)
  const hopeless = new ExecutablePool(none.backend, parameters, 4).use(one, 1, async () => {})
  await t.throwsAsync(hopeless, { code: 'ERR_DEVICE_FAILED', message: 'Out of memory' })
})

test('closing frees what runs, what is kept and what is being compiled', async (t) => {
  const { backend, open } = countingBackend()
  const pool = new ExecutablePool(backend, parameters, 4)
  await pool.use(graph(), 1, async () => {})
  const running = hold(pool, graph())
  await running.begun
  const compiling = pool.use(graph(), 1, async () => {})
  const waiting = pool.use(graph(), 1, async () => {})
  await delay(0)
  pool.close()
  t.is(open.size, 0)
  await t.throwsAsync(compiling, { code: 'ERR_CLOSED' })
  await t.throwsAsync(waiting, { code: 'ERR_CLOSED' })
  running.release()
  await running.done
  await t.throwsAsync(
    pool.use(graph(), 1, async () => {}),
    { code: 'ERR_CLOSED' },
  )
  t.is(open.size, 0)
})

/** Runs that wait for their turn on the processor: they hold up nothing else, and can be called off. */
import { execFile } from 'node:child_process'
import { pbkdf2 } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { type CpuBackend, openCpu } from '../../src/cpu/backend.js'
import { flatten } from '../../src/cpu/flatten.js'
import type { PortData, Tensor } from '../../src/network/graph.js'
import { TYPESCRIPT } from '../typescript.js'
import { randomInputs, tower } from './random-graph.js'

const addonFile = process.env.CLERIC_ADDON || fileURLToPath(new URL('../../build/Release/cleric.node', import.meta.url))

/** Executables of one graph, some tenths of a second each. */
async function several(backend: CpuBackend, count: number) {
  const { fixture, graph } = tower(60, 64)
  const inputs = randomInputs(graph)
  return Promise.all(
    Array.from({ length: count }, async () => {
      const executable = await backend.compile(graph, fixture)
      return {
        run: (signal?: AbortSignal): Promise<Map<Tensor, PortData>> => executable.run(0, inputs, signal),
        close: () => executable.close(),
      }
    }),
  )
}

test('files and ciphers go on while 16 runs wait', async (t) => {
  const backend = await openCpu({ threads: 2 })
  const executables = await several(backend, 16)
  let ended = 0
  const runs = executables.map(async ({ run }) => {
    const outputs = await run()
    ended++
    return outputs
  })
  // libuv has four threads for these, and does them in the order in which they came.
  const [text, key] = await Promise.all([
    readFile(fileURLToPath(import.meta.url)),
    promisify(pbkdf2)('password', 'salt', 10, 32, 'sha256'),
  ])
  t.true(ended < 8, `${ended} runs ended first`)
  t.true(text.length > 0)
  t.is(key.length, 32)
  const [first, ...others] = await Promise.all(runs)
  for (const outputs of others) t.deepEqual(outputs, first)
  backend.close()
})

test('runs have their turns in the order in which they began', async (t) => {
  const backend = await openCpu({ threads: 1 })
  const order: number[] = []
  await Promise.all((await several(backend, 5)).map(({ run }, i) => run().then(() => order.push(i))))
  t.deepEqual(order, [0, 1, 2, 3, 4])
  backend.close()
})

test('a run that waits is called off at once, and its executable goes on', async (t) => {
  const backend = await openCpu({ threads: 1 })
  const [running, waiting, closing] = await several(backend, 3)
  if (!running || !waiting || !closing) throw new Error('three were compiled')
  const settled: string[] = []
  const controller = new AbortController()
  const all = [
    running.run().then(() => settled.push('ran')),
    t.throwsAsync(waiting.run(controller.signal), { code: 'ERR_ABORTED' }).then(() => settled.push('aborted')),
    t.throwsAsync(closing.run(), { code: 'ERR_CLOSED' }).then(() => settled.push('closed')),
  ]
  controller.abort()
  closing.close()
  await Promise.all(all)
  t.deepEqual(settled, ['aborted', 'closed', 'ran'])
  t.deepEqual(await waiting.run(), await running.run())
  backend.close()
})

/** What a program without anything else to do needs to run the addon on its own. */
function plainly(end: string): { code: string; workerData: object } {
  const { fixture, graph } = tower(60, 64)
  const { tensors, program, reals, names, values } = flatten(graph, fixture)
  const code = `const { parentPort, workerData } = require('node:worker_threads')
    const { CpuBackend } = require(workerData.addon)
    const { tensors, program, reals, names, values } = workerData.plan
    const backend = new CpuBackend(2, '')
    const input = [new Float32Array(32 * 64 * 64)]
    for (let i = 0; i < 4; i++) {
      backend.compile(tensors, program, reals, names, values).run(0, input).then(() => parentPort.postMessage('ran'))
    }
    ${end}`
  return { code, workerData: { addon: addonFile, plan: { tensors, program, reals, names, values } } }
}

async function messages(end: string): Promise<{ count: number; exitCode: number }> {
  const { code, workerData } = plainly(end)
  const worker = new Worker(code, { eval: true, workerData, execArgv: [] })
  let count = 0
  worker.on('message', () => count++)
  return new Promise((resolve, reject) => {
    worker.on('error', reject).on('exit', (exitCode) => resolve({ count, exitCode }))
  })
}

test('a thread lives until its runs have ended, and no longer', async (t) => {
  t.deepEqual(await messages(''), { count: 4, exitCode: 0 })
})

test('a thread may end while one run has its turn and others wait', async (t) => {
  for (const delay of [0, 1, 20]) {
    const { count, exitCode } = await messages(`setTimeout(() => process.exit(3), ${delay})`)
    t.is(exitCode, 3)
    t.true(count < 4)
  }
})

test('so may a process', async (t) => {
  const script = `import { openCpu } from './src/cpu/backend.ts'
    import { randomInputs, tower } from './test/cpu/random-graph.ts'
    const backend = await openCpu()
    const { fixture, graph } = tower(1000, 64)
    for (let i = 0; i < 3; i++) {
      const executable = await backend.compile(graph, fixture)
      executable.run(0, randomInputs(graph)).then(() => console.log('ran'))
    }
    setTimeout(() => process.exit(0), 10)`
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    [TYPESCRIPT, '--input-type=module', '--eval', script],
    { cwd: fileURLToPath(new URL('../../', import.meta.url)) },
  )
  t.deepEqual([stdout, stderr], ['', ''])
})

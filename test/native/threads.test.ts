/** Several threads of JavaScript with a codec each, all at work at once: each tile comes out as it does alone. */

import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { openCodec } from '../../src/codec/codec.js'
import { nanoModelFile } from '../network/golden.js'
import { type Job, type Made, tileOf, work } from './thread-work.js'

/** A thread has no loader of TypeScript unless it gets one. */
const LOADER = new URL('../../scripts/typescript/register.mjs', import.meta.url).href
const THREADS = 4
const CALLS = 64

function onThread(jobs: readonly Job[]): Promise<Made[]> {
  const code = `
    const { workerData } = require('node:worker_threads')
    import(workerData.loader).then(() => import(workerData.file)).then(({ runInThread }) => runInThread())`
  const file = new URL('./thread-work.ts', import.meta.url).href
  const worker = new Worker(code, {
    eval: true,
    execArgv: [],
    workerData: { file, loader: LOADER, jobs, model: fileURLToPath(nanoModelFile) },
  })
  return new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', (status) => reject(new Error(`a thread ended with status ${status}`)))
  })
}

test.serial('64 tiles on each of four threads come out as one by one', async (t) => {
  using codec = await openCodec({ model: fileURLToPath(nanoModelFile), device: 'cpu' })
  const jobs = Array.from({ length: CALLS }, (_, i): Job => ({ seed: i % 8, quality: 20 + 10 * (i % 8) }))
  const alone: Made[] = []
  for (const job of jobs.slice(0, 8)) alone.push(await work(codec, job))
  t.is(new Set(alone.map(({ bytes }) => Buffer.from(bytes).toString('base64'))).size, 8)
  const threads = await Promise.all(Array.from({ length: THREADS }, () => onThread(jobs)))
  for (const made of threads) {
    t.is(made.length, CALLS)
    t.true(made.every(({ bytes }, i) => Buffer.from(bytes).equals(alone[i % 8]?.bytes as Uint8Array)))
    t.true(made.every(({ pixels }, i) => Buffer.from(pixels).equals(alone[i % 8]?.pixels as Uint8Array)))
  }
})

test.serial('a thread that dies at work leaves the others as they were', async (t) => {
  using codec = await openCodec({ model: fileURLToPath(nanoModelFile), device: 'cpu' })
  const job = { seed: 1, quality: 50 }
  const alone = await work(codec, job)
  const code = `
    const { workerData } = require('node:worker_threads')
    import(workerData.loader).then(() => import(workerData.file)).then(({ dieAtWork }) => dieAtWork())`
  const file = new URL('./thread-work.ts', import.meta.url).href
  const worker = new Worker(code, {
    eval: true,
    execArgv: [],
    workerData: { file, loader: LOADER, jobs: [], model: fileURLToPath(nanoModelFile) },
  })
  const ended = new Promise<Error>((resolve) => worker.once('error', resolve))
  const beside = await Promise.all([work(codec, job), work(codec, job)])
  t.regex((await ended).message, /dies at work/)
  for (const { bytes, pixels } of [...beside, await work(codec, job)]) {
    t.deepEqual(Buffer.from(bytes), Buffer.from(alone.bytes))
    t.deepEqual(Buffer.from(pixels), Buffer.from(alone.pixels))
  }
})

test('drawn tiles differ by their seed', (t) => {
  t.notDeepEqual(tileOf(1).data, tileOf(2).data)
})

/** The addon's edge: memory safety must not depend on the TypeScript in front of it. */

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { addon } from '../../src/native/addon.js'
import { TYPESCRIPT } from '../typescript.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const { RansTables, RansEncoder, RansDecoder, decodeWeights, Slide, crc32c } = addon()
/** Anything as anything. */
const as = <T>(value: unknown): T => value as T

function tables() {
  return new RansTables(Int32Array.of(0, 65535, 65536), Int32Array.of(0), Int32Array.of(2), Int32Array.of(0))
}

const nonsense: unknown[] = [
  undefined,
  null,
  7,
  -1,
  Number.NaN,
  2 ** 60,
  'text',
  Symbol('s'),
  10n,
  {},
  [],
  () => 1,
  new ArrayBuffer(8),
  new DataView(new ArrayBuffer(8)),
  new Float64Array(4),
  new BigInt64Array(4),
  new Int32Array(3),
  new RansEncoder(),
  new Slide(),
  Object.create(RansTables.prototype),
  tables(),
]

test('nonsense in any place throws, and does no more', (t) => {
  const [none, bytes] = [new Int32Array(), new Uint8Array()]
  const decoder = () => new RansDecoder(Uint8Array.of(0, 0, 0, 1))
  const calls: [string, (value: never) => unknown][] = [
    ['RansTables values', (v) => new RansTables(v, new Int32Array(1), new Int32Array(1), new Int32Array(1))],
    ['RansTables offset', (v) => new RansTables(new Int32Array(3), v, new Int32Array(1), new Int32Array(1))],
    ['push symbols', (v) => new RansEncoder().push(v, new Uint8Array(4), tables())],
    ['push indexes', (v) => new RansEncoder().push(new Int16Array(5), v, tables())],
    ['RansDecoder', (v) => new RansDecoder(v)],
    ['decodeWeights streams', (v) => decodeWeights(v, none, 1, none, bytes, bytes, tables(), 0)],
    ['decodeWeights lengths', (v) => decodeWeights(bytes, v, 1, none, bytes, bytes, tables(), 0)],
    ['decodeWeights shapes', (v) => decodeWeights(bytes, none, 1, v, bytes, bytes, tables(), 0)],
    ['decodeWeights rows', (v) => decodeWeights(bytes, none, 1, none, v, bytes, tables(), 0)],
    ['decodeWeights columns', (v) => decodeWeights(bytes, none, 1, none, bytes, v, tables(), 0)],
    ['decode indexes', (v) => decoder().decode(v, tables())],
    ['crc32c bytes', (v) => crc32c(v, 0)],
    ['open path', (v) => new Slide().open(v, '/nonexistent.so')],
    ['cancel', (v) => new Slide().cancel(v)],
    ['readRegion of a slide that isn’t open', (v) => new Slide().readRegion(v, 0, 0, 0, 1, 1, 0)],
  ]
  for (const [name, call] of calls) {
    for (const value of nonsense) {
      if (name === 'open path' && typeof value === 'string') continue
      if (name === 'cancel' && value === 7) continue
      if (/lengths|shapes/.test(name) && value instanceof Int32Array) continue
      t.throws(() => call(as(value)), undefined, `${name}: ${String(typeof value)}`)
    }
  }
  for (const value of nonsense.slice(0, -1)) {
    t.throws(() => decoder().decode(new Uint8Array(1), as(value)))
    t.throws(() => new RansEncoder().push(new Int16Array(1), new Uint8Array(1), as(value)))
    t.throws(() => decodeWeights(bytes, none, 1, none, bytes, bytes, as(value), 0))
    if (typeof value === 'number') continue
    t.throws(() => decodeWeights(bytes, none, as(value), none, bytes, bytes, tables(), 0))
    t.throws(() => decodeWeights(bytes, none, 1, none, bytes, bytes, tables(), as(value)))
  }
  t.throws(() => decodeWeights(bytes, none, 0, none, bytes, bytes, tables(), 0), { instanceOf: RangeError })
  t.throws(() => decodeWeights(bytes, none, 1, Int32Array.of(1, -1, 1), bytes, bytes, tables(), 9), {
    instanceOf: RangeError,
  })
})

test('methods of one class on an object of another', (t) => {
  const { decode, finish } = RansDecoder.prototype
  for (const value of nonsense) {
    t.throws(() => Reflect.apply(decode, value, [new Uint8Array(1), tables()]))
    t.throws(() => Reflect.apply(finish, value, []))
    if (!(value instanceof Slide)) t.throws(() => Reflect.apply(Slide.prototype.close, value, []))
  }
  t.throws(() => Reflect.apply(as<() => void>(RansTables), undefined, []), { instanceOf: TypeError })
})

test('arrays whose memory has gone are empty arrays', (t) => {
  const gone = <T extends ArrayBufferView>(array: T): T => {
    structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
    return array
  }
  t.throws(() => new RansDecoder(gone(new Uint8Array(100))), { code: 'ERR_CORRUPT_TILE' })
  t.throws(() => new RansEncoder().push(new Int16Array(8), gone(new Uint8Array(8)), tables()))
  t.throws(() => new RansTables(gone(new Int32Array(3)), Int32Array.of(0), Int32Array.of(2), Int32Array.of(0)))
  t.is(crc32c(gone(new Uint8Array(100)), 0), 0)
})

test('shared memory and views into the middle of a buffer', async (t) => {
  const shared = new Uint8Array(new SharedArrayBuffer(64), 7, 9)
  shared.set(new TextEncoder().encode('123456789'))
  t.is(crc32c(shared, 0), 0xe3069283)
  const encoder = new RansEncoder()
  encoder.push(new Int16Array(new ArrayBuffer(40), 6, 5), new Uint16Array(new ArrayBuffer(40), 2, 5), tables())
  const bytes = await encoder.finish()
  const moved = new Uint8Array(bytes.length + 3).subarray(3)
  moved.set(bytes)
  t.deepEqual(await new RansDecoder(moved).decode(new Uint8Array(5), tables()), new Int16Array(5))
})

test('any number of threads may load it', async (t) => {
  const path = process.env.CLERIC_ADDON ?? `${root}build/Release/cleric.node`
  const crcs = await Promise.all(
    Array.from({ length: 4 }, () => {
      const code = `const { parentPort, workerData } = require('node:worker_threads')
        const addon = require(workerData)
        for (let i = 0; i < 100; i++) new addon.RansDecoder(Uint8Array.of(0, 0, 0, 1))
        parentPort.postMessage(addon.crc32c(new TextEncoder().encode('123456789'), 0))`
      return new Promise((resolve, reject) => {
        new Worker(code, { eval: true, workerData: path, execArgv: [] }).on('message', resolve).on('error', reject)
      })
    }),
  )
  t.deepEqual(crcs, Array(4).fill(0xe3069283))
})

test('a thread may end while its jobs run', async (t) => {
  const path = process.env.CLERIC_ADDON ?? `${root}build/Release/cleric.node`
  const code = `const { parentPort, workerData } = require('node:worker_threads')
    const { RansTables, RansEncoder, RansDecoder } = require(workerData)
    const tables = new RansTables(Int32Array.of(0, 65535, 65536), Int32Array.of(0), Int32Array.of(2), Int32Array.of(0))
    const count = 1e6
    for (let i = 0; i < 6; i++) {
      const encoder = new RansEncoder()
      encoder.push(new Int16Array(count), new Uint8Array(count), tables)
      encoder.finish()
      new RansDecoder(Uint8Array.of(0, 0, 0, 1)).decode(new Uint8Array(count), tables).catch(() => {})
    }
    // It never ends by itself, however late it is told to.
    setInterval(() => {}, 1000)
    parentPort.postMessage('started')`
  const ended = Array.from({ length: 3 }, async () => {
    const worker = new Worker(code, { eval: true, workerData: path, execArgv: [] })
    await new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject))
    return worker.terminate()
  })
  t.deepEqual(await Promise.all(ended), [1, 1, 1])
})

/** Code and message of the error that comes of the first call into this addon. */
async function firstError(path: string): Promise<string[]> {
  const script = `import { crc32c } from './src/entropy/crc32c.ts'
    try { crc32c(new Uint8Array(1)) } catch (error) { console.log(JSON.stringify([error.code, error.message])) }`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [TYPESCRIPT, '--input-type=module', '--eval', script],
    { cwd: root, env: { ...process.env, CLERIC_ADDON: path } },
  )
  return JSON.parse(stdout)
}

test('a missing addon is named, with the command that builds it', async (t) => {
  const [code, message] = await firstError('/nonexistent/cleric.node')
  t.is(code, 'ERR_ADDON_MISSING')
  t.regex(message ?? '', /\/nonexistent\/cleric\.node.*npm run build:addon/)
})

test('an addon of another version says what it lacks, and how to build it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cleric-addon-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'other.cjs')
  const own = process.env.CLERIC_ADDON ?? `${root}build/Release/cleric.node`
  writeFileSync(path, `module.exports = { ...require(${JSON.stringify(own)}), decodeWeights: undefined }`)
  const [code, message] = await firstError(path)
  t.is(code, 'ERR_ADDON_MISMATCH')
  t.regex(message ?? '', /other\.cjs has no decodeWeights\..*npm run build:addon/)
})

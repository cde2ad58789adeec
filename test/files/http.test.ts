/** What becomes of a server that is busy, of a connection that breaks, and of one that stays broken. */
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { openBytes } from '../../src/files/byte-source.js'
import { serveRanges } from '../range-server.js'

const SIZE = 200_000
const BYTES = Buffer.from(Uint8Array.from({ length: SIZE }, (_, i) => (i * 7) % 251))

/** A server that fails the next `state.failures` requests in some way, and counts all of them. */
async function unsteady(t: ExecutionContext, fail: (response: ServerResponse) => void) {
  const state = { failures: 0, times: [] as number[] }
  const file = { bytes: BYTES, headers: { etag: '"1"' }, conditional: true }
  const { address } = await serveRanges(t, file, (_request, response) => {
    state.times.push(performance.now())
    if (state.failures === 0) return false
    state.failures--
    fail(response)
    return true
  })
  return { address, state }
}

/** Milliseconds between the requests. */
const gaps = ({ times }: { times: number[] }) => times.slice(1).map((time, i) => time - (times[i] as number))

const status = (code: number, headers: Record<string, string> = {}) => {
  return (response: ServerResponse) => void response.writeHead(code, headers).end('busy')
}

const PASSING: Record<string, (response: ServerResponse) => void> = {
  '429': status(429),
  '502': status(502),
  '503': status(503),
  '504': status(504),
  'a connection that is closed without an answer': (response) => void response.destroy(),
  'a connection that breaks in the middle of an answer': (response) => {
    const range = `bytes 150000-199999/${SIZE}`
    response.writeHead(206, { etag: '"1"', 'content-range': range, 'content-length': '50000' })
    response.write(BYTES.subarray(150_000, 151_000), () => response.destroy())
  },
}

for (const [what, fail] of Object.entries(PASSING)) {
  test(`tried again: ${what}`, async (t) => {
    const { address, state } = await unsteady(t, fail)
    state.failures = 1
    const source = await openBytes(address)
    state.times.length = 0
    state.failures = 2
    t.true(BYTES.subarray(150_000).equals(await source.read(150_000, 50_000)))
    const [first = 0, second = 0, ...more] = gaps(state)
    t.is(more.length, 0)
    t.true(first > 150 && second > 1.5 * first, `waits grow: ${first}, ${second} ms`)
  })

  test(`given up after a few tries: ${what}`, async (t) => {
    const { address, state } = await unsteady(t, fail)
    const source = await openBytes(address)
    state.times.length = 0
    state.failures = Number.POSITIVE_INFINITY
    const message = new RegExp(/^\d+$/.test(what) ? `: ${what} [A-Z]` : address)
    await t.throwsAsync(source.read(150_000, 50_000), { code: 'ERR_NETWORK', message })
    t.is(state.times.length, 4)
  })
}

for (const code of [400, 401, 403, 404, 410, 500, 501]) {
  test(`not tried again: ${code}`, async (t) => {
    const { address, state } = await unsteady(t, status(code, { 'retry-after': '1' }))
    const source = await openBytes(address)
    state.failures = Number.POSITIVE_INFINITY
    await t.throwsAsync(source.read(150_000, 10), { code: 'ERR_NETWORK', message: new RegExp(`: ${code} [A-Z]`) })
    t.is(state.times.length, 2)
  })
}

test('a server’s own wait is heard, in seconds and as a date', async (t) => {
  for (const form of ['seconds', 'a date']) {
    const wait = form === 'seconds' ? '2' : new Date(Date.now() + 3000).toUTCString()
    const { address, state } = await unsteady(t, status(503, { 'retry-after': wait }))
    state.failures = 1
    await openBytes(address)
    // A date has whole seconds.
    const [gap = 0] = gaps(state)
    t.true(gap > 1500 && gap < 4000, `${wait}: ${gap} ms`)
  }
})

test('a server’s own wait is bounded, and nonsense is none', async (t) => {
  const { address, state } = await unsteady(t, status(429, { 'retry-after': '86400' }))
  state.failures = 1
  await openBytes(address)
  const [gap = 0] = gaps(state)
  t.true(gap > 5000 && gap < 15_000, `${gap} ms`)
  const other = await unsteady(t, status(429, { 'retry-after': 'soon' }))
  other.state.failures = 1
  await openBytes(other.address)
  t.true((gaps(other.state)[0] as number) < 1000)
})

test('an abort ends the wait at once', async (t) => {
  const { address, state } = await unsteady(t, status(503, { 'retry-after': '9' }))
  const source = await openBytes(address)
  state.failures = Number.POSITIVE_INFINITY
  for (const read of [
    (signal: AbortSignal) => source.read(150_000, 10, signal),
    (signal: AbortSignal) => openBytes(address, signal),
  ]) {
    const stop = new AbortController()
    const started = performance.now()
    setTimeout(() => stop.abort(), 300)
    await t.throwsAsync(read(stop.signal), { code: 'ERR_ABORTED', name: 'AbortError' })
    t.true(performance.now() - started < 2000)
  }
})

test('nobody answers, or what answers is no HTTP server', async (t) => {
  const server = createServer((socket) => socket.end('SSH-2.0-nothing\r\n', () => socket.destroySoon()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await t.throwsAsync(openBytes(`http://127.0.0.1:${port}/a`), { code: 'ERR_NETWORK' })
  await new Promise((resolve) => server.close(resolve))
  await t.throwsAsync(openBytes(`http://127.0.0.1:${port}/a`), { code: 'ERR_NETWORK', message: /ECONNREFUSED/ })
})

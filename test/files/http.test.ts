/** What becomes of a server that is busy, of a connection that breaks, and of one that stays broken. */
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { openAny } from '../../src/archive/open-any.js'
import { openBytes } from '../../src/files/byte-source.js'
import { sleep } from '../../src/files/http.js'
import { publicName } from '../../src/files/name.js'
import { UrlBytes } from '../../src/files/url-bytes.js'
import { openSlide } from '../../src/slide/open.js'
import { serveRanges } from '../range-server.js'

const SIZE = 200_000
const BYTES = Buffer.from(Uint8Array.from({ length: SIZE }, (_, i) => (i * 7) % 251))

/**
 * A server that fails the next `state.failures` requests in some way, and counts all of them; and a way to open its file
 * that notes the waits between tries instead of waiting.
 */
async function unsteady(t: ExecutionContext, fail: (response: ServerResponse) => void) {
  const state = { failures: 0, requests: 0, waits: [] as number[] }
  const file = { bytes: BYTES, headers: { etag: '"1"' }, conditional: true }
  const { address } = await serveRanges(t, file, (_request, response) => {
    state.requests++
    if (state.failures === 0) return false
    state.failures--
    fail(response)
    return true
  })
  const open = () => UrlBytes.open(address, undefined, async (wait) => void state.waits.push(wait))
  return { address, state, open }
}

/** Whether a wait is of that many milliseconds, more or less a quarter. */
const isAbout = (wait: number | undefined, milliseconds: number) =>
  wait !== undefined && Math.abs(wait - milliseconds) <= milliseconds / 4

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
    const { state, open } = await unsteady(t, fail)
    state.failures = 1
    const source = await open()
    t.is(state.waits.length, 1)
    state.failures = 2
    t.true(BYTES.subarray(150_000).equals(await source.read(150_000, 50_000)))
    t.is(state.waits.length, 3)
    t.true(isAbout(state.waits[1], 250) && isAbout(state.waits[2], 1000), `waits grow: ${state.waits.slice(1)} ms`)
  })

  test(`given up after a few tries: ${what}`, async (t) => {
    const { address, state, open } = await unsteady(t, fail)
    const source = await open()
    state.requests = 0
    state.failures = Number.POSITIVE_INFINITY
    const message = new RegExp(/^\d+$/.test(what) ? `: ${what} [A-Z]` : address)
    await t.throwsAsync(source.read(150_000, 50_000), { code: 'ERR_NETWORK', message })
    t.is(state.requests, 4)
    t.is(state.waits.length, 3)
    t.true(isAbout(state.waits[2], 3000))
  })
}

test('it does wait between the tries', async (t) => {
  const { address, state } = await unsteady(t, status(503))
  state.failures = 1
  const started = performance.now()
  await openBytes(address)
  t.true(performance.now() - started > 150)
  t.is(state.requests, 2)
})

for (const code of [400, 401, 403, 404, 410, 500, 501]) {
  test(`not tried again: ${code}`, async (t) => {
    const { state, open } = await unsteady(t, status(code, { 'retry-after': '1' }))
    const source = await open()
    state.failures = Number.POSITIVE_INFINITY
    await t.throwsAsync(source.read(150_000, 10), { code: 'ERR_NETWORK', message: new RegExp(`: ${code} [A-Z]`) })
    t.is(state.requests, 2)
    t.deepEqual(state.waits, [])
  })
}

/** The wait after an answer that names one. */
async function waitAfter(t: ExecutionContext, retryAfter: string): Promise<number> {
  const { state, open } = await unsteady(t, status(429, { 'retry-after': retryAfter }))
  state.failures = 1
  await open()
  t.is(state.waits.length, 1)
  return state.waits[0] as number
}

test('a server’s own wait is heard, in seconds and as a date', async (t) => {
  t.is(await waitAfter(t, '2'), 2000)
  const wait = await waitAfter(t, new Date(Date.now() + 9000).toUTCString())
  // A date has whole seconds, and some time passes before it is read.
  t.true(wait > 4000 && wait <= 9000, `${wait} ms`)
})

test('a server’s own wait is bounded, and nonsense is none', async (t) => {
  t.is(await waitAfter(t, '86400'), 10_000)
  t.true(isAbout(await waitAfter(t, 'soon'), 250))
})

test('an abort ends the wait at once', async (t) => {
  const { address, state } = await unsteady(t, status(503, { 'retry-after': '9' }))
  for (const readFails of [true, false]) {
    const stop = new AbortController()
    const pause = (milliseconds: number, signal?: AbortSignal) => {
      t.is(milliseconds, 9000)
      setImmediate(() => stop.abort())
      return sleep(milliseconds, signal)
    }
    const open = () => UrlBytes.open(address, stop.signal, pause)
    state.failures = readFails ? 0 : Number.POSITIVE_INFINITY
    const started = performance.now()
    const source = readFails ? await open() : null
    state.failures = Number.POSITIVE_INFINITY
    const failing = source ? source.read(150_000, 10, stop.signal) : open()
    await t.throwsAsync<Error>(failing, { code: 'ERR_ABORTED', name: 'AbortError' })
    t.true(performance.now() - started < 2000)
  }
})

test('nobody answers, or what answers is no HTTP server', async (t) => {
  const server = createServer((socket) => socket.end('SSH-2.0-nothing\r\n', () => socket.destroySoon()))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const open = () => UrlBytes.open(`http://127.0.0.1:${port}/a`, undefined, async () => {})
  await t.throwsAsync(open(), { code: 'ERR_NETWORK' })
  await new Promise((resolve) => server.close(resolve))
  await t.throwsAsync(open(), { code: 'ERR_NETWORK', message: /ECONNREFUSED/ })
})

test("user, password and query reach the server, and stand in no name and no message: they may be somebody's secrets", async (t) => {
  const state = { status: 200, asked: [] as (string | undefined)[] }
  const { address } = await serveRanges(
    t,
    { bytes: BYTES, headers: { etag: '"1"' }, conditional: true },
    (request, response) => {
      state.asked.push(request.url, request.headers.authorization)
      if (state.status === 200) return false
      status(state.status)(response)
      return true
    },
  )
  const url = new URL(address)
  for (const [user, password, said] of [
    ['anna', 'geheim', 'anna:geheim'],
    ['%C3%A4rztin', 'a%3Ab%40', 'ärztin:a:b@'],
    ['100%', '', '100%:'],
  ] as const) {
    state.status = 200
    state.asked = []
    const source = await openBytes(`http://${user}:${password}@${url.host}${url.pathname}?signature=abc#part`)
    t.is(source.name, `http://${url.host}${url.pathname}`)
    t.true(BYTES.subarray(150_000).equals(await source.read(150_000, 50_000)))
    const authorization = `Basic ${Buffer.from(said).toString('base64')}`
    t.deepEqual(
      state.asked,
      [...Array(2)].flatMap(() => [`${url.pathname}?signature=abc`, authorization]),
    )
    state.status = 403
    const refused = await t.throwsAsync(source.read(150_000, 50_000), { code: 'ERR_NETWORK' })
    t.is(refused?.message, `${source.name}: 403 Forbidden`)
  }
  const expected = { code: 'ERR_INVALID_ARGUMENT', message: /Expected a file, http or https URL for source/ }
  t.throws(() => openBytes('http://'), expected)
})

test('what can be read from files only is refused by an address without its secrets', async (t) => {
  const address = 'https://anna:geheim@example.org/a%20b.svs?signature=abc'
  const said = /^https:\/\/example\.org\/a%20b\.svs is /
  await t.throwsAsync(openSlide(address), { code: 'ERR_UNSUPPORTED_SLIDE', message: said })
  await t.throwsAsync(openAny(address, { page: 1 }), { code: 'ERR_ARCHIVE_UNSUPPORTED', message: said })
  t.is(publicName('https://'), 'https://')
  t.is(publicName('/a?b#c@d'), '/a?b#c@d')
})

/** Who may ask the server, and what it says when it refuses: Host, CORS, token, one shape of errors, slow clients. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { compressSlide } from '../../src/compress/compress.js'
import { isAllowedHost } from '../../src/server/guards.js'
import { createViewerServer } from '../../src/server/server.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { losslessCodec } from '../payload-codec.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-guards-'))
const codec = losslessCodec()

test.before(async () => {
  const path = join(folder, 'a.cleric.tif')
  await compressSlide(new SyntheticSlide('synthetic:300x200:2'), path, { codec, background: 'keep' })
  writeFileSync(join(folder, 'bad.cleric.tif'), 'no archive')
  const bytes = readFileSync(path)
  writeFileSync(join(folder, 'short.cleric.tif'), bytes.subarray(0, bytes.length - 9))
})
test.after.always(() => rmSync(folder, { recursive: true }))

test('a name that is not known to be this machine is refused, as a page of another site may have made it point here', async (t) => {
  for (const host of [
    'localhost',
    'localhost:8080',
    'LOCALHOST:1',
    '127.0.0.1:80',
    '10.1.2.3',
    '[::1]:8080',
    'a.localhost',
    `${hostname()}:9`,
    'localhost.',
  ]) {
    t.true(isAllowedHost(host, []), host)
  }
  for (const host of [
    'evil.example',
    'evil.example:8080',
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '',
    ' ',
    'a b',
    '[evil',
    'localhost@evil.example',
    'localhost:80:80',
    '127.1.evil',
  ]) {
    t.false(isAllowedHost(host, []), host)
  }
  t.true(isAllowedHost('Slides.Example.org:443', ['slides.example.org']))
  t.false(isAllowedHost('a.slides.example.org', ['slides.example.org']))
  t.true(isAllowedHost('a.b.example.org', ['*.example.org']))
  for (const host of ['example.org', 'evilexample.org', 'example.org.evil.example']) {
    t.false(isAllowedHost(host, ['*.example.org']), host)
  }
  t.true(isAllowedHost('evil.example', ['*']))
  await using server = await createViewerServer(folder, { codec })
  for (const url of ['/', '/slides', '/slide?name=a.cleric.tif', '/files/a.cleric.tif', '/none']) {
    const answer = await server.inject({ url, headers: { host: 'evil.example' } })
    t.is(answer.statusCode, 403, url)
    t.deepEqual(Object.keys(answer.json()), ['code', 'message'])
    t.is(answer.json().code, 'ERR_FORBIDDEN_HOST')
    t.regex(answer.json().message, /evil\.example.*--allow-host/)
  }
  await using named = await createViewerServer(folder, { codec, allowHosts: ['evil.example'] })
  t.is((await named.inject({ url: '/slides', headers: { host: 'evil.example' } })).statusCode, 200)
})

test('pages of other origins read nothing, but for those that are named', async (t) => {
  const origin = 'https://viewer.example.org'
  await using closed = await createViewerServer(folder, { codec })
  const none = await closed.inject({ url: '/slides', headers: { origin } })
  t.is(none.headers['access-control-allow-origin'], undefined)
  t.is(none.headers['cross-origin-resource-policy'], 'same-origin')
  await using open = await createViewerServer(folder, { codec, cors: [origin] })
  const some = await open.inject({ url: '/files/a.cleric.tif', headers: { origin, range: 'bytes=0-9' } })
  t.is(some.headers['access-control-allow-origin'], origin)
  t.regex(String(some.headers['access-control-expose-headers']), /content-range.*etag.*cleric-bad-tiles/)
  const other = await open.inject({ url: '/slides', headers: { origin: 'https://evil.example' } })
  t.not(other.headers['access-control-allow-origin'], 'https://evil.example')
  t.not(other.headers['access-control-allow-origin'], '*')
  const headers = {
    origin,
    'access-control-request-method': 'GET',
    'access-control-request-headers': 'range, if-range',
  }
  const preflight = await open.inject({ method: 'OPTIONS', url: '/files/a.cleric.tif', headers })
  t.is(preflight.statusCode, 204)
  t.regex(String(preflight.headers['access-control-allow-headers']), /if-range.*range/)
  await using all = await createViewerServer(folder, { codec, cors: ['*'] })
  t.is((await all.inject({ url: '/slides', headers: { origin } })).headers['access-control-allow-origin'], '*')
})

test('a token is asked for: in a header, or in the cookie of a page that was opened with it', async (t) => {
  const token = 'a-long-secret'
  await using server = await createViewerServer(folder, { codec, token })
  for (const url of [
    '/',
    '/slides',
    '/files/a.cleric.tif',
    '/deepzoom/a.cleric.tif.dzi',
    '/none',
    '/?token=wrong',
    '/?token=',
  ]) {
    const answer = await server.inject(url)
    t.is(answer.statusCode, 401, url)
    t.is(answer.json().code, 'ERR_UNAUTHORIZED')
    t.is(answer.headers['set-cookie'], undefined)
    t.false(answer.body.includes(token))
  }
  const bearer = (text: string) => server.inject({ url: '/slides', headers: { authorization: `Bearer ${text}` } })
  t.is((await bearer(token)).statusCode, 200)
  t.is((await bearer(`${token}x`)).statusCode, 401)
  const page = await server.inject(`/?token=${token}`)
  t.is(page.statusCode, 200)
  const cookie = String(page.headers['set-cookie'])
  t.regex(cookie, /HttpOnly/)
  t.regex(cookie, /SameSite=Strict/)
  const sent = cookie.split(';')[0] as string
  t.is((await server.inject({ url: '/slides', headers: { cookie: sent } })).statusCode, 200)
  t.is((await server.inject({ url: '/slides', headers: { cookie: `${sent}x` } })).statusCode, 401)
})

test('every failure is { code, message }, without a path of this machine, and no cache keeps it', async (t) => {
  await using server = await createViewerServer(folder, { codec })
  for (const [url, status] of [
    ['/none', 404],
    ['/%E0%A4%A', 400],
    ['/slide', 404],
    ['/slide?name=bad.cleric.tif', 500],
    ['/slide?name=short.cleric.tif', 500],
    ['/files/bad.cleric.tif', 500],
    ['/thumbnail/short.cleric.tif', 500],
    ['/deepzoom/a.cleric.tif_files/8/0_0.jpeg?icc=p3', 400],
    ['/deepzoom/a.cleric.tif_files/99/0_0.jpeg', 404],
    ['/thumbnail/a.cleric.tif?size=4', 400],
    ['/thumbnail/a.cleric.tif?size=99999', 400],
    ['/associated/a.cleric.tif?image=none', 404],
    ['/associated/a.cleric.tif', 404],
    ['/checks/a.cleric.tif?level=7', 400],
    ['/models/none', 404],
    [`/files/${'x'.repeat(9000)}`, 404],
  ] as const) {
    const answer = await server.inject(url)
    t.is(answer.statusCode, status, url.slice(0, 80))
    t.deepEqual(Object.keys(answer.json()), ['code', 'message'], url)
    t.regex(answer.json().code, /^ERR_/)
    t.regex(String(answer.headers['content-type']), /^application\/json/)
    t.is(answer.headers['cache-control'], 'no-store', url)
    t.false(answer.body.includes(folder), answer.body)
    t.notRegex(answer.json().message, /(^|[\s'"(])\/\w/)
  }
  t.regex((await server.inject('/slide?name=short.cleric.tif')).json().message, /short\.cleric\.tif.*bytes/)
  const posted = await server.inject({ method: 'POST', url: '/slides', payload: 'x'.repeat(5000) })
  t.true(posted.statusCode >= 400 && posted.statusCode < 500)
  t.deepEqual(Object.keys(posted.json()), ['code', 'message'])
})

test('what is no request is answered in the same shape', async (t) => {
  await using server = await createViewerServer(folder, { codec })
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.server.address() as AddressInfo
  const say = (text: string) =>
    new Promise<string>((resolve) => {
      let heard = ''
      const socket = connect(port, '127.0.0.1', () => socket.write(text))
      socket.on('data', (data) => {
        heard += data
      })
      socket.on('close', () => resolve(heard)).on('error', () => {})
    })
  for (const [text, status, code] of [
    ['nonsense\r\n\r\n', 400, 'ERR_BAD_REQUEST'],
    [`GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 431, 'ERR_TOO_LARGE'],
    [`GET / HTTP/1.1\r\nHost: localhost\r\nX-A: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'ERR_TOO_LARGE'],
  ] as const) {
    const answer = await say(text)
    t.true(answer.startsWith(`HTTP/1.1 ${status} `), answer.slice(0, 60))
    const body = JSON.parse(answer.split('\r\n\r\n')[1] as string)
    t.deepEqual(Object.keys(body), ['code', 'message'])
    t.is(body.code, code)
  }
})

test('what fails here is told here, and answered by no more than that it failed', async (t) => {
  const told: unknown[] = []
  const failure = new Error('cannot open /var/secret/file')
  const broken = { ...codec, decodePayload: () => Promise.reject(failure) }
  await using server = await createViewerServer(folder, { codec: broken, report: (error) => told.push(error) })
  const answer = await server.inject('/deepzoom/a.cleric.tif_files/9/0_0.jpeg')
  t.is(answer.statusCode, 500)
  t.is(answer.json().code, 'ERR_INTERNAL')
  t.false(answer.body.includes('secret'))
  t.deepEqual(told, [failure])
})

test('the page comes compressed, and is not sent again', async (t) => {
  await using server = await createViewerServer(folder, { codec })
  const plain = await server.inject('/viewer.js')
  for (const encoding of ['br', 'gzip']) {
    const answer = await server.inject({ url: '/viewer.js', headers: { 'accept-encoding': encoding } })
    t.is(answer.headers['content-encoding'], encoding)
    t.true(answer.rawPayload.length < plain.rawPayload.length / 2)
  }
  const etag = String(plain.headers.etag)
  for (const tags of [etag, `"other", ${etag}`, '*']) {
    t.is((await server.inject({ url: '/viewer.js', headers: { 'if-none-match': tags } })).statusCode, 304, tags)
  }
  const tile = await server.inject({
    url: '/deepzoom/a.cleric.tif_files/9/0_0.png',
    headers: { 'accept-encoding': 'gzip' },
  })
  t.is(tile.headers['content-encoding'], undefined, 'is compressed already')
})

test('a tile that a browser has among others is not sent again', async (t) => {
  await using server = await createViewerServer(folder, { codec })
  const url = '/deepzoom/a.cleric.tif_files/9/0_0.jpeg'
  const etag = String((await server.inject(url)).headers.etag)
  for (const tags of [etag, `W/${etag}`, `"a", ${etag}`, `W/"a",W/${etag}`, '*']) {
    t.is((await server.inject({ url, headers: { 'if-none-match': tags } })).statusCode, 304, tags)
  }
  for (const tags of ['"a"', '"a", "b"', etag.slice(0, -2)]) {
    t.is((await server.inject({ url, headers: { 'if-none-match': tags } })).statusCode, 200, tags)
  }
})

test('a client that dawdles over its request is cut off; others go on', async (t) => {
  t.timeout(60_000)
  await using server = await createViewerServer(folder, { codec })
  const address = await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.server.address() as AddressInfo
  const started = performance.now()
  const slow = Array.from({ length: 50 }, () => {
    const socket = connect(port, '127.0.0.1')
    socket.write('GET /slides HTTP/1.1\r\nHost: localhost\r\n')
    const timer = setInterval(() => socket.write('X-A: b\r\n'), 500)
    return new Promise<void>((resolve) => {
      const end = () => {
        clearInterval(timer)
        socket.destroy()
        resolve()
      }
      socket.on('close', end).on('error', end).resume()
    })
  })
  t.is((await fetch(`${address}/slides`)).status, 200)
  await Promise.all(slow)
  const seconds = (performance.now() - started) / 1000
  t.true(seconds > 5 && seconds < 40, `${seconds} s`)
  t.is((await fetch(`${address}/slides`)).status, 200)
})

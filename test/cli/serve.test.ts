/** `cleric serve`: who may ask, a port that is taken, a slide that is no archive. */
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import sharp from 'sharp'
import { createCli } from '../../src/cli/commands.js'
import { losslessCodec } from '../payload-codec.js'
import { run } from './run.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-serve-'))
test.after.always(() => rmSync(folder, { recursive: true }))

/** Runs `cleric serve` until the test ends; resolves to where it listens. */
async function serve(t: ExecutionContext, ...argv: string[]) {
  const stop = new AbortController()
  let stderr = ''
  let heard = (_text: string) => {}
  const listening = new Promise<string>((resolve) => {
    heard = resolve
  })
  const io = {
    stdout: { write: (text: string) => heard(text) },
    stderr: { write: (text: string) => (stderr += text) },
    codec: losslessCodec(),
    signal: stop.signal,
  }
  const ended = createCli(io).run(['serve', ...argv, '--port', '0', '--json'])
  t.teardown(async () => {
    stop.abort()
    await ended
  })
  const { address } = JSON.parse(await listening) as { address: string }
  return { address, warnings: () => stderr }
}

test('a port that is taken: status 1, and what to do', async (t) => {
  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  t.teardown(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const { status, stderr } = await run('serve', folder, '--port', String(port))
  t.is(status, 1)
  t.regex(stderr, new RegExp(`another program listens on port ${port}: choose one by --port`))
  t.is(stderr.trimEnd().split('\n').length, 1)
})

test('an address that is none of this machine says so', async (t) => {
  const { status, stderr } = await run('serve', folder, '--port', '0', '--host', '192.0.2.1')
  t.is(status, 1)
  t.regex(stderr, /--host takes an address of this machine/)
})

for (const wrong of [
  ['--cors', 'viewer.example.org'],
  ['--cors', 'https://viewer.example.org/path'],
  ['--allow-host', 'http://slides.example.org'],
  ['--allow-host', 'slides.example.org:80'],
  ['--token', 'short'],
  ['--token', 'with a space'],
]) {
  test(`wrong usage has status 2: cleric serve ${wrong.join(' ')}`, async (t) => {
    const { status, stderr } = await run('serve', folder, ...wrong)
    t.is(status, 2)
    t.regex(stderr, /Expected/)
  })
}

test('options reach the server', async (t) => {
  const origin = 'https://viewer.example.org'
  const { address } = await serve(
    t,
    folder,
    '--cors',
    origin,
    '--cors',
    'http://localhost:3000',
    '--token',
    'long-enough',
  )
  t.is((await fetch(`${address}/slides`)).status, 401)
  const headers = { authorization: 'Bearer long-enough', origin }
  const answer = await fetch(`${address}/slides`, { headers })
  t.is(answer.status, 200)
  t.is(answer.headers.get('access-control-allow-origin'), origin)
})

test('a slide that is no archive is shown', async (t) => {
  const path = join(folder, 'x.png')
  await sharp({ create: { width: 700, height: 300, channels: 3, background: '#a05a90' } })
    .png()
    .toFile(path)
  const { address, warnings } = await serve(t, path)
  t.is(warnings(), '')
  t.deepEqual(await (await fetch(`${address}/slides`)).json(), ['x.png'])
  t.is((await fetch(`${address}/deepzoom/x.png_files/10/1_0.jpeg`)).status, 200)
  const { status, stderr } = await run('serve', join(folder, 'none.svs'))
  t.is(status, 1)
  t.regex(stderr, /none\.svs/)
})

test('who lets others in without a token is told so', async (t) => {
  const open = await serve(t, folder, '--host', '0.0.0.0')
  t.regex(open.warnings(), /no login without --token/)
  const shut = await serve(t, folder, '--host', '0.0.0.0', '--token', 'long-enough')
  t.is(shut.warnings(), '')
})

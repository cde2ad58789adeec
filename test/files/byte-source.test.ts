/** Files that change while they are read: on a server, on the disk, behind a Blob. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  mkdtempSync,
  openAsBlob,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import test from 'ava'
import { openArchive } from '../../src/archive/archive.js'
import { validateArchive } from '../../src/archive/validate.js'
import { compressSlide } from '../../src/compress/compress.js'
import { type ByteSource, openBytes, START_BYTES } from '../../src/files/byte-source.js'
import { firstBytes } from '../../src/files/local-file.js'
import { collect } from '../heap.js'
import { losslessCodec } from '../payload-codec.js'
import { serveRanges } from '../range-server.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-bytes-'))
test.after.always(() => rmSync(folder, { recursive: true }))

const SIZE = 3 * START_BYTES
const DATE = 'Tue, 01 Sep 2026 10:00:00 GMT'
const LATER = 'Tue, 01 Sep 2026 10:00:07 GMT'
const file = (fill: number, size = SIZE) => Buffer.alloc(size, fill)
const tail = (source: ByteSource) => source.read(SIZE - 100, 100)

const CHANGES: Record<string, { before: Record<string, string>; after: Record<string, string>; size?: number }> = {
  'a tag': { before: { etag: '"1"' }, after: { etag: '"2"' } },
  'a weak tag': { before: { etag: 'W/"1"' }, after: { etag: 'W/"2"' } },
  'a date': { before: { 'last-modified': DATE }, after: { 'last-modified': LATER } },
  'a tag, under the same date': {
    before: { etag: '"1"', 'last-modified': DATE },
    after: { etag: '"2"', 'last-modified': DATE },
  },
  'a smaller size alone': { before: {}, after: {}, size: SIZE - 1 },
  'a size too small for what is asked': { before: {}, after: {}, size: 100 },
  'a larger size alone': { before: {}, after: {}, size: SIZE + 1 },
}

for (const [what, { before, after, size = SIZE }] of Object.entries(CHANGES)) {
  for (const conditional of [true, false]) {
    test(`a remote file that changes midway says so: ${what}, server ${conditional ? 'with' : 'without'} If-Range`, async (t) => {
      const state = { bytes: file(1), headers: before, conditional }
      const { address, asked } = await serveRanges(t, state)
      const source = await openBytes(address)
      t.is((await tail(source))[0], 1)
      t.deepEqual(await source.read(START_BYTES + 5, 10), new Uint8Array(10).fill(1))
      const strong = before.etag?.startsWith('"') ? before.etag : undefined
      t.is(asked[1]?.['if-range'], strong ?? (before.etag ? undefined : before['last-modified']))
      Object.assign(state, { bytes: file(2, size), headers: after })
      const error = { code: 'ERR_FILE_CHANGED', message: /^http:.* has changed since it was opened; open it anew$/ }
      await t.throwsAsync(tail(source), error)
      // What came when it was opened is of one state.
      t.is((await source.read(0, 9))[0], 1)
    })
  }
}

test('a remote file that stays the same is read whatever its server says of it', async (t) => {
  for (const headers of [{}, { etag: '"1"' }, { etag: 'W/"1"' }, { 'last-modified': DATE }] as Record<
    string,
    string
  >[]) {
    const { address } = await serveRanges(t, { bytes: file(1), headers, conditional: true })
    const source = await openBytes(address)
    for (let i = 0; i < 3; i++) t.deepEqual(await tail(source), new Uint8Array(100).fill(1))
  }
})

test('other answers have their own codes', async (t) => {
  const state = { bytes: file(1), headers: { etag: '"1"' }, conditional: true }
  let status = 0
  const { address } = await serveRanges(t, state, (_request, response) => {
    if (status === 0) return false
    if (status === 200) response.writeHead(200, { etag: '"1"' }).end(state.bytes)
    else if (status === 206) {
      response.writeHead(206, { etag: '"1"', 'content-range': `bytes 0-99/${SIZE}` }).end(state.bytes.subarray(0, 100))
    } else response.writeHead(status).end()
    return true
  })
  const source = await openBytes(address)
  for (const [now, code, message] of [
    [200, 'ERR_ARCHIVE_UNSUPPORTED', /doesn't answer range requests/],
    [206, 'ERR_ARCHIVE_UNSUPPORTED', /sends other bytes than \d+ to \d+/],
    [412, 'ERR_FILE_CHANGED', /has changed/],
    [404, 'ERR_NETWORK', /404 Not Found$/],
    [503, 'ERR_NETWORK', /503 Service Unavailable$/],
  ] as const) {
    status = now
    await t.throwsAsync(tail(source), { code, message }, String(now))
  }
  status = 404
  await t.throwsAsync(openBytes(address), { code: 'ERR_NETWORK' })
  status = 200
  await t.throwsAsync(openBytes(address), { code: 'ERR_ARCHIVE_UNSUPPORTED', message: /range requests/ })
})

test('validate lists no tile as bad for a server that fails, or an archive that was replaced', async (t) => {
  const path = join(folder, 'remote.cleric.tif')
  const codec = losslessCodec()
  await compressSlide('synthetic:700x500:3', path, { codec, tile: 64, background: 'keep' })
  const state = { bytes: readFileSync(path), headers: { etag: '"1"' }, conditional: true }
  let fails = false
  const { address } = await serveRanges(t, state, (_request, response) => {
    if (fails) response.writeHead(503).end()
    return fails
  })
  using archive = await openArchive(address, { codec })
  t.true((await validateArchive(archive)).ok)
  using again = await openArchive(address, { codec })
  fails = true
  await t.throwsAsync(validateArchive(again), { code: 'ERR_NETWORK' })
  fails = false
  await compressSlide('synthetic:700x500:4', path, { codec, tile: 64, background: 'keep', overwrite: true })
  Object.assign(state, { bytes: readFileSync(path), headers: { etag: '"2"' } })
  await t.throwsAsync(validateArchive(again), { code: 'ERR_FILE_CHANGED' })
})

test('a local file that is cut short midway has changed; one that always was is corrupt', async (t) => {
  const path = join(folder, 'local')
  writeFileSync(path, file(1))
  const source = await openBytes(path)
  t.is((await tail(source))[0], 1)
  truncateSync(path, 100)
  await t.throwsAsync(tail(source), { code: 'ERR_FILE_CHANGED', message: /local has changed/ })
  source.close()
  const short = await openBytes(path)
  await t.throwsAsync(short.read(50, 51), { code: 'ERR_ARCHIVE_CORRUPT' })
  short.close()
})

/** Holds a lease on a file, as file servers do, and gives it up a while after it is asked for. */
const HOLDER = `import fcntl, os, signal, sys, time
file = os.open(sys.argv[1], os.O_RDWR)
signal.signal(signal.SIGIO, lambda *_: (time.sleep(0.1), os._exit(0)))
fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print(flush=True)
time.sleep(30)`

const python = process.env.PYTHON ?? 'python3'
const hasLeases = spawnSync(python, ['-c', 'from fcntl import F_SETLEASE']).status === 0
const withLeases = hasLeases ? test : test.skip
withLeases('a file whose lease another program holds is waited for (needs Python on Linux)', async (t) => {
  const path = join(folder, 'leased')
  writeFileSync(path, file(1))
  const opened = async () => {
    const source = await openBytes(path)
    source.close()
    return source.size
  }
  for (const open of [opened, async () => (await firstBytes(path)).length]) {
    const holder = spawn(python, ['-c', HOLDER, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => holder.kill())
    await once(holder.stdout, 'data')
    t.true((await open()) > 0)
  }
})

test('a Blob of a file that changes says so', async (t) => {
  const path = join(folder, 'blob')
  writeFileSync(path, file(1))
  const source = await openBytes(await openAsBlob(path))
  t.is((await tail(source))[0], 1)
  writeFileSync(path, file(2, 100))
  await t.throwsAsync(tail(source), { code: 'ERR_FILE_CHANGED' })
})

/** Whether this process has the file open. */
function isOpen(path: string): boolean {
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path
    } catch {
      return false // The descriptor of the folder that is being read.
    }
  })
}

const onLinux = process.platform === 'linux' ? test : test.skip
onLinux('a file that nobody closed, and nobody can read any more, is closed without a word', async (t) => {
  const warnings: string[] = []
  const listen = ({ message }: Error) => warnings.push(message)
  process.on('warning', listen)
  t.teardown(() => process.off('warning', listen))
  const path = join(folder, 'forgotten')
  writeFileSync(path, file(1))
  const forget = async () => {
    const source = await openBytes(path)
    t.is((await source.read(0, 100))[0], 1)
    t.true(isOpen(path))
  }
  await forget()
  for (let i = 0; i < 100 && isOpen(path); i++) {
    collect()
    await setTimeout(20)
  }
  t.false(isOpen(path))
  t.deepEqual(warnings, [])
})

/** Archives as files: ranges, conditions, versions, and cleric's own reader as a client. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { openArchive } from '../../src/archive/archive.js'
import { compressSlide } from '../../src/compress/compress.js'
import { createViewerServer } from '../../src/server/server.js'
import { losslessCodec } from '../payload-codec.js'
import { DrawnSlide, memorySlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-files-'))
const codec = losslessCodec()
const slide = new DrawnSlide('synthetic:700x500:2')
const path = join(folder, 'a b.cleric.tif')
const url = '/files/a%20b.cleric.tif'

test.before(async () => {
  await compressSlide(slide, path, { codec, background: 'keep', tile: 128 })
  writeFileSync(join(folder, 'slide.tif'), readFileSync(path))
  writeFileSync(join(folder, 'secret.txt'), 'secret')
})
test.after.always(() => rmSync(folder, { recursive: true }))

/** A slide of which no byte can be saved. */
const noise = (side: number) => {
  const data = new Uint8Array(randomBytes(side * side * 3))
  return memorySlide([{ data, width: side, height: side, channels: 3 }])
}

async function listening(t: ExecutionContext, at = folder) {
  const server = await createViewerServer(at, { codec })
  t.teardown(() => server.close())
  await server.listen({ host: '127.0.0.1', port: 0 })
  return `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`
}

test('an archive is there as it is, whole or in ranges', async (t) => {
  const bytes = readFileSync(path)
  const address = (await listening(t)) + url
  const whole = await fetch(address)
  t.is(whole.status, 200)
  t.is(whole.headers.get('content-length'), String(bytes.length))
  t.is(whole.headers.get('accept-ranges'), 'bytes')
  t.true(Buffer.from(await whole.arrayBuffer()).equals(bytes))
  const end = bytes.length
  for (const [range, first, last] of [
    ['bytes=0-0', 0, 0],
    ['bytes=100-299', 100, 299],
    [`bytes=${end - 5}-${end + 100}`, end - 5, end - 1],
    ['bytes=10-', 10, end - 1],
    ['bytes=-7', end - 7, end - 1],
  ] as const) {
    const part = await fetch(address, { headers: { range } })
    t.is(part.status, 206, range)
    t.is(part.headers.get('content-range'), `bytes ${first}-${last}/${end}`)
    t.true(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(first, last + 1)), range)
  }
  const beyond = await fetch(address, { headers: { range: `bytes=${end}-` } })
  t.is(beyond.status, 416)
  t.is(beyond.headers.get('content-range'), `bytes */${end}`)
  t.is(((await beyond.json()) as { code: string }).code, 'ERR_BAD_REQUEST')
  // What is no single range of bytes may be answered by all of them.
  for (const range of ['lines=1-2', 'bytes=a-b', 'bytes=0-1,5-6', 'bytes=5-1']) {
    const all = await fetch(address, { headers: { range } })
    t.true(all.status === 200 || all.status === 416, `${range}: ${all.status}`)
    await all.arrayBuffer()
  }
})

test('HEAD tells the size without the bytes', async (t) => {
  const head = await fetch((await listening(t)) + url, { method: 'HEAD' })
  t.is(head.status, 200)
  t.is(head.headers.get('content-length'), String(readFileSync(path).length))
  t.is((await head.arrayBuffer()).byteLength, 0)
})

test('conditions: If-None-Match as a list, If-Range by the strong tag', async (t) => {
  await using server = await createViewerServer(folder, { codec })
  const etag = String((await server.inject({ url, headers: { range: 'bytes=0-9' } })).headers.etag)
  t.regex(etag, /^"[^"]+"$/)
  for (const tags of [etag, `"other", ${etag}`, `W/${etag}`, `"x",W/"y" , ${etag}`, '*']) {
    t.is((await server.inject({ url, headers: { 'if-none-match': tags } })).statusCode, 304, tags)
  }
  t.is((await server.inject({ url, headers: { 'if-none-match': '"other"' } })).statusCode, 200)
  const range = 'bytes=0-9'
  t.is((await server.inject({ url, headers: { range, 'if-range': etag } })).statusCode, 206)
  for (const other of ['"other"', `W/${etag}`]) {
    t.is((await server.inject({ url, headers: { range, 'if-range': other } })).statusCode, 200, other)
  }
})

test('archives only', async (t) => {
  await using server = await createViewerServer(folder, { codec })
  for (const name of ['secret.txt', '../a%20b.cleric.tif', '', 'none.cleric.tif']) {
    const answer = await server.inject(`/files/${name}`)
    t.is(answer.statusCode, 404, name)
    t.is(answer.json().code, 'ERR_NOT_FOUND')
  }
})

test("cleric's own reader reads from cleric's own server", async (t) => {
  using archive = await openArchive((await listening(t)) + url, { codec })
  using local = await openArchive(path, { codec })
  const region = { x: 90, y: 70, level: 0, width: 300, height: 200 }
  t.deepEqual(Buffer.from((await archive.readRegion(region)).data), Buffer.from((await local.readRegion(region)).data))
})

test('who reads a file that is replaced gets the rest of the one before; the next, the new one', async (t) => {
  const name = join(folder, 'big.cleric.tif')
  const made = { codec, background: 'keep', tile: 512 } as const
  await compressSlide(noise(2048), name, made)
  await compressSlide(noise(2048), `${name}.new.tif`, made)
  const [before, after] = [readFileSync(name), readFileSync(`${name}.new.tif`)]
  const address = `${await listening(t)}/files/big.cleric.tif`
  const first = await fetch(address)
  const reader = (first.body as ReadableStream<Uint8Array>).getReader()
  const start = await reader.read()
  renameSync(`${name}.new.tif`, name)
  // What lies under a path is looked at anew after 20 ms.
  await new Promise((resolve) => setTimeout(resolve, 100))
  const second = await fetch(address)
  t.not(second.headers.get('etag'), first.headers.get('etag'))
  t.true(Buffer.from(await second.arrayBuffer()).equals(after))
  const parts = [start.value as Uint8Array]
  for (let next = await reader.read(); !next.done; next = await reader.read()) parts.push(next.value)
  t.true(Buffer.concat(parts).equals(before))
})

test('an answer breaks off if the file is rewritten in place meanwhile', async (t) => {
  const name = join(folder, 'inplace.cleric.tif')
  await compressSlide(noise(2600), name, { codec, background: 'keep' })
  const bytes = readFileSync(name)
  t.true(bytes.length > 2 ** 24, 'more than sockets and streams hold')
  const address = `${await listening(t)}/files/inplace.cleric.tif`
  const reader = ((await fetch(address)).body as ReadableStream<Uint8Array>).getReader()
  await reader.read()
  writeFileSync(name, bytes.fill(0, bytes.length >> 1))
  const rest = async () => {
    for (let next = await reader.read(); !next.done; next = await reader.read());
  }
  await t.throwsAsync(rest())
})

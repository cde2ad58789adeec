/** The tile server by its answers, with a lossless codec. */
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { FastifyInstance } from 'fastify'
import sharp from 'sharp'
import { levelSize, maxLevel } from '../../src/archive/pyramid.js'
import { compressSlide } from '../../src/compress/compress.js'
import { fill } from '../../src/image/draw.js'
import { JPEG } from '../../src/image/jpeg.js'
import { fromImage } from '../../src/image/sharp.js'
import { createViewerServer } from '../../src/server/server.js'
import { losslessCodec } from '../payload-codec.js'
import { displayP3, fromDisplayP3 } from '../slide/display-p3.js'
import { DrawnSlide, memorySlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-server-'))
const root = join(folder, 'slides')
const codec = losslessCodec()
const slide = new DrawnSlide('synthetic:1300x700:2')

test.before(async () => {
  mkdirSync(join(root, 'more'), { recursive: true })
  await compressSlide(slide, join(root, 'a.cleric.tif'), { codec, background: 'keep', levels: [0] })
  await compressSlide(slide, join(root, 'more', 'b c.cleric.tif'), { codec, background: 'keep' })
  await compressSlide(slide, join(folder, 'outside.cleric.tif'), { codec, levels: [0] })
  symlinkSync(join(folder, 'outside.cleric.tif'), join(root, 'link.cleric.tif'))
  writeFileSync(join(root, 'bad.cleric.tif'), 'no archive')
  writeFileSync(join(root, 'secret.txt'), 'secret')
})
test.after.always(() => rmSync(folder, { recursive: true }))

test('lists and describes the archives below its folder', async (t) => {
  await using server = await createViewerServer(root, { codec })
  t.deepEqual((await server.inject('/slides')).json(), ['a.cleric.tif', 'bad.cleric.tif', 'more/b c.cleric.tif'])
  const facts = (await server.inject('/slide?name=more%2Fb%20c.cleric.tif')).json()
  t.like(facts, { quality: 60, mpp: { x: 0.5, y: 0.5 } })
  t.is(facts.levels.length, 2)
})

test('which codec to use is checked before the first tile is asked for', async (t) => {
  const wrong = createViewerServer(root, { device: 'gpu' as 'cpu' })
  await t.throwsAsync(wrong, { instanceOf: RangeError, message: /^Expected one of auto, webgpu, cpu for device/ })
})

test('DeepZoom: description, and a full-size tile with the pixels of the slide', async (t) => {
  await using server = await createViewerServer(root, { codec })
  const document = await server.inject('/deepzoom/a.cleric.tif.dzi')
  t.regex(document.body, /TileSize="512"[\s\S]*Width="1300" Height="700"/)
  const level = maxLevel({ width: 1300, height: 700 })
  t.is(level, 11)
  const tile = await server.inject(`/deepzoom/a.cleric.tif_files/${level}/2_1.png`)
  t.is(tile.statusCode, 200)
  const { data, info } = await sharp(tile.rawPayload).raw().toBuffer({ resolveWithObject: true })
  t.deepEqual([info.width, info.height], [1300 - 1024, 700 - 512])
  const expected = await slide.readRegion({ x: 1024, y: 512, level: 0, width: info.width, height: info.height })
  t.true(data.equals(Buffer.from(expected.data)))
})

test('DeepZoom: every level down to one pixel has its size, whatever levels the archive holds', async (t) => {
  await using server = await createViewerServer(root, { codec })
  const full = { width: 1300, height: 700 }
  for (const name of ['a.cleric.tif', 'more/b%20c.cleric.tif']) {
    for (let level = 0; level <= 10; level++) {
      const tile = await server.inject(`/deepzoom/${name}_files/${level}/0_0.jpeg`)
      const { width, height } = await sharp(tile.rawPayload).metadata()
      const size = levelSize(full, level)
      t.deepEqual([width, height], [Math.min(512, size.width), Math.min(512, size.height)], `${name} level ${level}`)
    }
  }
  t.is((await server.inject('/deepzoom/a.cleric.tif_files/12/0_0.jpeg')).statusCode, 404)
  t.is((await server.inject('/deepzoom/a.cleric.tif_files/11/3_0.jpeg')).statusCode, 404)
})

test('a coarse level looks like the slide', async (t) => {
  await using server = await createViewerServer(root, { codec })
  const tile = await server.inject('/deepzoom/a.cleric.tif_files/9/0_0.png')
  const { data, info } = await sharp(tile.rawPayload).raw().toBuffer({ resolveWithObject: true })
  const expected = await slide.readRegion({ x: 0, y: 0, level: 1, width: info.width, height: info.height })
  let sum = 0
  for (let i = 0; i < data.length; i++) sum += Math.abs((data[i] as number) - (expected.data[i] as number))
  t.true(sum / data.length < 6, `mean error ${sum / data.length}`)
})

test('a tile that a browser has is not sent again', async (t) => {
  await using server = await createViewerServer(root, { codec })
  const url = '/deepzoom/a.cleric.tif_files/11/0_0.jpeg'
  const { etag } = (await server.inject(url)).headers
  const again = await server.inject({ url, headers: { 'if-none-match': String(etag) } })
  t.is(again.statusCode, 304)
  t.is(again.rawPayload.length, 0)
})

test('tiles carry the ICC profile, or are converted by it, as the address or the server says', async (t) => {
  const inside = join(folder, 'colours')
  mkdirSync(inside)
  const image = fill(600, 300, { red: 90, green: 180, blue: 40 })
  const p3 = memorySlide([image], { iccProfile: () => displayP3() })
  await compressSlide(p3, join(inside, 'p3.cleric.tif'), { codec })
  await compressSlide(memorySlide([image]), join(inside, 'plain.cleric.tif'), { codec })
  const bad = memorySlide([image], { iccProfile: () => new Uint8Array(200) })
  await compressSlide(bad, join(inside, 'bad.cleric.tif'), { codec })
  await using server = await createViewerServer(inside, { codec })
  await using converting = await createViewerServer(inside, { codec, icc: 'srgb' })
  const stored = [90, 180, 40]
  const converted = [...fromDisplayP3(Uint8Array.from(stored))]
  const look = async (from: FastifyInstance, address: string) => {
    const { rawPayload, statusCode, headers } = await from.inject(`/deepzoom/${address}`)
    t.is(statusCode, 200, address)
    const { icc } = await sharp(rawPayload).metadata()
    const { data } = await sharp(rawPayload).keepIccProfile().raw().toBuffer({ resolveWithObject: true })
    return { colour: [...data.subarray(0, 3)], icc: icc ? new Uint8Array(icc) : null, etag: headers.etag }
  }
  const tile = 'p3.cleric.tif_files/10/0_0.png'
  for (const format of ['png', 'jpeg']) {
    const { colour, icc } = await look(server, tile.replace('png', format))
    t.deepEqual(icc, displayP3())
    t.true(colour.every((value, i) => Math.abs(value - (stored[i] as number)) <= (format === 'png' ? 0 : 2)))
  }
  const kept = await look(server, `${tile}?icc=keep`)
  const none = await look(server, `${tile}?icc=none`)
  const srgb = await look(server, `${tile}?icc=srgb`)
  t.like(kept, { colour: stored, icc: displayP3() })
  t.like(none, { colour: stored, icc: null })
  t.is(srgb.icc, null)
  t.true(srgb.colour.every((value, i) => Math.abs(value - (converted[i] as number)) <= 1))
  t.is(new Set([kept.etag, none.etag, srgb.etag]).size, 3)
  t.like(await look(converting, tile), { colour: srgb.colour, icc: null })
  t.like(await look(converting, `${tile}?icc=keep`), { colour: stored, icc: displayP3() })
  // What the page asks for.
  for (const [name, icc] of [
    ['p3', 'srgb'],
    ['plain', 'srgb'],
    ['bad', 'none'],
  ] as const) {
    t.is((await server.inject(`/slide?name=${name}.cleric.tif`)).json().icc, icc)
    await look(server, `${name}.cleric.tif_files/10/0_0.png?icc=${icc}`)
  }
  for (const wrong of ['icc=p3', 'icc=', 'icc=srgb&icc=srgb']) {
    t.is((await server.inject(`/deepzoom/${tile}?${wrong}`)).statusCode, 400, wrong)
  }
  t.is((await server.inject('/deepzoom/bad.cleric.tif_files/10/0_0.png?icc=srgb')).json().code, 'ERR_IMAGE_UNSUPPORTED')
})

test('nothing outside the folder, and nothing but archives, can be reached', async (t) => {
  await using server = await createViewerServer(root, { codec })
  for (const name of [
    'outside.cleric.tif',
    '../outside.cleric.tif',
    '%2e%2e/outside.cleric.tif',
    '..%2foutside.cleric.tif',
    'more/../../outside.cleric.tif',
    'link.cleric.tif',
    'secret.txt',
    'secret.txt%00.cleric.tif',
    join(folder, 'outside.cleric.tif'),
  ]) {
    for (const url of [`/slide?name=${name}`, `/deepzoom/${name}.dzi`]) {
      t.is((await server.inject(url)).statusCode, 404, url)
    }
  }
})

test('a single file is served alone', async (t) => {
  await using server = await createViewerServer(join(root, 'a.cleric.tif'), { codec })
  t.deepEqual((await server.inject('/slides')).json(), ['a.cleric.tif'])
  t.is((await server.inject('/slide?name=more%2Fb%20c.cleric.tif')).statusCode, 404)
})

test('what is no archive gives an error with its code', async (t) => {
  await using server = await createViewerServer(root, { codec })
  const answer = await server.inject('/slide?name=bad.cleric.tif')
  t.is(answer.statusCode, 500)
  t.is(answer.json().code, 'ERR_ARCHIVE_UNSUPPORTED')
})

test('a file that was replaced is opened anew', async (t) => {
  const path = join(folder, 'changing.cleric.tif')
  await compressSlide(slide, path, { codec, levels: [0], quality: 10 })
  await using server = await createViewerServer(path, { codec })
  t.is((await server.inject('/slide?name=changing.cleric.tif')).json().quality, 10)
  await compressSlide(slide, path, { codec, levels: [0], quality: 20.5, overwrite: true })
  t.is((await server.inject('/slide?name=changing.cleric.tif')).json().quality, 20.5)
})

test('an archive that is replaced is read on by those who are at it, and closed when they are done', async (t) => {
  const path = join(folder, 'replaced.cleric.tif')
  const made = { codec, background: 'keep', levels: [0], tile: 64 } as const
  await compressSlide(slide, path, { ...made, quality: 10 })
  let go = () => {}
  const told = new Promise<void>((resolve) => {
    go = resolve
  })
  const held = losslessCodec()
  const { decodePayload } = held
  held.decodePayload = async (...argv) => {
    if (held.decoded >= 5) await told
    return decodePayload(...argv)
  }
  await using server = await createViewerServer(path, { codec: held })
  const { version } = (await server.inject('/slide?name=replaced.cleric.tif')).json()
  const overview = server.inject('/deepzoom/replaced.cleric.tif_files/9/0_0.png')
  while (held.decoded < 5) await new Promise((resolve) => setTimeout(resolve, 1))
  await compressSlide(slide, path, { ...made, quality: 20, overwrite: true })
  const facts = (await server.inject('/slide?name=replaced.cleric.tif')).json()
  t.is(facts.quality, 20)
  t.not(facts.version, version)
  go()
  const answer = await overview
  t.is(answer.statusCode, 200, answer.body)
  t.regex(String(answer.headers.etag), new RegExp(`^"${version}-`))
  // The file that was replaced has no name any more; only an open handle could still lead to it.
  await new Promise((resolve) => setTimeout(resolve, 50))
  const handles = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return []
    }
  })
  t.deepEqual(
    handles.filter((name) => name === `${path} (deleted)`),
    [],
  )
})

test('all archives share one bound of memory', async (t) => {
  const inside = join(folder, 'many')
  mkdirSync(inside)
  const names = Array.from({ length: 12 }, (_, i) => `${i}.cleric.tif`)
  await compressSlide(slide, join(inside, '0.cleric.tif'), { codec, background: 'keep', levels: [0], tile: 512 })
  for (const name of names.slice(1)) copyFileSync(join(inside, '0.cleric.tif'), join(inside, name))
  const tile = 512 * 512 * 3
  const whole = await slide.readRegion({ x: 0, y: 0, level: 0, width: 512, height: 512 })
  const jpeg = (await fromImage(whole).jpeg(JPEG.viewer).toBuffer()).length
  const counting = losslessCodec()
  const look = async (server: FastifyInstance, name: string) => {
    const before = counting.decoded
    t.is((await server.inject(`/deepzoom/${name}_files/11/0_0.jpeg`)).statusCode, 200)
    return counting.decoded - before
  }
  {
    // Room for a tile of one archive and what is made of it, of the pyramid and as JPEG, for three archives.
    const each = 2 * tile + jpeg
    const cacheBytes = 3 * each + (jpeg >> 1)
    await using server = await createViewerServer(inside, { codec: counting, cacheBytes })
    for (const name of names) t.is(await look(server, name), 1)
    for (const name of names.slice(-3)) t.is(await look(server, name), 0)
    for (const name of names.slice(0, 3)) t.is(await look(server, name), 1)
    t.is(await look(server, names.at(-1) as string), 1)
  }
  await using ample = await createViewerServer(inside, { codec: counting })
  for (const name of names) t.is(await look(ample, name), 1)
  for (const name of names) t.is(await look(ample, name), 0)
})

test('a failure is not kept by caches', async (t) => {
  const broken = { ...codec, decodePayload: () => Promise.reject(new Error('device lost')) }
  await using server = await createViewerServer(root, { codec: broken })
  const { version } = (await server.inject('/slide?name=a.cleric.tif')).json()
  const answer = await server.inject(`/deepzoom/a.cleric.tif_files/11/0_0.jpeg?v=${version}`)
  t.is(answer.statusCode, 500)
  t.is(answer.headers['cache-control'], 'no-store')
  t.is(answer.headers.etag, undefined)
})

test('a tile is kept for ever only under the address of the version that is there', async (t) => {
  await using server = await createViewerServer(root, { codec })
  const { version } = (await server.inject('/slide?name=a.cleric.tif')).json()
  const url = '/deepzoom/a.cleric.tif_files/11/2_1.jpeg'
  t.regex(String((await server.inject(`${url}?v=${version}`)).headers['cache-control']), /immutable/)
  for (const other of [`${url}?v=0-0`, `${url}?v=${version}&v=0`, url]) {
    t.is((await server.inject(other)).headers['cache-control'], 'no-cache', other)
  }
})

test('no more tiles are decoded for a browser that has left, but for one that still waits', async (t) => {
  const slow = losslessCodec(20)
  const path = join(folder, 'left.cleric.tif')
  await compressSlide(slide, path, { codec, background: 'keep', levels: [0], tile: 128, overwrite: true })
  await using server = await createViewerServer(path, { codec: slow })
  const address = await server.listen({ host: '127.0.0.1', port: 0 })
  const overview = `${address}/deepzoom/left.cleric.tif_files/9/0_0.png`
  const leave = new AbortController()
  const left = fetch(overview, { signal: leave.signal })
  while (slow.decoded === 0) await new Promise((resolve) => setTimeout(resolve, 1))
  leave.abort()
  t.is(await left.catch(({ name }) => name), 'AbortError')
  await new Promise((resolve) => setTimeout(resolve, 500))
  t.true(slow.decoded < 66 / 2, `${slow.decoded} of 66`)

  const leaveAgain = new AbortController()
  const again = fetch(overview, { signal: leaveAgain.signal })
  const stays = fetch(overview)
  setTimeout(() => leaveAgain.abort(), 40)
  t.is(await again.catch(({ name }) => name), 'AbortError')
  t.is((await stays).status, 200)
})

test('an address that makes no sense is the fault of who asks', async (t) => {
  await using server = await createViewerServer(root, { codec })
  t.is((await server.inject('/slide?name=a.cleric.tif&name=b')).statusCode, 404)
  t.is((await server.inject('/slide')).statusCode, 404)
  const headers = { 'content-type': 'application/json' }
  const answer = await server.inject({ method: 'POST', url: '/slides', payload: '{', headers })
  t.true(answer.statusCode >= 400 && answer.statusCode < 500)
})

// Root may read everything.
const testAsUser = process.getuid?.() === 0 ? test.skip : test
testAsUser('a folder that may not be read hides no others', async (t) => {
  const shut = join(folder, 'shut')
  mkdirSync(join(shut, 'private'), { recursive: true })
  writeFileSync(join(shut, 'a.cleric.tif'), '')
  chmodSync(join(shut, 'private'), 0)
  t.teardown(() => chmodSync(join(shut, 'private'), 0o700))
  await using server = await createViewerServer(shut, { codec })
  t.deepEqual((await server.inject('/slides')).json(), ['a.cleric.tif'])
})

test('the page and what it needs are there', async (t) => {
  await using server = await createViewerServer(root, { codec })
  for (const [url, type] of [
    ['/', /html/],
    ['/viewer.js', /javascript/],
    ['/viewer.css', /css/],
    ['/viewer.js.LEGAL.txt', /plain/],
  ] as const) {
    const answer = await server.inject(url)
    t.is(answer.statusCode, 200)
    t.regex(String(answer.headers['content-type']), type)
    t.true(answer.rawPayload.length > 200)
  }
})

/** Archives behind a URL: every command takes one wherever it takes a file. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import sharp from 'sharp'
import { compressSlide, exportSlide, openSlide } from '../../src/index.js'
import { createViewerServer } from '../../src/server/server.js'
import { losslessCodec } from '../payload-codec.js'
import { serveRanges } from '../range-server.js'
import { makeArchive, run } from './run.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-url-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)
const local = at('local.cleric.tif')
test.before(() => makeArchive(local))
const file = () => ({ bytes: readFileSync(local), headers: { etag: '"1"' }, conditional: true })

test('commands do with a URL what they do with the file', async (t) => {
  const { address } = await serveRanges(t, file())
  const ofFile = await run('info', local, '--json')
  t.deepEqual((await run('info', address, '--json')).json(), ofFile.json())

  const place = ['--x', '100', '--y', '50', '--width', '200', '--height', '150']
  for (const [source, name] of [
    [local, 'file.png'],
    [address, 'url.png'],
  ] as const) {
    t.is((await run('region', source, '-o', at(name), ...place)).status, 0)
  }
  const pixels = (name: string) => sharp(at(name)).raw().toBuffer()
  t.deepEqual(await pixels('url.png'), await pixels('file.png'))

  t.like((await run('validate', address, '--json')).json(), { ok: true })
  const { levels } = (await run('compare', local, address, '--json')).json()
  t.true(levels.length > 0 && levels.every((level: { maxError: number }) => level.maxError === 0))

  t.is((await run('export', local, '-o', at('file.tif'))).status, 0)
  t.is((await run('export', address, '-o', at('url.tif'))).status, 0)
  t.true(readFileSync(at('url.tif')).equals(readFileSync(at('file.tif'))))

  t.is((await run('compress', address, '-o', at('again.cleric.tif'), '--tile', '128')).status, 0)
  t.like((await run('compare', local, at('again.cleric.tif'), '--json')).json(), { levels: [{ maxError: 0 }] })

  t.is((await run('decode', address, '-o', at('whole.png'))).status, 0)
  t.like(await sharp(at('whole.png')).metadata(), { width: 400, height: 300 })
})

test('the library does too', async (t) => {
  const { address } = await serveRanges(t, file())
  const codec = losslessCodec()
  const { tiles } = await exportSlide(address, at('api.tif'), { codec, compression: 'deflate' })
  t.true(tiles > 0)
  const { sourceBytes } = await compressSlide(address, at('api.cleric.tif'), { codec })
  t.is(sourceBytes, file().bytes.length)
  const error = { code: 'ERR_UNSUPPORTED_SLIDE', message: /read from files only/ }
  await t.throwsAsync(openSlide(address), error)
})

test('the viewer shows one, and the new one once it has changed', async (t) => {
  const codec = losslessCodec()
  const write = async (name: string, slide: string) => {
    await compressSlide(slide, at(name), { codec, background: 'keep', levels: [0], overwrite: true })
    return readFileSync(at(name))
  }
  const state = { ...file(), bytes: await write('first.cleric.tif', 'synthetic:600x300:2') }
  const { address } = await serveRanges(t, state)
  await using server = await createViewerServer(address, { codec })
  t.deepEqual((await server.inject('/slides')).json(), ['a.cleric.tif'])
  const tile = (place: string) => server.inject(`/deepzoom/a.cleric.tif_files/10/${place}.png`)
  const first = await tile('0_0')
  t.is(first.statusCode, 200)
  t.like(await sharp(first.rawPayload).metadata(), { width: 512, height: 300 })
  Object.assign(state, { bytes: await write('second.cleric.tif', 'synthetic:560x300:3'), headers: { etag: '"2"' } })
  // That it has changed shows when it is read: it is opened anew, and whoever asked gets what is there now.
  const changed = await tile('1_0')
  t.is(changed.statusCode, 200)
  t.like(await sharp(changed.rawPayload).metadata(), { width: 560 - 512, height: 300 })
  t.not(changed.headers.etag, (await server.inject('/deepzoom/a.cleric.tif_files/10/0_0.png')).headers.etag)
  t.is((await server.inject('/slide?name=a.cleric.tif')).json().levels[0].width, 560)
  t.is((await tile('0_0')).statusCode, 200)
})

test('a failing server is a failure with its status; a server’s other files are refused by name', async (t) => {
  let status = 404
  const { address } = await serveRanges(t, { ...file(), bytes: Buffer.from('no archive') }, (_, response) => {
    if (status > 0) response.writeHead(status).end()
    return status > 0
  })
  for (const [command, ...more] of [
    ['info'],
    ['validate'],
    ['compare', local],
    ['export', '-o', at('x.tif')],
    ['region', '-o', at('x.png'), '--width', '9', '--height', '9'],
    ['decode', '-o', at('y.png')],
    ['compress', '-o', at('x.cleric.tif')],
  ] as [string, ...string[]][]) {
    status = 404
    const failed = await run(command, address, ...more, '--json')
    t.is(failed.status, 1, command)
    t.deepEqual(failed.json(), { error: { code: 'ERR_NETWORK', message: `${address}: 404 Not Found` } }, command)
    status = 0
    const other = await run(command, address, ...more, '--json')
    t.is(other.status, 1, command)
    t.is(other.json().error.code, 'ERR_ARCHIVE_UNSUPPORTED', command)
  }
  const { json } = await run('info', address, '--json')
  t.regex(json().error.message, /is no cleric archive; of a server only archives are read: fetch the file first/)
})

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import sharp from 'sharp'
import { createCli } from '../../src/cli/commands.js'
import { openCodec } from '../../src/codec/codec.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { losslessCodec } from '../payload-codec.js'
import { drawn } from '../slide/tiff/slides.js'
import { makeArchive, run } from './run.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-cli-compress-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

const WHOLE = { x: 0, y: 0, level: 0, width: 256, height: 192 }
const RAW = { width: 256, height: 192, channels: 3 } as const

/** An archive of a small drawn slide. */
const archive = (name: string, ...options: string[]) => makeArchive(at(name), ...options)

test('compress prints the fields that scripts rely on, and nothing else on stdout', async (t) => {
  const { status, json } = await run('compress', 'synthetic:300x200', '-o', at('a.cleric.tif'), '--json')
  t.is(status, 0)
  const result = json()
  t.deepEqual(Object.keys(result).sort(), [
    'blankTiles',
    'bpp',
    'bytes',
    'checks',
    'device',
    'deviceBusy',
    'output',
    'peakRssBytes',
    'quality',
    'readSeconds',
    'resumedTiles',
    'seconds',
    'sourceBytes',
    'tiles',
    'unreadableCount',
    'unreadableTiles',
    'warnings',
    'writeSeconds',
  ])
  t.is(result.bytes, readFileSync(at('a.cleric.tif')).length)
})

test('every tile is checked unless --no-check; the summary and info tell', async (t) => {
  const checked = await run('compress', 'synthetic:300x200', '-o', at('checked.cleric.tif'))
  t.regex(checked.stdout, /every tile was decoded and checked: least equal, .*; \d+ CLERIC$/m)
  const { json } = await run('info', at('checked.cleric.tif'), '--json')
  // JSON has no infinity.
  const equal = { least: null, p1: null, p10: null, p50: null }
  const { tiles, psnr, worst, codecs } = json().checks
  t.deepEqual([psnr, codecs], [equal, { cleric: tiles }])
  t.deepEqual(worst[0], { level: 0, column: 0, row: 0, psnr: null, codec: 'cleric' })
  t.regex((await run('info', at('checked.cleric.tif'))).stdout, /PSNR of the tiles when they were written: least equal/)

  const unchecked = await run('compress', 'synthetic:300x200', '-o', at('unchecked.cleric.tif'), '--no-check')
  t.notRegex(unchecked.stdout, /was decoded and checked/)
  t.is((await run('info', at('unchecked.cleric.tif'), '--json')).json().checks, null)
})

test('if many tiles are not stored by the network, a line on stderr says so', async (t) => {
  const lines: string[] = []
  for (const [share, psnr] of [
    [2, 33.3],
    [6, 33.3],
    [6, Number.POSITIVE_INFINITY],
  ] as const) {
    let tile = 0
    const codec = losslessCodec()
    codec.encodeCheckedPayload = async (image, quality) => {
      const payload = await codec.encodePayload(image, quality)
      return { payload, psnr, codec: tile++ % 10 < share ? 'avif' : 'cleric' }
    }
    let stderr = ''
    const io = { stdout: { write: () => {} }, stderr: { write: (text: string) => (stderr += text) }, codec }
    const argv = ['compress', 'synthetic:800x500', '-o', at(`many-${share}-${psnr}.cleric.tif`), '--tile', '80']
    t.is(await createCli(io).run(argv), 0)
    lines.push(stderr)
  }
  t.notRegex(lines[0] as string, /stored as/)
  t.notRegex(lines[2] as string, /stored as/)
  t.regex(lines[1] as string, /^(5\d|6\d) % of the tiles were stored as AVIF: this model was made for H&E/m)
})

test('a check is a mode that there is, and a floor needs one', async (t) => {
  for (const options of [
    ['--check', 'half'],
    ['--min-psnr', '0'],
    ['--min-psnr', '40', '--no-check'],
    ['--lossless', '--no-check'],
    ['--lossless', '--quality', '40'],
    ['--lossless', '--min-psnr', '40'],
  ]) {
    t.is(
      (await run('compress', 'synthetic:64x64', '-o', at('floor.cleric.tif'), ...options)).status,
      2,
      options.join(' '),
    )
  }
})

test('--no-label leaves the label out', async (t) => {
  const path = await archive('nolabel.cleric.tif', '--no-label')
  t.deepEqual((await run('info', path, '--json')).json().associatedImages, ['macro'])
})

test('an existing archive is kept unless --overwrite', async (t) => {
  const path = await archive('twice.cleric.tif')
  const again = await run('compress', 'synthetic:400x300', '-o', path)
  t.is(again.status, 1)
  t.regex(again.stderr, /^cleric compress: .*exists already.*--overwrite/)
  t.is((await run('compress', 'synthetic:400x300', '-o', path, '--overwrite')).status, 0)
})

test('Ctrl-C says how to go on, and --resume does', async (t) => {
  const stop = new AbortController()
  const codec = losslessCodec(2)
  const { encodePayload } = codec
  codec.encodePayload = (...argv) => {
    if (codec.encoded >= 8) stop.abort()
    return encodePayload(...argv)
  }
  let stderr = ''
  const stderrStream = { write: (text: string) => (stderr += text) }
  const io = { stdout: { write: () => {} }, stderr: stderrStream, codec, signal: stop.signal }
  const argv = ['compress', 'synthetic:400x300:5', '-o', at('stopped.cleric.tif'), '--tile', '64', '--json', '--quiet']
  t.is(await createCli(io).run(argv), 1)
  t.regex(stderr, /^cleric compress: Stopped\. .*; to go on .*--resume\n$/)
  t.false(existsSync(at('stopped.cleric.tif')))
  // What lies there is not what these commands are about.
  t.is((await run('compress', 'synthetic:400x300:5', '-o', at('stopped.cleric.tif'), '--levels', '9')).status, 2)
  const other = await run('compress', 'synthetic:400x300:6', '-o', at('stopped.cleric.tif'), '--resume')
  t.is(other.status, 1)
  t.regex(other.stderr, /was begun with another slide.*start over without --resume\n$/)
  const { resumedTiles, tiles } = (await run(...argv, '--resume')).json()
  t.true(resumedTiles > 0 && resumedTiles < tiles)
  await run(...argv.with(3, at('whole.cleric.tif')))
  t.true(readFileSync(at('stopped.cleric.tif')).equals(readFileSync(at('whole.cleric.tif'))))
})

test('--target-bpp shows how the search goes, and --json what it found', async (t) => {
  const model = fileURLToPath(new URL('../fixtures/nano.safetensors', import.meta.url))
  using codec = await openCodec({ model, device: 'cpu' })
  await sharp(Buffer.from((await new SyntheticSlide('synthetic:256x192:4').readRegion(WHOLE)).data), { raw: RAW })
    .png()
    .toFile(at('target.png'))
  let stdout = ''
  let stderr = ''
  const terminal = { write: (text: string) => (stderr += text), isTTY: true, columns: 200 }
  const cli = createCli({ stdout: { write: (text: string) => (stdout += text) }, stderr: terminal, codec })
  const argv = ['encode', at('target.png'), '-o', at('target.cleric'), '--tile', '64', '--target-bpp', '1', '--json']
  t.is(await cli.run(argv), 0, stderr)
  const { quality, bpp } = JSON.parse(stdout)
  t.true(quality > 0 && quality < 100 && Math.abs(bpp - 1) < 0.01, `${quality}: ${bpp}`)
  t.is((await run('info', at('target.cleric'), '--json')).json().quality, quality)
  t.regex(stderr, /find the quality \[[#.]+\] +0 %, looking at tiles/)
  t.regex(stderr, / *\r *compress \[/)
})

test('--layout strict puts the levels first; the archive of an archive has the same pixels', async (t) => {
  const [compat, strict] = [await archive('one.cleric.tif', '--background', 'keep'), at('two.cleric.tif')]
  t.is((await run('compress', compat, '-o', strict, '--layout', 'strict', '--background', 'keep')).status, 0)
  const info = (await run('info', strict, '--json')).json()
  t.like(info, { layout: 'strict', mpp: { x: 0.5, y: 0.5 }, associatedImages: ['label', 'macro'] })
  t.like((await run('compare', 'synthetic:400x300:5', strict, '--json')).json().levels[0], { maxError: 0 })
})

test('--keep-source-tiles says whether the slide’s own JPEGs are offered, or kept whatever they cost', async (t) => {
  const sample = (x: number, y: number, channel: number) => (3 * x + 5 * y + 40 * channel) & 0xff
  const page = { width: 128, height: 64, sample, samples: 3, photometric: 6, tile: [64, 64] } as const
  const slide = await drawn([{ ...page, compression: 'jpeg' }])
  const offered = async (...options: string[]) => {
    const codec = losslessCodec()
    const given: unknown[] = []
    const encodeChecked = codec.encodeCheckedPayload.bind(codec)
    codec.encodeCheckedPayload = (image, quality, check) => {
      given.push(check?.source ? [check.source.length > 0, check.keepSource] : null)
      return encodeChecked(image, quality, check)
    }
    const io = { stdout: { write: () => {} }, stderr: { write: () => {} }, codec }
    const status = await createCli(io).run(['compress', slide, '-o', at('kept.cleric.tif'), '--overwrite', ...options])
    t.is(status, 0, options.join(' '))
    return given
  }
  t.deepEqual(await offered(), [[true, false]])
  t.deepEqual(await offered('--keep-source-tiles', 'auto'), [[true, false]])
  t.deepEqual(await offered('--keep-source-tiles', 'always'), [[true, true]])
  t.deepEqual(await offered('--keep-source-tiles', 'never'), [null])

  const without = await run(
    'compress',
    'synthetic:128x64',
    '-o',
    at('none.cleric.tif'),
    '--keep-source-tiles',
    'always',
  )
  t.not(without.status, 0)
  t.regex(without.stderr, /JPEG/)
  t.false(existsSync(at('none.cleric.tif')))
  const unknown = await run('compress', slide, '-o', at('none.cleric.tif'), '--keep-source-tiles', 'sometimes')
  t.not(unknown.status, 0)
  t.regex(unknown.stderr, /auto.*always.*never|auto.*never.*always/s)
})

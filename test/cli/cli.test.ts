/** The command line from arguments to exit status, in this process, with a lossless codec. */
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import sharp from 'sharp'
import { createCli } from '../../src/cli/commands.js'
import { compressSlide } from '../../src/compress/compress.js'
import { fill, WHITE } from '../../src/image/draw.js'
import { SyntheticSlide } from '../../src/slide/synthetic.js'
import { writeArchive } from '../archive/format/archive.js'
import { FormatDocument } from '../archive/format/document.js'
import { smallArchive } from '../archive/format/limit-checks.js'
import { firstTile } from '../archive/head.js'
import { dataPath, testWithData } from '../data.js'
import { losslessCodec } from '../payload-codec.js'
import { memorySlide } from '../slides.js'
import { makeArchive, run } from './run.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-cli-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

/** An archive of a small drawn slide. */
const archive = (name: string, ...options: string[]) => makeArchive(at(name), ...options)

test('info describes an archive', async (t) => {
  const path = await archive('info.cleric.tif', '--quality', '33')
  const info = (await run('info', path, '--json')).json()
  t.like(info, { quality: 33, model: { name: 'lossless' }, mpp: { x: 0.5, y: 0.5 }, objectivePower: 20, tile: 128 })
  t.is(info.bytes, readFileSync(path).length)
  t.is(info.ratioToRaw, 24 / info.bpp)
  t.is(info.levels.length, 1)
  t.like(info.levels[0], { width: 400, height: 300, downsample: 1, tiles: 12 })
  t.true(info.levels[0].bytes > 0 && info.levels[0].bytes < info.bytes)
  t.deepEqual(info.associatedImages, ['label', 'macro'])
  t.is(info.properties['openslide.vendor'], 'synthetic')
  const { stdout } = await run('info', path)
  t.regex(stdout, /model lossless .*, quality 33/)
})

test('info describes a slide as well', async (t) => {
  const { status, stdout } = await run('info', 'synthetic:400x300', '--json')
  t.is(status, 0)
  t.like(JSON.parse(stdout), { bpp: null, quality: null, model: null })
})

test('info sends a terminal no control characters of the file', async (t) => {
  const slide = memorySlide([fill(9, 9, WHITE)], { properties: { 'a\u001b[2Jb': 'c\u009b31md\r\ne' } })
  await compressSlide(slide, at('escape.cleric.tif'), { codec: losslessCodec() })
  const { status, stdout } = await run('info', at('escape.cleric.tif'))
  t.is(status, 0)
  t.true(stdout.endsWith('a\\x1b[2Jb: c\\x9b31md e\n'), JSON.stringify(stdout))
})

test('region writes the pixels of the slide as PNG', async (t) => {
  const path = await archive('region.cleric.tif', '--background', 'keep')
  const region = { x: 90, y: 60, level: 0, width: 150, height: 100 }
  const argv = Object.entries(region).flatMap(([key, value]) => [`--${key}`, String(value)])
  const { status } = await run('region', path, '-o', at('region.png'), ...argv)
  t.is(status, 0)
  const { data, info } = await sharp(at('region.png')).raw().toBuffer({ resolveWithObject: true })
  t.deepEqual([info.width, info.height, info.channels], [150, 100, 3])
  t.true(data.equals(Buffer.from((await new SyntheticSlide('synthetic:400x300:5').readRegion(region)).data)))
})

test('TIFF and WebP hold the pixels of the slide too', async (t) => {
  const region = { x: 0, y: 0, level: 0, width: 120, height: 90 }
  const { data } = await new SyntheticSlide('synthetic:400x300:5').readRegion(region)
  for (const name of ['region.tif', 'region.TIFF', 'region.webp']) {
    await run('region', 'synthetic:400x300:5', '-o', at(name), '--width', '120', '--height', '90')
    t.true((await sharp(at(name)).raw().toBuffer()).equals(Buffer.from(data)), name)
  }
})

test('no command writes over the file that it reads', async (t) => {
  const image = at('own.png')
  const path = await archive('own.tif')
  await sharp({ create: { width: 40, height: 30, channels: 3, background: 'plum' } }).toFile(image)
  symlinkSync(image, at('own-link.png'))
  const [before, archived] = [readFileSync(image), readFileSync(path)]
  for (const argv of [
    ['compress', image, '-o', image, '--overwrite'],
    ['encode', image, '-o', at('own-link.png'), '--overwrite'],
    ['region', image, '-o', at('own-link.png'), '--width', '5', '--height', '5'],
    ['decode', path, '-o', path],
  ]) {
    const { status, stderr } = await run(...argv)
    t.is(status, 1)
    t.regex(stderr, /choose another name/)
  }
  t.true(readFileSync(image).equals(before))
  t.true(readFileSync(path).equals(archived))
})

test('encode and decode an image of odd size', async (t) => {
  const { data } = await new SyntheticSlide('synthetic:301x207').readRegion({
    x: 0,
    y: 0,
    level: 0,
    width: 301,
    height: 207,
  })
  await sharp(data, { raw: { width: 301, height: 207, channels: 3 } }).toFile(at('tile.png'))
  t.is((await run('encode', at('tile.png'))).status, 0)
  t.true(existsSync(at('tile.cleric')))
  t.is((await run('decode', at('tile.cleric'), '-o', at('back.png'))).status, 0)
  t.true((await sharp(at('back.png')).raw().toBuffer()).equals(Buffer.from(data)))
})

test('compare: equal levels, rate of the archive', async (t) => {
  const path = await archive('compare.cleric.tif', '--background', 'keep')
  const result = (await run('compare', 'synthetic:400x300:5', path, '--json')).json()
  const info = (await run('info', path, '--json')).json()
  t.is(result.bpp, info.bpp)
  t.is(result.levels.length, 1)
  t.like(result.levels[0], { level: 0, psnr: null, maxError: 0 })
  t.true(Math.abs(result.levels[0].msSsim - 1) < 1e-9)
  const other = (await run('compare', 'synthetic:400x300:6', path, '--json')).json()
  t.true(other.levels[0].psnr > 5 && other.levels[0].psnr < 40)
})

test('compare refuses slides without a level of the same size', async (t) => {
  const { status, stderr } = await run('compare', 'synthetic:400x300', 'synthetic:401x300')
  t.is(status, 1)
  t.regex(stderr, /no level of the same size/)
})

test('export writes a TIFF that is as good as the archive, and says what is in it', async (t) => {
  const [path, tiff] = [await archive('export.cleric.tif', '--background', 'keep'), at('export.tif')]
  const { status, json } = await run('export', path, '-o', tiff, '--codec', 'deflate', '--json')
  t.is(status, 0)
  const result = json()
  t.deepEqual(Object.keys(result).sort(), [
    'associatedImages',
    'bytes',
    'compression',
    'format',
    'levels',
    'output',
    'peakRssBytes',
    'quality',
    'seconds',
    'tiles',
    'warnings',
  ])
  t.like(result, { bytes: readFileSync(tiff).length, compression: 'deflate', associatedImages: ['label', 'macro'] })
  t.deepEqual(result.levels, [
    { width: 400, height: 300, downsample: 1 },
    { width: 100, height: 75, downsample: 4 },
  ])
  t.like((await run('compare', 'synthetic:400x300:5', tiff, '--json')).json().levels[0], { psnr: null, maxError: 0 })
  t.is((await run('export', path, '-o', tiff)).status, 1)
  const again = await run('export', path, '-o', tiff, '--quality', '80', '--no-label', '--no-macro', '--overwrite')
  t.is(again.status, 0)
  t.regex(again.stdout, /export\.tif: .* levels, .* tiles of jpeg of quality 80, in /)
})

test('validate: status 0 for a sound archive, 1 and the place for a damaged one', async (t) => {
  const path = await archive('validate.cleric.tif', '--background', 'keep')
  const lists = { bad: [], unreadable: [], badImages: [], badBytes: [] }
  const counts = { bad: 0, unreadable: 0, badImages: 0, badBytes: 0 }
  const sound = { ok: true, tiles: 12, ...lists, counts, checksums: true }
  t.deepEqual((await run('validate', path, '--json')).json(), sound)
  t.deepEqual((await run('validate', path, '--quick', '--json')).json(), sound)
  const bytes = readFileSync(path)
  const { offset, column } = await firstTile(path)
  t.is(column, 0)
  bytes[offset] = (bytes[offset] as number) ^ 1
  writeFileSync(path, bytes)
  const bad = await run('validate', path, '--json')
  t.is(bad.status, 1)
  t.like(bad.json(), { ok: false, tiles: 12, bad: [{ level: 0, column: 0, row: 0, code: 'ERR_CORRUPT_TILE' }] })
  const quick = await run('validate', path, '--quick')
  t.is(quick.status, 1)
  t.regex(quick.stdout, /1 of 12 tiles is bad\n.*\n +0 +0 +0 .*its checksum doesn't agree/)
})

test('validate looks at several archives, and one that is none keeps no other from it', async (t) => {
  const path = await archive('validate-several.cleric.tif', '--background', 'keep')
  const none = at('validate-none.cleric.tif')
  writeFileSync(none, 'nothing')
  const { status, json } = await run('validate', none, path, '--quick', '--json')
  t.is(status, 1)
  const { results, ...rest } = json() as { results: object[] }
  t.deepEqual(rest, { ok: false, done: 1, failed: 1 } as never)
  t.like(results, [
    { input: none, error: { code: 'ERR_ARCHIVE_UNSUPPORTED' } },
    { input: path, ok: true },
  ])
  const told = await run('validate', path, none, '--quick')
  t.is(told.stdout, `${path}: All 12 tiles are sound\n1 sound, 1 not\n`)
  t.true(told.stderr.includes(none))
})

test('validate says of an old archive, which has no checksums, what it can not know', async (t) => {
  const document = new FormatDocument(readFileSync(new URL('../../docs/format.md', import.meta.url), 'utf8'))
  const { bytes } = writeArchive(document, smallArchive(document, { isChecksummed: false }))
  const path = at('old.cleric.tif')
  writeFileSync(path, bytes)
  const quick = await run('validate', path, '--quick')
  t.like(quick, { status: 0, stdout: 'Head, overview and associated images are sound\n' })
  t.regex(quick.stderr, /^.*old\.cleric\.tif is an old archive, without checksums: .* tiles were not checked .*\n$/)
  t.like((await run('validate', path, '--quick', '--json')).json(), { ok: true, tiles: 0, checksums: false })
  const whole = await run('validate', path)
  t.like(whole, { status: 0, stdout: 'All 2 tiles are sound\n' })
  t.notRegex(whole.stderr, /not checked/)
})

for (const argv of [
  [],
  ['frobnicate'],
  ['compress'],
  ['compress', 'synthetic:300x200', '--quality', '101'],
  ['compress', 'synthetic:300x200', '--quality', ''],
  ['compress', 'synthetic:300x200', '--target-bpp', '25'],
  ['compress', 'synthetic:300x200', '--target-bpp', '1', '--quality', '60'],
  ['encode', 'x.png', '--target-bpp', '1', '--quality', '60'],
  ['compress', 'synthetic:300x200', '--levels', 'some'],
  ['compress', 'synthetic:300x200', '--levels', '7'],
  ['compress', 'synthetic:300x200', '--background', 'pink'],
  ['compress', 'synthetic:300x200', '--tile', '100'],
  ['compress', 'synthetic:300x200', '--layout', 'loose'],
  ['compress', 'synthetic:300x200', '--on-bad-tile', 'ignore'],
  ['compress', 'synthetic:300x200', '--frobnicate'],
  ['export', 'synthetic:300x200'],
  ['export', 'synthetic:300x200', '-o', 'x.tif', '--codec', 'gif'],
  ['export', 'synthetic:300x200', '-o', 'x.tif', '--quality', '0'],
  ['export', 'synthetic:300x200', '-o', 'x.tif', '--codec', 'deflate', '--quality', '50'],
  ['region', 'synthetic:300x200', '--width', '10', '--height', '10'],
  ['region', 'synthetic:300x200', '-o', 'x.png', '--width', '10', '--height', '0'],
  ['region', 'synthetic:300x200', '-o', 'x.png', '--width', '10', '--height', '10', '--level', '9'],
  ['region', 'synthetic:300x200', '-o', 'x.bmp', '--width', '10', '--height', '10'],
  ['decode', 'x.cleric', '-o', 'x'],
  ['compress', 'synthetic:300x200', '--target-bpp', '0'],
  ['encode', 'x.png', '--target-bpp', '-1'],
  ['serve', '.', '--cache', 'much'],
  ['serve', '.', '--cache', '-1'],
  ['serve', '.', '--cache', '1TB'],
]) {
  test(`wrong usage has status 2: cleric ${argv.join(' ')}`, async (t) => {
    const { status, stdout, stderr } = await run(...argv)
    t.is(status, 2)
    t.is(stdout, '')
    t.not(stderr, '')
  })
}

test('a failure has status 1 and one line that says what and where', async (t) => {
  writeFileSync(at('noise.svs'), 'not a slide')
  for (const [argv, message] of [
    [['compress', at('absent.svs'), '-o', at('o.cleric.tif')], /absent\.svs doesn't exist/],
    [['compress', at('noise.svs'), '-o', at('o.cleric.tif')], /noise\.svs/],
    [['validate', at('noise.svs')], /noise\.svs is no cleric archive/],
    [['validate', folder], /cleric-cli-\w+ is no file/],
    [['info', folder], /cleric-cli-/],
    [['region', 'synthetic:9x9', '-o', at('no/x.png'), '--width', '5', '--height', '5'], /no\/x\.png/],
    [['region', 'synthetic:9x9', '-o', at('x.webp'), '--width', '20000', '--height', '5'], /x\.webp: 20000 x 5/],
    [
      ['compress', 'synthetic:300x200', '-o', at('o.cleric.tif'), '--target-bpp', '0.01'],
      /^cleric compress: Expected a target/,
    ],
    [['compress', 'synthetic:0x9', '-o', at('o.cleric.tif')], /synthetic:0x9/],
  ] as const) {
    const { status, stdout, stderr } = await run(...argv, '--quiet')
    t.is(status, 1)
    t.is(stdout, '')
    t.regex(stderr, message)
    t.is(stderr.trim().split('\n').length, 1, stderr)
  }
  t.false(existsSync(at('o.cleric.tif')))
})

test('serve takes the memory for tiles with its unit, listens, and stops when it is told to', async (t) => {
  await archive('served.cleric.tif')
  const stop = new AbortController()
  let heard = (_text: string) => {}
  const listening = new Promise<string>((resolve) => {
    heard = resolve
  })
  const stdout = { write: (text: string) => heard(text) }
  const io = { stdout, stderr: { write: () => {} }, codec: losslessCodec(), signal: stop.signal }
  const argv = ['serve', at('served.cleric.tif'), '--port', '0', '--cache', '1.5MiB', '--json']
  const ended = createCli(io).run(argv)
  const { address } = JSON.parse(await listening)
  const tile = await fetch(`${address}/deepzoom/served.cleric.tif_files/9/0_0.jpeg`)
  t.is(tile.status, 200)
  t.like(await sharp(await tile.arrayBuffer()).metadata(), { width: 400, height: 300 })
  stop.abort()
  t.is(await ended, 0)
  t.regex((await run('serve', '--help')).stdout, /--cache <size> .*\n? *.*\(default:\s+512MiB\)/)
})

test('every command has help', async (t) => {
  const { stdout } = await run('--help')
  const commands = [...stdout.matchAll(/^ {2}([a-z-]+) \[options\]/gm)].map((match) => match[1] as string)
  t.true(commands.length >= 8)
  for (const command of commands) {
    const help = await run(command, '--help')
    t.is(help.status, 0)
    t.regex(help.stdout, /--json[\s\S]*--quiet[\s\S]*Example:/)
  }
})

testWithData(['slides/CMU-1-Small-Region.svs'], 'an Aperio slide goes through, label and properties too', async (t) => {
  const slide = dataPath('slides/CMU-1-Small-Region.svs')
  const path = at('cmu.cleric.tif')
  const { status, stderr } = await run('compress', slide, '-o', path, '--background', 'keep')
  t.is(status, 0, stderr)
  const info = (await run('info', path, '--json')).json()
  t.like(info.levels[0], { width: 2220, height: 2967 })
  t.is(info.mpp.x, 0.499)
  t.is(info.properties['openslide.vendor'], 'aperio')
  t.true(info.associatedImages.includes('macro'))
  const compared = (await run('compare', slide, path, '--json')).json()
  t.like(compared.levels[0], { psnr: null, maxError: 0 })
})

testWithData(
  ['slides/CMU-1-Small-Region.svs'],
  'a damaged slide fails by place; --on-bad-tile background reports it',
  async (t) => {
    const bytes = readFileSync(dataPath('slides/CMU-1-Small-Region.svs'))
    // End-of-image markers within its JPEG tiles.
    for (let i = 900_000; i < 904_000; i += 2) bytes.writeUInt16BE(0xffd9, i)
    writeFileSync(at('damaged.svs'), bytes)
    const argv = ['compress', at('damaged.svs'), '-o', at('damaged.cleric.tif')]
    const failed = await run(...argv, '--quiet')
    t.is(failed.status, 1)
    t.regex(failed.stderr, /damaged\.svs: level 0, 512 x 512 pixels from \d+, \d+ .* --on-bad-tile background/)
    t.is(failed.stderr.trim().split('\n').length, 1)
    const { status, stdout, stderr } = await run(...argv, '--on-bad-tile', 'background')
    t.is(status, 0)
    t.regex(stderr, /^tile at level 0, column \d+, row \d+ is background in places: .*damaged\.svs/m)
    t.regex(stdout, /\d unreadable in the slide/)
    const validation = await run('validate', at('damaged.cleric.tif'))
    t.is(validation.status, 0)
    t.regex(validation.stdout, /are sound\nbackground, as the slide could not be read there: level 0, column/)
  },
)

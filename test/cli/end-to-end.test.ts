/** The real codec, with a small untrained model, from the command line and from a script. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import * as geotiff from 'geotiff'
import sharp from 'sharp'
import { registerWithGeotiff } from '../../src/archive/geotiff.js'
import { TYPESCRIPT } from '../typescript.js'

const execute = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'cleric-end-'))
test.after.always(() => rmSync(folder, { recursive: true }))

const local = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const MODEL = local('test/fixtures/nano.safetensors')
const node = (...argv: string[]) => execute(process.execPath, [TYPESCRIPT, ...argv], { cwd: local('') })
const cleric = async (...argv: string[]) => JSON.parse((await node(local('src/cli/main.ts'), ...argv, '--json')).stdout)

test.serial('compress, validate, compare and region with a model on a device', async (t) => {
  t.timeout(280_000)
  const archive = join(folder, 'a.cleric.tif')
  const slide = 'synthetic:150x120:4'
  const made = await cleric('compress', slide, '-o', archive, '--model', MODEL, '--tile', '128', '--quality', '100')
  t.is(made.bytes, readFileSync(archive).length)
  t.true(made.deviceBusy > 0 && made.deviceBusy <= 1)
  t.deepEqual(await cleric('validate', archive, '--model', MODEL), {
    ok: true,
    tiles: 2,
    bad: [],
    unreadable: [],
    badImages: [],
    badBytes: [],
    counts: { bad: 0, unreadable: 0, badImages: 0, badBytes: 0 },
    checksums: true,
  })
  const { levels, bpp } = await cleric('compare', slide, archive, '--model', MODEL)
  t.is(bpp, made.bpp)
  t.true(Number.isFinite(levels[0].psnr) && levels[0].maxError > 0)
  const image = join(folder, 'region.png')
  await cleric(
    'region',
    archive,
    '-o',
    image,
    '--x',
    '20',
    '--y',
    '10',
    '--width',
    '100',
    '--height',
    '90',
    '--model',
    MODEL,
  )
  t.like(await sharp(image).metadata(), { width: 100, height: 90, channels: 3 })
})

test.serial('geotiff.js reads a strict archive with a model on a device: the pixels that region gives', async (t) => {
  t.timeout(280_000)
  const archive = join(folder, 'strict.cleric.tif')
  const options = ['--model', MODEL, '--device', 'cpu']
  await cleric('compress', 'synthetic:300x200:4', '-o', archive, '--layout', 'strict', '--tile', '128', ...options)
  const window = ['--x', '90', '--y', '50', '--width', '100', '--height', '90']
  await cleric('region', archive, '-o', join(folder, 'window.png'), ...window, ...options)
  const expected = await sharp(join(folder, 'window.png')).raw().toBuffer()
  registerWithGeotiff(geotiff, { model: MODEL, device: 'cpu' })
  const tiff = await geotiff.fromFile(archive)
  const pixels = await (await tiff.getImage(0)).readRasters({ window: [90, 50, 190, 140], interleave: true })
  await tiff.close()
  t.true(Buffer.from(pixels as unknown as Uint8Array).equals(expected))
})

test.serial('an archive whose model is not the one that is open says which it is, and how to get it', async (t) => {
  t.timeout(280_000)
  const archive = join(folder, 'strict.cleric.tif')
  const { hash } = JSON.parse((await node(local('src/cli/main.ts'), 'info', archive, '--json')).stdout).model
  const other = local('test/fixtures/tiny-no-ls.safetensors')
  const options = ['--model', other, '--device', 'cpu', '--x', '0', '--y', '0', '--width', '8', '--height', '8']
  const error = await t.throwsAsync(
    node(local('src/cli/main.ts'), 'region', archive, '-o', join(folder, 'x.png'), ...options),
  )
  const { stderr } = error as unknown as { stderr: string }
  t.true(stderr.includes(`was made with model cleric-nano (${hash.slice(0, 16)}), but open is cleric-tiny`), stderr)
  t.regex(stderr, /models\/README\.md of cleric lists those that were published; give it with --model FILE\n$/)
  registerWithGeotiff(geotiff, { model: other, device: 'cpu' })
  const tiff = await geotiff.fromFile(archive)
  const image = await tiff.getImage(0)
  await t.throwsAsync(image.readRasters({ window: [0, 0, 8, 8] }), {
    message: /made with model cleric-nano \(.*\)\. It takes/,
  })
  await tiff.close()
})

test.serial(
  'a script that closes nothing ends by itself, long before the shared codec is closed for idleness',
  async (t) => {
    t.timeout(120_000)
    const script = `
    const { compressSlide, openArchive } = await import(${JSON.stringify(local('src/index.ts'))})
    const model = ${JSON.stringify(MODEL)}
    const output = ${JSON.stringify(join(folder, 'b.cleric.tif'))}
    await compressSlide('synthetic:64x64', output, { model })
    const archive = await openArchive(output, { model })
    const { data } = await archive.readRegion({ x: 0, y: 0, level: 0, width: 64, height: 64 })
    process.stdout.write(String(data.length) + ' ' + Date.now())`
    const { stdout } = await node('--input-type=module', '-e', script)
    const [length, done] = stdout.split(' ').map(Number)
    t.is(length, 64 * 64 * 3)
    t.true(Date.now() - (done as number) < 15_000)
  },
)

test('a reader that stops reading is no failure', async (t) => {
  const child = spawn(process.execPath, [TYPESCRIPT, 'src/cli/main.ts', 'info', 'synthetic:99x99'], {
    cwd: local(''),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout.destroy()
  let said = ''
  child.stderr.on('data', (text) => {
    said += text
  })
  t.deepEqual(await once(child, 'close'), [0, null])
  t.is(said, '')
})

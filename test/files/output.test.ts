/**
 * No command touches what it reads, by whatever name it writes; and what can't be written is found out before any work.
 */
import { execFileSync } from 'node:child_process'
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import test from 'ava'
import sharp from 'sharp'
import { openArchive } from '../../src/archive/archive.js'
import { createCli } from '../../src/cli/commands.js'
import { compressSlide } from '../../src/compress/compress.js'
import { exportSlide } from '../../src/export/export.js'
import { checkOutput } from '../../src/files/output.js'
import { fill } from '../../src/image/draw.js'
import { losslessCodec } from '../payload-codec.js'
import { memorySlide } from '../slides.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-output-'))
test.after.always(() => rmSync(folder, { recursive: true }))
let folders = 0
/** A new folder for each case, so that the names in it tell what was left behind. */
const fresh = (): string => {
  const path = join(folder, String(folders++))
  mkdirSync(path)
  return path
}

async function run(codec: ReturnType<typeof losslessCodec>, ...argv: string[]) {
  let stdout = ''
  let stderr = ''
  const io = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    codec,
  }
  const status = await createCli(io).run(argv)
  return { status, stdout, stderr }
}

const inputs: Record<'picture' | 'archive' | 'checkpoint', Buffer> = {
  picture: Buffer.alloc(0),
  archive: Buffer.alloc(0),
  checkpoint: Buffer.from('PK'),
}
test.before(async () => {
  const { data } = fill(150, 100, { red: 9, green: 99, blue: 199 })
  const raw = { width: 150, height: 100, channels: 3 } as const
  inputs.picture = await sharp(data, { raw }).png().toBuffer()
  const path = join(folder, 'made.cleric.tif')
  await compressSlide('synthetic:150x100', path, { codec: losslessCodec(), background: 'keep' })
  inputs.archive = readFileSync(path)
})

/**
 * Every command that writes a file: what it reads, the options it is given, and what it appends to the name of the
 * output.
 */
const WRITERS = [
  {
    command: 'compress',
    input: 'picture',
    options: ['--overwrite', '--resume'],
    suffixes: ['', '.partial', '.journal'],
  },
  { command: 'encode', input: 'picture', options: ['--overwrite', '--resume'], suffixes: ['', '.partial', '.journal'] },
  { command: 'export', input: 'archive', options: ['--overwrite'], suffixes: ['', '.partial'] },
  { command: 'region', input: 'picture', options: ['--width', '9', '--height', '9'], suffixes: ['', '.partial'] },
  { command: 'decode', input: 'archive', options: [], suffixes: ['', '.partial'] },
  { command: 'convert-weights', input: 'checkpoint', options: ['--overwrite'], suffixes: ['', '.partial'] },
] as const

const WAYS = {
  'its own path': (input: string) => ({ read: input, written: input }),
  'a symbolic link': (input: string, written: string) => {
    symlinkSync(input, written)
    return { read: input, written }
  },
  'a hard link': (input: string, written: string) => {
    linkSync(input, written)
    return { read: input, written }
  },
  'a link that it is read by': (input: string, written: string) => {
    // What is read is the link; what would be written is the file behind it.
    symlinkSync(input, `${written}.link`)
    return { read: `${written}.link`, written: input }
  },
} as const

for (const { command, input, options, suffixes } of WRITERS) {
  for (const suffix of suffixes) {
    for (const [way, prepare] of Object.entries(WAYS)) {
      test(`${command} doesn't touch its input where it writes OUT${suffix}: ${way}`, async (t) => {
        const inside = fresh()
        const output = join(inside, 'out.png')
        const isOwnName = way === 'its own path' || way === 'a link that it is read by'
        const path = isOwnName ? `${output}${suffix}` : join(inside, 'input')
        writeFileSync(path, inputs[input])
        const { read } = prepare(path, `${output}${suffix}`)
        const names = readdirSync(inside)
        const codec = losslessCodec()
        const { status, stderr } = await run(codec, command, read, '-o', output, ...options)
        t.is(status, 1)
        t.regex(stderr, /(is|which is written on the way to .*, is) .*the file to read; choose another name\n$/)
        t.deepEqual(readdirSync(inside), names)
        t.true(readFileSync(path).equals(inputs[input]))
        t.is(lstatSync(`${output}${suffix}`).isSymbolicLink(), way === 'a symbolic link')
        t.is(codec.encoded + codec.decoded, 0)
      })
    }
  }
}

test('the model is read too', async (t) => {
  const inside = fresh()
  const model = join(inside, 'm.cleric.tif.partial')
  writeFileSync(model, 'a model')
  const output = join(inside, 'm.cleric.tif')
  for (const write of [compressSlide, exportSlide]) {
    await t.throwsAsync(write('synthetic:64x64', output, { model }), { code: 'ERR_FILE_EXISTS', message: /to read/ })
  }
  t.is(readFileSync(model, 'utf8'), 'a model')
})

test('a slide that is open is known by the file it is read from, by whatever address it was opened', async (t) => {
  const inside = fresh()
  const path = join(inside, 'a b.tif')
  writeFileSync(path, inputs.archive)
  const codec = losslessCodec()
  for (const address of [path, pathToFileURL(path)]) {
    using opened = await openArchive(address, { codec })
    const error = { code: 'ERR_FILE_EXISTS', message: /to read/ }
    await t.throwsAsync(exportSlide(opened, path, { overwrite: true }), error)
    await t.throwsAsync(compressSlide(opened, path, { codec, overwrite: true }), error)
  }
  const named = memorySlide([fill(64, 64, { red: 1, green: 2, blue: 3 })], { path })
  await t.throwsAsync(compressSlide(named, path, { codec, overwrite: true }), { code: 'ERR_FILE_EXISTS' })
  t.true(readFileSync(path).equals(inputs.archive))
})

test('a file that is named by its URL is known by its path', async (t) => {
  const inside = fresh()
  const path = join(inside, 'a b.png')
  writeFileSync(path, inputs.archive)
  const { href } = pathToFileURL(path)
  const codec = losslessCodec()
  const latents = ['--width', '64', '--height', '64']
  for (const argv of [
    ['decode', href, '-o', path],
    ['decode', href.replace('file:', 'FILE:'), '-o', path],
    ['decode', href, '--output-dir', inside],
    ['latents', href, '-o', join(inside, 'a.npy'), ...latents],
  ]) {
    linkSync(path, join(inside, 'a.npy'))
    const { status, stderr } = await run(codec, ...argv)
    rmSync(join(inside, 'a.npy'))
    t.is(status, 1, argv.join(' '))
    t.regex(stderr, /is .*the file to read; choose another name\n$/)
    t.true(readFileSync(path).equals(inputs.archive))
  }
  t.is(codec.encoded + codec.decoded, 0)
  const { status, stderr } = await run(codec, 'decode', 'file:///a%2Fb', '-o', path)
  t.is(status, 2)
  t.regex(stderr, /Expected a path or the URL of a file for source but received "file:\/\/\/a%2Fb"/)
})

for (const { command, input, options, suffixes } of WRITERS) {
  test(`${command} finds out before any work that it can't write there`, async (t) => {
    const inside = fresh()
    const source = join(inside, 'source')
    writeFileSync(source, inputs[input])
    const attempt = async (output: string, message: RegExp) => {
      const names = readdirSync(inside)
      const codec = losslessCodec()
      const { status, stdout, stderr } = await run(codec, command, source, '-o', output, ...options, '--json')
      t.is(status, 1, stderr)
      t.is(JSON.parse(stdout).error.code, 'ERR_NOT_WRITABLE', stdout)
      t.regex(stderr, message)
      t.is(codec.encoded + codec.decoded, 0)
      t.deepEqual(readdirSync(inside), names)
    }
    mkdirSync(join(inside, 'folder.png'))
    await attempt(join(inside, 'folder.png'), /folder\.png can't be written: .*folder\.png is a folder/)
    await attempt(join(inside, 'none', 'out.png'), /out\.png can't be written: .*none/)
    await attempt(join(source, 'out.png'), /out\.png can't be written: /)
    for (const suffix of suffixes) {
      const output = (what: string) => join(inside, `${what}${suffix}.png`)
      if (suffix !== '') {
        mkdirSync(`${output('beside')}${suffix}`)
        await attempt(output('beside'), /is a folder/)
      }
      symlinkSync('nowhere', `${output('dangling')}${suffix}`)
      await attempt(output('dangling'), /is a link that leads nowhere/)
      execFileSync('mkfifo', [`${output('pipe')}${suffix}`])
      await attempt(output('pipe'), /is no file/)
      symlinkSync('/dev/null', `${output('device')}${suffix}`)
      await attempt(output('device'), /is no file/)
    }
  })
}

test('a folder is no file that --overwrite could replace, and a device neither', (t) => {
  const check = (output: string, overwrite: boolean) => () => checkOutput({ names: [output], reads: [], overwrite })
  t.throws(check(folder, false), { code: 'ERR_NOT_WRITABLE', message: /is a folder/ })
  t.throws(check('/dev/null', true), { code: 'ERR_NOT_WRITABLE', message: /is no file/ })
  symlinkSync('loop', join(folder, 'loop'))
  t.throws(check(join(folder, 'loop'), true), { code: 'ERR_NOT_WRITABLE', message: /ELOOP/ })
  symlinkSync('nowhere', join(folder, 'dangling'))
  for (const overwrite of [false, true]) {
    t.throws(check(join(folder, 'dangling'), overwrite), { code: 'ERR_NOT_WRITABLE', message: /leads nowhere/ })
  }
  t.notThrows(check(join(folder, 'new'), false))
  t.false(existsSync(join(folder, 'new')))
})

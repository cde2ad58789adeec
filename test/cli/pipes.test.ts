/** stdin and stdout, several inputs, patterns, small pictures and completions: the command line as shells use it. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import sharp from 'sharp'
import { createCli } from '../../src/cli/commands.js'
import { modelBytes } from '../../src/model/model-bytes.js'
import { losslessCodec } from '../payload-codec.js'
import { TYPESCRIPT } from '../typescript.js'
import { makeArchive, run } from './run.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-pipes-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

const pixels = Buffer.from(Array.from({ length: 40 * 30 * 3 }, (_, i) => (i * 7) % 256))
let png: Buffer
test.before(async () => {
  png = await sharp(pixels, { raw: { width: 40, height: 30, channels: 3 } })
    .png()
    .toBuffer()
})

/** A command line with bytes on stdin; gives those on stdout. */
async function pipe(stdin: Uint8Array, ...argv: string[]) {
  let [stdout, stderr] = ['', '']
  const written: Uint8Array[] = []
  const status = await createCli({
    stdin: (async function* () {
      yield stdin
    })(),
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    writeBytes: async (bytes) => {
      written.push(Uint8Array.from(bytes))
    },
    codec: losslessCodec(),
  }).run(argv)
  return { status, stdout, stderr, bytes: Buffer.concat(written) }
}

test('an image goes through encode and decode on stdin and stdout, and stdout has nothing else', async (t) => {
  const encoded = await pipe(png, 'encode', '-', '-o', '-', '--no-check')
  t.like(encoded, { status: 0, stdout: '' }, encoded.stderr)
  const decoded = await pipe(encoded.bytes, 'decode', '-', '-o', '-', '--format', 'webp')
  t.like(decoded, { status: 0, stdout: '' }, decoded.stderr)
  t.is((await sharp(decoded.bytes).metadata()).format, 'webp')
  t.true((await sharp(decoded.bytes).raw().toBuffer()).equals(pixels))
  const quiet = await pipe(encoded.bytes, 'decode', '-', '-o', '-', '--quiet')
  t.like(quiet, { status: 0, stdout: '', stderr: '' })
})

/** Ends what still waits for a pipe after a while: without it, one that hangs would hang the test's process, too. */
const inTime = <T>(work: Promise<T>, pipePath: string) => {
  const release = setTimeout(() => execFileSync('sh', ['-c', ': <> "$0"', pipePath]), 5000)
  return work.finally(() => clearTimeout(release))
}

test('a named pipe, a device or a folder in the place of a file is refused at once, by name', async (t) => {
  if (process.platform === 'win32') return t.pass()
  const fifo = at('pipe.svs')
  execFileSync('mkfifo', [fifo])
  const archive = await makeArchive(at('beside.cleric.tif'))
  for (const [name, code] of [
    [fifo, 'ERR_UNSUPPORTED_SLIDE'],
    ['/dev/zero', 'ERR_UNSUPPORTED_SLIDE'],
    [folder, 'ERR_UNSUPPORTED_SLIDE'],
  ] as const) {
    for (const argv of [
      ['info', name],
      ['thumbnail', name, '-o', at('t.png')],
      ['encode', name, '-o', at('t.cleric')],
      ['export', name, '-o', at('t.tif')],
      ['compare', archive, name],
    ]) {
      const { status, stderr, json } = await inTime(run(...argv, '--json'), fifo)
      t.is(status, 1, argv.join(' '))
      t.is(json().error.code, code)
      t.regex(stderr, /is no file, but a folder, a pipe or a device$/m)
    }
    const { status, stderr } = await inTime(run('validate', name), fifo)
    t.is(status, 1)
    t.regex(stderr, /is no file/)
    await t.throwsAsync(inTime(modelBytes(name), fifo), { code: 'ERR_MODEL_MISSING', message: /is no file/ })
  }
})

test('with --quiet, too, what failed among several is said', async (t) => {
  writeFileSync(at('quiet.png'), png)
  for (const argv of [
    ['encode', at('quiet.png'), at('absent.png'), '--output-dir', at('quiet'), '--no-check'],
    ['compress', at('quiet.png'), at('absent.png'), '--output-dir', at('quiet-many'), '--no-check'],
    ['validate', at('quiet.png'), at('absent.png')],
  ]) {
    const { status, stderr } = await run(...argv, '--quiet')
    t.is(status, 1, argv.join(' '))
    t.regex(stderr, /absent\.png/)
  }
})

test('a damaged image can have the background where it can not be read, as its error says', async (t) => {
  const tiles = { tile: true, tileWidth: 16, tileHeight: 16, compression: 'deflate' } as const
  const tiff = await sharp(pixels, { raw: { width: 40, height: 30, channels: 3 } })
    .tiff(tiles)
    .toBuffer()
  // libtiff writes the directory behind the tiles: amid these is one of them.
  const amid = (8 + tiff.readUInt32LE(4)) >> 1
  tiff.fill(0xff, amid, amid + 20)
  writeFileSync(at('damaged.tif'), tiff)
  const argv = ['encode', at('damaged.tif'), '--tile', '16', '--no-check', '--json']
  const failed = await run(...argv)
  t.is(failed.status, 1)
  t.regex(failed.stderr, /to have the background there instead: --on-bad-tile background/)
  const { status, stderr, json } = await run(...argv, '--on-bad-tile', 'background', '--overwrite')
  t.is(status, 0, stderr)
  t.is(json().unreadableCount, 1)
})

test('an output that stdout takes only a part of is told in one plain line', async (t) => {
  const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
  const argv = [TYPESCRIPT, main, 'region', 'synthetic:700x700', '--width', '700', '--height', '700', '-o', '-']
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdout.once('data', () => child.stdout.destroy())
  const [status] = await once(child, 'close')
  t.is(status, 1)
  t.is(stderr, 'cleric region: stdout: it was closed before all of the output was written\n')
})

test('what can not be piped is wrong usage', async (t) => {
  for (const argv of [
    ['encode', '-'],
    ['compress', '-'],
    ['decode', '-', '-o', '-', '--format', 'gif'],
    ['encode', 'a.png', 'b.png'],
    ['decode', at('no*match.cleric'), '--output-dir', at('none')],
  ]) {
    const { status, bytes } = await pipe(png, ...argv)
    t.deepEqual([status, bytes.length], [2, 0], argv.join(' '))
  }
  t.is((await pipe(png, 'encode', '-', '-o', '-', '--json')).status, 2)
  t.is((await pipe(new Uint8Array(), 'encode', '-', '-o', '-')).status, 2)
})

test('a quoted pattern and several inputs go into a folder; one that fails keeps none from it', async (t) => {
  mkdirSync(at('in'))
  for (const name of ['b.png', 'a.png', '[c].png']) writeFileSync(at(`in/${name}`), png)
  writeFileSync(at('in/d.png'), 'no image')
  const encoded = await run('encode', at('in/*.png'), '--output-dir', at('encoded'), '--no-check', '--json')
  t.is(encoded.status, 1)
  t.like(encoded.json(), { done: 3, failed: 1 })
  t.deepEqual(readdirSync(at('encoded')).sort(), ['[c].cleric', 'a.cleric', 'b.cleric'])
  const one = await run('encode', at('in/[c].png'), '--output-dir', at('one'), '--no-check')
  t.is(one.status, 0, 'a name that is there is no pattern')
  const decoded = await run('decode', at('encoded/*'), '--output-dir', at('decoded'), '--format', 'tif')
  t.is(decoded.status, 0, decoded.stderr)
  t.deepEqual(readdirSync(at('decoded')).sort(), ['[c].tif', 'a.tif', 'b.tif'])
  t.is((await run('encode', at('in/a.png'), at('encoded/a.cleric'), '--output-dir', at('two'))).status, 2)
})

test('thumbnail and associated images', async (t) => {
  const path = await makeArchive(at('slide.cleric.tif'))
  t.is((await run('thumbnail', path, '-o', at('small.png'), '--size', '100')).status, 0)
  t.like(await sharp(at('small.png')).metadata(), { width: 100, height: 75 })
  t.is((await run('thumbnail', 'synthetic:400x300:5', '-o', at('drawn.jpg'), '--size', '64')).status, 0)
  t.like(await sharp(at('drawn.jpg')).metadata(), { width: 64, height: 48, format: 'jpeg' })
  const label = await run('region', path, '--associated', 'label', '-o', at('label.png'), '--json')
  const { width, height } = label.json()
  t.like(await sharp(at('label.png')).metadata(), { width, height })
  const none = await run('region', path, '--associated', 'barcode', '-o', at('none.png'))
  t.is(none.status, 1)
  t.regex(none.stderr, /has no associated image barcode; it has label, macro/)
  t.is((await run('region', path, '--associated', 'label', '--x', '3', '-o', at('none.png'))).status, 2)
})

test('a region wholly outside the slide, and a name that says another format, are remarked on', async (t) => {
  const size = ['--width', '20', '--height', '20']
  const outside = await run('region', 'synthetic:400x300', '-o', at('out.png'), '--x', '400', ...size)
  t.is(outside.status, 0)
  t.regex(outside.stderr, /lies wholly outside the slide, which has 400 x 300 pixels/)
  const edge = await run('region', 'synthetic:400x300', '-o', at('out.png'), '--x', '399', '--y', '-19', ...size)
  t.is(edge.stderr, '')
  const lying = await run('region', 'synthetic:400x300', '-o', at('lies.jpg'), '--format', 'png', ...size)
  t.regex(lying.stderr, /lies\.jpg will hold png, whatever its name says/)
  t.is((await sharp(at('lies.jpg')).metadata()).format, 'png')
  writeFileSync(at('x.png'), png)
  const archive = await run('encode', at('x.png'), '-o', at('y.png'), '--no-check')
  t.regex(archive.stderr, /y\.png will hold a TIFF/)
})

/** What bash offers after these words, the last of which is being typed. */
function bash(script: string, ...words: string[]): string[] {
  const program = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); compopt() { :; }
    _cleric; printf '%s\\n' "\${COMPREPLY[@]}"`
  const stdout = execFileSync('bash', ['-c', program, 'bash', script, 'cleric', ...words], { encoding: 'utf8' })
  return stdout.split('\n').filter((line) => line !== '')
}

test('bash completes commands, options and the values of options', async (t) => {
  const { status, stdout } = await run('completion', 'bash')
  t.is(status, 0)
  const script = at('completion.bash')
  writeFileSync(script, stdout)
  t.deepEqual(bash(script, 'comp').sort(), ['compare', 'completion', 'compress'])
  t.deepEqual(bash(script, 'decode', 'x', '--form'), ['--format'])
  t.deepEqual(bash(script, 'decode', '--format', ''), ['png', 'jpg', 'tif', 'webp'])
  t.deepEqual(bash(script, 'region', '--device', 'w'), ['webgpu'])
  t.deepEqual(bash(script, 'completion', ''), ['bash', 'zsh', 'fish'])
  t.deepEqual(bash(script, 'bench', 'r'), ['rd'])
  t.deepEqual(bash(script, 'encode', 'x.p'), [], 'files are left to bash')
})

test('zsh and fish get every command and option too', async (t) => {
  const bashScript = (await run('completion', 'bash')).stdout
  const flags = new Set(bashScript.match(/--[a-z][a-z-]+/g))
  flags.delete('--help')
  flags.delete('--version')
  t.true(flags.size > 30)
  for (const shell of ['zsh', 'fish']) {
    const { stdout } = await run('completion', shell)
    for (const flag of flags)
      t.regex(stdout, shell === 'fish' ? new RegExp(` -l ${flag.slice(2)}\\b`) : new RegExp(flag))
  }
  t.is((await run('completion', 'tcsh')).status, 2)
})

/** The options of each command, e.g. of "bench rd". */
async function optionsOfCommands(): Promise<Map<string, readonly string[]>> {
  const { stdout } = await run('completion', 'bash')
  const options = [...stdout.matchAll(/^ {6}'([a-z -]+)'\) words='(-[^']*)' ;;$/gm)]
  return new Map(options.map(([, command = '', words = '']) => [command, words.split(' ')]))
}

const root = new URL('../../', import.meta.url)

test('docs/cli.md names every command and every option', async (t) => {
  const docs = readFileSync(new URL('docs/cli.md', root), 'utf8')
  const options = await optionsOfCommands()
  t.true(options.size > 12)
  for (const [command, words] of options) {
    const isOther = /^(bench|farm)\b/.test(command)
    t.true(isOther || docs.includes(`## ${command}`) || docs.includes(`, ${command} `), command)
    if (isOther) continue
    for (const word of words.filter((flag) => flag.startsWith('--') && flag !== '--help')) {
      t.true(docs.includes(word), `${command} ${word}`)
    }
  }
})

/** The lines of a document's blocks of code that begin with `cleric`, from there to a comment, a pipe or a redirection. */
function commandLines(document: string): string[] {
  const text = readFileSync(new URL(document, root), 'utf8')
  const blocks = [...text.matchAll(/^```(?:sh|bash|console)?\n(.*?)^```/gms)].map(([, block = '']) => block)
  const indented = [...text.matchAll(/^ {4}.+\n/gm)].map(([line]) => line)
  const lines = [...blocks, ...indented]
    .join('\n')
    .replaceAll('\\\n', ' ')
    .split(/\n|\||&&/)
  return lines.flatMap((line) => /^\s*(?:\$ )?(?:npx )?cleric (.*?)(?:\s#.*|[<>;].*)?$/.exec(line)?.[1] ?? [])
}

const documents = [
  ...['README.md', 'models/README.md', 'training/README.md', 'python/README.md'],
  ...readdirSync(new URL('docs', root)).flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])),
]

test('the commands that the documents tell one to type exist, and so do their options', async (t) => {
  const options = await optionsOfCommands()
  let lines = 0
  for (const document of documents) {
    for (const line of commandLines(document)) {
      const words = line.trim().split(/\s+/)
      const command = [words.slice(0, 2).join(' '), words[0] ?? ''].find((name) => options.has(name))
      t.not(command, undefined, `${document}: cleric ${line}`)
      const known = options.get(command ?? '') ?? []
      const flags = words.flatMap((word) => /^\[?(--?[a-z][a-z-]*)/.exec(word)?.[1] ?? [])
      const unknown = flags.filter((flag) => !known.includes(flag))
      t.deepEqual(unknown, [], `${document}: cleric ${line}`)
      lines++
    }
  }
  t.true(lines > 25, `${lines} lines were found`)
})

/** What a command that failed says: its exit status, the line on stderr, and the object on stdout with --json. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { createCli } from '../../src/cli/commands.js'
import type { PayloadCodec } from '../../src/codec/codec.js'
import { losslessCodec } from '../payload-codec.js'
import { barePng } from '../slide/bare-png.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-failure-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

async function run(
  argv: readonly string[],
  { codec = losslessCodec() as PayloadCodec, signal = undefined as AbortSignal | undefined } = {},
) {
  let stdout = ''
  let stderr = ''
  const io = {
    stdout: { write: (text: string) => (stdout += text) },
    stderr: { write: (text: string) => (stderr += text) },
    codec,
    ...(signal && { signal }),
  }
  const status = await createCli(io).run(argv)
  return { status, stdout, stderr }
}

/** A codec that fails as told. */
function failing(error: unknown): PayloadCodec {
  return { ...losslessCodec(), encodePayload: () => Promise.reject(error) }
}

test('with --json the error is an object on stdout, with its code; the status is the same, and stderr says it too', async (t) => {
  writeFileSync(at('noise.svs'), 'not a slide')
  const output = ['-o', at('o.cleric.tif')]
  for (const [argv, status, code, message] of [
    [['info', at('absent.svs')], 1, 'ERR_UNSUPPORTED_SLIDE', /absent\.svs doesn't exist$/],
    [['validate', at('absent.tif')], 1, 'ENOENT', /absent\.tif/],
    [['validate', at('noise.svs')], 1, 'ERR_ARCHIVE_UNSUPPORTED', /noise\.svs is no cleric archive$/],
    [['compress', 'synthetic:64x64', '-o', folder], 1, 'ERR_NOT_WRITABLE', /is a folder; choose another place$/],
    [
      ['compress', 'synthetic:64x64', ...output, '--target-bpp', '0.0001'],
      1,
      'ERR_TARGET_UNREACHABLE',
      /^Expected a target/,
    ],
    [
      ['compress', 'synthetic:64x64', ...output, '--levels', '0,9'],
      2,
      'ERR_INVALID_ARGUMENT',
      /^Expected an integer from 0 to/,
    ],
    [['compress', 'synthetic:64x64', ...output, '--target-bpp', '0'], 2, 'ERR_INVALID_ARGUMENT', /above 0, up to 24/],
    [
      ['compress', 'synthetic:64x64', ...output, '--frobnicate'],
      2,
      'ERR_INVALID_ARGUMENT',
      /^unknown option '--frobnicate'/,
    ],
    [['compress'], 2, 'ERR_INVALID_ARGUMENT', /^missing required argument 'slide'$/],
    [['frobnicate'], 2, 'ERR_INVALID_ARGUMENT', /frobnicate/],
  ] as const) {
    const plain = await run(argv)
    t.is(plain.stdout, '')
    t.is(plain.status, status)
    const json = await run([...argv, '--json'])
    t.is(json.status, status)
    const { error, ...rest } = JSON.parse(json.stdout)
    t.deepEqual(rest, {})
    t.deepEqual(Object.keys(error), ['code', 'message'])
    t.is(error.code, code, argv.join(' '))
    t.regex(error.message, message)
    t.is(json.stderr, plain.stderr)
    t.not(json.stderr, '')
  }
})

test('what follows "--" is not for cleric', async (t) => {
  const { status, stdout } = await run(['convert-weights', at('absent.pt'), '--frobnicate', '--', '--json'])
  t.is(status, 2)
  t.is(stdout, '')
})

test('only a refused argument is wrong usage: an error of the language is a failure, whatever it says', async (t) => {
  const argv = (name: string) => ['compress', 'synthetic:64x64', '-o', at(name), '--background', 'keep', '--json']
  for (const [i, error] of [
    new RangeError('Expected a stage below 3 but received 4'),
    new TypeError('Expected a function'),
    Object.assign(new RangeError('The value of "size" is out of range.'), { code: 'ERR_OUT_OF_RANGE' }),
    new Error('a bug'),
    'no error at all',
  ].entries()) {
    const { status, stdout, stderr } = await run(argv(`${i}.cleric.tif`), { codec: failing(error) })
    t.is(status, 1, String(error))
    const own = (error as { code?: string }).code
    const message = error instanceof Error ? error.message : String(error)
    t.deepEqual(JSON.parse(stdout), { error: { code: own ?? 'ERR_INTERNAL', message } })
    t.true(stderr.startsWith('cleric compress: '))
    // What nobody foresaw is a bug, of which the stack says more than a line.
    if (error instanceof Error && own === undefined) t.regex(stderr, /failure\.test/)
  }
})

test('Ctrl-C is an error with its own code, and says how to go on', async (t) => {
  const stop = new AbortController()
  const codec = losslessCodec()
  const { encodePayload } = codec
  codec.encodePayload = (...argv) => {
    if (codec.encoded > 8) stop.abort()
    return encodePayload(...argv)
  }
  const argv = [
    'compress',
    'synthetic:400x300',
    '-o',
    at('s.cleric.tif'),
    '--tile',
    '64',
    '--background',
    'keep',
    '--json',
  ]
  const { status, stdout } = await run(argv, { codec, signal: stop.signal })
  t.is(status, 1)
  t.is(JSON.parse(stdout).error.code, 'ERR_ABORTED')
  t.regex(JSON.parse(stdout).error.message, /^Stopped\. .*--resume$/)
})

test('a folder that can not take the decoded copy of a large image is named', async (t) => {
  // Black, and with 285 MB of RGB too large to be kept.
  const [width, height] = [10_000, 9500]
  writeFileSync(at('large.png'), barePng(width, height, 1, 0, 0, Buffer.alloc((1 + width / 8) * height)))
  const argv = ['region', at('large.png'), '-o', at('x.png'), '--width', '9', '--height', '9']
  const { status, stderr } = await run([...argv, '--cache-dir', at('absent')])
  t.is(status, 1)
  t.regex(stderr, /absent can't take a decoded copy of .*large\.png \(--cache-dir, TMPDIR\)/)
})

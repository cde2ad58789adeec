/** What a terminal gets to see of texts from files, and what happens where nothing can be printed. */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import fc from 'fast-check'
import { oneLine, printable, printableJson } from '../../src/cli/printable.js'
import { compressSlide } from '../../src/compress/compress.js'
import { fill, WHITE } from '../../src/image/draw.js'
import { casePath } from '../data.js'
import { losslessCodec } from '../payload-codec.js'
import { memorySlide } from '../slides.js'
import { run } from './run.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-printable-'))
test.after.always(() => rmSync(folder, { recursive: true }))

/** Everything but text and line breaks. */
const OBEYED = /[^\P{Cc}\n]|[\u202a-\u202e\u2066-\u2069]/u

test('control characters become escapes, and other text stays', (t) => {
  t.is(printable('Präparat 5 µm\n\ttab'), 'Präparat 5 µm\n\\x09tab')
  t.is(printable('\u001b[2J\u0007\r\u007f\u009b31m'), '\\x1b[2J\\x07\\x0d\\x7f\\x9b31m')
  t.is(printable('\u202egpj.exe'), '\\u202egpj.exe')
  t.is(oneLine('a\nb'), 'a\\nb')
  t.is(printableJson('{\n "a": "\u009b\u007f"\n}'), '{\n "a": "\\u009b\\u007f"\n}')
})

test('JSON means the same, whatever is in it', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const shown = printableJson(JSON.stringify({ text }, null, 2))
      t.deepEqual(JSON.parse(shown), { text })
      t.notRegex(shown, OBEYED)
      t.notRegex(printable(text), OBEYED)
      t.false(oneLine(text).includes('\n'))
    }),
  )
})

const EVIL = 'a\u001b[2J\u009b31m\u202e\r\nb'

test('no command prints what a terminal would obey, of names or anything else in a file', async (t) => {
  const image = fill(9, 9, WHITE)
  const slide = memorySlide([fill(40, 40, WHITE)], {
    format: EVIL,
    properties: { [EVIL]: EVIL },
    associatedImages: [EVIL],
    readAssociatedImage: async () => image,
  })
  const codec = { ...losslessCodec(), model: { ...losslessCodec().model, name: EVIL } }
  const path = join(folder, `${EVIL.replace('/', '')}.cleric.tif`)
  await compressSlide(slide, path, { codec, background: 'keep' })
  const missing = join(folder, `missing${EVIL}`)
  const broken = join(folder, `broken${EVIL}`)
  writeFileSync(broken, 'II*\0nonsense')
  for (const argv of [
    ['info', path],
    ['validate', path],
    ['validate', path, '--quick'],
    ['region', path, '-o', join(folder, 'region.png'), '--width', '9', '--height', '9'],
    ['info', missing],
    ['info', broken],
    ['compare', path, path],
    ['export', path, '-o', join(folder, `out${EVIL}.tif`), '--overwrite'],
    ['compress', missing, '-o', join(folder, 'x.cleric.tif')],
  ]) {
    for (const json of [[], ['--json']]) {
      const { stdout, stderr } = await run(...argv, ...json)
      t.notRegex(stdout + stderr, OBEYED, JSON.stringify(argv))
      if (json.length > 0) t.notThrows(() => JSON.parse(stdout), stdout)
    }
  }
  const { stdout } = await run('info', path)
  t.true(stdout.includes('associated images: a\\x1b[2J\\x9b31m\\u202e\\x0d\\nb\n'), stdout)
})

const terminal = casePath('c-terminal.cleric.tif')
;(existsSync(terminal) || process.env.CI === 'true' ? test : test.skip)(
  'a given archive with escapes in its names says so in escapes (needs ../shared/cases)',
  async (t) => {
    const { stdout, stderr } = await run('info', terminal)
    t.notRegex(stdout + stderr, OBEYED)
    t.regex(stdout + stderr, /\\x1b/)
  },
)

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
const fullDevice = existsSync('/dev/full') ? test : test.skip
fullDevice('a full disk under standard output is one line on the other, and a failure', async (t) => {
  const command = `exec "$0" --import tsx "$1" info synthetic:99x99 --json > /dev/full`
  const [status, stderr] = await new Promise<[unknown, string]>((resolve) => {
    const child = execFile('sh', ['-c', command, process.execPath, main], (error, _, text) =>
      resolve([error?.code ?? child.exitCode, text]),
    )
  })
  t.is(status, 1)
  t.regex(stderr, /^cleric: what it has to say can't be written: ENOSPC[^\n]*\n$/)
})

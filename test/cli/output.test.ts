/** What people read: progress and quantities. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { createCli } from '../../src/cli/commands.js'
import { Progress } from '../../src/cli/progress.js'
import {
  byteCount,
  byteSize,
  counted,
  decibels,
  duration,
  levelList,
  rateText,
  table,
} from '../../src/cli/quantities.js'
import { run } from './run.js'

function stream(isTTY: boolean) {
  const out = { text: '', isTTY, columns: 60, write: (text: string) => (out.text += text) }
  return out
}

test('on a terminal progress is a bar that is drawn over itself and wiped', (t) => {
  const target = stream(true)
  const progress = new Progress('work', target)
  progress.update(1, 4, 'tile 1 of 4')
  t.regex(target.text, /^\rwork \[######\.{18}\] {2}25 %, tile 1 of 4/)
  t.false(target.text.includes('\n'))
  progress.end()
  t.regex(target.text, /\r +\r$/)
})

test('elsewhere progress is silent at first, so that short work prints nothing', (t) => {
  const target = stream(false)
  const progress = new Progress('work', target)
  for (let i = 0; i < 100; i++) progress.update(i, 100)
  progress.end()
  t.is(target.text, '')
})

test('one thing is not said to be several, nor several one', async (t) => {
  t.deepEqual(
    [counted(0, 'tile'), counted(1, 'tile'), counted(2, 'tile'), counted(1, 'a', 'b'), counted(3, 'a', 'b')],
    ['0 tiles', '1 tile', '2 tiles', '1 a', '3 b'],
  )
  const folder = mkdtempSync(join(tmpdir(), 'cleric-counted-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const archive = join(folder, 'one.cleric.tif')
  const one = await run('compress', 'synthetic:60x50:5', '-o', archive)
  t.regex(one.stdout, /^1 tile \(/m)
  t.is((await run('validate', archive)).stdout, 'The only tile is sound\n')
  t.regex((await run('export', archive, '-o', join(folder, 'one.tif'))).stdout, /, 2 levels, 2 tiles of /)
  const several = await run('compress', archive, '--output-dir', join(folder, 'several'))
  t.regex(several.stdout, /^1 slide in .*, \d\.\d\d times (smaller|larger) than the slides$/m)
})

test('without a stream progress does nothing', (t) => {
  t.notThrows(() => {
    const progress = new Progress('work', null)
    progress.update(1, 2)
    progress.end()
  })
})

test('sizes, durations, decibels', (t) => {
  t.deepEqual([0, 999, 1536, 999_600, 4_970_000, 2.5e12].map(byteSize), [
    '0 B',
    '999 B',
    '1.54 KB',
    '1.00 MB',
    '4.97 MB',
    '2.50 TB',
  ])
  t.deepEqual([0.04, 12.4, 59.7, 75, 3599.6, 7325].map(duration), [
    '0.0 s',
    '12 s',
    '1 min 0 s',
    '1 min 15 s',
    '1 h 0 min',
    '2 h 2 min',
  ])
  t.deepEqual([38.126, Number.POSITIVE_INFINITY].map(decibels), ['38.13 dB', 'equal'])
  t.is(rateText(1.5, 4), '1.500 bpp, 16.00 times smaller than 24-bit RGB, 4.00 times smaller than the source file')
  t.is(rateText(6, 0.5), '6.000 bpp, 4.00 times smaller than 24-bit RGB, 2.00 times larger than the source file')
})

test('tables align numbers to the right, words to the left', (t) => {
  t.is(
    table([
      ['level', 'size'],
      ['10', 'a'],
      ['2', 'bc'],
    ]),
    'level  size\n   10  a\n    2  bc',
  )
})

test('sizes are read with their units', (t) => {
  for (const [text, bytes] of [
    ['0', 0],
    ['4096', 4096],
    ['512MiB', 2 ** 29],
    ['1.5 GiB', 1.5 * 2 ** 30],
    ['2gb', 2e9],
    ['3 KB', 3000],
    ['7B', 7],
    ['1KiB', 1024],
  ] as const) {
    t.is(byteCount(text), bytes, text)
  }
  for (const text of ['', '-1', 'MiB', '1 ib', '5 TB', '1e9', '0x10', '1..5MB', '999999999999999GiB']) {
    t.throws(() => byteCount(text), { message: /^Expected a size such as 512MiB/ }, text)
  }
})

test('lists of levels', (t) => {
  t.is(levelList('all'), 'all')
  t.deepEqual(levelList('0,2'), [0, 2])
  for (const text of ['', '0,', '-1', 'some']) t.throws(() => levelList(text))
})

test('what is said before the end may have several lines, and no other control characters', async (t) => {
  const [stdout, stderr] = [stream(false), stream(false)]
  const cli = createCli({ stdout, stderr })
  cli.add(
    'say',
    'Says something',
    (command) => command,
    async (session) => {
      session.note('two codecs\n\n  one\u001b[2J\n  another')
      return { json: {}, text: 'done' }
    },
    'cleric say',
  )
  t.is(await cli.run(['say']), 0)
  t.is(stdout.text, 'two codecs\n\n  one\\x1b[2J\n  another\ndone\n')
})

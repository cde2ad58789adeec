/** Commands on files that hold several images, or values of more than 8 bits. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import sharp from 'sharp'
import { type DrawnImage, drawTiff } from '../tiff/draw-tiff.js'
import { run } from './run.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-choice-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

const plain = (value: number, more: Partial<DrawnImage> = {}): DrawnImage => ({
  ...{ width: 96, height: 64, samples: 3, photometric: 2, sample: () => value, tile: [32, 32] as const },
  ...more,
})
test.before(async () => {
  writeFileSync(at('two.tif'), await drawTiff([plain(10), plain(20)]))
  const ramp = { samples: 1, photometric: 1, bits: 16, sample: (x: number) => 40 * x }
  writeFileSync(at('deep.tif'), await drawTiff([plain(0, ramp)]))
  writeFileSync(at('cut.tif'), (await drawTiff([plain(10), plain(20)])).subarray(0, -30))
})

const colourOf = async (path: string) => [...(await sharp(path).raw().toBuffer()).subarray(0, 3)]
const warning = /two\.tif: 1 of the 2 images that it holds aren't taken: directory 0, 96 x 64/

test('every command that opens a slide refuses several pictures, and takes one by --page or --series', async (t) => {
  const size = ['--width', '8', '--height', '8']
  for (const [command, ...rest] of [
    ['compress', '-o', at('c.cleric.tif'), '--overwrite'],
    ['encode', '-o', at('e.cleric'), '--overwrite'],
    ['export', '-o', at('x.tif'), '--overwrite'],
    ['region', '-o', at('r.png'), ...size],
    ['compare', at('two.tif')],
    ['info'],
  ] as const) {
    const refused = await run(command, at('two.tif'), ...rest, '--json')
    t.is(refused.status, 1, command)
    t.regex(refused.stderr, /two\.tif: it holds 2 pictures.*give --page N/, command)
    t.is(refused.json().error.code, 'ERR_UNSUPPORTED_SLIDE')
    for (const choice of ['--page', '--series']) {
      const taken = await run(command, at('two.tif'), ...rest, choice, '1', '--json')
      t.is(taken.status, 0, `${command} ${choice}: ${taken.stderr}`)
      if (command !== 'info') t.regex(taken.stderr, warning, command)
      t.regex(taken.json().warnings.join(), /1 of the 2 images/, command)
    }
    t.is((await run(command, at('two.tif'), ...rest, '--page', '1', '--series', '1')).status, 2, command)
  }
  t.deepEqual(await colourOf(at('r.png')), [20, 20, 20])
})

test('info lists what a file holds and what is taken of it, also where nothing is', async (t) => {
  const refused = await run('info', at('two.tif'), '--json')
  t.deepEqual(refused.json().contents, [
    { page: 0, subIfd: null, width: 96, height: 64, role: null },
    { page: 1, subIfd: null, width: 96, height: 64, role: null },
  ])
  const text = await run('info', at('two.tif'))
  t.is(text.status, 1)
  t.regex(text.stdout, /page {2}SubIFD {2}width {2}height {2}taken as\n +0 +- +96 +64 {2}not taken/)
  const taken = await run('info', at('two.tif'), '--page', '0', '--json')
  t.deepEqual(
    taken.json().contents.map(({ role }: { role: string | null }) => role),
    ['level 0', null],
  )
  t.regex((await run('info', at('two.tif'), '--page', '0')).stdout, /1 of the 2 images/)
  const broken = await run('info', at('cut.tif'), '--json')
  t.is(broken.status, 1)
  t.deepEqual(Object.keys(broken.json()), ['error'])
})

test('--range brings values of more than 8 bits into 8, and archives remember it', async (t) => {
  const refused = await run('region', at('deep.tif'), '-o', at('deep.png'), '--width', '96', '--height', '1')
  t.is(refused.status, 1)
  t.regex(refused.stderr, /numbers of 16 bits.*--range MIN,MAX, or --range auto/)
  const region = ['region', at('deep.tif'), '-o', at('deep.png'), '--width', '96', '--height', '1']
  t.is((await run(...region, '--range', '400,2400')).status, 0)
  const { data } = await sharp(at('deep.png')).raw().toBuffer({ resolveWithObject: true })
  for (const [x, value] of [
    [5, 0],
    [10, 0],
    [35, 128],
    [60, 255],
    [95, 255],
  ] as const) {
    t.is(data[3 * x], value, `${x}`)
  }
  t.is((await run('compress', at('deep.tif'), '-o', at('deep.cleric.tif'), '--range', 'auto')).status, 0)
  const { properties } = (await run('info', at('deep.cleric.tif'), '--json')).json()
  t.regex(properties['cleric.range'], /^\d+,\d+$/)
  for (const range of ['9', '9,1', '1,2,3', 'x,y', '1,', 'all']) {
    t.is((await run(...region, '--range', range)).status, 2, range)
  }
})

test('an archive takes no page, but the slide that it is compared with does', async (t) => {
  await run('compress', at('two.tif'), '-o', at('one.cleric.tif'), '--page', '1', '--overwrite')
  const compared = await run('compare', at('two.tif'), at('one.cleric.tif'), '--page', '1', '--json')
  t.is(compared.json().levels[0].maxError, 0)
  const archive = await run(
    'region',
    at('one.cleric.tif'),
    '-o',
    at('a.png'),
    '--width',
    '1',
    '--height',
    '1',
    '--page',
    '0',
  )
  t.regex(archive.stderr, /is an archive: it takes no page, series or range/)
  t.is((await run('compare', at('one.cleric.tif'), at('one.cleric.tif'), '--page', '0')).status, 1)
})

/** What the world does to a program: disks that are full, signals, other processes, other places and times. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { encodeHead } from '../../src/archive/head-writer.js'
import { emptyIndex, TILE } from '../../src/tiff/tile-index.js'
import { nanoModel } from '../network/golden.js'
import { cleric, MODEL } from './cleric-process.js'
import { undisturbed, withMemory } from './memory.js'

const folder = mkdtempSync(join(tmpdir(), 'cleric-faults-'))
test.after.always(() => rmSync(folder, { recursive: true }))
const at = (name: string) => join(folder, name)

const SLIDE = 'synthetic:260x200:2'
const compress = (output: string, ...more: string[]) => [
  ...['compress', SLIDE, '-o', output, '--quiet', '--tile', '128', ...MODEL],
  ...more,
]

test.before(async (t) => {
  t.timeout(280_000)
  const { status, stderr } = await cleric(compress(at('sound.cleric.tif')))
  if (status !== 0) throw new Error(stderr)
})

/** A file of an archive of 131,072 pixels a side, all of them white, in a few hundred kilobytes. */
async function blankArchive(path: string): Promise<void> {
  const { name, hash } = await nanoModel()
  const level = { width: 2 ** 17, height: 2 ** 17, downsample: 1 }
  const index = emptyIndex(level, 256)
  for (let i = 0; i < index.length.length; i++) index.colours.set([255, 255, 255, TILE.blank], 4 * i)
  const make = (fileLength: number) =>
    encodeHead({
      layout: 'strict',
      description: {
        ...{ model: { name, hash }, quality: 60, tile: 256, levels: [level], downsamples: [1], mpp: null },
        ...{ objectivePower: null, background: { red: 255, green: 255, blue: 255 }, properties: {} },
        source: { format: 'none', bytes: 0 },
      },
      ...{ iccProfile: null, indexes: [index], overview: [], images: [], isChecked: false, fileLength },
    })
  writeFileSync(path, make(make(0).length))
}

for (const [command, signal] of [
  ['compress', 'SIGINT'],
  ['export', 'SIGTERM'],
  ['validate', 'SIGINT'],
] as const) {
  test.serial(`${signal} ends ${command} of a slide that is blank all over`, async (t) => {
    t.timeout(280_000)
    const [input, output] = [at(`blank-${command}.cleric.tif`), at(`out-${command}.cleric.tif`)]
    await blankArchive(input)
    const writes = command === 'validate' ? [] : ['-o', output]
    let signalled = 0
    const ended = await cleric([command, input, ...writes, ...MODEL], {
      env: { NODE_OPTIONS: `--import=${new URL('fast-clock.mjs', import.meta.url)}` },
      onStart: (child) => {
        // The first line of progress, on standard error, comes after a second of work.
        child.stderr?.once('data', () => {
          signalled = performance.now()
          child.kill(signal)
        })
      },
    })
    const took = performance.now() - signalled
    t.log(`ended ${Math.round(took)} ms after the signal`)
    t.is(ended.status, 1, ended.stderr)
    t.regex(ended.stderr, new RegExp(`cleric ${command}: Stopped\\. [^\\n]*\\n$`))
    t.true(took < 5000)
    t.false(existsSync(output))
  })
}

test.serial('a full disk leaves no part of an image or export under its name', async (t) => {
  t.timeout(280_000)
  const region = ['region', SLIDE, '--width', '260', '--height', '200', '-o', at('region.png')]
  const names = readdirSync(folder)
  for (const argv of [
    region,
    ['export', SLIDE, '-o', at('export.tif')],
    ['decode', at('sound.cleric.tif'), '-o', at('decode.png'), ...MODEL],
  ]) {
    const { status, stdout, stderr } = await cleric([...argv, '--json', '--quiet'], { limit: 'ulimit -f 16' })
    t.is(status, 1, stderr)
    t.is(JSON.parse(stdout).error.code, 'ERR_DISK_FULL')
    t.deepEqual(readdirSync(folder), names)
  }
})

test.serial('a folder in which nothing can be made is found out before any work', async (t) => {
  t.timeout(280_000)
  // Nobody can make a file there, not even who may do anything.
  const { status, stdout } = await cleric([...compress('/proc/out.cleric.tif'), '--json'])
  t.is(status, 1)
  t.regex(JSON.parse(stdout).error.code, /^(ERR_NOT_WRITABLE|ENOENT|EACCES|EROFS)$/)
})

test.serial('neither place, language nor clock change a byte', async (t) => {
  t.timeout(280_000)
  for (const env of [
    { TZ: 'Pacific/Kiritimati', LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8' },
    { TZ: 'UTC', LC_ALL: 'C', LANG: 'C', HOME: '/nonexistent' },
    { LC_ALL: 'C.UTF-8', NODE_OPTIONS: `--import=${new URL('jumping-clock.mjs', import.meta.url)}` },
  ]) {
    const output = at(`${env.LC_ALL}.cleric.tif`)
    const { status, stderr } = await cleric(compress(output), { env })
    t.is(status, 0, stderr)
    t.true(readFileSync(output).equals(readFileSync(at('sound.cleric.tif'))))
  }
})

test.serial('two processes that write the same archive leave one whole archive', async (t) => {
  t.timeout(280_000)
  const output = at('twice.cleric.tif')
  const ends = await Promise.all([1, 2].map(() => cleric(compress(output, '--overwrite'))))
  t.true(
    ends.some(({ status }) => status === 0),
    ends.map(({ stderr }) => stderr).join(),
  )
  for (const { status, stderr } of ends) if (status !== 0) t.regex(stderr, /taken over|exists|ENOENT/)
  t.true(readFileSync(output).equals(readFileSync(at('sound.cleric.tif'))))
  t.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('twice')),
    ['twice.cleric.tif'],
  )
})

test.serial('too little memory fails the work, and what it leaves goes on to the same archive', async (t) => {
  t.timeout(280_000)
  const output = at('memory.cleric.tif')
  const expected = await undisturbed(output)
  for (const kilobytes of [1_000_000, 1_400_000]) {
    const { fault, ended } = await withMemory(output, kilobytes, expected)
    t.log(`${kilobytes} KB: status ${ended.status}, signal ${ended.signal}`)
    t.is(fault, null)
  }
})
